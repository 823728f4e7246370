"""What a command knows of the world around it: one object, which tests replace whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import sleep
from typing import TYPE_CHECKING, TextIO

from budgets.clock import utc_now

if TYPE_CHECKING:
    from budgets.ports import Clock
    from budgets.upstream import Upstream

NARROWEST, WIDEST = 60, 200
_USUAL_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Env:
    """The arguments, the streams, the environment's variables, and the clock."""

    # Without the program's name.
    argv: tuple[str, ...]
    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]
    clock: Clock = utc_now
    # What makes the way to providers; `None`: HTTP.
    upstream: Callable[[], Upstream] | None = None
    # Lets so many seconds pass.
    wait: Callable[[float], None] = sleep

    @classmethod
    def of_process(cls) -> Env:
        """The world of this process."""
        for stream in (sys.stdout, sys.stderr):
            # A terminal that knows few characters gets escapes for the others rather than no answer.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        return cls(tuple(sys.argv[1:]), sys.stdin, sys.stdout, sys.stderr, os.environ)

    @property
    def width(self) -> int | None:
        """How wide text may be, in terminal cells; `None`: nobody looks at it, so it need not fit."""
        said = self.environ.get("COLUMNS", "")
        if said.isascii() and said.isdigit() and int(said) > 0:
            columns = int(said)
        elif not is_terminal(self.stdout):
            return None
        else:
            try:
                columns = os.get_terminal_size(self.stdout.fileno()).columns or _USUAL_WIDTH
            except (OSError, ValueError):
                # Terminals of editors have no size, and those in memory no descriptor.
                columns = _USUAL_WIDTH
        return max(NARROWEST, min(WIDEST, columns))

    @property
    def height(self) -> int | None:
        """How many lines a person sees at once; `None`: nobody looks, or nobody knows."""
        said = self.environ.get("LINES", "")
        if not is_terminal(self.stdout):
            return None
        if said.isascii() and said.isdigit() and int(said) > 0:
            return int(said)
        try:
            return os.get_terminal_size(self.stdout.fileno()).lines or None
        except (OSError, ValueError):
            return None

    @property
    def drawn(self) -> bool:
        """The answer goes to a terminal that can draw."""
        return is_terminal(self.stdout) and self.environ.get("TERM") != "dumb"

    def coloured(self, stream: TextIO) -> bool:
        """Colours may be used on *stream*. `NO_COLOR`, with any value, wins: https://no-color.org"""
        if self.environ.get("NO_COLOR") or self.environ.get("TERM") == "dumb":
            return False
        return is_terminal(stream)

    @property
    def unicode(self) -> bool:
        """The answer's stream can carry more than ASCII."""
        return (self.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")


def is_terminal(stream: TextIO) -> bool:
    """Whether a person is at the other end; a closed stream has nobody."""
    return not stream.closed and stream.isatty()
