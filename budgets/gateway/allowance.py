"""When a stream has to end: what has come of it would cost more than was held for its call."""

from __future__ import annotations

from fractions import Fraction

from budgets.dialects.base import Reported
from budgets.errors import UnknownPriceError, UnreadableReplyError
from budgets.metering import Metering
from budgets.money import PICOS_PER_NANO

_NEVER = 1 << 62
# Of the vendors whose tokens we estimate none has come below two thirds of the estimate.
_LEAST_THIRDS = 2


class Allowance:
    """
    Looks at a stream as it comes, as seldom as can be.

    What has come costs what its provider says so far (Gemini counts in every piece), or else what our count
    says, taken as low as it can be: a provider that keeps to the limit it was given is never cut. Every token
    is a byte at least, so nothing is counted before as many bytes have come as tokens could still be paid,
    and each text is counted once.

    Args:
        metering: Of the call, its hold taken.
    """

    def __init__(self, metering: Metering) -> None:
        self._metering = metering
        quote = metering.quote
        self._held_nanos = quote.most_nanos
        self._token_picos = Fraction(quote.output_picos) / metering.ask.answers
        self._arrived = 0
        self._look_at = quote.output_limit * metering.ask.answers if quote.output_picos else _NEVER
        # How much of the answer, and of what stands beside it, was counted.
        self._seen = (0, 0)
        # How many tokens that is, and whether the count is exact.
        self._tokens = 0
        self._exact = True

    def used_up(self, arrived_bytes: int) -> bool:
        """So many bytes more have come, and were fed: whether the stream has to end."""
        self._arrived += arrived_bytes
        if self._arrived < self._look_at:
            return False
        try:
            left = self._left_nanos()
        except (UnreadableReplyError, UnknownPriceError):
            # What cannot be read or priced is told, and kept in doubt, at the end.
            self._look_at = _NEVER
            return False
        self._look_at = self._arrived + max(1, int(left * PICOS_PER_NANO / self._token_picos))
        return left < 0

    def _left_nanos(self) -> int:
        """How much of what was held is left; below 0 only if a count of the whole says so, too."""
        reported = self._metering.reported()
        text, aside = self._seen
        self._seen = len(reported.text), len(reported.aside)
        self._tokens += self._count(reported.text[text:] + reported.aside[aside:])
        left = self._left_after(reported)
        if left < 0:
            # Pieces may be more tokens than they are together.
            self._tokens = self._count(reported.text + reported.aside)
            left = self._left_after(reported)
        return left

    def _count(self, text: str) -> int:
        count = self._metering.count(text)
        self._exact = self._exact and count.likely == count.most
        return count.likely

    def _left_after(self, reported: Reported) -> int:
        # Rounded up: something that was written is a token.
        tokens = self._tokens if self._exact else -(-self._tokens * _LEAST_THIRDS // 3)
        return self._held_nanos - self._metering.least_nanos(reported, tokens)
