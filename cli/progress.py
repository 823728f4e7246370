"""How far something has come, for a person who waits for it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
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
        self._seen = _is_seen(env)
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


class Waiting:
    """
    The same where nobody counts: `adding up: 3 s`, told by a thread of its own while the block runs.

    Args:
        pause: Waits up to so many seconds; gives true once the block has ended.
    """

    def __init__(self, env: Env, what: str, *, pause: Callable[[float], bool] | None = None) -> None:
        self._env = env
        self._what = what
        self._done = Event()
        self._pause = pause or self._done.wait
        self._shown = False
        self._thread: Thread | None = None

    def _tell(self) -> None:
        seconds = 0.0
        step = _QUIET_SECONDS
        while not self._pause(step):
            seconds += step
            step = _EVERY_SECONDS
            self._shown = True
            rewrite_line(self._env, f"{self._what}: {int(seconds)} s")

    def __enter__(self) -> Self:
        if _is_seen(self._env):
            self._thread = Thread(target=self._tell, name="budget-waiting", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        if self._shown:
            erase_line(self._env)


def _is_seen(env: Env) -> bool:
    return is_terminal(env.stderr) and env.environ.get("TERM") != "dumb"
