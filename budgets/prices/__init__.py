"""The price book: bundled prices, and the owner's own prices over them. Nothing is read at import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from budgets.prices.book import LayeredBook
    from budgets.prices.bundled import BundledBook

__all__ = ["imported_path", "open_book"]


def imported_path(overlay_path: Path) -> Path:
    """Where a book that was imported lies: beside the owner's own prices."""
    return overlay_path.with_name("book.jsonl")


def open_book(overlay_path: Path | None = None) -> BundledBook | LayeredBook:
    """
    The bundled prices, or the book that was imported, under the owner's own prices.

    *overlay_path* names the file of own prices; an imported book lies beside it. Neither has to be there.
    The book is what the files held when it was opened: open another to see a change.

    Raises:
        ConfigError: a file cannot be read, or a price in it cannot be meant.
    """
    from budgets.prices.bundled import PATH, BundledBook, bundled

    path = PATH
    if overlay_path is not None:
        from budgets.prices.overlay import read_overlay

        if imported_path(overlay_path).exists():
            path = imported_path(overlay_path)
        own = read_overlay(overlay_path)
        if own:
            from budgets.prices.book import LayeredBook

            return LayeredBook(own, path)
    return bundled() if path == PATH else BundledBook(path)
