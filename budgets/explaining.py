"""
The sum behind a cost, from what was kept with it.

Pure, and blind to prices as they are now: a charge is explained from the price rows that it pins, however the
book has changed since. What an older entry did not keep is missing here as well, and is never looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from budgets.money import Nanos, round_up
from budgets.pricing import STANDARD, Picos
from budgets.records import Charge, Entry, Hold, Quote
from budgets.usage import priced_for

# How a figure came about: counts at prices, the provider's own bill, an amount that somebody gave, a price
# that was not kept, or a fact that costs nothing.
Basis: TypeAlias = Literal["prices", "bill", "amount", "unknown", "nothing"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What was kept about a price beside the price itself."""

    # The unit whose price was taken, where it is another.
    priced_as: str | None = None
    # The service tier that it bills.
    tier: str = STANDARD
    # It holds where the whole input is more than so many tokens.
    above: int = 0
    # The day or the moment from which it holds, in ISO 8601; `None`: always, or not kept.
    starts: str | None = None
    # The daily window in UTC in which it holds: `16:30-00:30`; `None`: all day.
    hours: str | None = None
    # Where it is from; empty where that was not kept.
    source: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One unit of a sum: so many at so much."""

    unit: str
    count: int
    # How the count was made: `reported`, `tiktoken:o200k_base`, `context window`, `output limit: default` ...
    how: str
    # Pico-dollars for one, exact.
    picos: Picos
    # `None`: nothing was kept.
    terms: Terms | None

    @property
    def per(self) -> int:
        """How many of the unit its price is given for."""
        return priced_for(self.unit)

    @property
    def product(self) -> Picos:
        """count x picos, exact."""
        return self.count * self.picos


@dataclass(frozen=True, slots=True)
class ModelSum:
    """What one model's use comes to."""

    # With its provider: `openai/gpt-4o-mini`.
    model: str
    book: str
    # The day on which the book's sources were read, in ISO 8601; `None`: not known, or not kept.
    book_day: str | None
    # The service tier and the region of the call.
    tier: str
    region: str | None
    # By how much less than the list the account pays, in percent: `10%`; the prices are what it pays.
    discount: str | None
    lines: tuple[Line, ...]
    # Units that were used and whose price was not kept.
    unpriced: tuple[str, ...] = ()

    @property
    def exact_picos(self) -> Picos:
        """The sum of the products."""
        return sum((line.product for line in self.lines), 0)


@dataclass(frozen=True, slots=True)
class Explanation:
    """How an amount adds up, or why there is nothing to add."""

    basis: Basis
    total_nanos: Nanos
    # One for each model that worked on the call; empty unless the basis is `prices`.
    sums: tuple[ModelSum, ...] = ()
    # What the provider says that it bills, exact; only where the basis is `bill`.
    billed_picos: Picos | None = None
    # What was counted, and how, where it is not in the sums.
    counts: tuple[tuple[str, int], ...] = ()
    how: str | None = None

    @property
    def exact_picos(self) -> Picos | None:
        """The exact sum, before it is rounded up to a nano; `None` where nothing is added up."""
        if self.basis == "prices":
            return sum((each.exact_picos for each in self.sums), 0)
        return self.billed_picos

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Units whose price was not kept."""
        return tuple(unit for each in self.sums for unit in each.unpriced)

    @property
    def adds_up(self) -> bool:
        """Whether the exact sum, rounded up, is the total; true where there is nothing to add."""
        return self.exact_picos is None or (
            round_up(self.exact_picos) == self.total_nanos and not self.unpriced
        )


def of_charge(cost: Charge) -> Explanation:
    """The sum of a cost that is about to be recorded, or never is."""
    usage = cost.usage.as_dict() if cost.usage is not None else None
    return _of_cost(cost.nanos, usage, cost.prices)


def of_entry(entry: Entry) -> Explanation:
    """The sum of what was recorded: of a charge its cost; of everything else, what kind of figure it is."""
    if entry.kind == "charge":
        return _of_cost(entry.nanos, entry.detail.get("usage"), entry.detail.get("prices"))
    return Explanation("amount" if entry.kind == "correction" else "nothing", entry.nanos)


def of_quote(quote: Quote) -> Explanation:
    """The sum of the most that a call can cost."""
    return _of_most(quote.most_nanos, quote.pins, quote.output_limit, quote.limited_by)


def of_hold(hold: Hold) -> Explanation:
    """The sum of what is held: the most that its call was quoted at, or an amount."""
    terms = hold.terms
    if "output_limit" not in terms:
        return Explanation("amount", hold.nanos)
    return _of_most(hold.nanos, terms.get("prices", {}), terms["output_limit"], terms["limited_by"])


def _of_cost(nanos: Nanos, usage: Mapping[str, Any] | None, pins: Mapping[str, Any] | None) -> Explanation:
    if usage is None:
        return Explanation("amount", nanos)
    counts, how = _counts(usage)
    if pins is not None and "billed_picos" in pins:
        return Explanation("bill", nanos, (), _picos(pins["billed_picos"]), tuple(counts.items()), how)
    if pins is None or "rows" not in pins:
        return Explanation("unknown", nanos, counts=tuple(counts.items()), how=how)
    sums = [_model_sum(counts, dict.fromkeys(counts, how), pins)]
    for other in pins.get("others", ()):
        counts, how = _counts(other["usage"])
        sums.append(_model_sum(counts, dict.fromkeys(counts, how), other))
    return Explanation("prices", nanos, tuple(sums))


def _counts(usage: Mapping[str, Any]) -> tuple[dict[str, int], str]:
    """Counts by unit, and how they were made."""
    return {unit: count for unit, count in usage.items() if unit != "how"}, usage["how"]


def _of_most(nanos: Nanos, pins: Mapping[str, Any], output_limit: int, limited_by: str) -> Explanation:
    if not pins:
        return Explanation("unknown", nanos)
    answers = {unit: count * output_limit for unit, count in pins["answers"].items()}
    hows = {
        **{unit: "one call" if unit == "requests" else pins["how"] for unit in pins["fixed"]},
        **dict.fromkeys(answers, f"output limit: {limited_by}"),
    }
    return Explanation("prices", nanos, (_model_sum({**pins["fixed"], **answers}, hows, pins),))


def _model_sum(counts: Mapping[str, int], hows: Mapping[str, str], pins: Mapping[str, Any]) -> ModelSum:
    rows = pins["rows"]
    terms = {unit: _terms(said) for said in pins.get("terms", ()) for unit in said["units"]}
    return ModelSum(
        pins["model"],
        pins["book"],
        pins.get("book_day"),
        pins.get("tier", STANDARD),
        pins.get("region"),
        pins.get("discount"),
        tuple(
            Line(unit, count, hows[unit], _picos(rows[unit]), terms.get(unit))
            for unit, count in counts.items()
            if unit in rows
        ),
        tuple(unit for unit, count in counts.items() if count and unit not in rows),
    )


def _terms(said: Mapping[str, Any]) -> Terms:
    return Terms(
        priced_as=said.get("as"),
        tier=said.get("tier", STANDARD),
        above=said.get("above", 0),
        starts=said.get("from"),
        hours=said.get("hours"),
        source=said.get("source", ""),
    )


def _picos(text: str) -> Picos:
    found = Fraction(text)
    return found.numerator if found.denominator == 1 else found
