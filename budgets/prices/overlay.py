"""
The owner's own prices: a TOML file of `[[price]]` tables that win over the bundled ones.

    [[price]]
    model = "my-finetune"
    provider = "openai"        # may be left out: then for whoever sells it
    from = "2026-11-01"        # a day, or a moment with its zone; left out: always
    input = "0.15"             # US dollars per million, in quotes; `requests` and `web_searches` each
    output = "0.60"
    context_window = 128000    # may be left out, as may max_output_tokens and reasons = true
    max_output_tokens = 16384

    [[price]]
    model = "llama-on-my-desk"
    free = true

Discounts on a whole account stand in the same file, see `budgets.prices.discounts`.
A change is a new table with a later `from`; of two with the same, the one further down counts.
Numbers for money are text, for TOML's are floats.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from budgets.clock import aware_utc
from budgets.errors import BudgetError, ConfigError, InvalidValueError
from budgets.files import replace_text, turn_to_write
from budgets.money import shown
from budgets.prices.bundled import bundled
from budgets.prices.discounts import KEYS, Discount, parse_percent, read_discount
from budgets.prices.names import provider_id, split_provider
from budgets.prices.sheets import Sheet, choose, end_of, moment, picos_per_unit, started, written
from budgets.pricing import Price, percent_text
from budgets.usage import UNITS

_FACTS = ("context_window", "max_output_tokens")
_KEYS = ("model", "provider", "from", "free", *UNITS, *_FACTS, "reasons")

T = TypeVar("T")

# The most a window or an output limit can be; more is a slip.
_MOST_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class OwnPrice:
    """One `[[price]]` table."""

    model: str
    # `None`: whoever sells it.
    provider: str | None
    sheet: Sheet
    free: bool = False
    context_window: int | None = None
    max_output_tokens: int | None = None
    reasons: bool | None = None

    @property
    def key(self) -> tuple[str | None, str]:
        """What it is found by."""
        return self.provider, self.model.lower()


@dataclass(frozen=True)
class Overlay:
    """A whole file of own prices, as it was when it was read."""

    rows: tuple[OwnPrice, ...] = ()
    discounts: tuple[Discount, ...] = ()

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.rows or self.discounts)

    @cached_property
    def digest(self) -> str:
        """Eight digits of a hash of what it says; comments and spaces do not change it."""
        import hashlib

        # Without discounts it is what it was before there were any.
        said = (self.rows, self.discounts) if self.discounts else self.rows
        return hashlib.sha256(repr(said).encode()).hexdigest()[:8]

    @cached_property
    def _by_key(self) -> dict[tuple[str | None, str], tuple[OwnPrice, ...]]:
        found: dict[tuple[str | None, str], list[OwnPrice]] = {}
        for row in self.rows:
            found.setdefault(row.key, []).append(row)
        # Sorting keeps the order of equals, so that the lower table of one day counts.
        return {
            key: tuple(sorted(rows, key=lambda row: moment(row.sheet.starts))) for key, rows in found.items()
        }

    def find(
        self, model: str, *, provider: str | None, at: datetime
    ) -> tuple[OwnPrice, tuple[Price, ...]] | None:
        """The table in effect for exactly that name, with its dated rows; `None`: there is none (yet)."""
        for key in _keys(model, provider):
            rows = self._by_key.get(key, ())
            sheets = [row.sheet for row in rows]
            place = choose(sheets, at)
            if place is not None:
                return rows[place], sheets[place].prices(end_of(sheets, place), source="your own prices")
        return None

    def history(self, model: str, *, provider: str | None) -> tuple[Price, ...] | None:
        """The rows of all tables for exactly that name, in the order of their days; `None`: no tables."""
        for key in _keys(model, provider):
            if rows := self._by_key.get(key):
                sheets = [row.sheet for row in rows]
                return tuple(
                    price
                    for place, sheet in enumerate(sheets)
                    for price in sheet.prices(end_of(sheets, place), source="your own prices")
                )
        return None

    def sellers(self, model: str) -> list[str]:
        """Providers that have a price under that bare name."""
        return sorted(
            {row.provider for row in self.rows if row.provider and row.key[1] == model.strip().lower()}
        )


def _keys(model: str, provider: str | None) -> list[tuple[str | None, str]]:
    """Where a name may stand, the most definite first."""
    name = model.strip().lower()
    prefix, rest = split_provider(name)
    wanted = None if provider is None else provider_id(provider)
    keys: list[tuple[str | None, str]] = [(wanted, name), (None, name)]
    if prefix is not None and wanted in (None, prefix):
        keys[1:1] = [(prefix, rest)]
        keys.append((None, rest))
    return keys


def read_overlay(path: Path) -> Overlay:
    """
    The owner's prices; none when there is no file.

    Raises:
        ConfigError: the file cannot be read, or a table in it cannot be meant; the message says which.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Overlay()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="it is a TOML file in UTF-8") from error
    return _parse(text, path)


