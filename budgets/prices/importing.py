"""Books from outside, read offline: another book file, or the public price map's JSON over the one in use."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from budgets.errors import BudgetError, ConfigError, InvalidValueError
from budgets.files import replace_text
from budgets.prices import build, from_litellm
from budgets.prices.bundled import BundledBook, parse
from budgets.pricing import ModelPrices, Picos, Price

_HEADER = ("source", "version", "digest", "inputs", "pages")


@dataclass(frozen=True, slots=True)
class Change:
    """One price that two books give differently; `None`: the book has none."""

    unit: str
    tier: str
    above: int
    was: Picos | None
    now: Picos | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What another book says of the prices of one moment."""

    added: tuple[str, ...]
    gone: tuple[str, ...]
    # Model -> its prices that differ.
    changed: Mapping[str, tuple[Change, ...]]


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
    head, _, body = raw.partition(b"\n")
    header = _header(head)
    if header is None:
        return build.rebuilt(current.header, current.raw_lines(), raw, today).encode()
    if hashlib.sha256(body).hexdigest()[:8] != header["digest"]:
        raise InvalidValueError(
            f"{path} is damaged: its prices are not those it was made with", hint="fetch it again"
        )
    for number, line in enumerate(body.splitlines(), 2):
        try:
            parse(line)
        except (BudgetError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidValueError(
                f"{path}: line {number} is not understood", hint="a newer `budget` may read it"
            ) from error
    return raw


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
    changed = {name: _changes(was[name], now[name]) for name in was if name in now}
    return Difference(
        added=tuple(name for name in now if name not in was),
        gone=tuple(name for name in was if name not in now),
        changed={name: changes for name, changes in changed.items() if changes},
    )


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
