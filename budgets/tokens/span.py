"""A figure with its error: what is likely, and what is the most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """A figure twice: what it most probably is, and the most that it is taken to be."""

    likely: int
    most: int

    def times(self, number: int) -> Span:
        """Both figures *number* times."""
        return Span(self.likely * number, self.most * number)


NOTHING = Span(0, 0)


def total(spans: Sequence[Span]) -> Span:
    """The sum of all."""
    return Span(sum(span.likely for span in spans), sum(span.most for span in spans))
