"""What the REST API takes and gives: records whose JSON, and whose place in OpenAPI, follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from budgets.money import Nanos
from budgets.records import BudgetStatus, Entry, EntryKind, Held, Left, LimitStatus, Receipt

State: TypeAlias = Literal["active", "frozen", "archived"]

# What is asked for


@dataclass(frozen=True, slots=True)
class BudgetTerms:
    """What a budget shall be; what is left out stays as it is, or has its usual value in a new one."""

    # The amount of the primary limit.
    total_nanos: Nanos | None = None
    # When it starts anew: `never`, `day`, `week`, `month`, `year`, `2 weeks` ...
    every: str | None = None
    # Whose midnight counts, for instance `Europe/Berlin`.
    timezone: str | None = None
    # Whose limits hold as well; empty for the project alone.
    parent: str | None = None
    frozen: bool | None = None
    archived: bool | None = None


@dataclass(frozen=True, slots=True)
class NewLimitTerms:
    """A limit beside others."""

    total_nanos: Nanos
    # When it starts anew: `day`, `week`, `2 weeks` ...
    every: str = "never"
    timezone: str = "UTC"
    # Makes it safe to repeat: the same id is answered again.
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ResetTerms:
    """A new period."""

    # Makes it safe to repeat: the same id is answered again.
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ChargeTerms:
    """A cost that is known."""

    nanos: Nanos
    # Makes it safe to repeat: the same id with the same content is answered again.
    id: str | None = None
    model: str | None = None
    note: str | None = None
    # The moment of the call, when it is past.
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HoldTerms:
    """Money to be set aside for a call: the most that it can cost."""

    nanos: Nanos
    # The call's id. Asking again with it is answered again, and keeps the hold for another two minutes.
    id: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class SettleTerms:
    """What a held call did cost."""

    nanos: Nanos
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """Why a held call cost nothing."""

    reason: str = "released over HTTP"


# What is answered


@dataclass(frozen=True, slots=True)
class LeftBy:
    """Whose limit says what is left; `user` is null for the project's."""

    user: str | None
    limit: str | None


@dataclass(frozen=True, slots=True)
class LimitDocument:
    """One limit in its current period."""

    id: str
    total_nanos: Nanos
    boost_nanos: Nanos
    every: str
    timezone: str
    period_start: datetime
    # Null: it never ends.
    period_end: datetime | None
    spent_nanos: Nanos
    held_nanos: Nanos
    unconfirmed_nanos: Nanos
    left_nanos: Nanos
    warn_at: tuple[int, ...]

    @classmethod
    def of(cls, status: LimitStatus) -> LimitDocument:
        """A limit that is no tally."""
        limit, totals = status.limit, status.totals
        assert limit.total_nanos is not None
        assert status.left_nanos is not None
        return cls(
            limit.id,
            limit.total_nanos,
            totals.boost_nanos,
            limit.rule.words(),
            limit.rule.timezone,
            totals.start,
            totals.end,
            totals.spent_nanos,
            totals.held_nanos,
            totals.unconfirmed_nanos,
            status.left_nanos,
            limit.warn_at,
        )


@dataclass(frozen=True, slots=True)
class BudgetDocument:
    """A budget as `budget status --json` has it."""

    user: str | None
    parent: str | None
    state: State
    # In the current period of the primary limit.
    spent_nanos: Nanos | None
    held_nanos: Nanos | None
    unconfirmed_nanos: Nanos | None
    # Over the whole path; null where nothing limits it.
    left_nanos: Nanos | None
    left_by: LeftBy | None
    limits: tuple[LimitDocument, ...]

    @classmethod
    def of(cls, status: BudgetStatus) -> BudgetDocument:
        """Of where a budget stands."""
        budget = status.budget
        totals = status.primary.totals if status.primary else None
        return cls(
            budget.user or None,
            budget.parent or None,
            "archived" if budget.archived else "frozen" if budget.frozen else "active",
            totals.spent_nanos if totals else None,
            totals.held_nanos if totals else None,
            totals.unconfirmed_nanos if totals else None,
            status.left.nanos,
            _left_by(status.left),
            tuple(LimitDocument.of(each) for each in status.limits if each.limit.total_nanos is not None),
        )


@dataclass(frozen=True, slots=True)
class BudgetPage:
    """Budgets by name, so many of them."""

    budgets: tuple[BudgetDocument, ...]
    # Give it as `after` for the next page; null: this was the last.
    next: str | None


@dataclass(frozen=True, slots=True)
class EntryDocument:
    """One fact that was written down."""

    id: str
    kind: EntryKind
    # From the user up; null is the project.
    path: tuple[str | None, ...]
    at: datetime
    recorded_at: datetime
    nanos: Nanos
    model: str | None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, entry: Entry) -> EntryDocument:
        """Of an entry."""
        path = tuple(name or None for name in entry.path)
        return cls(
            entry.id, entry.kind, path, entry.at, entry.recorded_at, entry.nanos, entry.model, entry.detail
        )


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Entries, the latest written first, so many of them."""

    entries: tuple[EntryDocument, ...]
    # Give it as `before` for the next page; null: this was the last.
    next: str | None


@dataclass(frozen=True, slots=True)
class ChargeDocument:
    """A cost that was recorded."""

    id: str
    user: str
    model: str | None
    cost_nanos: Nanos
    at: datetime
    # The same id was charged before; nothing was charged now.
    repeated: bool
    left_nanos: Nanos | None
    left_by: LeftBy | None

    @classmethod
    def of(cls, receipt: Receipt) -> ChargeDocument:
        """Of a receipt."""
        entry = receipt.entry
        return cls(
            entry.id,
            entry.user,
            entry.model,
            entry.nanos,
            entry.at,
            receipt.repeated,
            receipt.left.nanos,
            _left_by(receipt.left),
        )


@dataclass(frozen=True, slots=True)
class HoldDocument:
    """Money that is set aside."""

    id: str
    user: str
    model: str
    held_nanos: Nanos
    at: datetime
    left_nanos: Nanos | None
    left_by: LeftBy | None

    @classmethod
    def of(cls, held: Held) -> HoldDocument:
        """Of a hold that was made."""
        hold = held.hold
        return cls(hold.id, hold.user, hold.model, hold.nanos, hold.at, held.left.nanos, _left_by(held.left))


def _left_by(left: Left) -> LeftBy | None:
    return None if left.nanos is None else LeftBy(left.user or None, left.limit_id)
