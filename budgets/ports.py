"""
What the engine needs from outside, and what each promises.

A store keeps a transaction and decides nothing. Every store promises, and one suite tests for all:

1. all of a transaction or none of it, also when the block raises or the process is killed;
2. from the beginning to the end of a transaction nobody else changes the project;
3. entries are append-only and their ids unique in the project;
4. a transaction sees its own writes, and may carry many operations, each in a savepoint;
5. reading what a hold needs costs the same with ten million entries as with ten;
6. moments come back as aware UTC to the microsecond, money as exact integers;
7. a store written by a newer version is refused with `StoreTooNewError`, never half-read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from budgets.lessons import Learned
from budgets.money import Nanos
from budgets.records import Budget, Entry, Hold, Key, Lease, Mark, Process, StoreInfo, Totals

if TYPE_CHECKING:
    from budgets.asks import Ask, Count


class Clock(Protocol):
    """Call it for the time: aware, in UTC."""

    def __call__(self) -> datetime: ...


class Processes(Protocol):
    """What the engine asks the operating system about processes."""

    def own(self) -> Process:
        """The process that asks."""
        ...

    def ended(self, process: Process) -> bool:
        """True only when it is certain: same host, and that very process is gone."""
        ...


class TokenCounter(Protocol):
    """Counts tokens before, or without, the provider's own figure. Never touches the network."""

    def count(self, ask: Ask, *, provider: str | None) -> Count:
        """The input tokens of a whole request, the vendor's framing included."""
        ...

    def count_text(self, text: str, *, provider: str | None, model: str) -> Count:
        """The tokens of a bare text, without framing."""
        ...


class Reading(Protocol):
    """A consistent view of one project. Nothing is written."""

    def budget(self, user: str) -> Budget | None:
        """That user's budget (`ROOT`: the project's)."""
        ...

    def budgets(self) -> Iterator[Budget]:
        """All of the project's, by name; the project's own first."""
        ...

    def current(self, limit_id: str) -> Totals | None:
        """The latest period that was opened for a limit."""
        ...

    def totals_at(self, limit_id: str, moment: datetime) -> Totals | None:
        """The opened period that contains *moment*."""
        ...

    def periods(self, limit_id: str) -> list[Totals]:
        """Every opened period, oldest first."""
        ...

    def models(self, limit_id: str, start: datetime) -> dict[str, Nanos]:
        """What was spent in a period by model, zeros left out."""
        ...

    def hold(self, hold_id: str) -> Hold | None:
        """An open or unconfirmed hold."""
        ...

    def holds(self, *, lease_id: str | None = None) -> list[Hold]:
        """Open and unconfirmed holds, oldest first."""
        ...

    def entry(self, entry_id: str) -> Entry | None:
        """The entry of that id."""
        ...

    def entries(self, *, user: str | None = None) -> Iterator[Entry]:
        """Entries in the order they were written; with *user*, those whose path has that name."""
        ...

    def spent(self, user: str, start: datetime, end: datetime | None) -> dict[str, Nanos]:
        """By model, the sum of spending entries with *user* on their path and `start <= at < end`."""
        ...

    def spenders(self, user: str, start: datetime, end: datetime | None) -> dict[str, Nanos]:
        """The same sum by the user whose call it was."""
        ...

    def spending(
        self,
        user: str,
        start: datetime,
        end: datetime | None,
        *,
        after: Entry | None = None,
        count: int,
    ) -> list[Entry]:
        """
        The first *count* of the entries that `spent` sums, by their moment and then by order of writing.

        Args:
            after: Only those that come after this one, itself one of them.
        """
        ...

    def written(
        self,
        *,
        user: str | None = None,
        after: Entry | None = None,
        newest_first: bool = False,
        count: int,
    ) -> list[Entry]:
        """
        The first *count* of the entries that `entries` gives, in the order of writing or its reverse.

        Args:
            after: Only those that come after this entry of the project, in the order that is asked for.
        """
        ...

    def leases(self) -> list[Lease]:
        """Every lease of the store."""
        ...

    def learned(self) -> Learned:
        """What was learned from the project's entries; it can be learned again."""
        ...

    def key(self, key_id: str) -> Key | None:
        """The project's key of that id."""
        ...

    def keys(self) -> list[Key]:
        """The project's keys, oldest first."""
        ...

    def marks(self, client: str | None = None) -> list[Mark]:
        """What is marked of one client, or of all, by client and user."""
        ...

    def due(self, now: datetime) -> list[str]:
        """Users with a current period whose end is at or before *now*; found by index."""
        ...


class Transaction(Reading, Protocol):
    """A view that can also write; nobody else writes to the project until it ends."""

    def savepoint(self) -> AbstractContextManager[None]:
        """A block inside the transaction that is undone alone when it raises."""
        ...

    def put_budget(self, budget: Budget) -> None:
        """Add a budget, or replace the one of that name with all its limits."""
        ...

    def open_period(self, totals: Totals) -> None:
        """Add a period. The one that starts last is the current one."""
        ...

    def put_totals(self, totals: Totals) -> None:
        """Replace the sums and the end of an opened period."""
        ...

    def remove_periods(self, limit_id: str, since: datetime) -> None:
        """Forget the periods (not the entries) of a limit that start at or after *since*."""
        ...

    def put_models(self, limit_id: str, start: datetime, spent: Mapping[str, Nanos]) -> None:
        """Replace what was spent in a period by model."""
        ...

    def add_model(self, limit_id: str, start: datetime, model: str, nanos: Nanos) -> None:
        """Add to what was spent in a period on one model."""
        ...

    def put_hold(self, hold: Hold) -> None:
        """Add a hold or replace the one of that id."""
        ...

    def remove_hold(self, hold_id: str) -> None:
        """A hold was resolved; an entry says how."""
        ...

    def append(self, entries: Iterable[Entry]) -> None:
        """
        Write facts down.

        Raises:
            ConflictError: an id is there already.
        """
        ...

    def put_lease(self, lease: Lease) -> None:
        """Add a lease or renew the one of that id."""
        ...

    def remove_lease(self, lease_id: str) -> None:
        """The lease ended."""
        ...

    def put_learned(self, learned: Learned) -> None:
        """Replace what was learned."""
        ...

    def put_key(self, key: Key) -> None:
        """Add a key or replace the one of that id."""
        ...

    def put_mark(self, mark: Mark) -> None:
        """Add a mark or replace the one of that client and user."""
        ...

    def remove_marks(self, before: datetime) -> int:
        """Forget marks that were last touched before that moment; gives how many."""
        ...


class Store(Protocol):
    """Where budgets, holds and entries live."""

    def transaction(self, project: str, *, durable: bool = True) -> AbstractContextManager[Transaction]:
        """
        A transaction on one project, committed when the block ends and undone when it raises.

        Args:
            project: The namespace of users.
            durable: `False` allows the store to skip the sync to disk: a power cut may forget it.

        Raises:
            StoreBusyError: others kept the store locked until the deadline.
            StoreError: it cannot be written.
        """
        ...

    def reading(self, project: str) -> AbstractContextManager[Reading]:
        """A consistent view that waits for nobody."""
        ...

    def projects(self) -> list[str]:
        """Every project that has a budget, by name."""
        ...

    def keys(self) -> list[tuple[str, Key]]:
        """The keys of every project, each with its project."""
        ...

    def info(self) -> StoreInfo:
        """What it is, and how much it keeps."""
        ...

    def close(self) -> None:
        """Let go of files. Closing twice is fine."""
        ...
