"""
What a store keeps and what the engine answers with: frozen records, nothing else.

Moments are aware UTC datetimes, money is whole nano-dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from budgets.lessons import Estimate
from budgets.money import PICOS_PER_NANO, Nanos, round_up
from budgets.periods import PeriodRule
from budgets.usage import Usage

# The output limit for a request that has none, where the owner has set no other.
DEFAULT_OUTPUT_TOKENS = 8_192

# The project's own budget, root of every path. A user's name is never empty, so they cannot meet.
ROOT = ""

# From a user's budget up to the project's: ("ann", "team-a", "").
Path: TypeAlias = tuple[str, ...]

# What a key lets its bearer do: all, look, or meter calls.
Role: TypeAlias = Literal["admin", "read", "meter"]

EntryKind: TypeAlias = Literal[
    "charge",
    "correction",
    "opened",
    "limit_changed",
    "boosted",
    "threshold",
    "expired",
    "released",
    "overrun",
]

# The kinds whose money is spent money. `spent` is the sum of these and of nothing else.
SPENDING_KINDS: tuple[EntryKind, ...] = ("charge", "correction")


@dataclass(frozen=True, slots=True)
class Limit:
    """So much money per period."""

    # Opaque; it survives a changed amount.
    id: str
    # `None`: counted and not capped, so that a budget without limits still knows what it spent.
    total_nanos: Nanos | None
    rule: PeriodRule
    # When it was last reset by hand: no period reaches back past it.
    reset_at: datetime | None = None
    # Whole percents, rising: once in each period it is said when so much of it is spent.
    warn_at: tuple[int, ...] = ()

    def room_nanos(self, totals: Totals) -> Nanos | None:
        """What may be taken in the period of *totals*: the amount and its boost; `None` for a tally."""
        return None if self.total_nanos is None else self.total_nanos + totals.boost_nanos


@dataclass(frozen=True, slots=True)
class Budget:
    """One user's limits, parent and state in one project."""

    user: str
    # `None` only for the project's own.
    parent: str | None
    # The first is the primary one. Never empty for a user: without caps it has one tally.
    limits: tuple[Limit, ...]
    created_at: datetime
    frozen: bool = False
    # No more calls, and seen only by those who ask for it.
    archived: bool = False

    @property
    def caps(self) -> tuple[Limit, ...]:
        """The limits that limit."""
        return tuple(limit for limit in self.limits if limit.total_nanos is not None)

    @property
    def primary(self) -> Limit | None:
        """The limit that `cost`, `spent_usd` and `set --total` mean."""
        return self.limits[0] if self.limits else None


@dataclass(frozen=True, slots=True)
class Totals:
    """One period of one limit and the running sums in it, kept in step with the entries and holds."""

    limit_id: str
    start: datetime
    # `None`: it never ends.
    end: datetime | None
    spent_nanos: Nanos = 0
    held_nanos: Nanos = 0
    unconfirmed_nanos: Nanos = 0
    # The last moment something was counted here; ledger time never goes back before it.
    touched_at: datetime | None = None
    # By how much the limit is raised in this period only.
    boost_nanos: Nanos = 0

    @property
    def taken_nanos(self) -> Nanos:
        """All that counts against the limit."""
        return self.spent_nanos + self.held_nanos + self.unconfirmed_nanos


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one call on every limit of its path, until settled, released or expired."""

    # The call's id: its charge will bear the same one.
    id: str
    # The path as it was when the hold was made; settling uses it, never today's tree.
    path: Path
    model: str
    nanos: Nanos
    # The moment of the call: it names the period, on every limit, and the prices.
    at: datetime
    lease_id: str
    # Its process ended before it was settled; the money counts until somebody confirms or corrects it.
    unconfirmed: bool = False
    # How it was counted, ready for JSON: counts and ids only.
    terms: Mapping[str, Any] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """Whose call it is."""
        return self.path[0]


@dataclass(frozen=True, slots=True)
class Entry:
    """One appended fact. Never edited, never deleted."""

    id: str
    kind: EntryKind
    path: Path
    # The moment it counts at: for a charge, the moment of the call.
    at: datetime
    # The moment it was written down.
    recorded_at: datetime
    # Signed. Spent money for the spending kinds; for the others the amount that the fact is about.
    nanos: Nanos
    model: str | None = None
    # The rest, ready for JSON: usage, price rows, how it was counted, causes, notes.
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """Whose fact it is; empty for the project's."""
        return self.path[0]


