"""
What one call used: a count for each unit, each token counted once.

Providers report overlapping totals (cached tokens inside the input, reasoning inside the output).
Taking those apart is the work of `dialects`; here the units are disjoint, and a total is a sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from budgets.errors import InvalidValueError

# Unit -> what one of it is. The order is the order in which sums are shown.
UNITS: Mapping[str, str] = {
    "input": "an input token, read fresh",
    "cached_input": "an input token read from the provider's cache",
    "cache_write": "an input token written to the cache (for five minutes, where that is said)",
    "cache_write_1h": "an input token written to the cache for an hour",
    "input_audio": "an audio input token",
    "cached_input_audio": "an audio input token read from the cache",
    "input_image": "an image input token, where it is counted apart",
    "output": "an output token of the answer",
    "reasoning": "an output token of the reasoning before the answer",
    "output_audio": "an audio output token",
    "output_image": "an image output token",
    "requests": "a call, where the call itself has a price",
    "web_searches": "a web search that the provider ran",
    "cached_input_image": "an image input token read from the cache",
    "input_video": "a video input token, where it is counted apart",
    "output_video": "a video output token",
    "citations": "a token of a cited source, where it is billed",
    "file_searches": "a search of stored files that the provider ran",
    "map_searches": "a search of a map that the provider ran",
    "code_sessions": "a session of code that the provider ran",
    "queries": "a query, where searching or ranking is billed by the query",
    "messages": "a text message to a voice model",
    "input_images": "an image sent, where images are billed by the piece",
    "images": "an image made",
    "pixels": "a pixel of an image made",
    "input_characters": "a character sent, where characters are billed",
    "output_characters": "a character of the answer",
    "input_seconds": "a second of audio sent, or of a connection",
    "input_video_seconds": "a second of video sent",
    "output_seconds": "a second of audio or video made",
    "pages": "a page read",
    "annotated_pages": "a page read with annotations",
    "credits": "a credit of the provider's own counting",
}

# What a price is given for: so many of the unit. Everything else is priced per million.
PRICED_EACH = frozenset(
    {
        "requests",
        "web_searches",
        "file_searches",
        "map_searches",
        "code_sessions",
        "queries",
        "messages",
        "input_images",
        "images",
        "pages",
        "annotated_pages",
        "credits",
    }
)
# Exact by the hour, where the price of a second would have no end.
PRICED_BY_THE_HOUR = frozenset({"input_seconds", "input_video_seconds", "output_seconds"})

INPUT_UNITS = (
    "input",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "cached_input_audio",
    "input_image",
    "cached_input_image",
    "input_video",
)
OUTPUT_UNITS = ("output", "reasoning", "output_audio", "output_image", "output_video")
_INPUT = frozenset(INPUT_UNITS)
TOKEN_UNITS = frozenset((*INPUT_UNITS, *OUTPUT_UNITS, "citations"))


def priced_for(unit: str) -> int:
    """How many of *unit* its price is given for: 1, 3,600 (an hour of seconds), or a million."""
    if unit in PRICED_EACH:
        return 1
    return 3_600 if unit in PRICED_BY_THE_HOUR else 1_000_000


# No call has used a trillion of anything; a reply that says so is broken.
MOST_COUNT = 10**12


@dataclass(frozen=True, slots=True)
class Usage:
    """
    Disjoint counts, in the order of `UNITS`, zeros left out.

    Make one with `Usage.of(input=12, output=5)`; read it with `usage["input"]` (0 where absent).
    """

    counts: tuple[tuple[str, int], ...]
    # How the counts were made: `reported`, `tiktoken:o200k_base`, `bound:bytes`, `estimated:...`.
    how: str = "reported"

    @classmethod
    def of(cls, *, how: str = "reported", **counts: int) -> Usage:
        """
        Counts by unit.

        Raises:
            InvalidValueError: an unknown unit, or a count that is no whole number from 0 to 10^12.
        """
        for unit, count in counts.items():
            if unit not in UNITS:
                raise InvalidValueError(f"{unit} is not a unit", hint=f"one of {', '.join(UNITS)}")
            if type(count) is not int or not 0 <= count <= MOST_COUNT:
                raise InvalidValueError(
                    f"the count of {unit} is {count!r}",
                    hint="counts are whole numbers from 0 to 1,000,000,000,000",
                )
        return cls(tuple((unit, counts[unit]) for unit in UNITS if counts.get(unit)), how)

    def __getitem__(self, unit: str) -> int:
        for name, count in self.counts:
            if name == unit:
                return count
        return 0

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.counts)

    @property
    def input_tokens(self) -> int:
        """All that was read: fresh, cached, written to the cache, audio, images."""
        total = 0
        for unit, count in self.counts:
            if unit in _INPUT:
                total += count
        return total

    @property
    def output_tokens(self) -> int:
        """All that was written: the answer, the reasoning, audio, images."""
        return sum(count for unit, count in self.counts if unit in OUTPUT_UNITS)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the counts by unit, and `how`."""
        return {**dict(self.counts), "how": self.how}
