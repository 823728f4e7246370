"""
Money in motion: hold, settle, release, expire, charge, correct.

Each use case is a function of a transaction, the time and arguments; a refusal is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from budgets import rules
from budgets.clock import iso, to_micros
from budgets.engine.paths import (
    Raised,
    open_periods,
    overrun_entries,
    stand,
    totals_for,
)
from budgets.errors import ConflictError, InvalidValueError, UnknownEntryError, UnknownHoldError
from budgets.money import Nanos, money
from budgets.ports import Reading, Transaction
from budgets.records import (
    Charge,
    Entry,
    Held,
    Hold,
    Lease,
    Left,
    Path,
    Process,
    Quote,
    Receipt,
    Refusal,
    Threshold,
)

# What becomes of the holds of a process that ended: they keep counting, or they are let go.
OnExpiry = Literal["unconfirmed", "release"]

# As many entries at one moment are read at a time.
_PAGE = 500


def hold(
    txn: Transaction,
    now: datetime,
    *,
    user: str,
    hold_id: str,
    model: str,
    needed: Quote | Nanos,
    lease: Lease,
    terms: Mapping[str, Any],
    repeatable: bool = False,
    sharers: int = 1,
) -> Held | Refusal:
    """
    Set aside the most a call can cost, on every limit of the path or on none.

    Args:
        needed: A quote, whose output limit may be lowered to what is left, or an amount.
        lease: The running process whose hold it is.
        terms: What to keep with the hold: counts and ids only.
        repeatable: The caller made *hold_id* and may ask twice: the same again is answered again.
        sharers: How many calls want what is left, this one among them.

    Raises:
        ConflictError: the id was used for something else, or its call was settled or released already.
        UnknownUserError: the user has no budget.
    """
    if repeatable:
        repeated = _repeated_hold(txn, now, user, hold_id, model, needed)
        if repeated is not None:
            return repeated
    standing = stand(txn, user, now)
    quote = needed if isinstance(needed, Quote) else None
    refusal = standing.refusal(needed.least_nanos if isinstance(needed, Quote) else needed)
    if refusal is not None:
        if isinstance(needed, Quote) and needed.limited_by != "caller":
            return replace(refusal, floor=needed.floor)
        return refusal
    if isinstance(needed, Quote):
        quote = rules.fitted(needed, rules.left_over(standing.counters).nanos, sharers)
        nanos = quote.most_nanos
        terms = {**terms, "output_limit": quote.output_limit, "limited_by": quote.limited_by}
        # Where the request does not bound what is read, the report says nothing about our count.
        if quote.estimate is not None and quote.bounded:
            terms["estimate"] = quote.estimate.as_dict()
        if quote.pins:
            terms["prices"] = quote.pins
    else:
        nanos = needed
    rules.check_amount(nanos, "a hold")
    open_periods(txn, standing)
    made = Hold(hold_id, standing.path, model, nanos, standing.now, lease.id, terms=terms)
    after = []
    for counter in standing.counters:
        totals = replace(
            counter.totals, held_nanos=counter.totals.held_nanos + nanos, touched_at=standing.now
        )
        txn.put_totals(totals)
        after.append(counter._replace(totals=totals))
    txn.put_hold(made)
    return Held(made, rules.left_over(after), quote)


def _repeated_hold(
    txn: Transaction, now: datetime, user: str, hold_id: str, model: str, needed: Quote | Nanos
) -> Held | None:
    found = txn.hold(hold_id)
    if found is not None:
        # A quote of the same request may be another by now: prices change, and so does what is left.
        if not isinstance(needed, Quote) and found.nanos != needed:
            raise ConflictError(
                f"the call {hold_id} holds {money(found.nanos)}, not {money(needed)}",
                hint="give every call an id of its own",
                id=hold_id,
            )
        if (found.user, found.model) != (user, model):
            raise ConflictError(
                f"the call {hold_id} is held for {found.user} on {found.model}, not for {user} on {model}",
                hint="give every call an id of its own",
                id=hold_id,
            )
        quote = _as_held(needed, found) if isinstance(needed, Quote) else None
        return Held(found, rules.left_over(stand(txn, user, now).counters), quote)
    resolved = txn.entry(hold_id) or unsettled_end(txn, hold_id)
    if resolved is not None:
        raise ConflictError(
            f"the call {hold_id} was {_PAST.get(resolved.kind, 'used for something else')} already",
            hint="give every call an id of its own",
            id=hold_id,
        )
    return None


def _as_held(quote: Quote, found: Hold) -> Quote:
    """A quote with the output limit that its hold was made for."""
    terms = found.terms
    if "output_limit" not in terms:
        # It was held as an amount, of which nothing can be lowered.
        return quote
    return replace(quote, output_limit=terms["output_limit"], limited_by=terms["limited_by"])


_PAST = {"charge": "charged", "released": "released"}


def settle(txn: Transaction, now: datetime, *, hold_id: str, cost: Charge) -> Receipt:
    """
    Charge what a held call did cost, however much that is, and let its hold go.

    It counts in the periods of the moment of the call. A hold that is unconfirmed, or was released, is
    settled just the same: a cost that happened is recorded. Settling twice charges once.

    Raises:
        ConflictError: it was settled before with another cost.
        UnknownHoldError: there is no such hold.
    """
    live = txn.hold(hold_id)
    if live is not None:
        return _book(txn, now, entry_id=hold_id, path=live.path, at=live.at, cost=cost, live=live)
    done = txn.entry(hold_id)
    if done is not None:
        return _repeated_charge(txn, now, done, cost)
    ended = unsettled_end(txn, hold_id)
    if ended is None:
        raise unknown_hold(hold_id)
    return _book(txn, now, entry_id=hold_id, path=ended.path, at=ended.at, cost=cost, late_nanos=ended.nanos)


def charge(
    txn: Transaction,
    now: datetime,
    *,
    user: str,
    entry_id: str,
    cost: Charge,
    at: datetime | None = None,
) -> Receipt:
    """
    Record a cost after the fact, without a hold; also on a frozen budget, also above the limit.

    Args:
        at: The moment of the call, when it is past; `None`: now.

    Raises:
        ConflictError: the id was charged before with other content.
        InvalidValueError: *at* is in the future.
        UnknownUserError: the user has no budget.
    """
    done = txn.entry(entry_id)
    if done is not None:
        if done.user != user:
            raise ConflictError(
                f"{entry_id} is a charge of {done.user}, not of {user}",
                hint="give every charge an id of its own",
                id=entry_id,
            )
        if at is not None and done.at != at:
            raise ConflictError(
                f"{entry_id} was charged at {iso(done.at)} before, not at {iso(at)}",
                hint="give every charge an id of its own",
                id=entry_id,
            )
        return _repeated_charge(txn, now, done, cost)
    if txn.hold(entry_id) is not None:
        raise ConflictError(
            f"{entry_id} is a call that is held, and a charge beside its hold would count it twice",
            hint=f"settle it instead, for instance with `budget holds settle {entry_id}`",
            id=entry_id,
        )
    if at is not None and at > now:
        raise InvalidValueError(
            f"{iso(at)} is in the future",
            hint="a charge records a call that was made: give a past time",
        )
    standing = stand(txn, user, now)
    return _book(txn, standing.now, entry_id=entry_id, path=standing.path, at=at or standing.now, cost=cost)


def _repeated_charge(txn: Transaction, now: datetime, done: Entry, cost: Charge) -> Receipt:
    usage = cost.usage.as_dict() if cost.usage is not None else None
    same = done.kind == "charge" and (done.nanos, done.model, done.detail.get("usage")) == (
        cost.nanos,
        cost.model,
        usage,
    )
    if not same:
        raise ConflictError(
            f"{done.id} was charged {money(done.nanos)} before, not {money(cost.nanos)}"
            if done.nanos != cost.nanos
            else f"{done.id} was charged before with other content",
            hint="the same id must come with the same content; `budget correct` changes what was charged",
            id=done.id,
        )
    left = rules.left_over(stand(txn, done.user, now).counters)
    return Receipt(done, done.detail.get("held_nanos"), left, repeated=True)


def _book(
    txn: Transaction,
    now: datetime,
    *,
    entry_id: str,
    path: Path,
    at: datetime,
    cost: Charge,
    live: Hold | None = None,
    late_nanos: Nanos | None = None,
) -> Receipt:
    """Write one charge down: the entry, the running totals of every limit on *path*, the overruns."""
    rules.check_amount(cost.nanos, "a cost")
    held_nanos = live.nanos if live is not None else late_nanos
    raised: list[Raised] = []
    left, recorded_at = _count(
        txn, now, path=path, at=at, nanos=cost.nanos, model=cost.model, live=live, raised=raised
    )
    warned, thresholds = _reached(txn, raised, cause_id=entry_id, path=path, at=at, now=recorded_at)
    if live is not None:
        txn.remove_hold(live.id)
    detail: dict[str, Any] = {"how": cost.how}
    if live is not None and live.unconfirmed:
        detail["late"] = True
    if late_nanos is not None:
        detail["late"] = True
    if held_nanos is not None:
        detail["held_nanos"] = held_nanos
    if live is not None and "estimate" in live.terms and _comparable(cost):
        detail["estimate"] = live.terms["estimate"]
    if cost.usage is not None:
        detail["usage"] = cost.usage.as_dict()
    if cost.prices is not None:
        detail["prices"] = cost.prices
    if cost.note is not None:
        detail["note"] = cost.note
    entry = Entry(entry_id, "charge", path, at, recorded_at, cost.nanos, cost.model, detail)
    if held_nanos is None:
        cause = "charged without a hold"
    elif live is None:
        cause = "settled after its hold was released"
    else:
        cause = "charged above its hold"
    over = overrun_entries(raised, cause=cause, cause_id=entry_id, path=path, at=at, now=recorded_at)
    txn.append([entry, *over, *warned])
    return Receipt(
        entry,
        held_nanos,
        left,
        overruns=tuple((each.user, each.nanos) for each in over),
        thresholds=thresholds,
    )


def _comparable(cost: Charge) -> bool:
    """The usage is the provider's own count of what one model read."""
    return cost.how == "reported" and cost.usage is not None and "others" not in (cost.prices or {})


