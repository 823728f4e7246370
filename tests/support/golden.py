"""Golden output: what every command says, at two widths, to a terminal and to a pipe."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from budgets_cli.app import COMMANDS

from tests.support.world import Ended, World, populated

FOLDER = Path(__file__).parent.parent / "cli" / "golden"
WIDTHS = (80, 120)

# Every page of help, and so every command: `()`, `("holds",)`, `("holds", "release")`.
PAGES: tuple[tuple[str, ...], ...] = (
    (),
    *((name,) for name in COMMANDS),
    *((name, each) for name, under in COMMANDS.items() for each in under),
)


@dataclass(frozen=True)
class Case:
    """One command line whose output is kept."""

    name: str
    line: str

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return FOLDER / f"{self.name}.txt"

    @property
    def last(self) -> str:
        """What is looked at; the commands before it prepare it."""
        return self.line.rpartition(" && ")[2]

    def ended(self, more: str = "", **how: Any) -> Ended:
        """How it ends in a populated world of its own."""
        with a_copy() as world:
            *before, _ = self.line.split(" && ")
            for line in before:
                world.done(line)
            return world.type(self.last + more, **how)

    @property
    def page(self) -> tuple[str, ...]:
        """The command that it runs."""
        words = tuple(self.last.partition("budget")[2].split())
        return max((page for page in PAGES if words[: len(page)] == page), key=len)


def cases() -> list[Case]:
    """All that `COMMANDS.txt` lists, in its order."""
    found = []
    for line in (FOLDER / "COMMANDS.txt").read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, command = line.partition(" ")
            found.append(Case(name, command.strip()))
    return found


def golden(case: Case) -> str:
    """The text that is kept of *case*: each way to look at it, those that look the same together."""
    ways: dict[str, list[str]] = {}
    for where in ("terminal", "pipe"):
        for columns in WIDTHS:
            ended = case.ended(columns=columns, terminal=where == "terminal")
            ways.setdefault(_shown(ended), []).append(f"{where} of {columns} columns")
    return f"$ {case.line}\n" + "".join(f"\n=== {', '.join(names)}\n{text}" for text, names in ways.items())


def _shown(ended: Ended) -> str:
    streams = {"stdout": ended.out, "stderr": ended.err}
    return f"exit code {ended.code}\n" + "".join(
        f"--- {name}\n{text}" for name, text in streams.items() if text
    )


@contextmanager
def a_copy() -> Iterator[World]:
    """A world of its own, in the state of the populated one."""
    with TemporaryDirectory(prefix="budget-world-") as folder:
        shutil.copytree(_populated(), folder, dirs_exist_ok=True)
        yield World(Path(folder))


@cache
def _populated() -> Path:
    """The populated world, made once; it goes when the process does."""
    folder = Path(mkdtemp(prefix="budget-world-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    populated(World(folder))
    return folder
