"""
The cap of this process: what `budgets.max_budget` allows everything that it calls, from setting it on.

It lives in memory, is shared by all threads and tasks, and is checked by a hold before each call, by the same
rules as every limit. A project's cap, which outlives the process, is in the store.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from budgets import rules
from budgets.errors import BudgetBusyError, BudgetExceededError
from budgets.money import Nanos, format_usd, money
from budgets.periods import BEGINNING, NEVER
from budgets.records import ROOT, Limit, Quote, Refusal, Totals

_LIMIT_ID = "max_budget"


class _Count:
    """What was spent and is held, from one setting of the cap on."""

    def __init__(self, total_nanos: Nanos | None) -> None:
        self.limit = Limit(_LIMIT_ID, total_nanos, NEVER)
        self.totals = Totals(_LIMIT_ID, BEGINNING, None)


_lock = threading.Lock()
_count = _Count(None)


def set_cap(nanos: Nanos | None) -> None:
    """
    Cap what this process spends from now on; `None`: no cap, 0: nothing but what costs nothing.

    Counting begins anew where there was no cap. Another amount in the place of one goes on counting, and
    calls that are running stay counted where they began.
    """
    global _count
    with _lock:
        if nanos is not None and _count.limit.total_nanos is None:
            _count = _Count(nanos)
        else:
            _count.limit = replace(_count.limit, total_nanos=nanos)


def cap_nanos() -> Nanos | None:
    """The cap in force; `None`: there is none."""
    return _count.limit.total_nanos


def spent_nanos() -> Nanos:
    """What this process has spent since the cap was set, or, where none ever was, since it began."""
    return _count.totals.spent_nanos


def unconfirmed_words(_hold_id: str, nanos: Nanos) -> str:
    """What it means that nobody knows the cost of a call that is booked nowhere else."""
    most = f"nobody knows what it cost, {money(nanos)} at most"
    if cap_nanos() is None:
        return f"{most}; it is booked nowhere"
    return f"{most}, which goes on counting against budgets.max_budget until this process ends"


class CapHold:
    """Money of the cap that is set aside for one call. Each of its ends may be asked for twice."""

    def __init__(self, count: _Count, nanos: Nanos, quote: Quote | None) -> None:
        self._count = count
        self.nanos = nanos
        # As it is held: its output limit may have been lowered to what the cap leaves.
        self.quote = quote
        self._open = True

    def shrink(self, nanos: Nanos) -> None:
        """Hold less: the call turned out to be able to cost no more than *nanos*."""
        with _lock:
            if self._open and nanos < self.nanos:
                self._move(held=nanos - self.nanos)
                self.nanos = nanos

    def settle(self, nanos: Nanos) -> None:
        """It did cost *nanos*, however much that is."""
        self._end(spent=nanos)

    def release(self) -> None:
        """It cost nothing."""
        self._end()

    def doubt(self) -> None:
        """Nobody knows what it cost: the money goes on counting, as unconfirmed."""
        self._end(unconfirmed=self.nanos)

    def _end(self, *, spent: Nanos = 0, unconfirmed: Nanos = 0) -> None:
        with _lock:
            if self._open:
                self._open = False
                self._move(held=-self.nanos, spent=spent, unconfirmed=unconfirmed)

    def _move(self, *, held: Nanos, spent: Nanos = 0, unconfirmed: Nanos = 0) -> None:
        totals = self._count.totals
        self._count.totals = replace(
            totals,
            held_nanos=totals.held_nanos + held,
            spent_nanos=totals.spent_nanos + spent,
            unconfirmed_nanos=totals.unconfirmed_nanos + unconfirmed,
        )


def hold(needed: Quote | Nanos, *, user: str = ROOT) -> CapHold:
    """
    Set aside what a call can cost: a quote, whose output limit may be lowered to what is left, or an amount.

    Whoever holds must end it by `settle`, `release`, or `doubt`; `held` sees to it.

    Args:
        user: Whose call it is, for the message.

    Raises:
        BudgetExceededError: it does not fit (`BudgetBusyError`: it may, once running calls end).
    """
    with _lock:
        count = _count
        counter = rules.Counter(ROOT, count.limit, count.totals)
        quote = needed if isinstance(needed, Quote) else None
        refusal = rules.admit(user, [counter], quote.least_nanos if quote else cast("Nanos", needed))
        if refusal is not None:
            raise _refused(refusal, lowered=quote is not None and quote.limited_by != "caller")
        if quote is not None:
            quote = rules.fitted(quote, rules.free_nanos(counter))
        held = CapHold(count, quote.most_nanos if quote else cast("Nanos", needed), quote)
        count.totals = replace(count.totals, held_nanos=count.totals.held_nanos + held.nanos)
        return held


@contextmanager
def held(needed: Quote | Nanos, *, user: str = ROOT) -> Iterator[CapHold]:
    """
    Hold for as long as the block runs; inside, say what it cost with `settle`, or `release` it.

    A block that says neither leaves the money counted, unconfirmed: a call that was sent may have cost it.

    Raises:
        BudgetExceededError: it does not fit (`BudgetBusyError`: it may, once running calls end).
    """
    found = hold(needed, user=user)
    try:
        yield found
    finally:
        found.doubt()


def _refused(refusal: Refusal, *, lowered: bool) -> BudgetExceededError:
    cost = "costs at least" if lowered else "may cost"
    needed = f"this call {cost} {money(refusal.needed_nanos)}"
    left = f"this process has {money(refusal.left_nanos)} left of its max_budget of"
    left += f" {money(refusal.total_nanos)}"
    values = {
        "user": refusal.user or None,
        "limit_user": None,
        "limit_id": _LIMIT_ID,
        "total_usd": format_usd(refusal.total_nanos),
        "boost_usd": format_usd(0),
        "spent_usd": format_usd(refusal.spent_nanos),
        "held_usd": format_usd(refusal.held_nanos),
        "unconfirmed_usd": format_usd(refusal.unconfirmed_nanos),
        "left_usd": format_usd(refusal.left_nanos),
        "needed_usd": format_usd(refusal.needed_nanos),
        "resets_at": None,
    }
    if refusal.reason == "busy":
        return BudgetBusyError(
            f"{left} while running calls hold {money(refusal.held_nanos)}, {needed}",
            hint="try again when they have ended",
            **values,
        )
    return BudgetExceededError(
        f"{left}, {needed}",
        hint="raise budgets.max_budget, or ask for fewer tokens with max_tokens",
        **values,
    )
