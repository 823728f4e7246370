"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from budgets.errors import InvalidValueError

from .exits import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from budgets.money import Nanos
    from budgets.periods import PeriodRule

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
Store: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="PATH", help="The store's file, or a server's address; else BUDGET_STORE."
    ),
]
Project: TypeAlias = Annotated[
    str | None, typer.Option("--project", metavar="NAME", help="The project; else BUDGET_PROJECT.")
]

User: TypeAlias = Annotated[
    str | None,
    typer.Option("--user", "-u", metavar="NAME", help="Whose budget; else BUDGET_USER, or the only user."),
]
OneUser: TypeAlias = Annotated[
    str | None, typer.Option("--user", "-u", metavar="NAME", help="This user only.")
]
Model: TypeAlias = Annotated[
    str | None, typer.Option("--model", "-m", metavar="NAME", help="The model, for instance gpt-4o-mini.")
]
Provider: TypeAlias = Annotated[
    str | None,
    typer.Option("--provider", metavar="NAME", help="Who serves the model, where its name leaves it open."),
]
Total: TypeAlias = Annotated[
    str | None, typer.Option("--total", metavar="USD", help="The limit in US dollars, for instance 12.50.")
]
Every: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--every", metavar="PERIOD", help="When it starts anew: never, day, week, month, year, '2 weeks' ..."
    ),
]
Duration: TypeAlias = Annotated[
    str | None, typer.Option("--duration", metavar="PERIOD", help="The same as --every.")
]
Timezone: TypeAlias = Annotated[
    str | None,
    typer.Option("--timezone", metavar="ZONE", help="Whose midnight counts, for instance Europe/Berlin."),
]
Anchor: TypeAlias = Annotated[
    str | None,
    typer.Option("--anchor", metavar="DAY", help="A day on which a period starts, for instance 2026-01-31."),
]
Parent: TypeAlias = Annotated[
    str | None, typer.Option("--parent", metavar="NAME", help="Whose limits hold as well.")
]
Archived: TypeAlias = Annotated[bool, typer.Option("--archived", help="Archived budgets as well.")]
Under: TypeAlias = Annotated[
    str | None, typer.Option("--under", metavar="NAME", help="This budget and all below it.")
]
Since: TypeAlias = Annotated[
    str | None,
    typer.Option("--since", metavar="DAY", help="From this day or moment on, for instance 2026-11-01."),
]
Until: TypeAlias = Annotated[
    str | None, typer.Option("--until", metavar="DAY", help="Up to this day or moment, itself not included.")
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@contextmanager
def given_as(option: str) -> Iterator[None]:
    """Name the option in what is wrong with its value."""
    try:
        yield
    except InvalidValueError as error:
        raise InvalidValueError(
            f"{option}: {error.message}", hint=error.hint, **{**error.values, "option": option}
        ) from error


def usd(option: str, text: str | None) -> Nanos | None:
    """An amount in US dollars; `None` where it was not given."""
    if text is None:
        return None
    from budgets.money import parse_usd

    with given_as(option):
        return parse_usd(text)


def signed_usd(option: str, text: str | None) -> Nanos | None:
    """An amount that may be below zero; `None` where it was not given."""
    if text is None:
        return None
    from budgets.money import parse_signed_usd

    with given_as(option):
        return parse_signed_usd(text)


def count(option: str, text: str | None) -> int | None:
    """A number of tokens or the like; `None` where it was not given."""
    if text is None:
        return None
    plain = text.strip().replace(",", "").replace("_", "")
    from budgets.money import shown

    if not (plain.isascii() and plain.isdigit() and len(plain) <= 15):
        raise InvalidValueError(
            f"{option}: {shown(text)} is not a whole number",
            hint="give 0 or more, for instance 1200",
            option=option,
        )
    return int(plain)


def moment(option: str, text: str | None, *, timezone: str = "UTC") -> datetime | None:
    """A moment, in *timezone* where it has no offset; `None` where it was not given."""
    if text is None:
        return None
    from budgets.periods import parse_moment

    with given_as(option):
        return parse_moment(text, timezone=timezone)


def period_text(every: str | None, duration: str | None) -> str | None:
    """The period's name, whichever of the two options has it."""
    if every is not None and duration is not None:
        raise UsageError("--every and --duration mean the same", hint="give one of them")
    return duration if every is None else every


def rule(every: str, *, timezone: str, anchor: str | None) -> PeriodRule:
    """The rule that --every, --timezone, and --anchor stand for; what is wrong with one names itself."""
    from budgets.periods import parse_anchor, parse_rule

    return parse_rule(every, timezone=timezone, anchor=parse_anchor(anchor) if anchor is not None else None)
