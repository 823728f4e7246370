"""`budget export`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from .. import options
from ..env import is_terminal
from ..exits import UsageError
from ..options import OneUser, Since, Under, Until, Yes
from ..progress import Progress
from ..results import Result
from ..rows import COLUMNS, Row, lines, rows
from ..session import Session

if TYPE_CHECKING:
    from ..env import Env

EXAMPLES = """
budget export --format csv --since 2026-11-01 --until 2026-12-01
budget export --format jsonl --under team-a
budget export --format focus --output november.csv --yes
budget export --format litellm --output user_cost.json --yes
"""

# So many users are named where something is said about them.
_NAMED = 5

Format: TypeAlias = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="csv, jsonl, focus (FinOps FOCUS, as CSV), or litellm (budgets, as its user_cost.json).",
    ),
]
Output: TypeAlias = Annotated[
    str | None, typer.Option("--output", metavar="FILE", help="Write a file, whole or not at all.")
]


@dataclass(frozen=True)
class Rows(Result):
    """Charges and corrections, read while they are written out."""

    rows: Iterable[Row]
    format: str
    command = "export"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        found = list(self.rows)
        return {"format": self.format, "file": None, "count": len(found), "rows": found}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        return lines(self.rows, self.format)


@dataclass(frozen=True)
class UserCosts(Result):
    """Budgets, as LiteLLM's BudgetManager keeps them."""

    records: Mapping[str, Mapping[str, Any]]
    # Whom it could not say: without a limit of their own, or with periods that it has no word for.
    without: tuple[str, ...]
    about: tuple[str, ...]
    # `None`: the answer itself.
    file: Path | None
    command = "export"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        rows = [{"user": user, **record} for user, record in self.records.items()]
        return {
            "format": "litellm",
            "file": str(self.file) if self.file else None,
            "count": len(rows),
            "rows": None if self.file else rows,
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        if self.file is None:
            yield from self.lines()

    def lines(self) -> Iterator[str]:
        """The file, line by line."""
        import json

        yield from json.dumps(self.records, indent=4).splitlines()

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if self.file is not None:
            count = "1 budget" if len(self.records) == 1 else f"{len(self.records):,} budgets"
            yield f"wrote {count} to {self.file}"
        if self.without:
            yield f"left out, because they have no limit of their own: {_named(self.without)}"
        if self.about:
            yield f"written with a duration in days that is only about theirs: {_named(self.about)}"


@dataclass(frozen=True)
class Exported(Result):
    """A file that was written."""

    file: Path
    count: int
    format: str
    command = "export"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"format": self.format, "file": str(self.file), "count": self.count, "rows": None}

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        what = "1 charge or correction" if self.count == 1 else f"{self.count:,} charges and corrections"
        yield f"wrote {what} to {self.file}"


def export(
    session: Session,
    format: Format = "csv",  # noqa: A002
    since: Since = None,
    until: Until = None,
    user: OneUser = None,
    under: Under = None,
    output: Output = None,
    yes: Yes = False,
) -> Rows | UserCosts | Exported:
    """
    Write out charges and corrections, one a row.

    They come by the moment of their call, amounts are exact, and --since and --until are days in the time
    zone of the budget that --user or --under names, else of the project. The format litellm has budgets as
    they stand now instead.
    """
    if format not in (*COLUMNS, "litellm"):
        raise UsageError("--format takes csv, jsonl, focus, or litellm", hint="for instance --format csv")
    if user is not None and under is not None:
        raise UsageError("--user and --under both name a budget", hint="give one of them")
    if format == "litellm":
        if since is not None or until is not None:
            raise UsageError(
                "the format litellm has budgets as they stand now", hint="leave out --since and --until"
            )
        return _user_costs(session, user, under, output, yes)
    engine = session.engine
    name = user if user is not None else under or ""
    timezone = engine.timezone(name)
    entries = engine.charges(
        name,
        since=options.moment("--since", since, timezone=timezone),
        until=options.moment("--until", until, timezone=timezone),
    )
    wanted = entries if user is None else (each for each in entries if each.user == user)
    found = rows(wanted, engine.project, format)
    if output is None:
        # Where the answer itself runs over the terminal, it says how far it has come.
        watched = session.env if not is_terminal(session.env.stdout) else None
        return Rows(_counted(found, watched), format)
    target = _target(session, output, yes)
    return Exported(Path(output), _written(target, found, format, session.env), format)


def _user_costs(
    session: Session, user: str | None, under: str | None, output: str | None, yes: bool
) -> UserCosts:
    from budgets.dropin.user_cost import record_of, says_exactly
    from budgets.files import replacing

    engine = session.engine
    names = engine.users() if under is None else sorted({under, *engine.members(under)})
    records, without, about = {}, [], []
    for name in names if user is None else [user]:
        status = engine.status(name)
        primary = status.primary
        if primary is None or primary.limit.total_nanos is None:
            without.append(name)
            continue
        records[name] = record_of(status)
        if not says_exactly(primary.limit.rule):
            about.append(name)
    found = UserCosts(records, tuple(without), tuple(about), Path(output) if output is not None else None)
    if output is not None:
        with replacing(_target(session, output, yes)) as file:
            file.writelines(f"{line}\n" for line in found.lines())
    return found


def _named(users: tuple[str, ...]) -> str:
    from ..harmless import shown_name

    more = f" and {len(users) - _NAMED:,} more" if len(users) > _NAMED else ""
    return ", ".join(map(shown_name, users[:_NAMED])) + more


def _target(session: Session, output: str, yes: bool) -> Path:
    """The file to write, once it is agreed that one that is there may go; a link is followed."""
    from budgets.errors import InvalidValueError

    # As the system has it, so that nothing else takes the file's place.
    target = Path(output).resolve()
    if target.exists() and not target.is_file():
        raise InvalidValueError(
            f"--output: {output} is no file", hint="leave out --output to write to a pipe"
        )
    if not target.parent.is_dir():
        raise InvalidValueError(
            f"--output: the folder {target.parent} does not exist", hint="make it first, or name another"
        )
    if target.exists() and not yes:
        session.agree(f"{target} exists. Replace it?", needs=f"the export would replace {target}")
    return target


def _written(target: Path, found: Iterable[Row], format: str, env: Env) -> int:  # noqa: A002
    from budgets.files import replacing

    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for each in _counted(found, env):
            count += 1
            yield each

    with replacing(target) as file:
        file.writelines(f"{line}\n" for line in lines(counted(), format))
    return count


def _counted(found: Iterable[Row], watched: Env | None) -> Iterator[Row]:
    """The same, while a person who waits is told how many there were."""
    if watched is None:
        yield from found
        return
    with Progress(watched, "exporting") as progress:
        for number, row in enumerate(found, start=1):
            yield row
            if number % 1_000 == 0:
                progress.reached(number)
