"""`budget prices`: list, show, set, import, diff, check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from budgets.usage import priced_for

from .. import options
from ..env import is_terminal
from ..exits import DONE, FAILED, UsageError
from ..options import Provider
from ..output import confirm, note
from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from datetime import date, datetime
    from fractions import Fraction

    from budgets.prices.book import LayeredBook
    from budgets.prices.bundled import BundledBook
    from budgets.prices.importing import Difference
    from budgets.prices.overlay import OwnPrice
    from budgets.pricing import ModelPrices, Picos, Price

    from ..tables import Table

EXAMPLES = """
budget prices list --search sonnet --sort output
budget prices show gpt-4o-mini
budget prices set my-model --input 0.15 --output 0.60
budget prices check
"""
SET_EXAMPLES = """
budget prices set my-model --input 0.15 --output 0.60 --context-window 128000
budget prices set llama3.2 --free
budget prices set my-model --input 0.10 --output 0.40 --from 2026-12-01
"""
SHOW_EXAMPLES = """
budget prices show gpt-4o-mini
budget prices show claude-sonnet-4-5 --json
"""
LIST_EXAMPLES = """
budget prices list --search sonnet
budget prices list --provider groq --sort input
budget prices list --page 2 --json
"""
IMPORT_EXAMPLES = """
budget prices import --bundled --yes
"""
DIFF_EXAMPLES = """
budget prices diff --bundled
"""
CHECK_EXAMPLES = """
budget prices check
budget prices check --json
"""

# As many lines as a person looks through at a time.
_PER_PAGE = 50

# A list of changes longer than this is counted, not shown; --json has all of it.
_MOST_SHOWN = 40

# Prices change every few weeks; a book older than this misses some.
_OLD_DAYS = 60

ModelName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The model, as requests name it.")]
PerMillion: TypeAlias = Annotated[
    str | None, typer.Option(metavar="USD", help="US dollars per million tokens.")
]
Tokens: TypeAlias = Annotated[str | None, typer.Option(metavar="N", help="In tokens.")]
BookFile: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="FILE", help="A book file, or the public price map as JSON.")
]
Bundled: TypeAlias = Annotated[bool, typer.Option("--bundled", help="The book that came with budget.")]


@dataclass(frozen=True)
class PriceWritten(Result):
    """A price that was added to the owner's file."""

    price: OwnPrice
    file: str
    command = "prices set"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        price = self.price
        return {
            "model": price.model,
            "provider": price.provider,
            "free": price.free,
            "from": _written(price.sheet.starts),
            "file": self.file,
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        price, starts = self.price, _written(self.price.sheet.starts)
        seller = f" at {price.provider}" if price.provider else ""
        what = "is free" if price.free else "has a price of yours"
        yield f"{price.model}{seller} {what}{f' from {starts} on' if starts else ''}, written to {self.file}"


@dataclass(frozen=True)
class PriceFound(Result):
    """The prices of one model that hold now, and those that held or will."""

    prices: ModelPrices
    history: tuple[Price, ...]
    command = "prices show"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        prices = self.prices
        return {
            "model": prices.model,
            "provider": prices.provider,
            "book": prices.book_version,
            "free": prices.free,
            "context_window": prices.context_window,
            "max_output_tokens": prices.max_output_tokens,
            "uplift": {region: _decimal(factor) for region, factor in prices.uplift},
            "prices": [_row(row) for row in prices.rows],
            "other_times": [_row(row) for row in self.history if row not in prices.rows],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        found = self.document()
        yield f"{found['provider']}/{found['model']}, {found['book']}"
        if found["free"]:
            yield "free, says the owner"
        if found["context_window"]:
            yield f"reads up to {found['context_window']:,} tokens"
        if found["max_output_tokens"]:
            yield f"writes up to {found['max_output_tokens']:,} tokens"
        for region, factor in found["uplift"].items():
            yield f"tokens cost {factor} times as much in the region {region}"
        if found["prices"]:
            yield _price_table(found["prices"])
        if found["other_times"]:
            yield "at other times"
            yield _price_table(found["other_times"])


@dataclass(frozen=True)
class PricesListed(Result):
    """A page of the models that have a price."""

    book: str
    models: tuple[ModelPrices, ...]
    total: int
    page: int
    pages: int
    command = "prices list"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "book": self.book,
            "total": self.total,
            "page": self.page,
            "pages": self.pages,
            "models": [
                {
                    "model": f"{each.provider}/{each.model}",
                    "input_usd": _listed(each, "input"),
                    "output_usd": _listed(each, "output"),
                    "units": [*dict.fromkeys(row.unit for row in each.rows)],
                    "tiers": [*each.tiers],
                    "context_window": each.context_window,
                    "free": each.free,
                }
                for each in self.models
            ],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from ..tables import Column, Table

        if self.models:
            yield Table(
                (
                    Column("MODEL"),
                    Column("INPUT", right=True),
                    Column("OUTPUT", right=True),
                    Column("READS", right=True, keep=2),
                    Column("TIERS", keep=1),
                ),
                tuple(
                    (
                        each["model"],
                        _dollars(each["input_usd"]),
                        _dollars(each["output_usd"]),
                        f"{each['context_window']:,}" if each["context_window"] else "",
                        " ".join(each["tiers"][1:]),
                    )
                    for each in self.document()["models"]
                ),
            )
        yield f"page {self.page} of {self.pages}, {self.total:,} models, dollars per million tokens"


@dataclass(frozen=True)
class BooksCompared(Result):
    """What another book says otherwise."""

    difference: Difference
    old: str
    new: str
    # Where it was put; `None`: nowhere.
    written: str | None = None
    command = "prices diff"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        found = self.difference
        return {
            "old": self.old,
            "new": self.new,
            "written": self.written,
            "added": [*found.added],
            "gone": [*found.gone],
            "changed": [
                {
                    "model": model,
                    "unit": each.unit,
                    "tier": each.tier,
                    "above_input_tokens": each.above,
                    "was_usd": None if each.was is None else _per(each.was, each.unit),
                    "now_usd": None if each.now is None else _per(each.now, each.unit),
                }
                for model, changes in found.changed.items()
                for each in changes
            ],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        yield from _difference_lines(self.document())
        if self.written is not None:
            yield f"{self.new} is in use: {self.written}"


@dataclass(frozen=True)
class BookImported(BooksCompared):
    """Another book, and that it is in use now."""

    command = "prices import"


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
        if self.age_days is not None and self.age_days > _OLD_DAYS:
            yield f"the prices are {self.age_days} days old: import a newer book"


def prices(_session: Session) -> None:
    """
    Show prices, set your own, and take in a newer book.

    Your own prices win over the bundled ones. They are kept in a file; a change is a new dated line.
    """


def set(  # noqa: A001
    session: Session,
    name: ModelName,
    input: PerMillion = None,  # noqa: A002
    cached_input: PerMillion = None,
    cache_write: PerMillion = None,
    output: PerMillion = None,
    free: Annotated[bool, typer.Option("--free", help="It costs you nothing, on your own machine.")] = False,
    provider: Provider = None,
    starts: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="From this day in UTC on; else from now on.")
    ] = None,
    context_window: Tokens = None,
    max_output_tokens: Tokens = None,
) -> PriceWritten:
    """Write down a price of your own for a model."""
    from budgets.prices.overlay import set_price

    given = {"input": input, "cached_input": cached_input, "cache_write": cache_write, "output": output}
    usd = {unit: _plain(unit, text) for unit, text in given.items() if text is not None}
    if free == bool(usd):
        raise UsageError(
            "a price is either free or some dollars", hint="give --input and --output, or --free"
        )
    if usd and not {"input", "output"} <= usd.keys():
        raise UsageError(
            "input and output both need a price",
            hint="0 is a price, too: --output 0 for a model that writes no tokens",
        )
    price = set_price(
        session.settings.prices,
        name,
        now=session.env.clock(),
        provider=provider,
        prices=usd,
        free=free,
        starts=_day(starts),
        context_window=options.count("--context-window", context_window),
        max_output_tokens=options.count("--max-output-tokens", max_output_tokens),
    )
    return PriceWritten(price, str(session.settings.prices))


def show(session: Session, name: ModelName, provider: Provider = None) -> PriceFound:
    """Show all prices of a model: those that hold now, and those of other times."""
    book = _book(session)
    found = book.find(name, provider=provider, at=session.env.clock())
    return PriceFound(found, book.history(name, provider=provider))


def list(  # noqa: A001
    session: Session,
    provider: Provider = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="Models whose name has this in it.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="BY", help="name (by itself), input, or output.")
    ] = None,
    page: Annotated[str | None, typer.Option("--page", metavar="N", help="Which page of 50.")] = None,
) -> PricesListed:
    """List the models that have a price now."""
    by = sort or "name"
    if by not in ("name", "input", "output"):
        raise UsageError(f"--sort cannot be {by}", hint="name, input, or output")
    book = _book(session)
    found = [*book.current(session.env.clock())]
    if provider is not None:
        from budgets.prices.names import provider_id

        seller = provider_id(provider)
        found = [each for each in found if each.provider == seller]
    if search is not None:
        text = search.strip().lower()
        found = [each for each in found if text in f"{each.provider}/{each.model}".lower()]
    if by != "name":
        found = [each for each in found if each.own_row(by, 0) is not None or each.free]
        found.sort(key=lambda each: 0 if each.free else each.row(by, 0).picos)
    chosen = options.count("--page", page)
    chosen = 1 if chosen is None else chosen
    pages = max(1, -(-len(found) // _PER_PAGE))
    if not 1 <= chosen <= pages:
        raise UsageError(f"there is no page {chosen}", hint=f"pages 1 to {pages}")
    shown = found[(chosen - 1) * _PER_PAGE : chosen * _PER_PAGE]
    return PricesListed(book.version, (*shown,), len(found), chosen, pages)


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

    data, compared = _compared(session, file, bundled)
    target = imported_path(session.settings.prices)
    _agree(session, f"use {compared.new} in the place of {compared.old}?", compared, yes)
    if data is None:
        target.unlink(missing_ok=True)
    else:
        install(target, data)
    written = f"{target}" if data is not None else f"{PATH}"
    return BookImported(compared.difference, compared.old, compared.new, written)


def diff(session: Session, file: BookFile = None, bundled: Bundled = False) -> BooksCompared:
    """Show where another book has other prices for today. Nothing is changed."""
    return _compared(session, file, bundled)[1]


def check(session: Session) -> PricesChecked:
    """
    Say how old the prices are, and which models in use have none.

    In use is what was charged for by its tokens. Ends with exit code 1 where one has no price.
    """
    from budgets.errors import UnknownPriceError

    book, now = _book(session), session.env.clock()
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


def _book(session: Session) -> BundledBook | LayeredBook:
    from budgets.prices import open_book

    return open_book(session.settings.prices)


def _compared(session: Session, file: str | None, bundled: bool) -> tuple[bytes | None, BooksCompared]:
    """Another book's bytes (`None`: the bundled one), and what it says otherwise than the one in use."""
    from pathlib import Path

    from budgets.prices import imported_path
    from budgets.prices.bundled import PATH, BundledBook
    from budgets.prices.importing import difference, read_book

    if (file is None) != bundled:
        raise UsageError("which book is not clear", hint="give a file, or --bundled")
    imported = imported_path(session.settings.prices)
    old = BundledBook(imported if imported.exists() else PATH)
    data = None if file is None else read_book(Path(file), old, session.env.clock().date())
    new = BundledBook(data=data)
    found = difference(old, new, session.env.clock())
    return data, BooksCompared(found, old.version, new.version)


def _agree(session: Session, question: str, compared: BooksCompared, yes: bool) -> None:
    """Prices are replaced only when somebody saw what changes and said so."""
    if yes:
        return
    if not (is_terminal(session.env.stdin) and is_terminal(session.env.stderr)):
        raise UsageError("this replaces the prices in use", hint="add --yes where nobody can be asked")
    for line in _difference_lines(compared.document()):
        note(session.env, line)
    if not confirm(session.env, question):
        raise UsageError("nothing was changed")


def _difference_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['old']} -> {found['new']}"
    lines = [
        *(f"+ {name}" for name in found["added"]),
        *(f"- {name}" for name in found["gone"]),
        *(_change_line(each) for each in found["changed"]),
    ]
    yield from lines[:_MOST_SHOWN]
    if len(lines) > _MOST_SHOWN:
        yield f"... and {len(lines) - _MOST_SHOWN:,} more lines, all of them with --json"
    changed = {each["model"] for each in found["changed"]}
    yield (
        f"{len(found['added']):,} models more, {len(found['gone']):,} less, {len(changed):,} at other prices"
    )


def _change_line(change: dict[str, Any]) -> str:
    where = "" if change["tier"] == "standard" else f" {change['tier']}"
    where += f" above {change['above_input_tokens']:,}" if change["above_input_tokens"] else ""
    was, now = (_dollars(change[each]) or "none" for each in ("was_usd", "now_usd"))
    return f"~ {change['model']} {change['unit']}{where}: {was} -> {now}"


def _row(row: Price) -> dict[str, Any]:
    hours = None
    if row.hours is not None:
        hours = "-".join(f"{each:%H:%M}" for each in row.hours)
    return {
        "unit": row.unit,
        "price_usd": _per(row.picos, row.unit),
        "per": priced_for(row.unit),
        "above_input_tokens": row.above,
        "source": row.source,
        "tier": row.tier,
        "from": _written(row.starts),
        "to": _written(row.ends),
        "hours_utc": hours,
        "checked": None if row.checked is None else row.checked.isoformat(),
    }


_PER_WORDS = {1: "each", 3_600: "hour", 1_000_000: "million"}


def _price_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Rows of `_row`; columns that would be empty are left out."""
    from ..tables import Column, Table

    table = Table(
        (
            Column("UNIT"),
            Column("PRICE", right=True),
            Column("PER"),
            Column("TIER"),
            Column("INPUT ABOVE", right=True),
            Column("FROM", keep=4),
            Column("TO", keep=3),
            Column("HOURS (UTC)", keep=2),
            Column("SOURCE", keep=1),
        ),
        tuple(
            (
                row["unit"],
                f"${row['price_usd']}",
                _PER_WORDS[row["per"]],
                row["tier"],
                f"{row['above_input_tokens']:,}",
                row["from"] or "",
                row["to"] or "",
                row["hours_utc"] or "",
                row["source"],
            )
            for row in rows
        ),
    )
    for title, name in (("FROM", "from"), ("TO", "to"), ("HOURS (UTC)", "hours_utc")):
        if not any(row[name] for row in rows):
            table = table.without(title)
    return table


def _listed(prices: ModelPrices, unit: str) -> str | None:
    """The price of *unit* for a short call; `None`: it has none."""
    if prices.free:
        return "0.00"
    row = prices.own_row(unit, 0)
    return None if row is None else _per(row.picos, unit)


def _dollars(usd: str | None) -> str:
    return "" if usd is None else f"${usd}"


def _per(picos: Picos, unit: str) -> str:
    return _usd(picos, priced_for(unit))


def _decimal(factor: Fraction) -> str:
    return _usd(factor, 10**12)


def _plain(unit: str, text: str) -> str:
    """A price may be finer than an amount; it is checked here so that the option is named."""
    from budgets.prices.sheets import picos_per_unit

    plain = text.strip().removeprefix("$")
    with options.given_as(f"--{unit.replace('_', '-')}"):
        picos_per_unit(unit, plain)
    return plain


def _day(text: str | None) -> date | datetime | None:
    """A bare day stays one; a moment stays exact."""
    moment = options.moment("--from", text)
    if moment is None or text is None:
        return None
    return moment.date() if len(text.strip()) == 10 else moment


def _written(starts: date | datetime | None) -> str | None:
    """From when a price holds, as the file has it."""
    from datetime import datetime

    from budgets.clock import iso

    if starts is None:
        return None
    return iso(starts) if isinstance(starts, datetime) else starts.isoformat()


def _usd(picos: Picos, per: int) -> str:
    """US dollars for so many, exact: as decimals where it has an end, else as a fraction."""
    from fractions import Fraction

    usd = Fraction(picos) * per / 10**12
    if 10**24 % usd.denominator:
        return str(usd)
    whole, part = divmod(usd.numerator * (10**24 // usd.denominator), 10**24)
    return f"{whole}.{f'{part:024d}'.rstrip('0').ljust(2, '0')}"