def _parse(text: str, path: Path) -> Overlay:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}", hint="correct that line") from error
    if other := [key for key in document if key not in ("price", "discount")]:
        raise ConfigError(
            f"{path}: {shown(other[0])} is not understood",
            hint="prices stand in [[price]] tables, discounts in [[discount]] tables",
        )
    return Overlay(
        _tables(document, "price", _own_price, path), _tables(document, "discount", read_discount, path)
    )


def _tables(document: Mapping[str, Any], name: str, read: Callable[[object], T], path: Path) -> tuple[T, ...]:
    tables = document.get(name, [])
    if not isinstance(tables, list):
        raise ConfigError(f"{path}: {name} is one table", hint=f"write [[{name}]], for there may be several")
    found = []
    for number, table in enumerate(tables, 1):
        try:
            found.append(read(table))
        except BudgetError as error:
            raise ConfigError(f"{path}: {name} {number}: {error.message}", hint=error.hint) from error
    return tuple(found)


def _own_price(table: object) -> OwnPrice:
    if not isinstance(table, dict):
        raise InvalidValueError("it is not a table", hint="prices stand in [[price]] tables")
    if unknown := [key for key in table if key not in _KEYS]:
        raise InvalidValueError(f"{shown(unknown[0])} is not understood", hint=f"one of {', '.join(_KEYS)}")
    model, provider, free = table.get("model"), table.get("provider"), table.get("free", False)
    if not isinstance(model, str) or not model.strip():
        raise InvalidValueError("it names no model", hint='model = "..." is needed')
    if provider is not None and (not isinstance(provider, str) or not provider.strip()):
        raise InvalidValueError("its provider is not a name", hint='provider = "openai", or leave it out')
    usd = {unit: table[unit] for unit in UNITS if unit in table}
    if not isinstance(free, bool) or free == bool(usd):
        raise InvalidValueError(
            f"{shown(model)} needs either prices or free = true",
            hint='for instance input = "0.15" and output = "0.60"',
        )
    for unit, price in usd.items():
        if not isinstance(price, str):
            raise InvalidValueError(
                f"the price of {unit} for {shown(model)} is a TOML number",
                hint=f'put it in quotes so that it stays exact: {unit} = "{price}"',
            )
    for fact in _FACTS:
        if fact in table and (type(table[fact]) is not int or not 0 < table[fact] <= _MOST_TOKENS):
            raise InvalidValueError(f"{fact} is {table[fact]!r}", hint="give a whole number of tokens")
    if not isinstance(table.get("reasons", False), bool):
        raise InvalidValueError(f"reasons is {table['reasons']!r}", hint="true or false")
    name = model.strip()
    # Only a name with a slash can say its seller, and only the bundled data knows who is one.
    if provider is None and "/" in name and split_provider(name)[0] in bundled().pages:
        provider, name = split_provider(name)
    rows = tuple((unit, ((0, picos_per_unit(unit, price)),)) for unit, price in usd.items())
    return OwnPrice(
        model=name,
        provider=None if provider is None else provider_id(provider),
        sheet=Sheet(rows, started("from", table.get("from"))),
        free=free,
        context_window=table.get("context_window"),
        max_output_tokens=table.get("max_output_tokens"),
        reasons=table.get("reasons"),
    )