def _count(
    txn: Transaction,
    now: datetime,
    *,
    path: Path,
    at: datetime,
    nanos: Nanos,
    model: str | None,
    live: Hold | None,
    raised: list[Raised],
) -> tuple[Left, datetime]:
    """Move the totals of every limit on *path* in the periods of *at*; gives what is left, and when."""
    counters = []
    found = []
    currents = []
    for depth, user in enumerate(path):
        budget = txn.budget(user)
        assert budget is not None, "a path names budgets, and budgets are never deleted"
        for limit in budget.limits:
            currents.append(txn.current(limit.id))
            known = txn.totals_at(limit.id, at)
            # A period that is opened only now takes up what was there before, which may be too much already.
            excess = 0 if known is None else rules.excess_nanos(limit, known)
            totals = known or totals_for(txn, limit, at, now, path[depth:])
            found.append((user, limit, totals, excess))
    recorded_at = rules.ledger_time(now, currents)
    for user, limit, totals, excess in found:
        held, unconfirmed = totals.held_nanos, totals.unconfirmed_nanos
        if live is not None and live.unconfirmed:
            unconfirmed -= live.nanos
        elif live is not None:
            held -= live.nanos
        assert held >= 0, "more is let go than was held"
        assert unconfirmed >= 0, "more is confirmed than was unconfirmed"
        after = replace(
            totals,
            spent_nanos=totals.spent_nanos + nanos,
            held_nanos=held,
            unconfirmed_nanos=unconfirmed,
            touched_at=recorded_at if rules.contains(totals, recorded_at) else totals.touched_at,
        )
        txn.put_totals(after)
        if nanos:
            txn.add_model(limit.id, totals.start, model or "", nanos)
        raised.append(Raised(user, limit, after, rules.excess_nanos(limit, after) - excess))
        counts_now = rules.standing(limit, txn.current(limit.id), recorded_at)
        counters.append(rules.Counter(user, limit, counts_now))
    return rules.left_over(counters), recorded_at


