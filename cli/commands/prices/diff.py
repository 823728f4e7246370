"""`budget prices diff`."""

from __future__ import annotations

from ...session import Session
from .books import BookFile, BooksCompared, Bundled, compared

EXAMPLES = """
budget prices diff --bundled
"""


def diff(session: Session, file: BookFile = None, bundled: Bundled = False) -> BooksCompared:
    """Show where another book has other prices for today. Nothing is changed."""
    return compared(session, file, bundled)[1]
