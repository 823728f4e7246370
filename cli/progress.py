"""How far something has come, for a person who waits for it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Self

from .env import is_terminal
from .output import erase_line, rewrite_line

if TYPE_CHECKING:
    from .env import Env

# What is over sooner needs no comment.
_QUIET_SECONDS = 1.0
_EVERY_SECONDS = 0.2


class Progress:
    """
    One line on stderr that is written over and in the end wiped out: `adding up entries: 120,000, 3 s`.

    Nothing is shown in the first second, and nothing ever where stderr is no terminal.

    Args:
        what: What is done.
        ticks: A clock in seconds that only runs forward.
    """

    def __init__(self, env: Env, what: str, *, ticks: Callable[[], float] = monotonic) -> None:
        self._env = env
        self._what = what
        self._ticks = ticks
        self._seen = is_terminal(env.stderr) and env.environ.get("TERM") != "dumb"
        self._begun = ticks()
        self._next = self._begun + _QUIET_SECONDS
        self._shown = False

    def reached(self, number: int) -> None:
        """So many are done. Cheap enough to be called for every thousand."""
        if not self._seen or (now := self._ticks()) < self._next:
            return
        self._next = now + _EVERY_SECONDS
        self._shown = True
        rewrite_line(self._env, f"{self._what}: {number:,}, {int(now - self._begun)} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            erase_line(self._env)