def _reached(
    txn: Transaction, counted: Sequence[Raised], *, cause_id: str, path: Path, at: datetime, now: datetime
) -> tuple[list[Entry], tuple[Threshold, ...]]:
    """
    The thresholds that are reached in the current periods and were not said in them yet, and the facts.

    The entry's id is the period's, so whoever writes it first is the only one who says it. What is late for
    a period that is over is no warning any more.
    """
    entries, found = [], []
    for user, limit, totals, _ in counted:
        if not rules.contains(totals, now):
            continue
        for percent in rules.reached(limit, totals):
            entry_id = f"{limit.id}@{to_micros(totals.start)}.{percent}%"
            if txn.entry(entry_id) is None:
                detail = {
                    "limit_id": limit.id,
                    "period_start": iso(totals.start),
                    "percent": percent,
                    "caused_by": cause_id,
                }
                above = path[path.index(user) :]
                entries.append(
                    Entry(entry_id, "threshold", above, at, now, totals.spent_nanos, detail=detail)
                )
                found.append(Threshold(entry_id, user, limit, totals, percent))
    return entries, tuple(found)


def release(txn: Transaction, now: datetime, *, hold_id: str, reason: str) -> Entry:
    """
    Let a hold go: its call cost nothing. Releasing twice is answered again.

    Raises:
        ConflictError: the call was charged already.
        UnknownHoldError: there is no such hold.
    """
    live = txn.hold(hold_id)
    if live is None:
        # Asked first: a call that was released and settled late did cost something.
        if txn.entry(hold_id) is not None:
            raise ConflictError(
                f"the call {hold_id} was charged already", hint="correct the charge instead", id=hold_id
            )
        ended = txn.entry(_released_id(hold_id))
        if ended is None:
            raise unknown_hold(hold_id)
        return ended
    return _let_go(txn, now, live, reason)


