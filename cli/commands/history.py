"""`budget history`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..exits import UsageError
from ..options import OneUser
from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from budgets.records import Entry

    from ..tables import Table

EXAMPLES = """
budget history
budget history --user ann --limit 10
budget history --user ann --jsonl
"""

_MOST = 10_000

Limit: TypeAlias = Annotated[str, typer.Option("--limit", metavar="COUNT", help="How many entries.")]
Before: TypeAlias = Annotated[
    str | None,
    typer.Option("--before", metavar="ID", help="Those written before this entry: the next page."),
]
JsonLines: TypeAlias = Annotated[
    bool, typer.Option("--jsonl", help="Every entry, oldest first, one JSON object a line.")
]


@dataclass(frozen=True)
class Page(Result):
    """Some entries, the latest written first."""

    entries: tuple[Entry, ...]
    # There are older ones.
    more: bool
    # Whose entries they are, where somebody was named.
    user: str | None
    # The options that lead to the next page, but for its place.
    same: str
    command = "history"

    @property
    def next_before(self) -> str | None:
        """Where the next page begins."""
        return self.entries[-1].id if self.more else None

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from ..facts import fact_document

        return {"entries": [fact_document(each) for each in self.entries], "next_before": self.next_before}

    def text(self) -> Iterator[Table]:
        """See `Result`."""
        from budgets.money import money
        from budgets.records import SPENDING_KINDS

        from ..facts import fact
        from ..harmless import shown_name
        from ..tables import Column, Table

        if not self.entries:
            return
        table = Table(
            (
                Column("WRITTEN (UTC)"),
                Column("USER"),
                Column("WHAT"),
                Column("AMOUNT", right=True),
                Column("MODEL", keep=2),
                Column("ENTRY", keep=3),
                Column("MORE", keep=1),
            ),
            tuple(
                (
                    f"{each.recorded_at:%Y-%m-%d %H:%M}",
                    shown_name(each.user),
                    fact(each).what,
                    money(each.nanos) if each.kind not in ("opened", "limit_changed") else "",
                    each.model or "",
                    # The others' ids are long, and no command takes them.
                    each.id if each.kind in SPENDING_KINDS else "",
                    fact(each).more,
                )
                for each in self.entries
            ),
        )
        # It would say the same on every line.
        yield table.without("USER") if all(each.user == self.user for each in self.entries) else table

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        import shlex

        if not self.entries:
            yield "nothing was written down yet"
        elif self.more:
            yield f"older entries: budget history{self.same} --before {shlex.quote(self.entries[-1].id)}"


@dataclass(frozen=True)
class Stream(Result):
    """Every entry, oldest first, read while it is written out."""

    entries: Iterable[Entry]
    command = "history"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from ..facts import fact_document

        return {"entries": [fact_document(each) for each in self.entries], "next_before": None}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        import json

        from ..facts import fact_document

        for each in self.entries:
            yield json.dumps(fact_document(each))


def history(
    session: Session,
    user: OneUser = None,
    limit: Limit = "50",
    before: Before = None,
    jsonl: JsonLines = False,
) -> Page | Stream:
    """
    Show what happened, the latest first.

    Charges, corrections, opened periods, changed limits, and what became of holds: entries are never edited
    or deleted. With --user those of that budget and of all calls below it.
    """
    import shlex

    wanted = options.count("--limit", limit) or 0
    if not 1 <= wanted <= _MOST:
        raise UsageError(f"--limit takes 1 to {_MOST:,}", hint="--jsonl gives every entry")
    if jsonl:
        if session.as_json:
            raise UsageError("--json and --jsonl are two forms of the answer", hint="give one of them")
        if before is not None:
            raise UsageError("--jsonl gives every entry, oldest first", hint="leave out --before")
        return Stream(session.engine.stream(user))
    # One more tells whether there is another page.
    found = session.engine.history(user, before=before, count=wanted + 1)
    same = session.same_place()
    same += f" --user {shlex.quote(user)}" if user is not None else ""
    same += f" --limit {wanted}" if wanted != 50 else ""
    return Page(tuple(found[:wanted]), len(found) > wanted, user, same)
