"""How good the counts are that are made before calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from budgets.clock import iso

from .results import Result, iso_or_none

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.lessons import Lesson

    from .tables import Table


@dataclass(frozen=True)
class Estimates(Result):
    """What settled calls say about the estimates that were made before them."""

    lessons: tuple[Lesson, ...]
    project: str
    # When the last entry was written that is taken in; `None`: none is.
    through: datetime | None
    command = "status"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "project": self.project,
            "learned_through": iso_or_none(self.through),
            "estimates": [_document(each) for each in self.lessons],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from .tables import Column, Table

        if not self.lessons:
            return
        yield Table(
            (
                Column("MODEL"),
                Column("KIND"),
                Column("TOKENS", right=True),
                Column("CALLS", right=True),
                Column("MEDIAN ERROR", right=True),
                Column("95% WITHIN", right=True, keep=3),
                Column("HOLD ENOUGH", right=True),
                Column("FACTOR", right=True),
                Column("COUNTED", keep=1),
            ),
            tuple(_row(each) for each in self.lessons),
        )

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.lessons import ENOUGH_CALLS

        if self.through is None:
            yield "nothing was learned yet: `budget reset-due` reads the calls that were settled"
            return
        if not self.lessons:
            yield "no call was settled yet whose provider reported what an estimate can be compared with"
        elif not all(each.counts for each in self.lessons):
            yield f"a factor is used from {ENOUGH_CALLS} calls on"
        yield f"learned from what was written until {iso(self.through)}; `budget reset-due` reads on"


def _document(lesson: Lesson) -> dict[str, Any]:
    from budgets.lessons import hundredths

    model, kind, _, counted = lesson.topic
    least, most = lesson.tokens
    return {
        "model": model,
        "kind": kind,
        "tokens_least": least,
        "tokens_most": most,
        "counted": counted,
        "calls": lesson.calls,
        "covered": lesson.covered,
        "median_error_percent": lesson.error_percent(50),
        "p95_error_percent": lesson.error_percent(95),
        "factor": hundredths(lesson.median_percent) if lesson.counts else None,
        "most_factor": hundredths(lesson.most_percent) if lesson.counts else None,
    }


def _row(lesson: Lesson) -> tuple[str, ...]:
    from budgets.lessons import hundredths

    model, kind, _, counted = lesson.topic
    least, most = lesson.tokens
    # Rounded down: only where every hold was enough is it the whole.
    tenths = lesson.covered * 1_000 // lesson.calls
    return (
        model,
        kind,
        f"{least:,} to {most:,}",
        f"{lesson.calls:,}",
        f"{lesson.error_percent(50)}%",
        f"{lesson.error_percent(95)}%",
        f"{tenths // 10}.{tenths % 10}%",
        hundredths(lesson.median_percent) if lesson.counts else "",
        counted,
    )
