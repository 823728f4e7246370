"""What another book says otherwise, for the commands that compare and take in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from ...env import is_terminal
from ...exits import UsageError
from ...output import confirm, note
from ...results import Result
from ...session import Session
from .words import dollars, per

if TYPE_CHECKING:
    from fractions import Fraction

    from budgets.prices.importing import Change, Difference

# Of each kind of change so many lines are shown; --json has all of them.
_MOST_SHOWN = 10

BookFile: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="FILE", help="A book file, or the public price map as JSON.")
]
Bundled: TypeAlias = Annotated[bool, typer.Option("--bundled", help="The book that came with budget.")]


@dataclass(frozen=True)
class BooksCompared(Result):
    """What another book says otherwise."""

    difference: Difference
    old: str
    new: str
    # Where it was put; `None`: nowhere.
    written: str | None = None
    command = "prices diff"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        found = self.difference
        return {
            "old": self.old,
            "new": self.new,
            "written": self.written,
            "added": [*found.added],
            "gone": [*found.gone],
            "changed": [
                {
                    "model": model,
                    "unit": each.unit,
                    "tier": each.tier,
                    "above_input_tokens": each.above,
                    "is": each.kind,
                    "was_usd": None if each.was is None else per(each.was, each.unit),
                    "now_usd": None if each.now is None else per(each.now, each.unit),
                }
                for model, each in found.changed
            ],
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        yield from difference_lines(self)
        if self.written is not None:
            yield f"{self.new} is in use: {self.written}"


def compared(session: Session, file: str | None, bundled: bool) -> tuple[bytes | None, BooksCompared]:
    """Another book's bytes (`None`: the bundled one), and what it says otherwise than the one in use."""
    from pathlib import Path

    from budgets.prices import list_book
    from budgets.prices.bundled import BundledBook
    from budgets.prices.importing import difference, read_book

    if (file is None) != bundled:
        raise UsageError("which book is not clear", hint="give a file, or --bundled")
    old, now = list_book(session.settings.prices), session.env.clock()
    data = None if file is None else read_book(Path(file), old, now.date())
    new = BundledBook(data=data)
    return data, BooksCompared(difference(old, new, now), old.version, new.version)


def agree(session: Session, found: BooksCompared) -> None:
    """Prices are replaced only when somebody saw what changes and said so."""
    if not (is_terminal(session.env.stdin) and is_terminal(session.env.stderr)):
        raise UsageError("this replaces the prices in use", hint="add --yes where nobody can be asked")
    for line in difference_lines(found):
        note(session.env, line)
    if not confirm(session.env, f"use {found.new} in the place of {found.old}?"):
        raise UsageError("nothing was changed")


def difference_lines(found: BooksCompared) -> Iterator[str]:
    """What changes, each kind of change with its greatest first, and how many there are of each."""
    from budgets.prices.importing import KINDS

    difference = found.difference
    yield f"{found.old} -> {found.new}"
    kinds = {
        kind: [_change_line(model, each) for model, each in difference.changed if each.kind == kind]
        for kind in KINDS
    }
    lines = {**kinds, "gone": [*difference.gone], "added": [*difference.added]}
    for kind, each in lines.items():
        yield from (f"{kind:<8}{line}" for line in each[:_MOST_SHOWN])
        if len(each) > _MOST_SHOWN:
            yield f"{kind:<8}... and {len(each) - _MOST_SHOWN:,} more, all of them with --json"
    counts = ", ".join(f"{len(each):,} {kind}" for kind, each in lines.items() if each)
    yield counts or "no price of today differs"


def _change_line(model: str, change: Change) -> str:
    where = "" if change.tier == "standard" else f" {change.tier}"
    where += f" above {change.above:,}" if change.above else ""
    was, now = (
        dollars(None if each is None else per(each, change.unit)) or "none"
        for each in (change.was, change.now)
    )
    return f"{model} {change.unit}{where}: {was} -> {now}{_times(change.factor)}"


def _times(factor: Fraction | None) -> str:
    """`, 2.5 times`, to a tenth, where it is that much."""
    tenths = 0 if factor is None else factor.numerator * 10 // factor.denominator
    return f", {tenths // 10}.{tenths % 10} times" if tenths > 10 else ""
