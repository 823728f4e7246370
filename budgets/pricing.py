"""
The one place where tokens become money.

Pure: prices come in as rows that a `PriceBook` has found for one model at one moment.
A price is exact, in pico-dollars per one unit (1 USD = 10^12; $1 per million tokens is 1,000,000 picos per
token): an `int` where it can be, a `Fraction` where it cannot.
A cost is summed exactly and rounded once, up, to a nano.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from fractions import Fraction
from typing import Any, NamedTuple, Protocol, TypeAlias

from budgets.clock import iso
from budgets.errors import InvalidValueError, UnknownPriceError
from budgets.money import Nanos, round_up, shown
from budgets.usage import TOKEN_UNITS, UNITS, Usage

# Exact pico-dollars.
Picos: TypeAlias = int | Fraction

# The service tier that is billed when nobody asks for another, and what requests and replies call it.
STANDARD = "standard"
_STANDARD_NAMES = frozenset({None, "", "auto", "default", STANDARD, "standard_only", "on_demand"})

_MOST_CALLS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Price:
    """
    Money for one unit of one model, from a day on.

    Raises:
        InvalidValueError: a unit that does not exist, a float, or a negative number.
    """

    unit: str
    # Pico-dollars for ONE of the unit.
    picos: Picos
    # Applies when the whole input is strictly more than this many tokens; the whole call is then billed so.
    above: int = 0
    # From this moment, or the start of this day in UTC, on; `None`: always was.
    starts: date | datetime | None = None
    # Up to this moment, exclusive; `None`: still holds.
    ends: date | datetime | None = None
    # Daily window in UTC, first inclusive, second exclusive; it may cross midnight. `None`: all day.
    hours: tuple[time, time] | None = None
    # Where the number comes from: a page, or the owner's own file.
    source: str = ""
    # The day somebody last compared it with the source, where that is known.
    checked: date | None = None
    # The service tier whose calls it bills: `standard`, `batch`, `flex`, `priority`, `fast` ...
    tier: str = STANDARD
    # The daily window is that of Mondays to Fridays in UTC only.
    weekdays: bool = False

    @property
    def hours_text(self) -> str | None:
        """`01:00-04:00`, `01:00-04:00 mon-fri`; `None`: all day."""
        if self.hours is None:
            return None
        return "-".join(f"{each:%H:%M}" for each in self.hours) + (" mon-fri" if self.weekdays else "")

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise InvalidValueError(f"{self.unit} is not a unit", hint=f"one of {', '.join(UNITS)}")
        if type(self.picos) not in (int, Fraction) or self.picos < 0:
            raise InvalidValueError(
                f"the price of {self.unit} is {self.picos!r}",
                hint="prices are exact and not negative: an int or a Fraction of pico-dollars",
            )


class Fallback(NamedTuple):
    """What a unit without a price of its own is billed as, and why that is no under-charge."""

    unit: str
    why: str
    # Only at these providers; `None`: at all.
    providers: frozenset[str] | None = None


# A unit that is missing both here and among the rows is an error: cache writes for an hour (twice the input
# price at Anthropic), audio, image output and web searches would be under-charged by any guess.
FALLBACKS: Mapping[str, Fallback] = {
    "reasoning": Fallback("output", "reasoning is billed as output unless it has a price of its own"),
    "cached_input": Fallback("input", "without a cache price a cached token is an ordinary input token"),
    "cached_input_audio": Fallback("input_audio", "without a cache price it is ordinary audio"),
    "cached_input_image": Fallback("input_image", "without a cache price it is an ordinary image"),
    "input_image": Fallback(
        "input", "images are counted in input tokens unless they have a price of their own"
    ),
    "cache_write": Fallback(
        "input",
        "these providers document that writing to their cache costs no more than reading the input",
        frozenset(
            {
                "openai",  # https://developers.openai.com/api/docs/guides/prompt-caching (fees have rows)
                "google",  # https://ai.google.dev/gemini-api/docs/caching (implicit caching)
                "deepseek",  # https://api-docs.deepseek.com/guides/kv_cache
                "groq",  # https://console.groq.com/docs/prompt-caching
                "x-ai",  # https://docs.x.ai/docs/models
            }
        ),
    ),
}

# A provider here writes to its cache only when a request says so; elsewhere it may write by itself, and a
# write fee then belongs to the most that any call can cost.
# https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching
_WRITES_ONLY_WHEN_ASKED = frozenset({"anthropic"})

_NO_CALL_FEE = Price("requests", 0, source="no fee per call is listed")


@dataclass(frozen=True)
class ModelPrices:
    """What a look-up found for one model at one moment."""

    provider: str
    # The book's own name for the model, without the provider.
    model: str
    # The name that was asked for.
    asked: str
    # The rows in effect at the moment asked for, of every service tier.
    rows: tuple[Price, ...]
    book_version: str
    # The day on which the book's sources were read; `None`: not known.
    book_day: date | None = None
    # `None`: not known.
    context_window: int | None = None
    max_output_tokens: int | None = None
    # The model is known to reason without being asked to, and to bill for it.
    reasoning: bool = False
    # The owner says that it costs nothing (a model on their own machine): every unit is 0.
    free: bool = False
    # Region -> what every token price is multiplied with there.
    uplift: tuple[tuple[str, Fraction], ...] = ()
    # How much less than its rows, which are list prices, the account pays: in percent, below 100.
    discount_percent: Fraction = Fraction(0)
    # The service tier, and the region, of the call that these are the prices of.
    tier: str = STANDARD
    region: str | None = None
    # Unit -> its rows for that call, the one for the largest input first.
    _steps: dict[str, tuple[Price, ...]] = field(init=False, repr=False, compare=False)
    # Above how much input other rows hold, and the rates below and above each.
    _edges: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _rates: tuple[dict[str, Picos], ...] = field(init=False, repr=False, compare=False)
    # Units whose standard price is known and whose price in this tier is not, and would be guessed too low.
    _withheld: frozenset[str] = field(init=False, repr=False, compare=False, default=frozenset())
    _calls: dict[tuple[str | None, str | None], ModelPrices] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        steps = _by_unit(self.rows, STANDARD)
        if self.tier != STANDARD:
            steps, withheld = _in_tier(steps, _by_unit(self.rows, self.tier))
            object.__setattr__(self, "_withheld", withheld)
        factor = dict(self.uplift).get(self.region) if self.region is not None else None
        if factor is not None:
            steps = {
                unit: tuple(_times(row, factor) for row in rows) if unit in TOKEN_UNITS else rows
                for unit, rows in steps.items()
            }
        if self.discount_percent:
            steps = {unit: tuple(map(self.after_discount, rows)) for unit, rows in steps.items()}
        object.__setattr__(self, "_steps", steps)
        edges = sorted({row.above for rows in steps.values() for row in rows if row.above})
        object.__setattr__(self, "_edges", tuple(edges))
        object.__setattr__(
            self, "_rates", tuple(self._own_rates(tokens) for tokens in (0, *(edge + 1 for edge in edges)))
        )

    def _own_rates(self, input_tokens: int) -> dict[str, Picos]:
        rows = {unit: self.own_row(unit, input_tokens) for unit in self._steps}
        return {unit: row.picos for unit, row in rows.items() if row is not None}

    def rates(self, usage: Usage) -> Mapping[str, Picos]:
        """Unit -> pico-dollars for one, at a call with that usage, where the unit has a row of its own."""
        if not self._edges:
            return self._rates[0]
        return self._rates[bisect_left(self._edges, usage.input_tokens)]

    def after_discount(self, row: Price) -> Price:
        """The row as the account pays it; itself where there is no discount."""
        if not self.discount_percent:
            return row
        source = f"{row.source}, less {percent_text(self.discount_percent)}".removeprefix(", ")
        return replace(_times(row, 1 - self.discount_percent / 100), source=source)

    @property
    def tiers(self) -> tuple[str, ...]:
        """The service tiers that have prices, the standard one first."""
        return tuple(dict.fromkeys((STANDARD, *(row.tier for row in self.rows))))

    def for_call(self, tier: str | None = None, region: str | None = None) -> ModelPrices:
        """
        The prices of a call in that service tier and region, as its request or its reply names them.

        A region without a surcharge has the prices of all.

        Raises:
            UnknownPriceError: the book has no price for that tier.
        """
        if tier in _STANDARD_NAMES and region is None:
            return self
        key = (tier, region)
        found = self._calls.get(key)
        if found is None:
            name = STANDARD if tier in _STANDARD_NAMES else tier
            assert name is not None, "no tier is the standard one"
            if not self.free and name not in self.tiers:
                raise _unknown_tier(self, name)
            region = region if region in dict(self.uplift) else None
            found = replace(self, tier=name, region=region)
            # Both come from replies, so what is kept is bounded by what the book has.
            if len(self._calls) < _MOST_CALLS_KEPT:
                self._calls[key] = found
        return found

    def own_row(self, unit: str, input_tokens: int) -> Price | None:
        """The unit's own row at a call with that much input in all, or `None`."""
        for row in self._steps.get(unit, ()):
            if input_tokens > row.above or row.above == 0:
                return row
        return None

    def bills_itself(self, unit: str) -> bool:
        """Whether the unit has a price of its own, be it one that is not known for this service tier."""
        return unit in self._steps or unit in self._withheld

    def row(self, unit: str, input_tokens: int) -> Price:
        """
        The row that bills *unit* at a call with that much input in all: its own, or its fallback's.

        Raises:
            UnknownPriceError: neither is there.
        """
        used = unit
        while True:
            found = self.own_row(used, input_tokens)
            if found is not None:
                return found
            if used in self._withheld:
                raise _unknown_unit(self, used)
            if self.free:
                return Price(unit, 0, source="free, says the owner")
            if used == "requests":
                return _NO_CALL_FEE
            fallback = FALLBACKS.get(used)
            if fallback is None or (
                fallback.providers is not None and self.provider not in fallback.providers
            ):
                raise _unknown_unit(self, used)
            used = fallback.unit

    def dearest(self, unit: str, input_tokens: int) -> Price:
        """The row that bills *unit* highest at a call with up to that much input: a lower step may be it."""
        reached = {row.above + 1 for row in self.rows if row.above < input_tokens}
        return max((self.row(unit, tokens) for tokens in sorted({*reached, input_tokens})), key=_picos)


