"""Charges and corrections as rows of an export: what the columns are, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from budgets.clock import iso
from budgets.money import format_usd
from budgets.usage import INPUT_UNITS, OUTPUT_UNITS

from .harmless import harmless

if TYPE_CHECKING:
    from fractions import Fraction

    from budgets.records import Entry

# One row: columns and their values, which are text, whole numbers, lists, or nothing.
Row: TypeAlias = Mapping[str, Any]

# What a spreadsheet takes for the beginning of a formula, the wide forms among it.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


class Amount(str):
    """Decimal text: a number also where it begins with a minus."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Booked:
    """A charge or a correction, as the columns ask about it."""

    entry: Entry
    project: str
    usd: Amount
    # Counts by unit; nothing where only an amount is known.
    usage: Mapping[str, int] | None
    # How the counts were made, or the amount is known.
    counted: str | None

    @classmethod
    def of(cls, entry: Entry, project: str) -> _Booked:
        counts = dict(entry.detail.get("usage") or {})
        how = counts.pop("how", None) or entry.detail.get("how")
        return cls(entry, project, Amount(format_usd(entry.nanos)), counts or None, how)

    def tokens(self, units: frozenset[str]) -> int | None:
        """The sum of the counts of *units*; each token is counted once, so sums are true."""
        if self.usage is None:
            return None
        return sum(count for unit, count in self.usage.items() if unit in units)

    @property
    def priced_as(self) -> str | None:
        """The provider and the model whose prices were taken: `openai/gpt-4o-mini`."""
        return (self.entry.detail.get("prices") or {}).get("model")

    @property
    def provider(self) -> str | None:
        return self.priced_as.partition("/")[0] if self.priced_as else None

    @property
    def book(self) -> str | None:
        return (self.entry.detail.get("prices") or {}).get("book")

    @property
    def list_usd(self) -> Amount:
        """What it would be without the discount on the account."""
        pins = self.entry.detail.get("prices") or {}
        if "discount" not in pins:
            return self.usd
        from budgets.money import round_up

        parts = [(self.usage or {}, pins), *((each["usage"], each) for each in pins.get("others", ()))]
        return Amount(format_usd(round_up(sum(_listed(*part) for part in parts))))

    @property
    def path(self) -> list[str]:
        """The user first; the project is a column of its own."""
        return [name for name in self.entry.path if name]


def _listed(usage: Mapping[str, Any], pins: Mapping[str, Any]) -> Fraction:
    """The exact picos of one model's part before its discount."""
    from fractions import Fraction

    # A call that has a price itself is one, and is in no count.
    rows: Mapping[str, str] = pins["rows"]
    paid = sum((Fraction(picos) * usage.get(unit, 1) for unit, picos in rows.items()), Fraction(0))
    return paid / (1 - Fraction(pins.get("discount", "0%").removesuffix("%")) / 100)


_INPUT, _OUTPUT = frozenset(INPUT_UNITS), frozenset(OUTPUT_UNITS)
_TOKENS = _INPUT | _OUTPUT
_OVER_A_MONTH = timedelta(days=32)

_Columns: TypeAlias = Mapping[str, Callable[[_Booked], Any]]

_OWN: Final[_Columns] = {
    "id": lambda booked: booked.entry.id,
    "kind": lambda booked: booked.entry.kind,
    "corrects": lambda booked: booked.entry.detail.get("corrects"),
    "project": lambda booked: booked.project,
    "user": lambda booked: booked.entry.user,
    "path": lambda booked: booked.path,
    "at": lambda booked: iso(booked.entry.at),
    "recorded_at": lambda booked: iso(booked.entry.recorded_at),
    "provider": lambda booked: booked.provider,
    "model": lambda booked: booked.entry.model,
    "amount_usd": lambda booked: booked.usd,
    "input_tokens": lambda booked: booked.tokens(_INPUT),
    "output_tokens": lambda booked: booked.tokens(_OUTPUT),
    "usage": lambda booked: booked.usage,
    "counted": lambda booked: booked.counted,
    "price_book": lambda booked: booked.book,
    "note": lambda booked: booked.entry.detail.get("note"),
}

