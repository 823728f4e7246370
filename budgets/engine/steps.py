"""
The operations of a call, each as a value: what runs in a transaction, and what is made of its outcome.

An engine carries a step out and waits; who may not wait (an event loop) hands it to a writer and is told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from budgets.clock import aware_utc
from budgets.engine import holding
from budgets.engine.refusing import refused
from budgets.money import Nanos
from budgets.ports import Processes, Transaction
from budgets.records import Charge, Entry, Held, Hold, Lease, Quote, Receipt, Refusal, Threshold

T = TypeVar("T")

# A lease lasts this long without being renewed, and is renewed when a quarter of it has passed.
LEASE_SECONDS = 120
RENEW_SECONDS = 30


def _as_it_is(outcome: Any) -> Any:
    return outcome


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """One operation, not yet carried out."""

    # May be run twice, nothing of the first run being kept: it does nothing but use its transaction.
    operation: Callable[[Transaction, datetime], Any]
    # Once that is committed: gives the answer, or raises the refusal.
    finish: Callable[[Any], T] = _as_it_is
    # `False`: a power cut may forget it.
    durable: bool = True


class Steps:
    """
    Makes the steps of one process's calls, under its lease.

    Args:
        processes: Who we are, and which processes have ended.
        new_id: Makes the id of a call or a lease.
        on_expiry: What becomes of the holds of a process that ended.
        durable_holds: `False`: a power cut may forget the latest holds, never charges.
        on_threshold: Is told of each threshold once what reached it is committed; must be quick.
        lease: The process's own, where it has one from before; `None`: one is made with the first hold.
    """

    def __init__(
        self,
        processes: Processes,
        *,
        new_id: Callable[[str], str],
        on_expiry: holding.OnExpiry = "unconfirmed",
        durable_holds: bool = True,
        on_threshold: Callable[[Threshold], None] | None = None,
        lease: Lease | None = None,
    ) -> None:
        self._processes = processes
        self._new_id = new_id
        self._on_expiry = on_expiry
        self._durable_holds = durable_holds
        self._on_threshold = on_threshold
        # Made once for a process, before anything is committed: threads that begin together share it.
        self._lease = lease
        self._renewed_at: datetime | None = None
        self._lease_lock = threading.Lock()

    def hold(
        self,
        user: str,
        needed: Quote | Nanos,
        *,
        model: str | None = None,
        hold_id: str | None = None,
        terms: Mapping[str, Any] | None = None,
        sharers: int = 1,
    ) -> Step[Held]:
        """See `Engine.hold`."""
        name = needed.model if isinstance(needed, Quote) else model or ""
        chosen = hold_id or self._new_id("call")

        def operation(txn: Transaction, now: datetime) -> tuple[Held | Refusal, Lease, datetime | None]:
            lease, renewed = self._living_lease(txn, now)

            def attempt() -> Held | Refusal:
                return holding.hold(
                    txn,
                    now,
                    user=user,
                    hold_id=chosen,
                    model=name,
                    needed=needed,
                    lease=lease,
                    terms=terms or {},
                    repeatable=hold_id is not None,
                    sharers=sharers,
                )

            outcome = attempt()
            # A process that died may stand in the way; then the answer, or its words, are another.
            if isinstance(outcome, Refusal) and self.expire(txn, now):
                outcome = attempt()
            return outcome, lease, now if renewed else None

        def finish(done: tuple[Held | Refusal, Lease, datetime | None]) -> Held:
            outcome, lease, renewed_at = done
            if renewed_at is not None:
                self._note_renewed(lease, renewed_at)
            if isinstance(outcome, Refusal):
                raise refused(outcome)
            return outcome

        return Step(operation, finish, durable=self._durable_holds)

    def settle(self, hold_id: str, cost: Charge) -> Step[Receipt]:
        """See `Engine.settle`."""
        return Step(lambda txn, now: holding.settle(txn, now, hold_id=hold_id, cost=cost), self.told)

    def release(self, hold_id: str, *, reason: str) -> Step[Entry]:
        """See `Engine.release`."""
        return Step(lambda txn, now: holding.release(txn, now, hold_id=hold_id, reason=reason))

    def doubt(self, hold_id: str, *, reason: str) -> Step[Hold]:
        """See `Engine.doubt`."""
        return Step(lambda txn, now: holding.doubt(txn, now, hold_id=hold_id, reason=reason))

    def charge(
        self, user: str, cost: Charge, *, charge_id: str | None = None, at: datetime | None = None
    ) -> Step[Receipt]:
        """See `Engine.charge`."""
        chosen = charge_id or self._new_id("call")
        moment = aware_utc(at) if at is not None else None
        return Step(
            lambda txn, now: holding.charge(txn, now, user=user, entry_id=chosen, cost=cost, at=moment),
            self.told,
        )

    def told(self, receipt: Receipt) -> Receipt:
        """The same receipt, once whoever wants to know of its thresholds does."""
        if self._on_threshold is not None:
            for each in receipt.thresholds:
                self._on_threshold(each)
        return receipt

    # The lease

    @property
    def has_lease(self) -> bool:
        """Whether a hold was made, and the lease not given back since."""
        return self._lease is not None

    def renew_lease(self) -> Step[None]:
        """See `Engine.renew_lease`."""
        with self._lease_lock:
            self._renewed_at = None

        def finish(done: tuple[Lease, datetime]) -> None:
            self._note_renewed(*done)

        return Step(lambda txn, now: (self._living_lease(txn, now)[0], now), finish)

    def end_lease(self) -> Step[None] | None:
        """See `Engine.end_lease`; `None`: there is no lease."""
        lease = self._lease
        if lease is None:
            return None

        def operation(txn: Transaction, _now: datetime) -> bool:
            if any(not each.unconfirmed for each in txn.holds(lease_id=lease.id)):
                return False
            txn.remove_lease(lease.id)
            return True

        def finish(removed: bool) -> None:
            if removed:
                with self._lease_lock:
                    self._lease = self._renewed_at = None

        return Step(operation, finish, durable=False)

    def ended(self, lease: Lease, now: datetime) -> bool:
        """The lease has run out, or its process is gone."""
        return lease.expires_at <= now or self._processes.ended(lease.process)

    def expire(self, txn: Transaction, now: datetime) -> list[Hold]:
        """End the leases of processes that are gone, and write down what becomes of their holds."""
        return holding.expire(txn, now, ended=self._processes.ended, on_expiry=self._on_expiry)

    def _living_lease(self, txn: Transaction, now: datetime) -> tuple[Lease, bool]:
        """This process's lease, and whether it was written down anew: it is when a quarter has passed."""
        own = self._processes.own()
        with self._lease_lock:
            if self._lease is None or self._lease.process != own:
                self._lease, self._renewed_at = Lease(self._new_id("lease"), own, now), None
            lease, renewed = self._lease, self._renewed_at
        fresh = renewed is not None and renewed <= now < renewed + timedelta(seconds=RENEW_SECONDS)
        # Another's clock may have been ahead, and have ended what is fresh by ours.
        if fresh and any(each.id == lease.id for each in txn.leases()):
            return lease, False
        lease = replace(lease, expires_at=now + timedelta(seconds=LEASE_SECONDS))
        txn.put_lease(lease)
        return lease, True

    def _note_renewed(self, lease: Lease, now: datetime) -> None:
        """Remember a renewal once it is committed; one that was undone must be made again."""
        with self._lease_lock:
            if self._lease is not None and self._lease.id == lease.id:
                self._renewed_at = now
