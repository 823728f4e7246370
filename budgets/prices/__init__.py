"""The price book: bundled prices, and the owner's own prices over them. Nothing is read at import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from budgets.prices.book import LayeredBook
    from budgets.prices.bundled import BundledBook

__all__ = ["imported_path", "list_book", "open_book"]


def imported_path(overlay_path: Path) -> Path:
    """Where a book that was imported lies: beside the owner's own prices."""
    return overlay_path.with_name("book.jsonl")


def list_book(overlay_path: Path) -> BundledBook:
    """List prices, imported or bundled, without the owner's own, whose file is *overlay_path*."""
    from budgets.prices.bundled import BundledBook

    return BundledBook(_list_path(overlay_path))


def open_book(overlay_path: Path | None = None, *, instead: Path | None = None) -> BundledBook | LayeredBook:
    """
    The bundled prices, or the book that was imported, under the owner's own prices.

    *overlay_path* names the file of own prices; an imported book lies beside it. Neither has to be there.
    *instead* is another file of own prices, to be read in the place of that one.
    The book is what the files held when it was opened: open another to see a change.

    Raises:
        ConfigError: a file cannot be read, or a price in it cannot be meant.
    """
    from budgets.prices.bundled import PATH, BundledBook, bundled

    path = PATH
    if overlay_path is not None:
        from budgets.prices.overlay import read_overlay

        if instead is not None and not instead.exists():
            raise ConfigError(f"there is no file {instead}", hint="give a file of own prices")
        path = _list_path(overlay_path)
        own = read_overlay(instead or overlay_path)
        if own:
            from budgets.prices.book import LayeredBook

            return LayeredBook(own, path)
    return bundled() if path == PATH else BundledBook(path)


def _list_path(overlay_path: Path) -> Path:
    from budgets.prices.bundled import PATH

    imported = imported_path(overlay_path)
    return imported if imported.exists() else PATH
