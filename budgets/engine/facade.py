"""The engine: every use case under its name, each in one transaction; refusals are raised only here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from budgets.clock import aware_utc, to_micros
from budgets.engine import holding, shaping
from budgets.engine.paths import stand
from budgets.engine.questions import Questions
from budgets.engine.steps import LEASE_SECONDS, RENEW_SECONDS, Step, Steps
from budgets.errors import InvalidValueError
from budgets.money import Nanos
from budgets.ports import Clock, Processes, Store, TokenCounter, Transaction
from budgets.records import (
    DEFAULT_OUTPUT_TOKENS,
    ROOT,
    Budget,
    Charge,
    CheckReport,
    Entry,
    Held,
    Hold,
    Key,
    Lease,
    Path,
    Process,
    Quote,
    Receipt,
    Role,
    Rolled,
    Threshold,
)
from budgets.usage import Usage

if TYPE_CHECKING:
    from budgets import pricing
    from budgets.asks import Ask
    from budgets.engine import keys, merging
    from budgets.engine.estimating import Memory
    from budgets.pricing import PriceBook

T = TypeVar("T")


class Runner(Protocol):
    """Carries out one operation in a transaction: alone, or together with others in one commit."""

    def run(self, operation: Callable[[Transaction, datetime], T], *, durable: bool = True) -> T:
        """What *operation* gave back, once its transaction is committed."""
        ...

    def close(self) -> None:
        """Finish what was handed in. Closing twice is fine."""
        ...


class Direct:
    """A transaction for every operation."""

    def __init__(self, store: Store, project: str, clock: Clock) -> None:
        self._store = store
        self._project = project
        self._clock = clock

    def run(self, operation: Callable[[Transaction, datetime], T], *, durable: bool = True) -> T:
        """Run *operation* alone. The clock is asked once the lock is held, so that time follows order."""
        with self._store.transaction(self._project, durable=durable) as txn:
            return operation(txn, self._clock())

    def close(self) -> None:
        """Nothing is ever waiting here."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an owner may decide about the engine."""

    # What becomes of the holds of a process that ended.
    on_expiry: holding.OnExpiry = "unconfirmed"
    # The output limit for a request that has none.
    default_output_tokens: int = DEFAULT_OUTPUT_TOKENS
    # `False`: a power cut may forget the latest holds (never charges); saves one sync per call.
    durable_holds: bool = True


