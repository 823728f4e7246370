"""`budget statusline`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exits import UsageError
from ..options import User
from ..results import Result, budget_document, state
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.money import Nanos
    from budgets.records import BudgetStatus

EXAMPLES = """
budget statusline --user ann
budget statusline --user ann --format "{left} left, resets in {resets}"
"""

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))
_NANOS_PER_CENT = 10_000_000


@dataclass(frozen=True)
class Line(Result):
    """One budget in one line; or why there is none to show."""

    # `None`: there is no budget to show.
    status: BudgetStatus | None
    words: str
    command = "statusline"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"line": self.words, "budget": self.status and budget_document(self.status)}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        yield self.words


def statusline(
    session: Session,
    user: User = None,
    line: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="TEXT",
            help="The line, with {user}, {spent}, {held}, {left}, {limit}, {percent}, {resets}, {state}.",
        ),
    ] = None,
) -> Line:
    """
    Show one budget in one short line, for a shell prompt.

    Money is in whole cents: spent and held rounded up, limit and left down. It only reads, never makes a
    store, and ends with exit code 0 where there is no budget to show.
    """
    if line is not None:
        _check(line)
    status = None
    if not session.has_store:
        return Line(None, "no budget")
    named = user if user is not None else session.settings.user
    if named is None:
        users = session.engine.users()
        if len(users) != 1:
            return Line(None, "no user named" if users else "no budget")
        named = users[0]
    status = _status_or_none(session, named)
    if status is None:
        from ..harmless import shown_name

        return Line(None, f"{shown_name(named)} has no budget")
    facts = _facts(status, session.env.clock())
    return Line(status, _usual(status, facts) if line is None else _filled(line, facts))


def _status_or_none(session: Session, user: str) -> BudgetStatus | None:
    from budgets.errors import UnknownUserError

    try:
        return session.engine.status(user)
    except UnknownUserError:
        return None


def _facts(status: BudgetStatus, now: datetime) -> dict[str, str]:
    """What a line can be made of; empty where it does not apply."""
    from ..harmless import shown_name
    from ..words import share

    primary, left = status.primary, status.left
    room = primary.limit.room_nanos(primary.totals) if primary else None
    taken = primary.totals.taken_nanos if primary else 0
    ends = primary.totals.end if primary and room is not None else left.resets_at
    return {
        "user": shown_name(status.budget.user),
        "spent": _cents(primary.totals.spent_nanos, up=True) if primary else "$0",
        "held": _cents(primary.totals.held_nanos + primary.totals.unconfirmed_nanos, up=True)
        if primary
        else "$0",
        "left": "" if left.nanos is None else _cents(left.nanos),
        "limit": "" if room is None else _cents(room),
        "percent": "" if left.nanos is None else str(share(taken, left.nanos)),
        "resets": "" if ends is None else _short(ends, now),
        "state": state(status.budget),
    }


def _usual(status: BudgetStatus, facts: Mapping[str, str]) -> str:
    """`ann $3.21/$10 33% resets in 8d`."""
    from ..harmless import shown_name

    primary, left = status.primary, status.left
    words = [facts["user"], facts["spent"] + (f"/{facts['limit']}" if facts["limit"] else "")]
    if left.nanos is None:
        words.append("no limit")
    else:
        words.append(facts["percent"])
        if primary is None or left.limit_id != primary.limit.id:
            by = f" by {shown_name(left.user or '')}" if left.user != status.budget.user else ""
            words.append(f"{facts['left']} left{by}")
    if facts["state"] != "active":
        words.append(facts["state"])
    if facts["resets"]:
        words.append(f"resets in {facts['resets']}")
    return " ".join(words)


def _check(line: str) -> None:
    import re

    known = ("user", "spent", "held", "left", "limit", "percent", "resets", "state")
    for name in re.findall(r"\{([^{}]*)\}", line):
        if name not in known:
            raise UsageError(
                f"--format: there is no {{{name}}}",
                hint=f"there are {', '.join(f'{{{each}}}' for each in known)}",
            )


def _filled(line: str, facts: Mapping[str, str]) -> str:
    import re

    return re.sub(r"\{(\w+)\}", lambda found: facts[found[1]], line)


def _cents(nanos: Nanos, *, up: bool = False) -> str:
    """`$3.21`, `$10`: whole cents, for a glance; the exact amount is in `budget status`."""
    cents = -(-nanos // _NANOS_PER_CENT) if up else nanos // _NANOS_PER_CENT
    whole, part = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}${whole:,}{f'.{part:02d}' if part else ''}"


def _short(moment: datetime, now: datetime) -> str:
    """How long it is to *moment*: `8d`, `5h`, `59m`."""
    seconds = max(0, int((moment - now).total_seconds()))
    for unit, size in _UNITS:
        # Less than two days is said in hours: "1d" would be far off.
        if seconds >= 2 * size or (unit != "d" and seconds >= size):
            return f"{seconds // size}{unit}"
    return "1m"