def percent_text(percent: Fraction) -> str:
    """`10%`, `12.5%`: exact, for a percentage that was given as a decimal."""
    assert 10**12 % percent.denominator == 0, "a percentage is given as a decimal"
    whole, part = divmod(percent.numerator * (10**12 // percent.denominator), 10**12)
    return f"{whole}.{part:012d}".rstrip("0").rstrip(".") + "%"


def _by_unit(rows: Sequence[Price], tier: str) -> dict[str, tuple[Price, ...]]:
    found: dict[str, tuple[Price, ...]] = {}
    for row in sorted(rows, key=lambda row: -row.above):
        if row.tier == tier:
            found[row.unit] = (*found.get(row.unit, ()), row)
    return found


def _in_tier(
    standard: Mapping[str, tuple[Price, ...]], own: Mapping[str, tuple[Price, ...]]
) -> tuple[dict[str, tuple[Price, ...]], frozenset[str]]:
    """
    The rows of a service tier, and the units that must not fall back.

    What a cheaper tier does not price has the standard price, and so has what is not a token in any tier.
    A dearer tier must price its tokens itself: by a fallback only where that is no cheaper.
    """
    rest = {unit: rows for unit, rows in standard.items() if unit not in own}
    if all(
        row.picos <= _at_least(standard[unit]) for unit in own.keys() & standard.keys() for row in own[unit]
    ):
        return {**rest, **own}, frozenset()
    withheld = set()
    for unit in rest.keys() & TOKEN_UNITS:
        fallback = FALLBACKS.get(unit)
        as_cheap = standard.get(fallback.unit) if fallback is not None else None
        if as_cheap is None or any(row.picos > _at_least(as_cheap) for row in rest[unit]):
            withheld.add(unit)
    return {
        **{unit: rows for unit, rows in rest.items() if unit not in TOKEN_UNITS},
        **own,
    }, frozenset(withheld)


def _at_least(rows: Sequence[Price]) -> Picos:
    return min(row.picos for row in rows)


def _times(row: Price, factor: Fraction) -> Price:
    picos = Fraction(row.picos) * factor
    return replace(row, picos=picos.numerator if picos.denominator == 1 else picos)


def _unknown_tier(prices: ModelPrices, tier: str) -> UnknownPriceError:
    return UnknownPriceError(
        f"no price for the service tier {shown(tier)} of {prices.model}",
        hint="ask for the default tier, or charge what the bill says with `budget charge --amount`",
        model=prices.model,
        tier=tier,
    )


def _unknown_unit(prices: ModelPrices, unit: str) -> UnknownPriceError:
    option = f"--{unit.replace('_', '-')}"
    where = "" if prices.tier == STANDARD else f" in the service tier {prices.tier}"
    return UnknownPriceError(
        f"{shown(prices.asked)} has no price for {unit} ({UNITS[unit]}){where}",
        hint=f"set all of its prices: budget prices set {_argument(prices.asked)} ... {option} USD",
        model=prices.asked,
        unit=unit,
        nearest=[],
    )


def _argument(name: str) -> str:
    """A model's name as a command's argument; names come from requests, so not every one is shown."""
    import shlex

    return shlex.quote(name) if name.isprintable() and len(name) <= 100 else "MODEL"


def unknown_model(asked: str, nearest: Sequence[str]) -> UnknownPriceError:
    """The error for a model that no book knows."""
    known = f"did you mean {', '.join(nearest)}? else: " if nearest else ""
    return UnknownPriceError(
        f"no price for {shown(asked)}",
        hint=f"{known}budget prices set {_argument(asked)} --input USD --output USD (per million tokens), "
        "or --free for a model that costs you nothing",
        model=asked,
        nearest=list(nearest),
    )


@dataclass(frozen=True, slots=True)
class CostLine:
    """One unit of a cost: so many at so much."""

    unit: str
    count: int
    # The row that bills it: the unit's own, or the one of what it fell back to.
    row: Price

    @property
    def picos(self) -> Picos:
        """Pico-dollars for one."""
        return self.row.picos

    @property
    def product(self) -> Picos:
        """count x picos, exact."""
        return self.count * self.row.picos

    @property
    def priced_as(self) -> str:
        """The unit whose row was used: `unit` itself, or what it fell back to."""
        return self.row.unit


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call's usage costs, with its sums."""

    # Rounded once, up.
    nanos: Nanos
    exact_picos: Picos
    usage: Usage
    prices: ModelPrices = field(repr=False)

    @property
    def lines(self) -> tuple[CostLine, ...]:
        """The sum, unit by unit."""
        input_tokens = self.usage.input_tokens
        return tuple(
            CostLine(unit, count, self.prices.row(unit, input_tokens)) for unit, count in self.usage.counts
        )

    def pins(self) -> dict[str, Any]:
        """What a charge stores so that it can be explained for ever, see `pinned`."""
        return pinned(self.prices, {line.unit: line.row for line in self.lines})


def pinned(prices: ModelPrices, rows: Mapping[str, Price]) -> dict[str, Any]:
    """
    What is stored of *rows* (unit -> the row that bills it) so that a sum can be shown for ever.

    The book, the model, and for each unit pico-dollars for one, all that a sum needs. `terms` has what else
    the rows say about themselves, once for all units of which the same is true.
    """
    terms: dict[tuple[tuple[str, Any], ...], list[str]] = {}
    for unit, row in rows.items():
        terms.setdefault(tuple(_said_of(unit, row)), []).append(unit)
    return {
        "book": prices.book_version,
        **({"book_day": prices.book_day.isoformat()} if prices.book_day is not None else {}),
        "model": f"{prices.provider}/{prices.model}",
        **({"tier": prices.tier} if prices.tier != STANDARD else {}),
        **({"region": prices.region} if prices.region is not None else {}),
        **({"discount": percent_text(prices.discount_percent)} if prices.discount_percent else {}),
        "rows": {unit: str(row.picos) for unit, row in rows.items()},
        "terms": [{"units": units, **dict(said)} for said, units in terms.items()],
    }


def _said_of(unit: str, row: Price) -> Iterator[tuple[str, Any]]:
    """What is true of a row beside its price; what goes without saying is left out."""
    if row.unit != unit:
        yield "as", row.unit
    if row.tier != STANDARD:
        yield "tier", row.tier
    if row.above:
        yield "above", row.above
    if row.starts is not None:
        yield "from", iso(row.starts) if isinstance(row.starts, datetime) else row.starts.isoformat()
    if row.hours is not None:
        yield "hours", row.hours_text
    if row.source:
        yield "source", row.source


def of_one_call(usage: Usage, prices: ModelPrices) -> Usage:
    """The usage with the call itself in it, where calls have a price: a reply does not count itself."""
    if prices.own_row("requests", 0) is None or usage["requests"]:
        return usage
    return Usage.of(how=usage.how, **dict(usage.counts), requests=1)


def cost(usage: Usage, prices: ModelPrices) -> Cost:
    """
    What *usage* costs at *prices*: summed exactly, rounded once, up.

    Raises:
        UnknownPriceError: a unit that was used has no price. Nothing is left out.
    """
    rates = prices.rates(usage)
    total: Picos = 0
    for unit, count in usage.counts:
        picos = rates.get(unit)
        if picos is None:
            picos = prices.row(unit, usage.input_tokens).picos
        total += count * picos
    return Cost(round_up(total), total, usage, prices)


def dearest_input(
    prices: ModelPrices, input_tokens: int, cache_write: str | None, *, media: Iterable[str] = ()
) -> Price:
    """
    The dearest row that can bill an input token of a call with up to *input_tokens*.

    *cache_write* is the dearest caching that the request asks for: `None`, `5m` or `1h`. *media* (`audio`,
    `image`, `video`) are among what is read, which some models bill higher.

    Raises:
        UnknownPriceError: a rate that the request permits is not known.
        InvalidValueError: *cache_write* is something else.
    """
    permitted = (*_permitted_input(prices, cache_write), *_billed_apart(prices, "input", media))
    return max((prices.dearest(unit, input_tokens) for unit in permitted), key=_picos)


def _permitted_input(prices: ModelPrices, cache_write: str | None) -> Iterator[str]:
    if cache_write not in (None, "5m", "1h"):
        raise InvalidValueError(f"caching for {cache_write!r} has no price", hint="None, 5m or 1h")
    yield "input"
    yield "cached_input"
    own_fee = prices.bills_itself("cache_write")
    if cache_write is not None or (own_fee and prices.provider not in _WRITES_ONLY_WHEN_ASKED):
        yield "cache_write"
    if cache_write == "1h":
        yield "cache_write_1h"


def dearest_output(prices: ModelPrices, input_tokens: int, *, media: Iterable[str] = ()) -> Price:
    """
    The dearest row for a token of answer or reasoning, at any step up to the input's. Raises as `cost`.

    *media* (`audio`, `image`, `video`) may be in the answer, beside its text.
    """
    permitted = ("output", "reasoning", *_billed_apart(prices, "output", media))
    return max((prices.dearest(unit, input_tokens) for unit in permitted), key=_picos)


def _billed_apart(prices: ModelPrices, way: str, media: Iterable[str]) -> Iterator[str]:
    """The units of those *media* that have prices of their own."""
    return (unit for kind in media if prices.bills_itself(unit := f"{way}_{kind}"))


def _picos(row: Price) -> Picos:
    return row.picos


class PriceBook(Protocol):
    """All prices. Immutable: a price that changes makes another book, with another version."""

    @property
    def version(self) -> str:
        """Names the data: `genai-prices-0.2.3+1f2e3d4c`, with `+own-...` when the owner's prices are in."""
        ...

    def find(self, model: str, *, provider: str | None = None, at: datetime) -> ModelPrices:
        """
        The prices of *model* at the moment *at* (aware).

        *model* may carry its provider (`openai/gpt-4o`); *provider* restricts the search to one.

        Raises:
            UnknownPriceError: nobody knows it, or several sell it under that name at different prices.
        """
        ...

    def nearest(self, model: str) -> list[str]:
        """Up to three known names like it, the most alike first."""
        ...
