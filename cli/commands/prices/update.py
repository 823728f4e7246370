"""`budget prices update`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ... import options
from ...progress import Waiting
from ...results import Result
from ...session import Session
from .books import BooksCompared, agree, difference_lines

if TYPE_CHECKING:
    from datetime import date

    from budgets.prices.bundled import BundledBook

EXAMPLES = """
budget prices update --dry-run
budget config set prices_url https://example.com/prices.jsonl
budget prices update --yes
"""


@dataclass(frozen=True)
class BookUpdated(Result):
    """A newer book, what it says otherwise, and whether it is in use now."""

    compared: BooksCompared
    # The host that was asked, or the package.
    source: str
    # It was only looked at.
    dry_run: bool
    command = "prices update"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {**self.compared.document(), "source": self.source, "dry_run": self.dry_run}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        found = self.compared
        if found.old == found.new:
            yield f"{self.source} has no newer prices than {found.old}"
            return
        yield from difference_lines(found)
        if found.written is not None:
            yield f"{found.new} is in use: {found.written}"
        else:
            yield f"{found.old} stays in use: this only looked"


def update(
    session: Session,
    address: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="A book or the public price map; else prices_url."),
    ] = None,
    yes: options.Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> BookUpdated:
    """
    Look for newer prices, show what they change, and use them from now on.

    They come from --from or the setting prices_url, over https; this is the one command about prices that
    goes out. Without an address they come from the genai-prices package, where a newer one is installed.
    Whatever fails, the book that was there stays. What was charged keeps its prices.
    """
    from budgets.errors import BudgetError
    from budgets.prices import imported_path, list_book
    from budgets.prices.bundled import BundledBook
    from budgets.prices.importing import difference, install

    old, now = list_book(session.settings.prices), session.env.clock()
    address = address if address is not None else session.settings.prices_url
    try:
        data, source = _newer(session, address, old, now.date())
        new = old if data is None else BundledBook(data=data)
        found = BooksCompared(difference(old, new, now), old.version, new.version)
        if data is None or new.version == old.version or dry_run:
            return BookUpdated(found, source, dry_run)
        if not yes:
            agree(session, found)
        target = imported_path(session.settings.prices)
        install(target, data)
    except BudgetError as error:
        error.hint = "; ".join(filter(None, (error.hint, f"{old.version} stays in use")))
        raise
    return BookUpdated(BooksCompared(found.difference, found.old, found.new, f"{target}"), source, dry_run)


def _newer(session: Session, address: str | None, old: BundledBook, today: date) -> tuple[bytes | None, str]:
    """The bytes of a newer book (`None`: there is none), and who had it."""
    from budgets.prices.importing import checked_book, installed_book

    if address is None:
        return installed_book(old, today), "the installed genai-prices"
    from urllib.parse import urlsplit

    from budgets.prices.fetching import fetch

    with Waiting(session.env, "fetching prices"):
        raw = fetch(address)
    host = f"{urlsplit(address).hostname}"
    return checked_book(raw, f"what {host} sent", old, today), host
