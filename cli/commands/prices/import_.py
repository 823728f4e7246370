"""`budget prices import`."""

from __future__ import annotations

from dataclasses import dataclass

from ... import options
from ...session import Session
from .books import BookFile, BooksCompared, Bundled, agree, compared

EXAMPLES = """
budget prices import --bundled --yes
"""


@dataclass(frozen=True)
class BookImported(BooksCompared):
    """Another book, and that it is in use now."""

    command = "prices import"


def import_(
    session: Session, file: BookFile = None, bundled: Bundled = False, yes: options.Yes = False
) -> BookImported:
    """
    Use another book from now on: a newer one, or the public price map's JSON.

    Nothing is fetched. A price map fills the present book anew. Your own prices stay, and stay first. What
    was charged keeps the prices it was charged at.
    """
    from budgets.prices import imported_path
    from budgets.prices.bundled import PATH
    from budgets.prices.importing import install

    data, found = compared(session, file, bundled)
    target = imported_path(session.settings.prices)
    if not yes:
        agree(session, found)
    if data is None:
        target.unlink(missing_ok=True)
    else:
        install(target, data)
    written = f"{target}" if data is not None else f"{PATH}"
    return BookImported(found.difference, found.old, found.new, written)