@dataclass(frozen=True, slots=True)
class Process:
    """Which process, so that its end can be seen: a process id alone is used again."""

    host: str
    pid: int
    # What the system says about its start, opaque; empty where the system does not say.
    started: str


@dataclass(frozen=True, slots=True)
class Lease:
    """One row for a running process: its holds live as long as it is renewed."""

    id: str
    process: Process
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Key:
    """What a client shows a server. The secret itself is not kept."""

    id: str
    role: Role
    # SHA-256 of the secret, in hexadecimal digits.
    secret_hash: str = field(repr=False)
    created_at: datetime
    # The only user it is for; `None`: everybody below *under*.
    user: str | None = None
    # The top of the subtree it is for; `ROOT`: all of the project.
    under: str = ROOT
    # From when on it is refused; `None`: never.
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """How much of what one client says of one user is booked, so that it is booked once."""

    client: str
    user: str
    touched_at: datetime
    # Ready for JSON; `budgets.engine.merging` reads it.
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Quote:
    """
    The most a call can cost, and the likely cost, before it is made.

    Costs are linear in the output limit, so a budget can buy fewer tokens than were quoted.
    """

    model: str
    provider: str
    # Input tokens: the likely number, the most, and how the likely one was made.
    input_tokens: int
    input_tokens_most: int
    counted: str
    # What the likely prompt costs.
    prompt_nanos: Nanos
    # The most that everything but the answer can cost, and the most for one token of every answer.
    fixed_picos: Fraction | int
    output_picos: Fraction | int
    # The limit on output tokens that this quote stands for, for one answer.
    output_limit: int
    # Who set it: only the `caller`'s is never touched. `model`: its own maximum, `default`: ours.
    limited_by: Literal["caller", "model", "default", "budget"]
    # Fewer output tokens than this would buy an empty answer.
    floor: int
    book_version: str
    # Why the request does not bound what the provider reads; empty when it does.
    unbounded: tuple[str, ...] = ()
    # How the most input was made; `None`: as the likely number.
    counted_most: str | None = None
    # Our own count, before anything that was learned; kept to be compared with what is reported.
    estimate: Estimate | None = None
    # How the most adds up, ready for JSON: what `pricing.pinned` keeps of the rows, the counts that are
    # `fixed` and `how` they were made, and of `answers` those for one token of the output limit.
    pins: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bounded(self) -> bool:
        """The request itself bounds the cost."""
        return not self.unbounded

    @property
    def most_nanos(self) -> Nanos:
        """The most it can cost: what is held."""
        return self.most_with(self.output_limit)

    @property
    def least_nanos(self) -> Nanos:
        """What has to fit: the most, or where we may lower the output limit, the most at the floor."""
        if self.limited_by == "caller":
            return self.most_nanos
        return self.most_with(min(self.floor, self.output_limit))

    def most_with(self, output_tokens: int) -> Nanos:
        """The most it can cost with this limit on output tokens."""
        return round_up(self.fixed_picos + self.output_picos * output_tokens)

    def affordable_output_tokens(self, left_nanos: Nanos) -> int | None:
        """How many output tokens *left_nanos* buys beside the prompt; `None` where they cost nothing."""
        picos = left_nanos * PICOS_PER_NANO - self.fixed_picos
        if picos < 0:
            return 0
        if self.output_picos == 0:
            return None
        return int(picos // self.output_picos)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left on a path, and whose limit says so."""

    # `None`: nothing limits it. May be negative.
    nanos: Nanos | None
    # Whose limit binds (`ROOT` for the project's), which one, and when its period ends.
    user: str | None = None
    limit_id: str | None = None
    resets_at: datetime | None = None
    # The zone of that limit, to say when that is.
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call may not be made now. A value: it is raised only at the door."""

    reason: Literal["exceeded", "busy", "frozen", "archived"]
    user: str
    needed_nanos: Nanos
    # Whose limit binds; for `frozen` and `archived`, whose budget is.
    limit_user: str
    limit_id: str | None = None
    total_nanos: Nanos = 0
    spent_nanos: Nanos = 0
    held_nanos: Nanos = 0
    unconfirmed_nanos: Nanos = 0
    resets_at: datetime | None = None
    # The zone of the limit that binds.
    timezone: str = "UTC"
    # Where an output limit could have been lowered and was not: what is left buys fewer than these.
    floor: int | None = None
    boost_nanos: Nanos = 0

    @property
    def left_nanos(self) -> Nanos:
        """What the binding limit has left; may be negative."""
        taken = self.spent_nanos + self.held_nanos + self.unconfirmed_nanos
        return self.total_nanos + self.boost_nanos - taken


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that was made, and what it leaves."""

    hold: Hold
    left: Left
    # The quote as held: its output limit may have been lowered to what is left.
    quote: Quote | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """A cost that is about to be recorded: money, and how it came about."""

    nanos: Nanos
    model: str | None = None
    usage: Usage | None = None
    # The price rows and the price-book version, ready for JSON.
    prices: Mapping[str, Any] | None = None
    # `reported`, `estimated` or `amount`.
    how: str = "reported"
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """A share of a limit that was reached: said once in a period, whoever's call reached it."""

    # The entry that says so.
    id: str
    # Whose limit (`ROOT` for the project's), and where it stands now.
    user: str
    limit: Limit
    totals: Totals
    percent: int

    @property
    def room_nanos(self) -> Nanos:
        """The amount and its boost."""
        room = self.limit.room_nanos(self.totals)
        assert room is not None, "a tally has no thresholds"
        return room

    @property
    def left_nanos(self) -> Nanos:
        """What the limit has left; may be negative."""
        return self.room_nanos - self.totals.taken_nanos


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a metered call was quoted, what it cost, what is left."""

    entry: Entry
    # What was held for it; `None` for a charge after the fact.
    held_nanos: Nanos | None
    left: Left
    # The same id had been charged with the same content before: nothing was charged now.
    repeated: bool = False
    # Why spent + held stands above limits now: whose, and by how much this charge raised it.
    overruns: tuple[tuple[str, Nanos], ...] = ()
    # What it was the first to reach in a current period.
    thresholds: tuple[Threshold, ...] = ()

    @property
    def nanos(self) -> Nanos:
        """What it cost."""
        return self.entry.nanos

    @property
    def overshoot_nanos(self) -> Nanos:
        """Charge − hold, where it was more."""
        return max(0, self.entry.nanos - (self.held_nanos or 0))


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """Where one limit stands in its current period."""

    limit: Limit
    totals: Totals

    @property
    def left_nanos(self) -> Nanos | None:
        """Limit + boost − spent − held − unconfirmed; may be negative; `None` for a tally."""
        room = self.limit.room_nanos(self.totals)
        return None if room is None else room - self.totals.taken_nanos


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """One budget in full: its limits now, and what is left over its whole path."""

    budget: Budget
    limits: tuple[LimitStatus, ...]
    left: Left
    path: Path
    # Spent in the primary limit's current period, by model.
    models: Mapping[str, Nanos] = field(default_factory=dict)

    @property
    def primary(self) -> LimitStatus | None:
        """Where the primary limit stands; `None` for a project without a cap."""
        return self.limits[0] if self.limits else None


@dataclass(frozen=True, slots=True)
class Rolled:
    """One limit's period that was opened, and the one before it."""

    user: str
    limit: Limit
    before: Totals | None
    after: Totals


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that `check` found wrong: where, and what."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check` looked at, and what it found."""

    budgets: int
    periods: int
    entries: int
    holds: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store is, and how much it keeps."""

    # `sqlite`, `json`, `memory`.
    kind: str
    # `None`: it is no file.
    path: str | None
    # On disk, all its files together.
    size_bytes: int
    schema: int
    # Those that have a budget.
    projects: int
    users: int
    # Open and unconfirmed ones.
    holds: int
    entries: int
