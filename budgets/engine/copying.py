"""Copies a project from one store to another, and proves that what arrived is what was there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from budgets.engine.checking import check
from budgets.errors import StoreBusyError, StoreError
from budgets.money import money
from budgets.ports import Reading, Store, Transaction
from budgets.records import CheckReport, Entry, Process

# So many running calls are named where they are in the way.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Copied:
    """A project that was copied, and what the check of the copy has looked at."""

    project: str
    report: CheckReport


def copy_project(
    source: Store,
    target: Store,
    project: str,
    *,
    now: datetime,
    ended: Callable[[Process], bool],
    watch: Callable[[int], None] | None = None,
) -> Copied:
    """
    Copy a project with all its ids and moments into a store that has nothing of it, and verify the copy.

    Nobody can write to the project while it is copied. Nothing is taken away from *source*.

    Args:
        now: The clock's time.
        ended: Whether that process is certainly gone.
        watch: Is told now and then how many entries were handled; every entry is read, written, and checked.

    Raises:
        StoreBusyError: calls are running, whose charges would go to the old store only.
        StoreError: there is no such project, its sums do not add up, the target has it already, or the copy
            differs.
    """
    with source.transaction(project) as view:
        _check_source(view, now, project, source.projects(), watch)
        _check_nobody_calls(view, now, project, ended)
        with target.transaction(project) as txn:
            _check_empty(txn, project)
            _write(view, txn, watch)
        # So that it is read from the disk, and not from what this process remembers.
        target.close()
        with target.reading(project) as copy:
            difference = _difference(view, copy)
            report = check(copy, now, watch=watch)
    if difference is not None or report.faults:
        raise StoreError(
            f"the copy of project {project} differs: {difference or report.faults[0].what}",
            hint="use the old store, throw the new one away, and please report it",
            project=project,
        )
    return Copied(project, report)


def _check_source(
    view: Reading, now: datetime, project: str, projects: list[str], watch: Callable[[int], None] | None
) -> None:
    if project not in projects:
        known = f"its projects are {', '.join(projects)}" if projects else "it is empty"
        raise StoreError(f"there is no project {project} in the store to copy from", hint=known)
    report = check(view, now, watch=watch)
    if report.faults:
        raise StoreError(
            f"the sums of project {project} do not add up: {report.faults[0].where}",
            hint="`budget check` shows what is wrong; nothing was copied",
            project=project,
        )


def _check_nobody_calls(view: Reading, now: datetime, project: str, ended: Callable[[Process], bool]) -> None:
    living = {lease.id for lease in view.leases() if lease.expires_at > now and not ended(lease.process)}
    running = [hold for hold in view.holds() if not hold.unconfirmed and hold.lease_id in living]
    if running:
        named = ", ".join(f"{hold.id} of {hold.user} ({money(hold.nanos)})" for hold in running[:_NAMED])
        more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
        raise StoreBusyError(
            f"calls are running in project {project}: {named}{more}",
            hint="they would be charged to the old store only: wait until they are done, and copy again",
            project=project,
            holds=[hold.id for hold in running],
        )


def _check_empty(view: Reading, project: str) -> None:
    if any(True for _ in view.budgets()) or any(True for _ in view.entries()) or view.holds():
        raise StoreError(
            f"project {project} is in the store to copy to already",
            hint="copy to a new file, or to a store without that project",
            project=project,
        )


def _write(view: Reading, txn: Transaction, watch: Callable[[int], None] | None) -> None:
    for budget in view.budgets():
        txn.put_budget(budget)
    for limit_id in _limit_ids(view):
        for totals in view.periods(limit_id):
            txn.open_period(totals)
            txn.put_models(limit_id, totals.start, view.models(limit_id, totals.start))
    for lease in view.leases():
        txn.put_lease(lease)
    for each in view.keys():  # noqa: SIM118 - a view is no dictionary
        txn.put_key(each)
    for mark in view.marks():
        txn.put_mark(mark)
    for hold in view.holds():
        txn.put_hold(hold)
    txn.put_learned(view.learned())
    txn.append(_watched(view.entries(), watch))


def _watched(entries: Iterator[Entry], watch: Callable[[int], None] | None) -> Iterator[Entry]:
    for number, entry in enumerate(entries, 1):
        if watch is not None and number % 1_000 == 0:
            watch(number)
        yield entry


def _limit_ids(view: Reading) -> list[str]:
    """Those of every limit that there is or was: a dropped one keeps its periods."""
    found = {limit.id: None for budget in view.budgets() for limit in budget.limits}
    found |= {entry.detail["limit_id"]: None for entry in view.entries() if entry.kind == "opened"}
    return list(found)


def _difference(view: Reading, copy: Reading) -> str | None:
    """The first thing that is not the same in both, in words."""
    for mine, its in zip_longest(_everything(view), _everything(copy)):
        if mine != its:
            what, key = mine[:2] if mine is not None else its[:2]
            return f"{what} {key}"
    return None


def _everything(view: Reading) -> Iterator[tuple[str, str, object]]:
    for budget in view.budgets():
        yield "the budget of", budget.user or "the project", budget
    for limit_id in _limit_ids(view):
        for totals in view.periods(limit_id):
            yield "a period of limit", limit_id, (totals, view.models(limit_id, totals.start))
    for lease in view.leases():
        yield "lease", lease.id, lease
    for hold in view.holds():
        yield "hold", hold.id, hold
    yield "what was learned through", view.learned().through or "no entry", view.learned()
    for each in view.keys():  # noqa: SIM118 - a view is no dictionary
        yield "key", each.id, each
    for mark in view.marks():
        yield "the mark of", mark.user, mark
    for entry in view.entries():
        yield "entry", entry.id, entry
