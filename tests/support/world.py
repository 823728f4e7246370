"""
A prepared world for the command line: a folder, a fixed clock, a provider that is simulated.

Golden output, the gallery of errors, the pages of documentation, and the tests of them all run in one, so
that what they show is what the program says.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from budgets_cli.app import run
from budgets_cli.env import Env

import budgets
from budgets.clock import FixedClock
from budgets.config import load_settings
from budgets.engine import Engine
from budgets.simulated import Fault, SimulatedUpstream
from budgets.tokens.counting import count_text
from budgets.wiring import open_engine

# A Sunday, in the middle of a morning.
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)

# An id is a moment and then chance; its length stays.
# Where the library lies on this machine.
_INSTALLED = Path(budgets.__file__).parent
_ID = re.compile(r"\b([a-z]+_[0-9a-f]{13})([0-9a-f]{8,})\b")
_ELSEWHERE = (
    # The secret in a key is chance.
    (re.compile(r"\b(bk_[a-z0-9-]+)_[\w-]{43}"), r"\1_" + "x" * 43),
    # A line of the program's own source moves with every change.
    (re.compile(r"\b([a-z_]+\.py):[0-9]+"), r"\1:1"),
    # What `doctor` finds on one machine it does not find on another.
    (re.compile(r"llm-budgets (?:not installed|[0-9][0-9.a-z]*)"), "llm-budgets 0.1.0"),
    (re.compile(r"\b(typer|rich|Python|SQLite) [0-9]+\.[0-9]+[0-9.a-z]*"), r"\1 1.2.3"),
    (re.compile(r"[0-9,]+ bytes on disk"), "122,880 bytes on disk"),
    (re.compile(r'"size_bytes": [0-9]+'), '"size_bytes": 122880'),
    (re.compile(r"\b[0-9.]+ MB"), "0.1 MB"),
    (re.compile(r"\b[a-z0-9]+, on this machine"), "ext4, on this machine"),
    (re.compile(r"this system does not tell its kind"), "ext4, on this machine"),
)


class Terminal(StringIO):
    """A stream in memory that a person seems to look at."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    line: str
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


@dataclass
class World:
    """Runs command lines in a folder of its own, which is the current one meanwhile."""

    folder: Path
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    faults: list[Fault] = field(default_factory=list)
    # How the simulated provider counts tokens.
    count: Callable[[str], int] = count_text
    environ: dict[str, str] = field(
        default_factory=lambda: {
            # Relative, so that no page shows where it was made.
            "BUDGET_STORE": "budgets.sqlite",
            "BUDGET_CONFIG": "config.toml",
            "OPENAI_API_KEY": "simulated",
            "ANTHROPIC_API_KEY": "simulated",
        }
    )

    def type(
        self, line: str, *, columns: int | None = None, terminal: bool = False, colour: bool = False
    ) -> Ended:
        """
        Run one line as a shell would: words, variables in front, `< file` and `> file` at the end.

        `AT=2026-12-02T09:00:00Z` in front sets the clock for this line alone.

        Args:
            columns: How wide the terminal says it is; `None`: it says nothing.
            terminal: Somebody looks at the output.
            colour: And may see colours.
        """
        return self.run(shlex.split(line, comments=True), line, columns, terminal, colour)

    def run(
        self,
        words: list[str],
        line: str = "",
        columns: int | None = None,
        terminal: bool = False,
        colour: bool = False,
    ) -> Ended:
        """The same for words that are apart already."""
        environ = dict(self.environ)
        while "=" in words[0] and words[0].partition("=")[0].isupper():
            name, _, value = words.pop(0).partition("=")
            environ[name] = value
        clock = self.clock
        if "AT" in environ:
            clock = FixedClock(datetime.fromisoformat(environ.pop("AT")))
        if columns is not None:
            environ["COLUMNS"] = str(columns)
        if not colour:
            environ["NO_COLOR"] = "1"
        words, redirected = _redirections(words)
        program, *argv = words
        assert program == "budget", line
        out, err = (Terminal() if terminal else StringIO() for _ in range(2))
        stdin = (self.folder / redirected["<"]).read_text("utf-8") if "<" in redirected else ""
        # Help is as wide as the process's terminal, whatever ours says.
        with chdir(self.folder), patch.dict(os.environ, {"COLUMNS": str(columns or 80)}):
            code = run(
                Env(
                    tuple(argv),
                    StringIO(stdin),
                    out,
                    err,
                    environ,
                    clock=clock,
                    upstream=lambda: SimulatedUpstream(self.count, self.faults),
                )
            )
        said = self._steady(out.getvalue())
        if ">" in redirected:
            (self.folder / redirected[">"]).write_text(said, "utf-8")
            said = ""
        return Ended(line or shlex.join(words), code, said, self._steady(err.getvalue()))

    def _steady(self, text: str) -> str:
        # Every world has a folder of its own; to its commands it is this one.
        text = text.replace(f"{self.folder.resolve()}/", "/srv/budget/")
        return steady(text.replace(f"{_INSTALLED}/", "/usr/lib/budgets/"))

    def done(self, line: str) -> Ended:
        """The same, where it must succeed."""
        ended = self.type(line)
        assert ended.code == 0, ended
        return ended

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The engine on the same store, for what no command does."""
        with chdir(self.folder):
            engine = open_engine(load_settings(self.environ), clock=self.clock)
            with closing(engine.store):
                yield engine

    def write(self, name: str, content: Any) -> None:
        """A file in the folder; what is no text is written as JSON."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.folder / name).write_text(text, "utf-8")


