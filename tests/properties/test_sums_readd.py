"""Whatever was used at whatever prices: what is shown of the sum adds up again by hand, to the last digit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from io import StringIO

from budgets_cli.commands.explain import ReplyExplained
from budgets_cli.env import Env
from budgets_cli.output import show
from hypothesis import given
from hypothesis import strategies as st

from budgets.explaining import of_charge
from budgets.money import PICOS_PER_USD, exact_usd, round_up
from budgets.pricing import STANDARD, ModelPrices, Picos, Price, cost
from budgets.records import Charge
from budgets.usage import UNITS, Usage
from tests.support.readding import readd_document, readd_text

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)

picos: st.SearchStrategy[Picos] = st.one_of(
    st.integers(0, 10**9), st.fractions(0, 10**6), st.decimals(0, 100, places=7).map(Fraction)
)
usages = st.dictionaries(st.sampled_from([*UNITS]), st.integers(0, 10**12), max_size=9)


@st.composite
def prices(draw: st.DrawFn) -> ModelPrices:
    """A price for every unit, some with a step, in a service tier and a region or not."""
    rows = [Price(unit, draw(picos), source=draw(st.sampled_from(["", "a page"]))) for unit in UNITS]
    rows += [Price(unit, draw(picos), 100) for unit in draw(st.sets(st.sampled_from([*UNITS]), max_size=3))]
    rows += [Price(unit, draw(picos), tier="batch") for unit in UNITS]
    known = ModelPrices(
        provider="p",
        model="m",
        asked="m",
        rows=tuple(rows),
        book_version="test",
        uplift=(("eu", Fraction(11, 10)),),
    )
    return known.for_call(draw(st.sampled_from([STANDARD, "batch"])), draw(st.sampled_from([None, "eu"])))


@given(used=usages, other=st.none() | usages, at=prices(), of_other=prices())
def test_a_shown_sum_adds_up_by_hand(
    used: dict[str, int], other: dict[str, int] | None, at: ModelPrices, of_other: ModelPrices
) -> None:
    usage = Usage.of(how="reported", **used)
    first = cost(usage, at)
    exact, pins = first.exact_picos, first.pins()
    if other is not None:
        second = cost(Usage.of(how="estimated:x", **other), of_other)
        exact += second.exact_picos
        pins["others"] = [{"usage": second.usage.as_dict(), **second.pins()}]
    # As a store gives them back.
    charge = Charge(round_up(exact), "m", usage, json.loads(json.dumps(pins)))
    assert of_charge(charge).adds_up
    shown = ReplyExplained(charge, NOW)
    document = json.loads(json.dumps(shown.document()))
    by_hand = readd_document(document)
    assert by_hand.total * PICOS_PER_USD == charge.nanos * 1000
    for width in (80, 120):
        out = StringIO()
        show(shown, Env((), StringIO(), out, StringIO(), {"COLUMNS": str(width)}), as_json=False)
        assert readd_text(out.getvalue()) == by_hand


@given(st.one_of(picos, picos.map(lambda each: -each)), st.sampled_from([1, 3_600, 10**6]))
def test_exact_dollars_lose_nothing(amount: Picos, per: int) -> None:
    text = exact_usd(amount, per)
    assert Fraction(text) * PICOS_PER_USD == Fraction(amount) * per
    assert "/" in text or len(text.partition(".")[2]) >= 2
