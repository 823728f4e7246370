"""How an amount adds up, as several commands show it: unit by unit, exact sum, rounding, total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from budgets.money import PICOS_PER_NANO, exact_usd, format_usd, money
from budgets.pricing import STANDARD

from .words import LIMITED_BY

if TYPE_CHECKING:
    from budgets.explaining import Explanation, Line, ModelSum, Terms

    from .tables import Table

PER_WORDS = {1: "each", 3_600: "hour", 1_000_000: "million"}

_NOTHING_TO_ADD = {
    "bill": "what the provider itself says that it bills",
    "amount": "as it was given: there is nothing to add up",
    "unknown": "its prices were not kept, so it cannot be added up again",
    "nothing": "nothing was charged",
}


def sum_document(explanation: Explanation) -> dict[str, Any]:
    """An explanation as every document has it."""
    exact = explanation.exact_picos
    return {
        "basis": explanation.basis,
        "sums": [
            {
                "model": each.model,
                "book": each.book,
                "book_day": each.book_day,
                "tier": each.tier,
                "region": each.region,
                "discount": each.discount,
                "lines": [_line_document(line) for line in each.lines],
                "unpriced": list(each.unpriced),
                "exact_usd": exact_usd(each.exact_picos),
            }
            for each in explanation.sums
        ],
        "usage": {**dict(explanation.counts), "how": explanation.how} if explanation.counts else None,
        "exact_usd": None if exact is None else exact_usd(exact),
        "rounding_usd": None if exact is None else exact_usd(_rounding(explanation)),
        "total_usd": format_usd(explanation.total_nanos),
        "adds_up": explanation.adds_up,
    }


def sum_blocks(explanation: Explanation) -> Iterator[str | Table]:
    """The same for a person, so that it can be added up again by hand."""
    for each in explanation.sums:
        yield from _model_blocks(each)
    if explanation.counts:
        counts = ", ".join(f"{count:,} {unit}" for unit, count in explanation.counts)
        yield f"counted      {counts}: {explanation.how}"
    if explanation.basis != "prices":
        yield f"{explanation.basis:<12} {_NOTHING_TO_ADD[explanation.basis]}"
    if explanation.exact_picos is not None:
        exact = [exact_usd(each.exact_picos) for each in explanation.sums]
        terms = f" = {' + '.join(f'${each}' for each in exact)}" if len(exact) > 1 else ""
        yield f"exact sum    ${exact_usd(explanation.exact_picos)}{terms}"
        yield f"rounded up   by ${exact_usd(_rounding(explanation))}, to a billionth of a dollar"
    if explanation.basis != "nothing":
        yield f"total        {money(explanation.total_nanos)}"


def sum_messages(explanation: Explanation) -> Iterator[str]:
    """What is wrong with it."""
    if not explanation.adds_up:
        missing = f", and no price was kept for {', '.join(explanation.unpriced)}" * bool(
            explanation.unpriced
        )
        yield f"the lines do not add up to {money(explanation.total_nanos)}{missing}"


def _rounding(explanation: Explanation) -> Any:
    assert explanation.exact_picos is not None, "nothing is rounded where nothing is added up"
    return explanation.total_nanos * PICOS_PER_NANO - explanation.exact_picos


def _line_document(line: Line) -> dict[str, Any]:
    terms = line.terms
    return {
        "unit": line.unit,
        "count": line.count,
        "how": line.how,
        "price_usd": exact_usd(line.picos, line.per),
        "per": line.per,
        "product_usd": exact_usd(line.product),
        "price": None
        if terms is None
        else {
            "of": terms.priced_as or line.unit,
            "tier": terms.tier,
            "above_input_tokens": terms.above,
            "from": terms.starts,
            "hours_utc": terms.hours,
            "source": terms.source,
        },
    }


def _model_blocks(part: ModelSum) -> Iterator[str | Table]:
    from .tables import Column, Table

    tier = f", {part.tier} tier" if part.tier != STANDARD else ""
    region = f", in the region {part.region}" if part.region is not None else ""
    discount = f", less {part.discount}" if part.discount is not None else ""
    day = f" of {part.book_day}" if part.book_day is not None else ""
    yield f"{part.model}{tier}{region}{discount}, {part.book}{day}"
    products = _level([exact_usd(line.product) for line in part.lines])
    yield Table(
        (
            Column("UNIT"),
            Column("COUNT", right=True),
            Column("PRICE", right=True),
            Column("PER"),
            Column("PRODUCT", right=True),
        ),
        tuple(
            (
                line.unit,
                f"{line.count:,}",
                f"${exact_usd(line.picos, line.per)}",
                PER_WORDS[line.per],
                product,
            )
            for line, product in zip(part.lines, products, strict=True)
        ),
    )
    yield from _grouped("counted", ((line.unit, _how(line.how)) for line in part.lines))
    yield from _grouped("price", ((line.unit, _terms(line.terms)) for line in part.lines))


def _grouped(label: str, said: Iterable[tuple[str, str]]) -> Iterator[str]:
    """One line for all units of which the same is said; the units are named where it is not said of all."""
    units_of: dict[str, list[str]] = {}
    for unit, text in said:
        units_of.setdefault(text, []).append(unit)
    for text, units in units_of.items():
        named = f"{', '.join(units)}: " if len(units_of) > 1 else ""
        yield f"{label:<12} {named}{text}"
        label = ""


def _how(how: str) -> str:
    kind, _, limited_by = how.partition(": ")
    return f"{kind}, {LIMITED_BY[limited_by]}" if kind == "output limit" else how


def _terms(terms: Terms | None) -> str:
    if terms is None:
        return "where it came from was not kept"
    said = (
        f"that of {terms.priced_as}" if terms.priced_as else "",
        f"{terms.tier} tier" if terms.tier != STANDARD else "",
        f"above {terms.above:,} input tokens" if terms.above else "",
        f"since {terms.starts}" if terms.starts else "",
        f"{terms.hours} UTC" if terms.hours else "",
        terms.source,
    )
    return ", ".join(each for each in said if each) or "the book names no source"


def _level(amounts: list[str]) -> list[str]:
    """The same dollars with the same number of decimals, so that the points stand below each other."""
    if any("/" in each for each in amounts):
        return [f"${each}" for each in amounts]
    places = max((len(each.partition(".")[2]) for each in amounts), default=0)
    return [f"${each}{'0' * (places - len(each.partition('.')[2]))}" for each in amounts]