def _redirections(words: list[str]) -> tuple[list[str], dict[str, str]]:
    found: dict[str, str] = {}
    while len(words) > 2 and words[-2] in ("<", ">"):
        *words, sign, name = words
        found[sign] = name
    return words, found


def steady(text: str) -> str:
    """The same with what differs from run to run, or from machine to machine, put in its place."""
    text = _ID.sub(lambda found: found[1] + "0" * len(found[2]), text)
    for pattern, put in _ELSEWHERE:
        text = pattern.sub(put, text)
    return text


@contextmanager
def new_world(arrange: Callable[[World], None] = lambda _: None) -> Iterator[World]:
    """A world in a temporary folder."""
    with TemporaryDirectory(prefix="budget-world-") as folder:
        world = World(Path(folder))
        arrange(world)
        yield world


MESSAGES = [{"role": "user", "content": "Name three rivers"}]
# Files that examples read.
FILES: Mapping[str, Any] = {
    "messages.json": MESSAGES,
    "request.json": {"model": "gpt-4o-mini", "messages": MESSAGES},
    "reply.json": {
        "id": "r",
        "model": "gpt-4o-mini",
        "choices": [],
        "usage": {"prompt_tokens": 1200, "completion_tokens": 300},
    },
    "question.txt": "Why do rivers bend?",
    "user_cost.json": {
        "1234": {
            "total_budget": 10,
            "duration": 28,
            "created_at": 1793923200.0,
            "last_updated_at": 1793923200.0,
            "current_cost": 4.4999999999999996e-05,
            "model_cost": {"gpt-3.5-turbo": 1.8e-05, "gpt-4o-mini": 2.7e-05},
        },
        "12345": {"total_budget": 2.5},
    },
}


def with_files(world: World) -> None:
    """The files that examples read."""
    for name, content in FILES.items():
        world.write(name, content)


def populated(world: World) -> None:
    """
    A company in the middle of its month.

    A project with a cap, a team with people, somebody without limits, a frozen budget, names from
    everywhere, charges, a running call, and one of which nobody knows the cost.
    """
    with_files(world)
    world.write("config.toml", "patience_seconds = 20\n")
    for line in (
        "budget set --total 500 --every month",
        "budget create --user team-a --total 100 --every month --timezone Europe/Berlin",
        "budget create --user ann --total 10 --every month --parent team-a",
        "budget create --user ben --total 3 --every week --parent team-a",
        "budget create --user eve --parent team-a",
        "budget create --user nightly-job --total 2 --every day",
        "budget create --user 山田花子 --total 25",
        "budget set --user nightly-job --freeze",
    ):
        world.done(f"AT=2026-11-02T08:00:00Z {line}")
    for at, line in (
        ("2026-11-03T10:00", "--user ann --id c-1 --model gpt-4o-mini --input-tokens 2400000"),
        ("2026-11-20T16:20", "--user ann --id c-2 --model claude-sonnet-4-5 --input-tokens 1400000"),
        ("2026-11-21T08:00", "--user ben --id c-3 --amount 2.75 --note evaluation"),
        ("2026-11-21T20:45", "--user eve --id c-4 --model gpt-4o --input-tokens 90000 --output-tokens 12000"),
        ("2026-11-22T08:00", "--user 山田花子 --id c-5 --amount 0.5"),
    ):
        world.done(f"AT={at}:00Z budget charge {line}")
    with world.engine() as engine:
        engine.hold("ann", 310_000_000, model="claude-sonnet-4-5", hold_id="call-1")
        engine.hold("eve", 1_200_000_000, model="claude-opus-4-1", hold_id="call-2")
        engine.doubt("call-2", reason="the process ended")
