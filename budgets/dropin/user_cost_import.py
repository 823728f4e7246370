"""Takes the users of a `user_cost.json` over: their limits, and what they had spent in the current period."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from budgets.clock import to_micros
from budgets.dropin.user_cost import UserCost
from budgets.engine import LimitTerms
from budgets.engine.api import EngineApi
from budgets.money import Nanos
from budgets.records import Charge, Entry

_NOTE = "from user_cost.json"


@dataclass(frozen=True, slots=True)
class Taken:
    """One user who was taken over."""

    said: UserCost
    # It had no budget; one that is there keeps its limits.
    created: bool
    # What was charged now: of what the file says, the part that no earlier import had charged.
    charged_nanos: Nanos


def take_over(engine: EngineApi, users: Iterable[UserCost]) -> Iterator[Taken]:
    """
    Make each user's budget where there is none, and charge what the file says was spent.

    Safe to repeat, also after a crash halfway, and with a file that has grown since: each import charges what
    is above the earlier ones. The charges count in the period that the file speaks of.

    Raises:
        InvalidValueError: a user's name cannot be used.
    """
    for said in users:
        _, created = engine.create(said.user, LimitTerms(said.total_nanos, said.rule), if_missing=True)
        before = [] if created else _imported(engine.stream(said.user), said.user)
        charged = sum(_charge(engine, said, model, nanos, before) for model, nanos in said.models.items())
        yield Taken(said, created, charged)


def _imported(entries: Iterable[Entry], user: str) -> list[Entry]:
    return [
        each
        for each in entries
        if each.kind == "charge" and each.user == user and each.detail.get("note") == _NOTE
    ]


def _charge(engine: EngineApi, said: UserCost, model: str, nanos: Nanos, before: Iterable[Entry]) -> Nanos:
    """Bring what was imported of *model* in the period up to *nanos*; gives what was charged."""
    period = to_micros(said.since) if said.since is not None else 0
    series = f"import:{said.user}:{period}:{model}"
    known = sum(each.nanos for each in before if each.id.rpartition(":")[0] == series)
    if nanos <= known:
        return 0
    now = engine.clock()
    # The id says how far it brings the sum, so two imports at once charge the same, once.
    engine.charge(
        said.user,
        Charge(nanos - known, model or None, how="amount", note=_NOTE),
        charge_id=f"{series}:{nanos}",
        at=min(said.since, now) if said.since is not None else None,
    )
    return nanos - known
