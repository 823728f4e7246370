"""Books from outside, read offline: another book file, or the public price map's JSON over the one in use."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from budgets.errors import BudgetError, ConfigError, InvalidValueError, PriceSourceError
from budgets.files import replace_text
from budgets.prices import build, from_litellm
from budgets.prices.bundled import BundledBook, parse
from budgets.pricing import ModelPrices, Picos, Price

_PACKAGE = "genai-prices"
_HEADER = ("source", "version", "digest", "inputs", "pages")


@dataclass(frozen=True, slots=True)
class Change:
    """One price that two books give differently; `None`: the book has none."""

    unit: str
    tier: str
    above: int
    was: Picos | None
    now: Picos | None

    @property
    def kind(self) -> Literal["dearer", "cheaper", "priced", "dropped"]:
        """What happened to it: the last two are of units that only one book prices."""
        if self.was is None or self.now is None:
            return "priced" if self.was is None else "dropped"
        return "dearer" if self.now > self.was else "cheaper"

    @property
    def factor(self) -> Fraction | None:
        """By how much the dearer of the two is more, over 1; `None`: one of them is nothing or not there."""
        if not self.was or not self.now:
            return None
        return max(Fraction(self.now) / self.was, Fraction(self.was) / self.now)


@dataclass(frozen=True, slots=True)
class Difference:
    """What another book says of the prices of one moment."""

    added: tuple[str, ...]
    gone: tuple[str, ...]
    # Each price that differs, behind its model: what became dearer, cheaper, priced, dropped; of each kind
    # the greatest change first.
    changed: tuple[tuple[str, Change], ...]

    @property
    def empty(self) -> bool:
        """Both books say the same."""
        return not (self.added or self.gone or self.changed)


def read_book(path: Path, current: BundledBook, today: date) -> bytes:
    """
    The book in *path*, checked: a book file, or a price map (as JSON or in its wheel) merged with *current*.

    A map is taken for one of *today*.

    Raises:
        ConfigError: the file cannot be read.
        InvalidValueError: it is neither, or it is damaged.
    """
    try:
        raw = from_litellm.read(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}", hint="give a file") from error
    return checked_book(raw, f"{path}", current, today)


def checked_book(raw: bytes, name: str, current: BundledBook, today: date) -> bytes:
    """
    The same for what was read already, from where *name* says.

    Raises:
        InvalidValueError: it is neither a book nor a price map, or it is damaged.
    """
    head, _, body = raw.partition(b"\n")
    header = _header(head)
    if header is None:
        return build.rebuilt(current.header, current.raw_lines(), raw, today).encode()
    if hashlib.sha256(body).hexdigest()[:8] != header["digest"]:
        raise InvalidValueError(
            f"{name} is damaged: its prices are not those it was made with", hint="fetch it again"
        )
    for number, line in enumerate(body.splitlines(), 2):
        try:
            parse(line)
        except (BudgetError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidValueError(
                f"{name}: line {number} is not understood", hint="a newer `budget` may read it"
            ) from error
    return raw


def installed_book(current: BundledBook, today: date) -> bytes | None:
    """
    A book from the installed `genai-prices` package, with what *current* has from the price map.

    `None`: it is the package that *current* was made from, or an older one.

    Raises:
        PriceSourceError: the package is not installed, or holds what this version does not understand.
    """
    from importlib import metadata

    try:
        version = metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        raise PriceSourceError(
            f"the package {_PACKAGE} is not installed, and no address of prices is set",
            hint=f"pip install --upgrade {_PACKAGE}, or give an address: --from, or prices_url",
        ) from None
    had = next((each["version"] for each in current.inputs if each["name"] == _PACKAGE), "0")
    if _numbers(version) <= _numbers(had):
        return None
    try:
        return build.renewed(current.header, current.raw_lines(), version, today).encode()
    except (ArithmeticError, AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        raise PriceSourceError(
            f"{_PACKAGE} {version} is not understood: {error}",
            hint="upgrade with `pip install --upgrade llm-budgets`",
        ) from error


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall("[0-9]+", version))


def _header(line: bytes) -> dict[str, Any] | None:
    """The header of a book file; `None`: it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and all(key in found for key in _HEADER) else None


def install(path: Path, data: bytes) -> None:
    """
    Put a book in the place of the one in use: all of it, or nothing.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, data.decode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}", hint="check the folder's permissions") from error


def difference(old: BundledBook, new: BundledBook, at: datetime) -> Difference:
    """What *new* says otherwise than *old* about the prices at *at* (aware)."""
    was, now = ({_name(each): each for each in book.current(at)} for book in (old, new))
    changed = [(name, each) for name in was if name in now for each in _changes(was[name], now[name])]
    return Difference(
        added=tuple(name for name in now if name not in was),
        gone=tuple(name for name in was if name not in now),
        changed=tuple(sorted(changed, key=lambda found: _by_weight(*found))),
    )


KINDS = ("dearer", "cheaper", "priced", "dropped")


def _by_weight(model: str, change: Change) -> tuple[Any, ...]:
    factor = change.factor
    # From or to nothing is the greatest change of all.
    return (KINDS.index(change.kind), factor is not None, -(factor or 0), model, change.unit, change.tier)


def _name(prices: ModelPrices) -> str:
    return f"{prices.provider}/{prices.model}"


def _changes(was: ModelPrices, now: ModelPrices) -> tuple[Change, ...]:
    old, new = ({_key(row): row.picos for row in prices.rows} for prices in (was, now))
    return tuple(
        Change(*key, old.get(key), new.get(key))
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    )


def _key(row: Price) -> tuple[str, str, int]:
    return row.unit, row.tier, row.above