def set_price(
    path: Path,
    model: str,
    *,
    now: datetime,
    provider: str | None = None,
    prices: Mapping[str, str] | None = None,
    free: bool = False,
    starts: date | datetime | None = None,
    context_window: int | None = None,
    max_output_tokens: int | None = None,
    reasons: bool | None = None,
) -> OwnPrice:
    """
    Append a price to the owner's file, which is made if it is not there. What stands in it is kept as it is.

    *prices* are US dollars per million (each for `requests` and `web_searches`), as decimal text by unit.
    Without *starts* the first price of a model holds always, and every later one from *now* on, so that
    what calls were charged before stays explained. Several writers wait for each other.
    Calling it twice appends twice, to the same effect.

    Raises:
        InvalidValueError: the price cannot be meant.
        ConfigError: the file cannot be read or written, or holds something else.
    """
    table: dict[str, Any] = {"model": model, "provider": provider, "free": free or None, **(prices or {})}
    table |= {"context_window": context_window, "max_output_tokens": max_output_tokens, "reasons": reasons}
    table = {key: value for key, value in table.items() if value is not None}
    own = _own_price(table)

    def dated(old: Overlay) -> Mapping[str, Any]:
        begins = starts
        if begins is None and any(row.key == own.key for row in old.rows):
            begins = aware_utc(now).replace(microsecond=0)
        return table if begins is None else {**table, "from": written(begins)}

    return _append(path, "price", _KEYS, dated).rows[-1]


def set_discount(
    path: Path,
    percent: str,
    *,
    now: datetime,
    provider: str | None = None,
    starts: date | datetime | None = None,
    ends: date | datetime | None = None,
) -> Discount:
    """
    Append a discount on a whole account to the owner's file, which is made if it is not there.

    Without *starts* it holds from *now* on: what was charged before was charged without it. Another one from
    a later day takes its place, 0 ends it. Several writers wait for each other.

    Args:
        percent: How much less than the list, for instance `12.5%`.
        provider: Only there; `None`: wherever there is no discount of its own.
        ends: The first day or moment without it.

    Raises:
        InvalidValueError: the discount cannot be meant, or nobody has heard of the provider.
        ConfigError: the file cannot be read or written, or holds something else.
    """
    begins = aware_utc(now).replace(microsecond=0) if starts is None else starts
    table = {"percent": percent_text(parse_percent(percent)).removesuffix("%"), "provider": provider}
    table |= {"from": written(begins), "to": written(ends)}
    said = {key: value for key, value in table.items() if value is not None}
    discount = read_discount(said)
    known = bundled().pages
    if discount.provider is not None and discount.provider not in known:
        import difflib

        near = difflib.get_close_matches(discount.provider, known, n=3)
        raise InvalidValueError(
            f"no price is of a provider {shown(discount.provider)}",
            hint=f"did you mean {', '.join(near)}?" if near else "`budget prices list` shows who sells",
        )
    return _append(path, "discount", KEYS, lambda _: said).discounts[-1]


def _append(
    path: Path, name: str, keys: Sequence[str], dated: Callable[[Overlay], Mapping[str, Any]]
) -> Overlay:
    """Add the table that *dated* makes, given the file as it is in this writer's turn."""
    try:
        with turn_to_write(path) as target:
            text = target.read_text("utf-8") if target.exists() else ""
            table = dated(_parse(text, path))
            text += ("" if not text or text.endswith("\n") else "\n") + ("\n" if text else "")
            text += _emit(name, keys, table)
            after = _parse(text, path)
            replace_text(target, text)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}", hint="check the folder's permissions") from error
    return after


def _emit(name: str, keys: Sequence[str], table: Mapping[str, Any]) -> str:
    """One table, its keys in the order of *keys*. JSON's strings and booleans are TOML's too."""
    lines = [f"{key} = {json.dumps(table[key], ensure_ascii=False)}" for key in keys if key in table]
    return "\n".join([f"[[{name}]]", *lines]) + "\n"
