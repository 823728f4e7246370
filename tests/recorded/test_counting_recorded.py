"""
Counting before the call, held against what providers reported of recorded calls.

`docs/explanation/counting.md` has the whole table; `tests/benchmarks/counting.py` makes it. The goals are
those of likely counts: a median error under 3 % for OpenAI's text and tools, under 10 % elsewhere.
"""

from __future__ import annotations

import statistics
from collections import defaultdict

import pytest

from tests.support.counted import Counted, counted_calls
from tests.support.recorded import needs_recorded

pytestmark = needs_recorded

CALLS = list(counted_calls())
BOUNDED = [call for call in CALLS if call.bounded]
GROUPS: dict[tuple[str, str], list[Counted]] = defaultdict(list)
for _call in BOUNDED:
    GROUPS[_call.vendor, _call.kind].append(_call)

# Too few of a kind to say more than that the count is of the right size.
FEW = 4


def test_there_are_calls_of_every_kind() -> None:
    assert len(BOUNDED) > 200
    assert {kind for _, kind in GROUPS} == {"text", "tools", "images", "thoughts", "embeddings"}


@pytest.mark.parametrize("call", BOUNDED, ids=lambda call: call.id)
def test_the_most_is_enough(call: Counted) -> None:
    assert call.reported <= call.count.most


@pytest.mark.parametrize("group", sorted(GROUPS), ids="-".join)
def test_the_likely_count_is_near(group: tuple[str, str]) -> None:
    calls = GROUPS[group]
    if len(calls) < FEW:
        pytest.skip("too few calls for a median")
    goal = 0.03 if group in (("openai", "text"), ("openai", "tools")) else 0.1
    assert statistics.median(call.error for call in calls) < goal


@pytest.mark.parametrize("group", sorted(GROUPS), ids="-".join)
def test_the_most_is_not_absurd(group: tuple[str, str]) -> None:
    """Of calls with more than a line to count: for three words, framing that may be there is most of it."""
    ratios = [call.count.most / call.reported for call in GROUPS[group] if call.reported >= 150]
    if len(ratios) >= FEW:
        assert statistics.median(ratios) < 5
