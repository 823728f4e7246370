"""
The prices that ship with the package: one line of JSON per model in `prices.jsonl`.

The file is read as bytes on the first look-up; a name is found in the bytes, and only the lines that hold it
are parsed. What was found is kept.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from budgets.clock import aware_utc
from budgets.errors import ConfigError, UnknownPriceError
from budgets.money import shown
from budgets.prices.names import (
    FREE,
    MAKERS,
    costs_nothing,
    provider_id,
    split_provider,
    stems,
    whole_names,
    without_route,
)
from budgets.prices.sheets import WEEKDAYS, Sheet, choose, day, end_of, moment, read_rows
from budgets.pricing import STANDARD, ModelPrices, Picos, Price, unknown_model

if TYPE_CHECKING:
    from budgets.prices.discounts import Discount

PATH = Path(__file__).with_name("prices.jsonl")

# Names come from whoever calls, so what is kept is bounded.
_MOST_KEPT = 2048

# Of the sellers of one model so many are named in a message.
_MOST_NAMED = 5

_NOTHING: tuple[tuple[int, Picos], ...] = ((0, 0),)
_FREE = Sheet((("input", _NOTHING), ("output", _NOTHING)))

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Known:
    """One line of the file."""

    provider: str
    model: str
    names: frozenset[str]
    sheets: tuple[Sheet, ...]
    context_window: int | None
    max_output_tokens: int | None
    reasoning: bool
    # Service tier -> its sheets, each of which prices only what differs from the standard.
    tiers: tuple[tuple[str, tuple[Sheet, ...]], ...] = ()
    # What the second source knows beyond the first: its standard sheet, and one for each further tier.
    also: tuple[tuple[str, Sheet], ...] = ()
    # From this day on nobody knows `also`: the prices it was built on have changed. `None`: it holds on.
    also_ends: date | None = None
    # Region -> what every token price is multiplied with there.
    uplift: tuple[tuple[str, Fraction], ...] = ()
    # Where the numbers come from, if that is another page than the provider's; and those of `also`.
    page: str | None = None
    also_page: str | None = None

    def at(self, at: datetime) -> tuple[int | None, ...]:
        """Which sheets are in effect: standard, each tier's, and 1 where `also` has begun."""
        begun = [sheet.in_effect(at) for _, sheet in self.also]
        ended = self.also_ends is not None and moment(self.also_ends) <= at
        return (
            choose(self.sheets, at),
            *(choose(sheets, at) for _, sheets in self.tiers),
            int(any(begun) and not ended),
        )

    def unchanged_around(self, at: datetime) -> tuple[datetime, datetime] | None:
        """The stretch around *at* in which the same sheets hold; `None`: it ends with an hour of the day."""
        sheets = [
            *self.sheets,
            *(sheet for _, each in self.tiers for sheet in each),
            *(sheet for _, sheet in self.also),
        ]
        if any(sheet.hours is not None for sheet in sheets):
            return None
        edges = [moment(sheet.starts) for sheet in sheets]
        if self.also_ends is not None:
            edges.append(moment(self.also_ends))
        return (
            max((edge for edge in edges if edge <= at), default=_FIRST),
            min((edge for edge in edges if edge > at), default=_LAST),
        )

    def rows(self, places: tuple[int | None, ...], page: str) -> tuple[Price, ...]:
        """The rows of those sheets; *page* is the provider's own."""
        place, *tier_places, also = places
        assert place is not None, "a model without a price at that moment is unknown"
        source = self.page or page
        rows = list(self.sheets[place].prices(end_of(self.sheets, place), source=source))
        for (tier, sheets), chosen in zip(self.tiers, tier_places, strict=True):
            if chosen is not None:
                rows += sheets[chosen].prices(end_of(sheets, chosen), source=source, tier=tier)
        if also:
            priced = {(row.tier, row.unit) for row in rows}
            for tier, sheet in self.also:
                for row in sheet.prices(self.also_ends, source=self.also_page or page, tier=tier):
                    if (tier, row.unit) not in priced:
                        rows.append(row)
        return tuple(rows)

    def every_price(self, page: str) -> Iterator[Price]:
        """All of its rows, past and future ones among them."""
        source = self.page or page
        for tier, sheets in ((STANDARD, self.sheets), *self.tiers):
            for place, sheet in enumerate(sheets):
                yield from sheet.prices(end_of(sheets, place), source=source, tier=tier)
        for tier, sheet in self.also:
            yield from sheet.prices(self.also_ends, source=self.also_page or page, tier=tier)


class _Kept(NamedTuple):
    """An answer, and the stretch of time for which it is one."""

    since: datetime
    until: datetime
    prices: ModelPrices


