"""What charges would have cost at other prices. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from budgets.errors import InvalidValueError, UnknownPriceError
from budgets.money import Nanos, round_up
from budgets.pricing import PriceBook, cost, of_one_call
from budgets.records import Entry
from budgets.usage import Usage

# Why an entry stays as it was charged; else what the book does not know.
AMOUNT = "an amount, without counts"
BILLED = "billed by the provider"
CORRECTION = "a correction"


@dataclass(slots=True)
class Sum:
    """So many entries, and what they were charged."""

    entries: int = 0
    nanos: Nanos = 0

    def add(self, nanos: Nanos) -> None:
        """One more."""
        self.entries += 1
        self.nanos += nanos


@dataclass(slots=True)
class ModelRepriced:
    """The charges of one model: those that were repriced, and those that stay as they were charged."""

    # With its provider, as the charges have it; empty for charges without one.
    model: str
    charged: Sum = field(default_factory=Sum)
    # What the same would have cost, each rounded once, up, as a charge is.
    repriced_nanos: Nanos = 0
    # Why -> the entries that stay.
    kept: dict[str, Sum] = field(default_factory=dict)

    @property
    def difference_nanos(self) -> Nanos:
        """How much more it would have been; below zero: less."""
        return self.repriced_nanos - self.charged.nanos

    @property
    def kept_nanos(self) -> Nanos:
        """What stays as it was charged."""
        return sum(each.nanos for each in self.kept.values())


def reprice(entries: Iterable[Entry], book: PriceBook, *, at: datetime | None = None) -> list[ModelRepriced]:
    """
    What each model's charges would have cost by *book*, the greatest difference first.

    The counts, the service tier, and the region are those of the charge. What was no count is never guessed.

    Args:
        entries: Charges and corrections.
        at: All at the prices of this moment (aware); `None`: each at those of its own.
    """
    found: dict[str, ModelRepriced] = {}
    for entry in entries:
        pins = entry.detail.get("prices") or {}
        name = pins.get("model") or entry.model or ""
        model = found.setdefault(name, ModelRepriced(name))
        again = _again(entry, pins, book, at or entry.at)
        if isinstance(again, str):
            model.kept.setdefault(again, Sum()).add(entry.nanos)
        else:
            model.charged.add(entry.nanos)
            model.repriced_nanos += again
    return sorted(found.values(), key=lambda each: (-abs(each.difference_nanos), each.model))


def _again(entry: Entry, pins: Mapping[str, Any], book: PriceBook, at: datetime) -> Nanos | str:
    """The cost by *book*, or why there is none."""
    if entry.kind == "correction":
        return CORRECTION
    if "billed_picos" in pins:
        return BILLED
    usage = entry.detail.get("usage")
    if usage is None or not pins:
        return AMOUNT
    try:
        # Several models may have worked on one call; it was rounded once.
        parts = [(usage, pins), *((each["usage"], each) for each in pins.get("others", ()))]
        return round_up(sum((_picos(*part, book, at) for part in parts), Fraction(0)))
    except (UnknownPriceError, InvalidValueError) as error:
        return error.message


def _picos(usage: Mapping[str, Any], pins: Mapping[str, Any], book: PriceBook, at: datetime) -> Fraction:
    provider, _, model = pins["model"].partition("/")
    # What nobody sells has only its owner's price, whoever asks.
    seller = None if provider == "own" else provider
    prices = book.find(model, provider=seller, at=at).for_call(pins.get("tier"), pins.get("region"))
    counts = {unit: count for unit, count in usage.items() if unit != "how"}
    return Fraction(cost(of_one_call(Usage.of(**counts), prices), prices).exact_picos)
