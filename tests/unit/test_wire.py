"""What crosses to a server comes back as it was, and what cannot be meant is said to be so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets import wire
from budgets.engine import Change, LimitTerms
from budgets.engine.explaining import Explained
from budgets.engine.reading import Outlook
from budgets.engine.reporting import Branch, ProjectReport, Spending
from budgets.lessons import Learned
from budgets.money import format_usd
from budgets.operations import NAMES, operation
from budgets.periods import PeriodRule
from budgets.records import (
    Budget,
    BudgetStatus,
    Charge,
    CheckReport,
    Entry,
    Held,
    Hold,
    Left,
    Limit,
    Quote,
    Receipt,
    Refusal,
    Rolled,
    StoreInfo,
    Totals,
)
from budgets.usage import UNITS, Usage

NOW = datetime(2026, 11, 22, 9, 0, 0, 1, UTC)

moments = st.datetimes(datetime(1970, 1, 1), datetime(8999, 12, 31), timezones=st.just(UTC))
nanos = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
usages = st.builds(
    lambda counts, how: Usage.of(how=how, **counts),
    st.dictionaries(st.sampled_from(sorted(UNITS)), st.integers(0, 10**12), max_size=4),
    texts,
)
rules = st.sampled_from(
    [
        PeriodRule(1, "never"),
        PeriodRule(2, "week", "Asia/Tokyo"),
        PeriodRule(1, "month", anchor=datetime(2026, 1, 31, 9)),
    ]
)
KNOWN: dict[Any, st.SearchStrategy[Any]] = {
    datetime: moments,
    wire.Money: nanos,
    int: st.integers(-(2**63) + 1, 2**63 - 1),
    str: texts,
    bool: st.booleans(),
    type(None): st.none(),
    Fraction: st.fractions(max_denominator=10**9),
    Fraction | int: st.integers(-(10**30), 10**30) | st.fractions(max_denominator=10**9),
    Usage: usages,
    PeriodRule: rules,
    Any: st.integers(0, 9) | texts,
}


def made(kind: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of a kind."""
    if kind in KNOWN:
        return KNOWN[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, UnionType):
        return st.one_of(*(made(each, depth) for each in args))
    if origin is tuple and args[-1] is not Ellipsis:
        return st.tuples(*(made(each, depth) for each in args))
    if origin is tuple:
        # Records hold others of their kind.
        return st.just(()) if depth > 2 else st.lists(made(args[0], depth + 1), max_size=2).map(tuple)
    if origin in (dict, Mapping):
        return st.dictionaries(texts, made(args[1], depth), max_size=2)
    annotated = wire.hints(kind)
    return st.builds(kind, **{each.name: made(annotated[each.name], depth) for each in fields(kind)})


RECORDS = (
    Budget, BudgetStatus, Change, Charge, CheckReport, Entry, Held, Hold, Left, Limit, LimitTerms, Outlook,
    Explained, Learned, ProjectReport, Quote, Receipt, Refusal, Rolled, Spending, StoreInfo, Totals, Branch,
)  # fmt: skip


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_a_record_comes_back_as_it_was(kind: Any, data: st.DataObject) -> None:
    value = data.draw(made(kind))
    text = json.dumps(wire.encode(kind, value), allow_nan=False)
    assert wire.decode(kind, json.loads(text), strict=True) == value


def test_an_amount_is_text_and_its_field_says_in_which_money() -> None:
    hold = Hold("c1", ("ann", ""), "gpt", 1_500_000_001, NOW, "l1")
    found = wire.encode(Hold, hold)
    assert (found["usd"], found["at"]) == (format_usd(hold.nanos), "2026-11-22T09:00:00.000001Z")
    assert "nanos" not in json.dumps(found)


def test_a_field_that_is_not_known_is_passed_over_in_an_answer_and_refused_in_a_request() -> None:
    told = {**wire.encode(LimitTerms, LimitTerms(5)), "newer": 1}
    assert wire.decode(LimitTerms, told) == LimitTerms(5)
    with pytest.raises(ValueError, match="'newer' is not a field that is known here"):
        wire.decode(LimitTerms, told, strict=True)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 1.0),
        (int, True),
        (int, 2**63),
        (str, "\ud800"),
        (str, None),
        (datetime, "2026-11-22T09:00:00"),
        (datetime, "today"),
        (datetime, 5),
        (Fraction, "1/0"),
        (Fraction, "1e5"),
        (Fraction, "/"),
        (Fraction, "9" * 100),
        (LimitTerms, {}),
        (LimitTerms, []),
        (LimitTerms, {"total_usd": 1}),
        (LimitTerms, {"total_usd": "1."}),
        (LimitTerms, {"total_usd": "1e3"}),
        (Usage, {"input": 1}),
        (Usage, {"how": "x", "input": -1}),
        (Usage, {"how": "x", "tokens": 1}),
        (tuple[str, int], ["a"]),
        (list[str], "a"),
        (dict[str, int], {"a": "b"}),
        (Budget | None, 5),
    ],
)
def test_what_cannot_be_meant_is_an_error(kind: Any, value: Any) -> None:
    with pytest.raises(ValueError):
        wire.decode(kind, value, strict=True)


def test_a_quote_and_an_amount_are_told_apart() -> None:
    needed = operation("hold").arguments[1]
    assert (needed.name, needed.codec.decode("0.50", True)) == ("needed", 500_000_000)
    quote = Quote("m", "p", 1, 2, "how", 3, Fraction(1, 3), 4, 5, "model", 6, "book")
    assert needed.codec.decode(json.loads(json.dumps(needed.codec.encode(quote))), True) == quote


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_says_whom_it_is_about(name: str) -> None:
    asked = operation(name)
    assert asked.name == name
    assert (asked.by is None) == (asked.subject in ("lease", "project"))


def test_a_moment_in_another_zone_is_the_same_moment() -> None:
    found = wire.decode(datetime, "2026-11-22T10:00:00+01:00")
    assert (found, found.utcoffset()) == (datetime(2026, 11, 22, 9, tzinfo=UTC), timedelta(0))
