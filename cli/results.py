"""What every result has, and the parts of JSON documents that several results share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from budgets.clock import iso
from budgets.money import format_usd

from .exits import DONE

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.errors import BudgetError
    from budgets.money import Nanos
    from budgets.records import Budget, BudgetStatus, Hold, Left, LimitStatus, Receipt

    from .tables import Table

# What stands for the model of a charge that named none.
NO_MODEL = "(no model)"


class Result(Protocol):
    """
    What a command found: frozen, made by the command, shown by `output`.

    Commands inherit from it and say the first two.
    """

    @property
    def command(self) -> str:
        """The command's name, its subcommand behind a space."""
        ...

    def document(self) -> dict[str, Any]:
        """The fields of the JSON document beside `schema` and `command`. Public: scripts rely on them."""
        ...

    def text(self) -> Iterator[str | Table]:
        """The answer as lines and tables, for stdout; by default none."""
        yield from ()

    def messages(self) -> Iterator[str]:
        """What a person should know beside the answer, for stderr; not shown with --json."""
        yield from ()

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        return DONE


def budget_document(status: BudgetStatus) -> dict[str, Any]:
    """A budget as every document has it."""
    budget, primary = status.budget, status.primary
    totals = primary.totals if primary else None
    return {
        "user": budget.user or None,
        "parent": budget.parent or None,
        "state": state(budget),
        "spent_usd": format_usd(totals.spent_nanos) if totals else None,
        "held_usd": format_usd(totals.held_nanos) if totals else None,
        "unconfirmed_usd": format_usd(totals.unconfirmed_nanos) if totals else None,
        **left_document(status.left),
        "limits": [_limit_document(each) for each in status.limits if each.limit.total_nanos is not None],
    }


def state(budget: Budget) -> str:
    """Whether calls may begin, in a word; public, as documents have it."""
    return "archived" if budget.archived else "frozen" if budget.frozen else "active"


def _limit_document(status: LimitStatus) -> dict[str, Any]:
    limit, totals = status.limit, status.totals
    return {
        "id": limit.id,
        "total_usd": _usd(limit.total_nanos),
        "boost_usd": format_usd(totals.boost_nanos),
        "every": limit.rule.words(),
        "timezone": limit.rule.timezone,
        **period_document(status),
        "spent_usd": format_usd(totals.spent_nanos),
        "held_usd": format_usd(totals.held_nanos),
        "unconfirmed_usd": format_usd(totals.unconfirmed_nanos),
        "left_usd": _usd(status.left_nanos),
        "warn_at": list(limit.warn_at),
    }


def period_document(status: LimitStatus | None) -> dict[str, Any]:
    """When the current period of a limit starts and ends."""
    return {
        "period_start": iso(status.totals.start) if status else None,
        "period_end": iso_or_none(status.totals.end) if status else None,
    }


def left_document(left: Left) -> dict[str, Any]:
    """What is left over a path, and whose limit says so; null where nothing limits it."""
    by = None if left.nanos is None else {"user": left.user or None, "limit": left.limit_id}
    return {"left_usd": _usd(left.nanos), "left_by": by}


def threshold_documents(receipt: Receipt) -> list[dict[str, Any]]:
    """The thresholds that a charge reached."""
    return [
        {"user": each.user or None, "limit_id": each.limit.id, "percent": each.percent}
        for each in receipt.thresholds
    ]


def hold_document(hold: Hold) -> dict[str, Any]:
    """A hold as every document has it."""
    return {
        "id": hold.id,
        "user": hold.user,
        "model": hold.model,
        "held_usd": format_usd(hold.nanos),
        "at": iso(hold.at),
        "state": "unconfirmed" if hold.unconfirmed else "open",
    }


def dearest_first(models: Mapping[str, Nanos]) -> list[tuple[str, Nanos]]:
    """Models and what was spent on them, in the order in which they are shown."""
    found = sorted(models.items(), key=lambda item: (-item[1], item[0]))
    return [(model or NO_MODEL, nanos) for model, nanos in found]


def error_document(error: BudgetError) -> dict[str, Any]:
    """An error as every document has it."""
    return {"code": error.code, "message": error.message, "hint": error.hint, **error.values}


def iso_or_none(moment: datetime | None) -> str | None:
    """A moment as documents have it."""
    return None if moment is None else iso(moment)


def _usd(nanos: Nanos | None) -> str | None:
    return None if nanos is None else format_usd(nanos)
