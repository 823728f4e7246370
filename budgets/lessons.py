"""
What settled calls say about our estimates: how far the reported count lay from them, and how often.

A lesson is a histogram, counts of whole percentages and nothing else. So it is small however many calls
there were, the order of the calls makes no difference, and more calls are added without the earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

# A count that was reported is taken as at least 1% of its estimate and at most ten times it. What lies
# beyond, honest or not, moves a quantile no further.
LEAST_PERCENT, MOST_PERCENT = 1, 1_000

# Fewer calls than these say nothing.
ENOUGH_CALLS = 20

# Laid on the high quantile before a hold follows it: it was measured on calls that are over.
_MARGIN_PERCENT = 5

# What calls must share to be compared: model, kind, size, and how they were counted.
Topic: TypeAlias = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Our own count of what one request gives to read, before anything that was learned."""

    # The seller and the model, as the price book has them: `openai/gpt-4o-mini`.
    model: str
    # What the request is made of: `text`, `text+tools` ...
    kind: str
    # In tokens; the most likely figure.
    likely: int
    # How it was counted. Another way of counting begins a lesson of its own.
    counted: str

    @property
    def topic(self) -> Topic:
        """The lesson that it belongs to."""
        return self.model, self.kind, size_of(self.likely), self.counted

    def as_dict(self) -> dict[str, Any]:
        """For JSON, kept with the hold and with its charge."""
        return {
            "model": self.model,
            "kind": self.kind,
            "input_tokens": self.likely,
            "counted": self.counted,
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Estimate:
        """What `as_dict` gave."""
        return cls(kept["model"], kept["kind"], kept["input_tokens"], kept["counted"])


def percent_of(reported: int, *, estimated: int) -> int:
    """What part of the estimate was reported, to the nearest percent; *estimated* is above 0."""
    percent = (200 * reported + estimated) // (2 * estimated)
    return min(max(percent, LEAST_PERCENT), MOST_PERCENT)


def size_of(tokens: int) -> int:
    """
    The order of size of a count: how many digits it has, at least two.

    What a vendor adds to each call weighs much in a short request and nothing in a long one, so one factor
    for both would be wrong for both.
    """
    return max(2, len(str(tokens)))


@dataclass(frozen=True, slots=True)
class Lesson:
    """How the counts that were reported compare with the estimates of one topic."""

    topic: Topic
    # Whole percent of the estimate -> how many calls reported that much, rising.
    percents: tuple[tuple[int, int], ...] = ()
    # How many of these calls cost no more than was held for them.
    covered: int = 0

    @property
    def calls(self) -> int:
        """How many calls it is made of."""
        return sum(calls for _, calls in self.percents)

    def with_calls(self, percents: Mapping[int, int], *, covered: int) -> Lesson:
        """
        The same with more calls.

        Args:
            percents: As `percent_of` gives them -> how many calls.
            covered: Of these, how many cost no more than was held.
        """
        found = dict(self.percents)
        for percent, calls in percents.items():
            found[percent] = found.get(percent, 0) + calls
        return Lesson(self.topic, tuple(sorted(found.items())), self.covered + covered)

    @property
    def tokens(self) -> tuple[int, int]:
        """The smallest estimate that belongs here, and the largest."""
        size = self.topic[2]
        return 1 if size == size_of(1) else 10 ** (size - 1), 10**size - 1

    @property
    def median_percent(self) -> int:
        """Half of the calls reported no more than so many percent of their estimate."""
        return _ranked(self.percents, (self.calls + 1) // 2)

    @property
    def high_percent(self) -> int:
        """99 of 100 calls reported no more; the highest call never decides alone."""
        return _ranked(self.percents, self.calls - max(1, self.calls // 100))

    @property
    def most_percent(self) -> int:
        """Of its estimate, what a hold covers at the least: the high quantile and a margin."""
        return -(-self.high_percent * (100 + _MARGIN_PERCENT) // 100)

    def error_percent(self, share: int) -> int:
        """So many percent of the calls lay no further from their estimate than this."""
        errors: dict[int, int] = {}
        for percent, calls in self.percents:
            errors[abs(percent - 100)] = errors.get(abs(percent - 100), 0) + calls
        return _ranked(sorted(errors.items()), -(-self.calls * share // 100))

    @property
    def counts(self) -> bool:
        """There are calls enough for a figure to follow it."""
        return self.calls >= ENOUGH_CALLS

    def likely(self, estimated: int) -> int:
        """The estimate as these calls would have it, in tokens."""
        return -(-estimated * self.median_percent // 100)

    def most(self, estimated: int) -> int:
        """What a hold must cover to be enough for all but the rarest of these calls, in tokens."""
        return -(-estimated * self.most_percent // 100)


def hundredths(percent: int) -> str:
    """A factor in percent as people write it: `1.04`."""
    return f"{percent // 100}.{percent % 100:02d}"


def _ranked(counted: Iterable[tuple[int, int]], rank: int) -> int:
    """The value at that place, from 1 on, of values that rise, each there so many times."""
    for value, times in counted:
        rank -= times
        if rank <= 0:
            return value
    raise AssertionError("a rank is one of the calls")


@dataclass(frozen=True, slots=True)
class Learned:
    """Every lesson of a project, and how far its entries were read for them."""

    # The id of the last entry that was read; `None`: none was.
    through: str | None = None
    # By topic.
    lessons: tuple[Lesson, ...] = ()
