"""`budget prices check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...exits import DONE, FAILED
from ...results import Result
from ...session import Session
from ...words import OLD_PRICES_DAYS
from .words import book_in_use

if TYPE_CHECKING:
    from datetime import date

EXAMPLES = """
budget prices check
budget prices check --json
"""


@dataclass(frozen=True)
class PricesChecked(Result):
    """How old the prices are, and whether everything in use has one."""

    book: str
    made: date | None
    today: date
    # Models that were charged for and have no price now.
    unpriced: tuple[str, ...]
    in_use: int
    command = "prices check"

    @property
    def exit_code(self) -> int:
        """Failed when a model in use has no price."""
        return FAILED if self.unpriced else DONE

    @property
    def age_days(self) -> int | None:
        """How many days ago the sources were read; `None`: the book does not say."""
        return None if self.made is None else max(0, (self.today - self.made).days)

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "book": self.book,
            "made": None if self.made is None else self.made.isoformat(),
            "age_days": self.age_days,
            "models_in_use": self.in_use,
            "unpriced": [*self.unpriced],
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        age = "its age is unknown" if self.made is None else f"made on {self.made}"
        yield f"{self.book}: {age}"
        yield f"{self.in_use:,} models in use, {len(self.unpriced):,} without a price"
        for name in self.unpriced:
            yield f"no price: {name}"

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if self.age_days is not None and self.age_days > OLD_PRICES_DAYS:
            yield f"the prices are {self.age_days} days old: `budget prices update` looks for newer ones"


def check(session: Session) -> PricesChecked:
    """
    Say how old the prices are, and which models in use have none.

    In use is what was charged for by its tokens. Ends with exit code 1 where one has no price.
    """
    from budgets.errors import UnknownPriceError

    book, now = book_in_use(session), session.env.clock()
    pinned = [(each.detail.get("prices") or {}).get("model") for each in session.engine.entries()]
    used = sorted({name for name in pinned if isinstance(name, str)})
    unpriced = []
    for name in used:
        provider, _, model = name.partition("/")
        try:
            book.find(model, provider=None if provider == "own" else provider, at=now)
        except UnknownPriceError:
            unpriced.append(name)
    return PricesChecked(book.version, book.made, now.date(), (*unpriced,), len(used))