class BundledBook:
    """
    A price book over one data file. Immutable; what it keeps are copies of what it found.

    *suffix* ends its version, where other prices stand before it. *data* is read in the place of the file.
    """

    def __init__(self, path: Path = PATH, *, suffix: str = "", data: bytes | None = None) -> None:
        self._path = path
        self._given = data
        self._suffix = suffix
        self._kept: dict[tuple[str, str | None], tuple[Known, ...]] = {}
        self._answers: dict[tuple[str, str | None], _Kept] = {}
        self._nearest: dict[str, list[str]] = {}

    @cached_property
    def _data(self) -> bytes:
        return self._path.read_bytes() if self._given is None else self._given

    @cached_property
    def _header(self) -> dict[str, Any]:
        try:
            header: dict[str, Any] = json.loads(self._data[: self._data.index(b"\n")])
        except ValueError as error:
            raise ConfigError(
                f"{self._path} is not a price book", hint="`budget prices import --bundled` takes ours again"
            ) from error
        return header

    @property
    def pages(self) -> dict[str, str]:
        """Each provider of the book, and its page of prices (it may be empty)."""
        pages: dict[str, str] = self._header["pages"]
        return pages

    @property
    def inputs(self) -> list[dict[str, str]]:
        """What the book was made from: name, version, licence and hash of each source."""
        inputs: list[dict[str, str]] = self._header["inputs"]
        return inputs

    @cached_property
    def made(self) -> date | None:
        """The day whose prices the sources were asked for; `None`: the book does not say."""
        return day(self._header.get("day"))

    @property
    def header(self) -> dict[str, Any]:
        """The first line of the file."""
        return self._header

    def raw_lines(self) -> Iterator[dict[str, Any]]:
        """Every line of the book as it stands there, in its order."""
        return map(json.loads, self._data.splitlines()[1:])

    def current(self, at: datetime) -> Iterator[ModelPrices]:
        """Every model that has a price at *at* (aware), in the book's order. Parses the whole of it."""
        now = aware_utc(at)
        for line in self._data.splitlines()[1:]:
            known = parse(line)
            places = known.at(now)
            if places[0] is not None:
                yield self._answer(known, places, f"{known.provider}/{known.model}")

    def history(self, model: str, *, provider: str | None = None) -> tuple[Price, ...]:
        """All rows of a model, those before and after now among them. Raises as `find` does."""
        known = self._only(model, self.matches(model, provider=provider))
        return tuple(known.every_price(self.pages[known.provider]))

    def discount(self, provider: str, at: datetime) -> Discount | None:
        """See `LayeredBook.discount`: these are list prices, and have none."""
        del provider, at
        return None

    @cached_property
    def version(self) -> str:
        """The source, its version, and eight digits of the data's hash."""
        return "{source}-{version}+{digest}".format(**self._header) + self._suffix

    def find(self, model: str, *, provider: str | None = None, at: datetime) -> ModelPrices:
        """See `PriceBook.find`."""
        at = at if at.tzinfo is UTC else aware_utc(at)
        key = (model, provider)
        kept = self._answers.get(key)
        if kept is not None and kept.since <= at < kept.until:
            return kept.prices
        known = self._only(model, self.matches(model, provider=provider))
        places = known.at(at)
        if places[0] is None:
            raise unknown_model(model, [])
        answer = self._answer(known, places, model)
        if (span := known.unchanged_around(at)) is not None:
            keep(self._answers, key, _Kept(*span, answer))
        return answer

    def _answer(self, known: Known, places: tuple[int | None, ...], asked: str) -> ModelPrices:
        return ModelPrices(
            provider=known.provider,
            model=known.model,
            asked=asked,
            rows=known.rows(places, self.pages[known.provider]),
            book_version=self.version,
            book_day=self.made,
            context_window=known.context_window,
            max_output_tokens=known.max_output_tokens,
            reasoning=known.reasoning,
            uplift=known.uplift,
        )

    def matches(self, model: str, *, provider: str | None = None) -> tuple[Known, ...]:
        """The models that the name can mean: none, one, or the same name at several hosts."""
        key = (model, provider)
        found = self._kept.get(key)
        if found is None:
            found = self._search(model.strip().lower(), provider)
            keep(self._kept, key, found)
        return found

    def _only(self, model: str, found: tuple[Known, ...]) -> Known:
        if not found:
            raise unknown_model(model, self.nearest(model))
        if any(each.sheets != found[0].sheets for each in found):
            sellers = [f"{each.provider}/{each.model}" for each in found]
            more = len(sellers) - _MOST_NAMED
            raise UnknownPriceError(
                f"{shown(model)} is sold by several, each at prices of its own",
                hint=f"say by whom: {', '.join(sellers[:_MOST_NAMED])}"
                + (f", or one of {more} more in `budget prices list --search {model}`" if more > 0 else ""),
                model=model,
                nearest=sellers,
            )
        return found[0]

    def _search(self, name: str, provider: str | None) -> tuple[Known, ...]:
        if not name:
            return ()
        prefix, rest = split_provider(name)
        if provider is not None:
            seller = provider_id(provider)
            return self._sold_by(seller, name) or (self._sold_by(seller, rest) if prefix == seller else ())
        return (self._sold_by(prefix, rest) if prefix in self.pages else ()) or self._sold_by_any(name)

    def _sold_by(self, seller: str, name: str) -> tuple[Known, ...]:
        """The model of one provider that has the name itself, or that id, or else its longest stem."""
        for form in dict.fromkeys((name, without_route(seller, name))):
            for key in itertools.chain(whole_names(form), stems(form)):
                if found := tuple(each for each in self._lines(key) if each.provider == seller):
                    return found
        if costs_nothing(seller, name):
            return (self._free(seller, name),)
        return ()

    def _free(self, seller: str, name: str) -> Known:
        """The variant of a model that costs nothing; what it can read and write is its model's."""
        model = self._sold_by(seller, name.removesuffix(FREE))
        known = model[0] if len(model) == 1 else Known(seller, name, frozenset(), (), None, None, False)
        return replace(known, model=name, sheets=(_FREE,), tiers=(), also=(), uplift=(), page=None)

    def _sold_by_any(self, name: str) -> tuple[Known, ...]:
        """
        The first maker's that has the name or else its longest stem; without one all hosts' that do.

        Without a provider an id is no name: at some hosts it is the package's own and no request has it.
        """
        found = [
            tuple(each for each in self._lines(key) if key in each.names)
            for key in (*whole_names(name), *stems(name))
        ]
        for maker in MAKERS:
            for each in itertools.chain(*found):
                if each.provider == maker:
                    return (each,)
        return next(filter(None, found), ())

    def _lines(self, key: str) -> Iterator[Known]:
        """The lines that carry *key* as a name or stem, or as their id behind the provider."""
        # Its closing quote belongs to it; what must stand before it is checked below.
        needle = json.dumps(key)[1:].encode()
        at = self._data.find(b"\n")
        while (at := self._data.find(needle, at + 1)) != -1:
            start, end = self._data.rfind(b"\n", 0, at) + 1, self._data.find(b"\n", at)
            before = self._data[start:at]
            # Behind `sheets` stand prices: a model called "input" is not looked for there.
            is_name = before.endswith(b'"') and b'"sheets": ' not in before
            # A provider has no slash in it: `azure/eu/gpt-4o` is not the model gpt-4o.
            is_id = before.endswith(b"/") and before.count(b"/") == 1
            if is_name or is_id:
                known = parse(self._data[start:end])
                if key in known.names or key == known.model.lower():
                    yield known
                    at = end

    def nearest(self, model: str) -> list[str]:
        """See `PriceBook.nearest`. Reads all names: for messages only."""
        if model not in self._nearest:
            import difflib
            import re

            asked = model.strip().lower().rpartition("/")[2]
            tails: dict[str, str] = {}
            for found in re.finditer(rb'^\{"id": "([^"]+)"', self._data, re.MULTILINE):
                full = found[1].decode()
                tail = full.lower().rpartition("/")[2]
                if tail not in tails or _rank(full) < _rank(tails[tail]):
                    tails[tail] = full
            close = difflib.get_close_matches(asked, tails, n=3, cutoff=0.6)
            keep(self._nearest, model, [tails[tail] for tail in close])
        return self._nearest[model]