def _let_go(txn: Transaction, now: datetime, live: Hold, reason: str) -> Entry:
    _, recorded_at = _count(txn, now, path=live.path, at=live.at, nanos=0, model=None, live=live, raised=[])
    txn.remove_hold(live.id)
    entry = Entry(
        _released_id(live.id),
        "released",
        live.path,
        live.at,
        recorded_at,
        live.nanos,
        live.model,
        {"reason": reason},
    )
    txn.append([entry])
    return entry


def expire(
    txn: Transaction, now: datetime, *, ended: Callable[[Process], bool], on_expiry: OnExpiry
) -> list[Hold]:
    """
    End the leases that ran out or whose process is gone, and say what becomes of their holds.

    They turn `unconfirmed` in the periods they were made in and keep counting, or are released.
    """
    found = []
    for lease in txn.leases():
        if lease.expires_at > now and not ended(lease.process):
            continue
        for live in txn.holds(lease_id=lease.id):
            if live.unconfirmed:
                continue
            if on_expiry == "release":
                _let_go(txn, now, live, "its process ended")
            else:
                _doubt(txn, now, live, "its process ended")
            found.append(live)
        txn.remove_lease(lease.id)
    return found


def doubt(txn: Transaction, now: datetime, *, hold_id: str, reason: str) -> Hold:
    """
    Say of a hold that nobody knows what its call cost: it keeps counting, unconfirmed. Safe to repeat.

    Raises:
        UnknownHoldError: there is no such hold, or it was resolved.
    """
    live = txn.hold(hold_id)
    if live is None:
        raise unknown_hold(hold_id)
    if not live.unconfirmed:
        _doubt(txn, now, live, reason)
    return replace(live, unconfirmed=True)


