"""One run of a command: whose store and project it acts on, and for whom."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property, partial
from typing import TYPE_CHECKING

from .env import Env, is_terminal
from .exits import UsageError
from .harmless import shown_name
from .output import confirm, note

if TYPE_CHECKING:
    from budgets.config import Settings
    from budgets.engine import Engine
    from budgets.engine.api import EngineApi
    from budgets.notices import Notices
    from budgets.records import Threshold


class Session:
    """
    What a command works with. The store is opened when it is first used, and closed at the end.

    Args:
        env: The world around.
        store, project: What the command line says about them, if it does.
        as_json: The answer is one JSON document.
        run: Runs another command, in another world, and gives its exit code.
    """

    def __init__(
        self,
        env: Env,
        *,
        run: Callable[[Env], int],
        store: str | None = None,
        project: str | None = None,
        as_json: bool = False,
    ) -> None:
        self.env = env
        self.run = run
        self.as_json = as_json
        self._store = store
        self._project = project
        self._opened = ExitStack()
        self._reached: list[Threshold] = []

    @cached_property
    def settings(self) -> Settings:
        """The settings in force."""
        from budgets.config import load_settings

        return load_settings(self.env.environ, store=self._store, project=self._project)

    @property
    def has_store(self) -> bool:
        """Whether the store's file is there, for those that may not make one. A server has one."""
        file = self.settings.store
        return isinstance(file, str) or (file.is_file() and file.stat().st_size > 0)

    @cached_property
    def engine(self) -> EngineApi:
        """The engine on the store in force."""
        from budgets.wiring import open_api

        engine = open_api(self.settings, clock=self.env.clock, on_threshold=self._reach)
        self._opened.callback(engine.let_go)
        return engine

    def engine_for_calls(self, on_threshold: Callable[[Threshold], None]) -> Engine:
        """
        Another engine on the same store, for many calls at once.

        Args:
            on_threshold: Is told of each threshold, in the thread that charges; must be quick.

        Raises:
            ConfigError: the store is kept by a server.
        """
        from budgets.errors import ConfigError
        from budgets.wiring import open_engine

        if self.settings.server is not None:
            raise ConfigError(
                "programs are run under a store of this machine, and this one is kept by a server",
                hint="give --store PATH; or point the program at the server's own gateway",
            )
        notices = self._notices

        def reach(threshold: Threshold) -> None:
            on_threshold(threshold)
            if notices is not None:
                notices.send(threshold)

        engine = open_engine(self.settings, clock=self.env.clock, grouped=True, on_threshold=reach)
        self._opened.callback(engine.close)
        return engine

    def user(self, said: str | None, *, or_only_one: bool = True) -> str:
        """
        Whose budget is meant: who was said, else the settings' user, else the project's only one.

        Says on stderr whom it took when nobody was said.

        Args:
            or_only_one: Whether the project's only user may be meant.

        Raises:
            UsageError: it cannot be told.
        """
        if said is not None:
            return said
        found, source = self.settings.user, self.settings.user_from
        if found is None:
            users = self.engine.users() if or_only_one else []
            if len(users) != 1:
                raise UsageError(
                    "no user was named",
                    hint=f"add --user NAME, or set BUDGET_USER{_choice(users)}",
                )
            found, source = users[0], f"the only user of project {self.settings.project}"
        note(self.env, f"user {shown_name(found)}, from {source}")
        return found

    def same_place(self) -> str:
        """The options that make another command act on the same store and project."""
        import shlex

        said = {"--store": self._store, "--project": self._project}
        return "".join(f" {option} {shlex.quote(value)}" for option, value in said.items() if value)

    def agree(self, question: str, *, needs: str) -> None:
        """
        Ask a person whether it may be done.

        Args:
            question: What is asked.
            needs: What it does, where nobody can be asked.

        Raises:
            UsageError: they said no, or nobody can be asked.
        """
        if not (is_terminal(self.env.stdin) and is_terminal(self.env.stderr)):
            raise UsageError(needs, hint="add --yes where nobody can be asked")
        if not confirm(self.env, question):
            raise UsageError("nothing was done")

    def close(self) -> None:
        """Let go of the store; then say what thresholds were reached, once the answer is shown."""
        self._opened.close()
        if self._reached and not self.as_json:
            from budgets.notices import sentence

            # Who has used 80% has used 50% as well.
            for each in {each.limit.id: each for each in self._reached}.values():
                note(self.env, sentence(each))
        notices = self.__dict__.get("_notices")
        if notices is not None:
            notices.finish()

    @cached_property
    def _notices(self) -> Notices | None:
        target = self.settings.on_threshold
        if target is None:
            return None
        from budgets.notices import Notices

        return Notices(target, self.settings.project, report=partial(note, self.env))

    def _reach(self, threshold: Threshold) -> None:
        self._reached.append(threshold)
        if self._notices is not None:
            self._notices.send(threshold)


def _choice(users: list[str]) -> str:
    if not users:
        return ""
    some = ", ".join(shown_name(user) for user in users[:5])
    return f"; there {'is' if len(users) == 1 else 'are'} {some}{' ...' if len(users) > 5 else ''}"
