"""
Derive everything again from the entries and say where the running totals differ.

The law: an entry, or an open hold, counts in every limit of every budget on its path, in the opened
period that contains the moment of its call.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

from budgets import rules
from budgets.clock import iso
from budgets.money import Nanos, money
from budgets.ports import Reading
from budgets.records import ROOT, SPENDING_KINDS, Budget, CheckReport, Entry, Fault, Limit, Path, Totals

_Place = tuple[str, datetime]

# Entries from one word to whoever watches to the next.
_WATCHED = 1_000


def check(view: Reading, now: datetime, *, watch: Callable[[int], None] | None = None) -> CheckReport:
    """
    Compare every running total with what the entries and holds say.

    Also: periods do not overlap, every call since a limit was made lies in one of its periods,
    nothing stands above a limit without an overrun that says why, every hold has a lease, parents form
    a tree. Takes time in proportion to the entries.

    Args:
        watch: Is told now and then how many entries were read.
    """
    budgets = {budget.user: budget for budget in view.budgets()}
    faults = list(_tree_faults(budgets))
    periods = {limit.id: view.periods(limit.id) for budget in budgets.values() for limit in budget.limits}
    starts = {limit_id: [each.start for each in found] for limit_id, found in periods.items()}
    spent: dict[_Place, Nanos] = defaultdict(int)
    models: dict[_Place, dict[str, Nanos]] = defaultdict(lambda: defaultdict(int))
    held: dict[_Place, Nanos] = defaultdict(int)
    unconfirmed: dict[_Place, Nanos] = defaultdict(int)
    overruns: dict[_Place, Nanos] = defaultdict(int)
    boosts: dict[_Place, Nanos] = defaultdict(int)

    # When each limit was put on its feet. What was written down before need not lie in one of its periods:
    # where it matters later, that period is opened and takes it up.
    begun: dict[str, datetime] = {}

    def places(path: Path, at: datetime, what: str, *, held: bool = False) -> list[_Place]:
        """Where something at *at* counts; a moment that no period contains is a fault."""
        found = []
        for user in path:
            for limit in budgets[user].limits if user in budgets else ():
                index = bisect_right(starts[limit.id], at) - 1
                if index >= 0 and rules.contains(periods[limit.id][index], at):
                    found.append((limit.id, periods[limit.id][index].start))
                elif limit.id in begun and (not held or begun[limit.id] <= at):
                    faults.append(Fault(_place(user, limit, at), f"no period contains {what}"))
        return found

    entries = 0
    for entry in view.entries():
        entries += 1
        if watch is not None and entries % _WATCHED == 0:
            watch(entries)
        if entry.kind == "opened":
            begun.setdefault(entry.detail["limit_id"], entry.recorded_at)
            # A period may be opened anew, by another rule; then this is what it takes over.
            boosts[_named(entry)] = entry.detail.get("boost_nanos", 0)
        elif entry.kind == "boosted":
            boosts[_named(entry)] += entry.nanos
        elif entry.kind in SPENDING_KINDS:
            for place in places(entry.path, entry.at, f"the {entry.kind} {entry.id}"):
                spent[place] += entry.nanos
                models[place][entry.model or ""] += entry.nanos
        elif entry.kind == "overrun":
            overruns[_named(entry)] += entry.nanos

    leases = {lease.id for lease in view.leases()}
    holds = view.holds()
    for hold in holds:
        side = unconfirmed if hold.unconfirmed else held
        for place in places(hold.path, hold.at, f"the hold {hold.id}", held=True):
            side[place] += hold.nanos
        if not hold.unconfirmed and hold.lease_id not in leases:
            faults.append(Fault(hold.user, f"the open hold {hold.id} has no lease"))

    for user, budget in budgets.items():
        for limit in budget.limits:
            found = periods[limit.id]
            faults.extend(_tiling_faults(user, limit, found))
            for totals in found:
                place = (limit.id, totals.start)
                where = _place(user, limit, totals.start)
                faults.extend(
                    Fault(where, f"{name} is {money(kept)}, the entries say {money(true)}")
                    for name, kept, true in (
                        ("spent", totals.spent_nanos, spent[place]),
                        ("held", totals.held_nanos, held[place]),
                        ("unconfirmed", totals.unconfirmed_nanos, unconfirmed[place]),
                        ("the boost", totals.boost_nanos, boosts[place]),
                    )
                    if kept != true
                )
                true_models = {model: nanos for model, nanos in models[place].items() if nanos}
                if view.models(limit.id, totals.start) != true_models:
                    faults.append(Fault(where, "the spend by model differs from the entries"))
            if found and rules.contains(found[-1], max(now, found[-1].start)):
                excess = rules.excess_nanos(limit, found[-1])
                said = overruns[limit.id, found[-1].start]
                if excess > said:
                    faults.append(
                        Fault(
                            _place(user, limit, found[-1].start),
                            f"stands {money(excess)} above its limit, overruns explain {money(said)}",
                        )
                    )
    return CheckReport(
        budgets=sum(user != ROOT for user in budgets),
        periods=sum(map(len, periods.values())),
        entries=entries,
        holds=len(holds),
        faults=tuple(faults),
    )


def _named(entry: Entry) -> _Place:
    """The period that an entry names."""
    return entry.detail["limit_id"], datetime.fromisoformat(entry.detail["period_start"])


def _tiling_faults(user: str, limit: Limit, periods: list[Totals]) -> list[Fault]:
    return [
        Fault(_place(user, limit, after.start), f"the period overlaps the one from {iso(before.start)}")
        for before, after in pairwise(periods)
        if before.end is None or before.end > after.start
    ] + [
        Fault(_place(user, limit, each.start), "the period ends before it starts")
        for each in periods
        if each.end is not None and each.end <= each.start
    ]


def _tree_faults(budgets: dict[str, Budget]) -> list[Fault]:
    found = []
    for user, budget in budgets.items():
        seen = {user}
        name = budget.parent
        while name is not None:
            if name in seen or name not in budgets:
                found.append(Fault(user, f"the line of parents does not reach the project: {name}"))
                break
            seen.add(name)
            name = budgets[name].parent
    return found


def _place(user: str, limit: Limit, moment: datetime) -> str:
    return f"{user or 'the project'}, limit {limit.id}, period of {iso(moment)}"
