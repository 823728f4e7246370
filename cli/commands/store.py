"""`budget store info` and `budget store copy`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..exits import UsageError
from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from budgets.engine.copying import Copied
    from budgets.records import StoreInfo

    from ..tables import Table

EXAMPLES = """
budget store info
budget store copy budgets.sqlite budgets.json
"""
INFO_EXAMPLES = """
budget store info
budget store info --store budgets.json --json
"""
COPY_EXAMPLES = """
budget store copy budgets.sqlite budgets.json
budget store copy budgets.sqlite one.json --project default
budget store copy budgets.sqlite all.json --all
"""


@dataclass(frozen=True)
class StoreShown(Result):
    """What a store is, and how much it keeps."""

    info: StoreInfo
    command = "store info"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        info = self.info
        return {
            "kind": info.kind,
            "path": info.path,
            "size_bytes": info.size_bytes,
            "store_schema": info.schema,
            "projects": info.projects,
            "users": info.users,
            "entries": info.entries,
            "holds": info.holds,
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        info = self.info
        yield f"{info.path}: a {_KINDS[info.kind]} store, schema {info.schema}"
        yield f"{info.size_bytes:,} bytes on disk"
        yield (
            f"projects {info.projects:,}, users {info.users:,}, entries {info.entries:,}, "
            f"holds {info.holds:,}"
        )


_KINDS = {"sqlite": "SQLite", "json": "JSON"}


@dataclass(frozen=True)
class StoreCopied(Result):
    """Projects that are in another store as well now."""

    copied: tuple[Copied, ...]
    source: str
    target: str
    command = "store copy"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "from": self.source,
            "to": self.target,
            "projects": [
                {
                    "project": each.project,
                    "budgets": each.report.budgets,
                    "periods": each.report.periods,
                    "entries": each.report.entries,
                    "holds": each.report.holds,
                }
                for each in self.copied
            ],
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        for each in self.copied:
            report = each.report
            yield (
                f"copied project {each.project}: budgets {report.budgets:,}, periods {report.periods:,}, "
                f"entries {report.entries:,}, holds {report.holds:,}"
            )
        yield f"all is the same in {self.target}, and all sums add up"

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        import shlex

        yield f"{self.source} stays as it is; to use the copy, set BUDGET_STORE={shlex.quote(self.target)}"


def store(_session: Session) -> None:
    """
    Show the store, or copy it to another file or kind.

    A path that ends in .json is a JSON store, for a few hundred users; any other is SQLite, the default.
    """


def info(session: Session) -> StoreShown:
    """Show the store's kind, place, and size, and how much it keeps."""
    from dataclasses import replace

    info, server = session.engine.info(), session.settings.server
    return StoreShown(info if server is None else replace(info, path=server))


def copy(
    session: Session,
    source: Annotated[str, typer.Argument(metavar="FROM", help="The store's file to copy from.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The file to copy to; it may be new.")],
    all: Annotated[bool, typer.Option("--all", help="Every project, one after the other.")] = False,  # noqa: A002
) -> StoreCopied:
    """
    Copy a project to another store, of any kind, and verify the copy.

    Ids, moments, holds, and history stay as they are. The other store must have nothing of the project
    yet, and no call may be running. Every sum of the copy is derived again from its entries.
    """
    from contextlib import closing
    from pathlib import Path

    from budgets.engine.copying import copy_project
    from budgets.errors import StoreError
    from budgets.processes import SystemProcesses
    from budgets.wiring import open_store_at

    from ..progress import Progress

    for each in (source, target):
        if "://" in each:
            raise UsageError(
                f"{each} is a server, and only files are copied",
                hint="copy the store on the server's machine, while the server is stopped",
            )
    settings = session.settings
    said = [option for option in ("store", "project") if settings.sources.get(option) == "the command line"]
    if "store" in said:
        raise UsageError("FROM and TO name the stores", hint="leave out --store")
    if all and "project" in said:
        raise UsageError("--all and --project are two answers", hint="give one of them")
    paths = Path(source).expanduser(), Path(target).expanduser()
    if not paths[0].exists():
        raise StoreError(
            f"there is no store at {paths[0]}", hint="`budget store info` shows which one is in use"
        )
    if _same(*paths):
        raise UsageError("FROM and TO are the same store", hint="copy to another file")
    with closing(open_store_at(paths[0])) as old, closing(open_store_at(paths[1])) as new:
        projects = (old.projects() if all else None) or [settings.project]
        with Progress(session.env, "copying entries") as progress:
            copied = tuple(
                copy_project(
                    old,
                    new,
                    project,
                    now=session.env.clock(),
                    ended=SystemProcesses().ended,
                    watch=progress.reached,
                )
                for project in projects
            )
    return StoreCopied(copied, str(paths[0].absolute()), str(paths[1].absolute()))


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)
