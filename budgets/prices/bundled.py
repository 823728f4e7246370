"""
The prices that ship with the package: one line of JSON per model in `prices.jsonl`.

The file is read as bytes on the first look-up; a name is found in the bytes, and only the lines that hold it
are parsed. What was found is kept.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from budgets.clock import aware_utc
from budgets.errors import UnknownPriceError
from budgets.money import shown
from budgets.prices.names import HOSTS, MAKERS, provider_id, split_provider, stems, whole_names
from budgets.prices.sheets import Sheet, choose, day, end_of, read_rows
from budgets.pricing import ModelPrices, unknown_model

PATH = Path(__file__).with_name("prices.jsonl")

_ORDER = (*MAKERS, *HOSTS)

# Names come from whoever calls, so what is kept is bounded.
_MOST_KEPT = 2048


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


class BundledBook:
    """
    A price book over one data file. Immutable; what it keeps are copies of what it found.

    *suffix* ends its version, where other prices stand before it.
    """

    def __init__(self, path: Path = PATH, *, suffix: str = "") -> None:
        self._path = path
        self._suffix = suffix
        self._kept: dict[tuple[str, str | None], tuple[Known, ...]] = {}
        self._answers: dict[tuple[str, str | None, int], ModelPrices] = {}
        self._nearest: dict[str, list[str]] = {}

    @cached_property
    def _data(self) -> bytes:
        return self._path.read_bytes()

    @cached_property
    def _header(self) -> dict[str, Any]:
        header: dict[str, Any] = json.loads(self._data[: self._data.index(b"\n")])
        return header

    @cached_property
    def version(self) -> str:
        """The source, its version, and eight digits of the data's hash."""
        return "{source}-{version}+{digest}".format(**self._header) + self._suffix

    def find(self, model: str, *, provider: str | None = None, at: datetime) -> ModelPrices:
        """See `PriceBook.find`."""
        known = self._only(model, self.matches(model, provider=provider))
        place = choose(known.sheets, aware_utc(at))
        if place is None:
            raise unknown_model(model, [])
        key = (model, provider, place)
        answer = self._answers.get(key)
        if answer is None:
            answer = ModelPrices(
                provider=known.provider,
                model=known.model,
                asked=model,
                rows=known.sheets[place].prices(
                    end_of(known.sheets, place), source=self._header["pages"][known.provider], checked=None
                ),
                book_version=self.version,
                context_window=known.context_window,
                max_output_tokens=known.max_output_tokens,
                reasoning=known.reasoning,
            )
            _keep(self._answers, key, answer)
        return answer

    def matches(self, model: str, *, provider: str | None = None) -> tuple[Known, ...]:
        """The models that the name can mean: none, one, or the same name at several hosts."""
        key = (model, provider)
        found = self._kept.get(key)
        if found is None:
            found = self._search(model.strip().lower(), provider)
            _keep(self._kept, key, found)
        return found

    def _only(self, model: str, found: tuple[Known, ...]) -> Known:
        if not found:
            raise unknown_model(model, self.nearest(model))
        if any(each.sheets != found[0].sheets for each in found):
            sellers = [f"{each.provider}/{each.model}" for each in found]
            raise UnknownPriceError(
                f"{shown(model)} is sold by several, each at prices of its own",
                hint=f"say by whom: {', '.join(sellers)}",
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
        return (self._sold_by(prefix, rest) if prefix in _ORDER else ()) or self._sold_by_any(name)

    def _sold_by(self, seller: str, name: str) -> tuple[Known, ...]:
        """The model of one provider that has the name itself, or that id, or else its longest stem."""
        for key in itertools.chain(whole_names(name), stems(name)):
            if found := tuple(each for each in self._lines(key) if each.provider == seller):
                return found
        return ()

    def _sold_by_any(self, name: str) -> tuple[Known, ...]:
        """
        The first maker's that has the name, or else all hosts'; then the same with its stems.

        Without a provider an id is no name: at some hosts it is the package's own and no request has it.
        """
        for keys in (whole_names(name), stems(name)):
            found = [[each for each in self._lines(key) if key in each.names] for key in keys]
            for maker in MAKERS:
                for each in itertools.chain(*found):
                    if each.provider == maker:
                        return (each,)
            if hosts := next(filter(None, found), None):
                return tuple(hosts)
        return ()

    def _lines(self, key: str) -> Iterator[Known]:
        """The lines that carry *key* as a name or stem, or as their id behind the provider."""
        # Its closing quote belongs to it; what must stand before it is checked below.
        needle = json.dumps(key)[1:].encode()
        at = self._data.find(b"\n")
        while (at := self._data.find(needle, at + 1)) != -1:
            start, end = self._data.rfind(b"\n", 0, at) + 1, self._data.find(b"\n", at)
            # Behind `sheets` stand prices: a model called "input" is not looked for there.
            if self._data[at - 1 : at] in (b'"', b"/") and b'"sheets": ' not in self._data[start:at]:
                known = parse(self._data[start:end])
                if key in known.names or key == known.model.lower():
                    yield known
                    at = end

    def newest_day(self, today: date) -> date | None:
        """The latest day, not after *today*, from which a price holds; the file has no other age."""
        import re

        days = {day(found.decode()) for found in re.findall(rb'"from": "([0-9-]{10})"', self._data)}
        return max((each for each in days if each is not None and each <= today), default=None)

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
            _keep(self._nearest, model, [tails[tail] for tail in close])
        return self._nearest[model]


def parse(line: bytes) -> Known:
    """One line of the file as a value."""
    raw = json.loads(line)
    provider, _, model = raw["id"].partition("/")
    return Known(
        provider=provider,
        model=model,
        names=frozenset(raw["names"]),
        sheets=tuple(_sheet(each) for each in raw["sheets"]),
        context_window=raw.get("context_window"),
        max_output_tokens=raw.get("max_output_tokens"),
        reasoning=raw.get("reasoning", False),
    )


def _sheet(raw: dict[str, Any]) -> Sheet:
    hours = None
    if "hours" in raw:
        first, _, end = raw["hours"].partition("-")
        hours = (time.fromisoformat(first), time.fromisoformat(end))
    return Sheet(read_rows(raw["usd"]), day(raw.get("from")), hours)


def _rank(full: str) -> int:
    return _ORDER.index(full.partition("/")[0])


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = value


@cache
def bundled() -> BundledBook:
    """The book that ships, once per process."""
    return BundledBook()
