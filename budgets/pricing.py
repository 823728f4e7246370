"""
The one place where tokens become money.

Pure: prices come in as rows that a `PriceBook` has found for one model at one moment.
A price is exact, in pico-dollars per one unit (1 USD = 10^12; $1 per million tokens is 1,000,000 picos per
token): an `int` where it can be, a `Fraction` where it cannot.
A cost is summed exactly and rounded once, up, to a nano.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from fractions import Fraction
from typing import Any, NamedTuple, Protocol, TypeAlias

from budgets.errors import InvalidValueError, UnknownPriceError
from budgets.money import Nanos, round_up, shown
from budgets.usage import UNITS, Usage

# Exact pico-dollars.
Picos: TypeAlias = int | Fraction

PICOS_PER_USD = 10**12


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
    # The rows in effect at the moment asked for, every tier among them.
    rows: tuple[Price, ...]
    book_version: str
    # `None`: not known.
    context_window: int | None = None
    max_output_tokens: int | None = None
    # The model is known to reason without being asked to, and to bill for it.
    reasoning: bool = False
    # The owner says that it costs nothing (a model on their own machine): every unit is 0.
    free: bool = False
    # Unit -> its rows, the highest tier first.
    _tiers: dict[str, tuple[Price, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tiers: dict[str, tuple[Price, ...]] = {}
        for row in sorted(self.rows, key=lambda row: -row.above):
            tiers[row.unit] = (*tiers.get(row.unit, ()), row)
        object.__setattr__(self, "_tiers", tiers)

    def own_row(self, unit: str, input_tokens: int) -> Price | None:
        """The unit's own row at a call with that much input in all, or `None`."""
        for row in self._tiers.get(unit, ()):
            if input_tokens > row.above or row.above == 0:
                return row
        return None

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

    def dearest(self, unit: str, input_tokens: int) -> Picos:
        """The most *unit* can cost at a call with up to that much input: a lower tier may be the dearer."""
        reached = {row.above + 1 for row in self.rows if row.above < input_tokens}
        return max(self.row(unit, tokens).picos for tokens in {*reached, input_tokens})


def _unknown_unit(prices: ModelPrices, unit: str) -> UnknownPriceError:
    option = f"--{unit.replace('_', '-')}"
    return UnknownPriceError(
        f"{shown(prices.asked)} has no price for {unit} ({UNITS[unit]})",
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
    # Pico-dollars for one.
    picos: Picos
    # count x picos, exact.
    product: Picos
    # The unit whose row was used: `unit` itself, or what it fell back to.
    priced_as: str
    # The tier: the row applies above this much input.
    above: int
    source: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call's usage costs, with its sums."""

    # Rounded once, up.
    nanos: Nanos
    exact_picos: Picos
    lines: tuple[CostLine, ...]
    prices: ModelPrices = field(repr=False)

    def pins(self) -> dict[str, Any]:
        """What a charge stores so that it can be explained for ever: book, model, pico-dollars per unit."""
        return {
            "book": self.prices.book_version,
            "model": f"{self.prices.provider}/{self.prices.model}",
            "rows": {line.unit: str(line.picos) for line in self.lines},
        }


def cost(usage: Usage, prices: ModelPrices) -> Cost:
    """
    What *usage* costs at *prices*: summed exactly, rounded once, up.

    Raises:
        UnknownPriceError: a unit that was used has no price. Nothing is left out.
    """
    input_tokens = usage.input_tokens
    total: Picos = 0
    lines = []
    for unit, count in usage.counts:
        row = prices.row(unit, input_tokens)
        product = count * row.picos
        total += product
        lines.append(CostLine(unit, count, row.picos, product, row.unit, row.above, row.source))
    return Cost(round_up(total), total, tuple(lines), prices)


def unit_picos(prices: ModelPrices, unit: str, input_tokens: int) -> Picos:
    """Pico-dollars for one of *unit* at a call with that much input in all. Raises as `cost` does."""
    return prices.row(unit, input_tokens).picos


def most_input_picos(prices: ModelPrices, input_tokens: int, cache_write: str | None) -> Picos:
    """
    The dearest rate at which an input token of a call with up to *input_tokens* can be billed.

    *cache_write* is the dearest caching that the request asks for: `None`, `5m` or `1h`.

    Raises:
        UnknownPriceError: a rate that the request permits is not known.
        InvalidValueError: *cache_write* is something else.
    """
    return max(prices.dearest(unit, input_tokens) for unit in _permitted_input(prices, cache_write))


def _permitted_input(prices: ModelPrices, cache_write: str | None) -> Iterator[str]:
    if cache_write not in (None, "5m", "1h"):
        raise InvalidValueError(f"caching for {cache_write!r} has no price", hint="None, 5m or 1h")
    yield "input"
    yield "cached_input"
    own_fee = prices.own_row("cache_write", 0) is not None
    if cache_write is not None or (own_fee and prices.provider not in _WRITES_ONLY_WHEN_ASKED):
        yield "cache_write"
    if cache_write == "1h":
        yield "cache_write_1h"


def most_output_picos(prices: ModelPrices, input_tokens: int) -> Picos:
    """The dearest rate for a token of answer or reasoning, at the tier of the input. Raises as `cost`."""
    return max(prices.dearest("output", input_tokens), prices.dearest("reasoning", input_tokens))


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
