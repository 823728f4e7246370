"""The price book: bundled prices, and the owner's own prices over them. Nothing is read at import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from budgets.pricing import PriceBook

__all__ = ["open_book"]


def open_book(overlay_path: Path | None = None) -> PriceBook:
    """
    The bundled prices, under the owner's own where *overlay_path* names a file that has any.

    The book is what the file held when it was opened: open another to see a change.

    Raises:
        ConfigError: the owner's file cannot be read, or a price in it cannot be meant.
    """
    from budgets.prices.bundled import bundled

    if overlay_path is not None:
        from budgets.prices.overlay import read_overlay

        own = read_overlay(overlay_path)
        if own.rows:
            from budgets.prices.book import LayeredBook

            return LayeredBook(own)
    return bundled()