class Engine(Questions):
    """
    One project's budgets.

    Safe to share between threads. Nothing here touches a disk or a network but through *store*.

    Args:
        store: Where it all lives.
        project: The namespace of users.
        clock: Asked for the time, within each transaction.
        processes: Who we are, and which processes have ended.
        book: Prices; needed to quote and to price only.
        counter: Counts tokens; needed to quote only.
        runner: How transactions are run; each alone by default.
        on_threshold: Is told of each threshold once what reached it is committed; must be quick.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        processes: Processes,
        project: str = "default",
        book: Callable[[], PriceBook] | None = None,
        counter: Callable[[], TokenCounter] | None = None,
        settings: EngineSettings | None = None,
        runner: Runner | None = None,
        on_threshold: Callable[[Threshold], None] | None = None,
    ) -> None:
        super().__init__(store, project, clock)
        self.settings = settings or EngineSettings()
        self._book = book
        self._counter = counter
        self.runner = runner or Direct(store, project, clock)
        self._run = self.runner.run
        self._closed = False
        self._processes = processes
        self._on_threshold = on_threshold
        # A call's operations as values, for who may not wait for them (`budgets.awaiting`).
        self.steps = self._steps(processes)

    def _steps(self, processes: Processes, lease: Lease | None = None) -> Steps:
        return Steps(
            processes,
            new_id=self.new_id,
            on_expiry=self.settings.on_expiry,
            durable_holds=self.settings.durable_holds,
            on_threshold=self._on_threshold,
            lease=lease,
        )

    def on_behalf_of(self, process: Process, *, lease_id: str) -> Self:
        """
        The same engine for a process elsewhere: its holds live as long as it renews the lease of that id.

        The id is the other's own, so that its holds go on with it when this process is started again.
        """
        other = copy(self)
        lease = Lease(lease_id, process, self.clock())
        other.steps = self._steps(_Represented(process, self._processes), lease)
        return other

    def close(self) -> None:
        """Give the lease back where no hold is open, and let go of the store. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self.end_lease()
            self.runner.close()
            self.store.close()

    def let_go(self) -> None:
        """Let go of the store, and leave the lease to itself."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _memory(self) -> Memory:
        from budgets.engine.estimating import Memory

        return Memory(self.store, self.project, self.clock)

    @property
    def book(self) -> PriceBook:
        """The price book; opened when it is first asked for."""
        if self._book is None:
            raise InvalidValueError("this engine was opened without prices", hint="give it a price book")
        return self._book()

    @property
    def counter(self) -> TokenCounter:
        """The token counter; loaded when it is first asked for."""
        if self._counter is None:
            raise InvalidValueError("this engine was opened without a token counter", hint="give it one")
        return self._counter()

    def new_id(self, kind: str) -> str:
        """A new id. Ids of later moments sort later, which keeps a store's newest pages together."""
        return f"{kind}_{to_micros(self.clock()):x}{os.urandom(6).hex()}"

    # Quote and price

    def quote(self, ask: Ask, *, provider: str | None = None) -> Quote:
        """
        The most a request can cost, now.

        Raises:
            UnknownPriceError: the model has no price.
        """
        # Much of what an engine does needs no prices, and starts sooner without.
        from budgets.engine import quoting

        return quoting.quote(
            ask,
            book=self.book,
            counter=self.counter,
            provider=provider,
            at=self.clock(),
            default_output_tokens=self.settings.default_output_tokens,
            lessons=self._memory.lessons(),
        )

    def cost(
        self,
        usage: Usage,
        *,
        model: str,
        provider: str | None = None,
        tier: str | None = None,
        region: str | None = None,
        at: datetime | None = None,
    ) -> pricing.Cost:
        """
        What *usage* costs at the prices of the moment of the call (`None`: now), with its sums.

        Args:
            tier: The service tier that the reply names; `None`: the standard one.
            region: Where the reply says that it was made; some bill that higher.

        Raises:
            UnknownPriceError: the model, the tier, or one of the units, has no price.
        """
        from budgets import pricing

        prices = self.book.find(model, provider=provider, at=at or self.clock()).for_call(tier, region)
        return pricing.cost(pricing.of_one_call(usage, prices), prices)

    # Money in motion

    def hold(
        self,
        user: str,
        needed: Quote | Nanos,
        *,
        model: str | None = None,
        hold_id: str | None = None,
        terms: Mapping[str, Any] | None = None,
        sharers: int = 1,
    ) -> Held:
        """
        Set aside the most a call can cost, on every limit of the user's path or on none.

        Args:
            hold_id: The caller's own id makes it safe to repeat; `None`: a new one.
            terms: What to keep with the hold; counts and ids only.
            sharers: How many calls want what is left, this one among them: where the budget has to set the
                output limit, it is that part of it, though never below the floor.

        Raises:
            BudgetExceededError: it does not fit (`BudgetBusyError`: it may, once running calls settle).
            ConflictError: the id was used before for something else.
            UnknownUserError: the user has no budget.
        """
        return self._take(
            self.steps.hold(user, needed, model=model, hold_id=hold_id, terms=terms, sharers=sharers)
        )

    def settle(self, hold_id: str, cost: Charge) -> Receipt:
        """
        Charge what a held call did cost, however much, and let its hold go. Twice charges once.

        Raises:
            ConflictError: it was settled before with another cost.
            UnknownHoldError: there is no such hold.
        """
        return self._take(self.steps.settle(hold_id, cost))

    def release(self, hold_id: str, *, reason: str) -> Entry:
        """
        Let a hold go because its call cost nothing. Safe to repeat.

        Raises:
            ConflictError: the call was charged already.
            UnknownHoldError: there is no such hold.
        """
        return self._take(self.steps.release(hold_id, reason=reason))

    def doubt(self, hold_id: str, *, reason: str) -> Hold:
        """
        Say that nobody knows what a held call cost: its hold counts on, unconfirmed, until somebody does.

        Raises:
            UnknownHoldError: there is no such hold, or it was resolved.
        """
        return self._take(self.steps.doubt(hold_id, reason=reason))

    def settle_amount(self, hold_id: str, nanos: Nanos, *, note: str | None = None) -> Receipt:
        """
        Charge an amount that somebody knows for a held call, under the hold's own model. Twice charges once.

        Raises:
            ConflictError: it was settled before with another amount.
            UnknownHoldError: there is no such hold.
        """

        def operation(txn: Transaction, now: datetime) -> Receipt:
            known = txn.hold(hold_id) or txn.entry(hold_id)
            cost = Charge(nanos, known.model if known else None, how="amount", note=note)
            return holding.settle(txn, now, hold_id=hold_id, cost=cost)

        return self.steps.told(self._run(operation))

    def charge(
        self, user: str, cost: Charge, *, charge_id: str | None = None, at: datetime | None = None
    ) -> Receipt:
        """
        Record a cost after the fact. With the caller's own id it is safe to repeat.

        Raises:
            ConflictError: the id was charged before with other content.
            InvalidValueError: *at* is in the future or has no zone.
            UnknownUserError: the user has no budget.
        """
        return self._take(self.steps.charge(user, cost, charge_id=charge_id, at=at))

    def correct(
        self, charge_id: str, nanos: Nanos, *, note: str, correction_id: str | None = None
    ) -> Receipt:
        """
        Add *nanos*, signed, to a charge, in its own period.

        Raises:
            InvalidValueError: the charge would be below zero.
            UnknownEntryError: there is no such charge.
        """
        chosen = correction_id or self.new_id("fix")
        return self.steps.told(
            self._run(
                lambda txn, now: holding.correct(
                    txn, now, entry_id=chosen, corrects=charge_id, nanos=nanos, note=note
                )
            )
        )

    def _take(self, step: Step[T]) -> T:
        return step.finish(self._run(step.operation, durable=step.durable))

    # Leases

    def renew_lease(self) -> None:
        """Keep this process's holds alive; one write. Called every 30 seconds while calls run."""
        self._take(self.steps.renew_lease())

    def end_lease(self) -> None:
        """
        Give the lease back at the end of a process, so that nobody has to find out that it is gone.

        It stays while a hold of it is open. Not to be called while another thread makes a hold.
        """
        step = self.steps.end_lease()
        if step is not None:
            self._take(step)

    def expire(self) -> list[Hold]:
        """End the leases of processes that are gone, and write down what becomes of their holds."""
        with self.store.reading(self.project) as view:
            now = self.clock()
            leases = view.leases()
        if not any(self.steps.ended(lease, now) for lease in leases):
            return []
        return self._run(self.steps.expire)

    # The shape of things

    def create(
        self,
        user: str,
        *limits: shaping.LimitTerms,
        parent: str = ROOT,
        if_missing: bool = False,
        change_id: str | None = None,
    ) -> tuple[Budget, bool]:
        """
        Make a budget; gives it and whether it is new.

        Args:
            change_id: The caller's own id makes it safe to repeat; `None`: a new one.

        Raises:
            UserExistsError: the user has a budget, and not *if_missing*.
            UnknownUserError: there is no such parent.
        """
        return self._run(
            lambda txn, now: shaping.create(
                txn,
                now,
                user=user,
                limits=limits,
                parent=parent,
                if_missing=if_missing,
                new_id=self.new_id,
                change_id=change_id,
            )
        )

    def change(self, user: str, wanted: shaping.Change, *, change_id: str | None = None) -> Budget:
        """
        Change a budget (`ROOT`: the project's own); it takes effect at once and gives no money back.

        Args:
            change_id: The caller's own id makes it safe to repeat; `None`: a new one.

        Raises:
            UnknownUserError: the user, or the new parent, has no budget.
            InvalidValueError: the change cannot be meant.
        """
        return self._run(
            lambda txn, now: shaping.change(
                txn, now, user=user, wanted=wanted, new_id=self.new_id, change_id=change_id
            )
        )

    def archive(self, user: str) -> Budget:
        """
        Let no more calls of *user*, or of those below, begin; what it has spent stays. Safe to repeat.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return self.change(user, shaping.Change(archived=True))

    def unarchive(self, user: str) -> Budget:
        """
        Let calls begin again. Safe to repeat.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return self.change(user, shaping.Change(archived=False))

    def reset(self, user: str, *, change_id: str | None = None) -> list[Rolled]:
        """
        Open a new period of every limit of *user* now.

        Args:
            change_id: The caller's own id makes it safe to repeat; `None`: a new one.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return self._run(
            lambda txn, now: shaping.reset(txn, now, user=user, new_id=self.new_id, change_id=change_id)
        )

    def reset_due(self, *, dry_run: bool = False, watch: Callable[[int], None] | None = None) -> list[Rolled]:
        """
        Write down the periods that the clock has opened, one transaction for each user.

        Then learn from the calls that were settled since the last time, at most 100,000 entries of them.
        Running it again, beside live calls or after a crash halfway, gives the same result.

        Args:
            dry_run: Only say what would be written.
            watch: Is told how many users are done.
        """
        with self.store.reading(self.project) as view:
            now = self.clock()
            due = view.due(now)
            if dry_run:
                found = [shaping.due_periods(stand(view, user, now), user, now) for user in due]
                return [rolled for each in found for rolled in each]
        rolled = []
        for number, user in enumerate(due, 1):
            rolled += self._run(partial(_roll, user=user))
            if watch is not None:
                watch(number)
        self._learn()
        return rolled

    def _learn(self) -> None:
        # Only here: what needs no lessons starts without.
        from budgets.engine import learning

        before, learned = learning.learn(self.store, self.project)
        if learned != before:
            self._run(lambda txn, _: learning.keep(txn, before, learned), durable=False)
            self._memory.forget()

    # Keys

    def create_key(
        self,
        role: Role,
        *,
        key_id: str | None = None,
        user: str | None = None,
        under: str = ROOT,
        expires_at: datetime | None = None,
        note: str | None = None,
    ) -> keys.NewKey:
        """
        Make a key for a server's client; its text is in the answer and nowhere else.

        Args:
            key_id: A name of one's own; `None`: one is made.
            user, under: The only user, or the top of the only subtree, that it is for.

        Raises:
            ConflictError: there is a key of that id.
            InvalidValueError: an admin's key for a part of the project, a moment that is past.
            UnknownUserError: the user, or the top of the subtree, has no budget.
        """
        from budgets.engine import keys

        until = aware_utc(expires_at) if expires_at is not None else None
        return self._run(
            partial(
                keys.create, role=role, key_id=key_id, user=user, under=under, expires_at=until, note=note
            )
        )

    def rotate_key(self, key_id: str) -> keys.NewKey:
        """
        Give a key another secret; the old one is refused from now on.

        Raises:
            UnknownKeyError: there is no such key.
            InvalidValueError: it was revoked, or has expired.
        """
        from budgets.engine import keys

        return self._run(partial(keys.rotate, key_id=key_id))

    def revoke_key(self, key_id: str) -> Key:
        """
        Refuse a key from now on. Safe to repeat.

        Raises:
            UnknownKeyError: there is no such key.
        """
        from budgets.engine import keys

        return self._run(partial(keys.revoke, key_id=key_id))

    # Whole dictionaries

    def tell(self, client: str, *, may_see: Callable[[Path], bool]) -> list[merging.Told] | None:
        """
        Every user's budget for one client that keeps a dictionary of them; `None`: there is no such project.

        Args:
            may_see: Whether the budget at the beginning of a path is shown.
        """
        from budgets.engine import merging

        return self._run(partial(merging.tell, client=client, may_see=may_see))

    def merge(
        self,
        client: str,
        users: Mapping[str, merging.Said],
        *,
        may_shape: Callable[[Path], bool],
        may_charge: Callable[[Path], bool],
    ) -> merging.Merged:
        """
        Take in a client's whole dictionary; what is in it that is booked already is not booked again.

        Args:
            may_shape: Whether the client may make, change, and reset the budget at the beginning of a path.
            may_charge: Whether it may charge for it.
        """
        from budgets.engine import merging

        merged = self._run(
            partial(
                merging.merge,
                client=client,
                users=users,
                may_shape=may_shape,
                may_charge=may_charge,
                new_id=self.new_id,
            )
        )
        for receipt in merged.receipts:
            self.steps.told(receipt)
        return merged

    # Checking

    def check(self, *, watch: Callable[[int], None] | None = None) -> CheckReport:
        """
        Derive every total again from the entries and report each difference.

        Args:
            watch: Is told now and then how many entries were read.
        """
        # No other use case needs it.
        from budgets.engine import checking

        self.expire()
        return self._read(partial(checking.check, watch=watch))


class _Represented:
    """Speaks for a process elsewhere, and knows of others what the one here knows."""

    def __init__(self, process: Process, known: Processes) -> None:
        self._process = process
        self.ended = known.ended

    def own(self) -> Process:
        """The process that is spoken for."""
        return self._process


def _roll(txn: Transaction, now: datetime, *, user: str) -> list[Rolled]:
    return shaping.roll(txn, now, user=user)


__all__ = ["LEASE_SECONDS", "RENEW_SECONDS", "Direct", "Engine", "EngineSettings", "Runner"]