# Names and values of https://focus.finops.org/focus-specification/; those of our own begin with `x_`.
_FOCUS: Final[_Columns] = {
    "BilledCost": lambda booked: booked.usd,
    "EffectiveCost": lambda booked: booked.usd,
    "ListCost": lambda booked: booked.list_usd,
    "ContractedCost": lambda booked: booked.usd,
    "BillingCurrency": lambda _: "USD",
    "BillingAccountId": lambda booked: booked.project,
    "BillingPeriodStart": lambda booked: _second(_month(booked.entry.at)),
    "BillingPeriodEnd": lambda booked: _second(_month(_month(booked.entry.at) + _OVER_A_MONTH)),
    "ChargePeriodStart": lambda booked: _second(booked.entry.at),
    "ChargePeriodEnd": lambda booked: _second(booked.entry.at + timedelta(seconds=1)),
    "ChargeCategory": lambda _: "Usage",
    "ChargeClass": lambda booked: "Correction" if booked.entry.kind == "correction" else None,
    "ChargeDescription": lambda booked: (
        f"{booked.entry.kind} for {booked.entry.model}" if booked.entry.model else booked.entry.kind
    ),
    "ChargeFrequency": lambda _: "Usage-Based",
    "ProviderName": lambda booked: booked.provider,
    "PublisherName": lambda booked: booked.provider,
    "InvoiceIssuerName": lambda booked: booked.provider,
    "ServiceCategory": lambda _: "AI and Machine Learning",
    "ServiceName": lambda booked: booked.provider,
    "SkuId": lambda booked: booked.priced_as or booked.entry.model,
    "ConsumedQuantity": lambda booked: booked.tokens(_TOKENS) or None,
    "ConsumedUnit": lambda booked: "Tokens" if booked.tokens(_TOKENS) else None,
    "SubAccountId": lambda booked: booked.entry.user,
    "SubAccountName": lambda booked: booked.entry.user,
    "Tags": lambda booked: {"user": booked.entry.user, "path": booked.path},
    "x_EntryId": lambda booked: booked.entry.id,
    "x_Corrects": lambda booked: booked.entry.detail.get("corrects"),
    "x_Counted": lambda booked: booked.counted,
    "x_PriceBook": lambda booked: booked.book,
}

# By format.
COLUMNS: Final[Mapping[str, _Columns]] = {"csv": _OWN, "jsonl": _OWN, "focus": _FOCUS}


def rows(entries: Iterable[Entry], project: str, format: str) -> Iterator[Row]:  # noqa: A002
    """A row for each entry, made when it is asked for."""
    columns = COLUMNS[format]
    for entry in entries:
        booked = _Booked.of(entry, project)
        yield {name: value(booked) for name, value in columns.items()}


def lines(found: Iterable[Row], format: str) -> Iterator[str]:  # noqa: A002
    """The rows as text; every row is one line."""
    import json

    if format == "jsonl":
        yield from (json.dumps(row) for row in found)
        return
    import csv
    from io import StringIO

    def line(cells: Iterable[str]) -> str:
        buffer = StringIO()
        csv.writer(buffer, lineterminator="").writerow(cells)
        return buffer.getvalue()

    yield line(COLUMNS[format])
    for row in found:
        yield line(map(_cell, row.values()))


def _cell(value: Any) -> str:
    """A value for CSV: on one line, and text is never a formula."""
    import json

    if value is None:
        return ""
    if isinstance(value, Amount):
        return value
    if isinstance(value, str):
        text = harmless(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return json.dumps(value)


def _month(moment: datetime) -> datetime:
    """The start of the calendar month in UTC: what providers bill by."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _second(moment: datetime) -> str:
    """A moment as FOCUS has it, in whole seconds."""
    return iso(moment.replace(microsecond=0))