def _doubt(txn: Transaction, now: datetime, live: Hold, reason: str) -> None:
    """Turn an open hold unconfirmed: the money still counts, in a figure of its own."""
    recorded_at = now
    for depth, user in enumerate(live.path):
        budget = txn.budget(user)
        assert budget is not None, "a path names budgets, and budgets are never deleted"
        for limit in budget.limits:
            totals = totals_for(txn, limit, live.at, now, live.path[depth:])
            recorded_at = max(recorded_at, totals.touched_at or recorded_at)
            txn.put_totals(
                replace(
                    totals,
                    held_nanos=totals.held_nanos - live.nanos,
                    unconfirmed_nanos=totals.unconfirmed_nanos + live.nanos,
                )
            )
    txn.put_hold(replace(live, unconfirmed=True))
    txn.append(
        [
            Entry(
                f"{live.id}.expired",
                "expired",
                live.path,
                live.at,
                recorded_at,
                live.nanos,
                live.model,
                {"lease_id": live.lease_id, "reason": reason},
            )
        ]
    )


def correct(
    txn: Transaction, now: datetime, *, entry_id: str, corrects: str, nanos: Nanos, note: str
) -> Receipt:
    """
    Correct a charge by another entry: *nanos*, signed, is added to it, in its own period.

    Raises:
        InvalidValueError: the charge and its corrections together would be below zero.
        UnknownEntryError: *corrects* is no charge.
    """
    rules.check_amount(abs(nanos), "a correction")
    wrong = txn.entry(corrects)
    if wrong is None or wrong.kind != "charge":
        raise UnknownEntryError(
            f"there is no charge {corrects}",
            hint="`budget history` lists charges with their ids",
            id=corrects,
        )
    so_far = wrong.nanos + sum(each.nanos for each in corrections(txn, wrong) if each.id != entry_id)
    if so_far + nanos < 0:
        raise InvalidValueError(
            f"the charge stands at {money(so_far)}, it cannot be lowered by {money(-nanos)}",
            hint="a call never cost less than nothing",
        )
    done = txn.entry(entry_id)
    if done is not None:
        if done.kind != "correction" or (done.nanos, done.detail["corrects"]) != (nanos, corrects):
            raise ConflictError(
                f"{entry_id} was used for something else", hint="take another id", id=entry_id
            )
        return Receipt(done, None, rules.left_over(stand(txn, wrong.user, now).counters), repeated=True)
    raised: list[Raised] = []
    left, recorded_at = _count(
        txn, now, path=wrong.path, at=wrong.at, nanos=nanos, model=wrong.model, live=None, raised=raised
    )
    entry = Entry(
        entry_id,
        "correction",
        wrong.path,
        wrong.at,
        recorded_at,
        nanos,
        wrong.model,
        {"corrects": corrects, "note": note},
    )
    over = overrun_entries(
        raised, cause="a correction", cause_id=entry_id, path=wrong.path, at=wrong.at, now=recorded_at
    )
    warned, thresholds = _reached(
        txn, raised, cause_id=entry_id, path=wrong.path, at=wrong.at, now=recorded_at
    )
    txn.append([entry, *over, *warned])
    return Receipt(
        entry,
        None,
        left,
        overruns=tuple((each.user, each.nanos) for each in over),
        thresholds=thresholds,
    )


def corrections(view: Reading, charge: Entry) -> Iterator[Entry]:
    """Everything that corrects *charge*, oldest first: all of it counts at the moment of the charge."""
    after: Entry | None = None
    while page := view.spending(charge.user, charge.at, charge.at + rules.TICK, after=after, count=_PAGE):
        for each in page:
            if each.kind == "correction" and each.detail["corrects"] == charge.id:
                yield each
        after = page[-1]


def _released_id(hold_id: str) -> str:
    return f"{hold_id}.released"


def unsettled_end(view: Reading, hold_id: str) -> Entry | None:
    """The entry that says a hold was let go without a charge."""
    return view.entry(_released_id(hold_id))


def unknown_hold(hold_id: str) -> UnknownHoldError:
    """The error for an id that no hold has or had."""
    return UnknownHoldError(
        f"there is no hold {hold_id}", hint="`budget holds` lists those that are open", id=hold_id
    )