def parse(line: bytes) -> Known:
    """One line of the file as a value."""
    raw = json.loads(line)
    also = raw.get("also", {})
    starts = day(also.get("from"))
    more = {**({STANDARD: also["usd"]} if "usd" in also else {}), **also.get("tiers", {})}
    uplift = raw.get("uplift") or also.get("uplift") or {}
    provider, _, model = raw["id"].partition("/")
    return Known(
        provider=provider,
        model=model,
        names=frozenset(raw["names"]),
        sheets=tuple(_sheet(each) for each in raw["sheets"]),
        context_window=raw.get("context_window"),
        max_output_tokens=raw.get("max_output_tokens"),
        reasoning=raw.get("reasoning", False),
        tiers=tuple(
            (tier, tuple(_sheet(each) for each in sheets)) for tier, sheets in raw.get("tiers", {}).items()
        ),
        also=tuple((tier, Sheet(read_rows(usd), starts)) for tier, usd in more.items()),
        also_ends=day(also.get("to")),
        uplift=tuple((region, Fraction(factor)) for region, factor in uplift.items()),
        page=raw.get("page"),
        also_page=also.get("page"),
    )


def _sheet(raw: dict[str, Any]) -> Sheet:
    hours = None
    if "hours" in raw:
        first, _, end = raw["hours"].partition("-")
        hours = (time.fromisoformat(first), time.fromisoformat(end))
    if raw.get("days") not in (None, WEEKDAYS):
        raise ValueError(f"days of a new kind: {raw['days']!r}")
    return Sheet(read_rows(raw["usd"]), day(raw.get("from")), hours, weekdays="days" in raw)


def _rank(full: str) -> tuple[int, str]:
    """Makers before hosts."""
    provider = full.partition("/")[0]
    return (MAKERS.index(provider) if provider in MAKERS else len(MAKERS), full)


def keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    """Put an answer among those that are kept; all go when they are too many."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = value


@cache
def bundled() -> BundledBook:
    """The book that ships, once per process."""
    return BundledBook()
