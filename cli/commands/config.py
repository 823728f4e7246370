"""`budget config`, and `budget config path`, `set`, `unset`, and `check`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from budgets.config import Settings

    from ..tables import Table

EXAMPLES = """
budget config
budget config set user ann
budget config --json
"""
PATH_EXAMPLES = """
budget config path
"""
SET_EXAMPLES = """
budget config set user ann
budget config set patience_seconds 60
"""
UNSET_EXAMPLES = """
budget config unset user
"""
CHECK_EXAMPLES = """
budget config check
"""

# What stands for the source of a value that nobody set.
DEFAULT = "default"

SettingName: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="The setting, as `budget config` names it.")
]


@dataclass(frozen=True)
class Shown(Result):
    """Every setting, its value, and where that came from."""

    settings: Settings
    command = "config"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.config import VARIABLES

        found = self.settings
        return {
            "file": str(found.file),
            "settings": [
                {
                    "name": name,
                    "value": _value(found, name),
                    "from": found.sources.get(name, DEFAULT),
                    "variable": variable,
                }
                for name, variable in VARIABLES.items()
            ],
        }

    def text(self) -> Iterator[Table]:
        """See `Result`."""
        from ..tables import Column, Table

        yield Table(
            (Column("SETTING"), Column("VALUE"), Column("FROM", keep=2), Column("VARIABLE", keep=1)),
            tuple(
                (each["name"], _words(each["value"]), each["from"], each["variable"])
                for each in self.document()["settings"]
            ),
        )


@dataclass(frozen=True)
class FilePath(Result):
    """The configuration file that is looked for."""

    file: Path
    command = "config path"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"file": str(self.file), "exists": self.file.exists()}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        yield str(self.file)

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if not self.file.exists():
            yield "there is no such file yet; `budget config set NAME VALUE` makes it"


@dataclass(frozen=True)
class Written(Result):
    """A setting that was written into the file, or taken out of it."""

    name: str
    value: Any
    file: Path
    # The variable that is set and says something else.
    overruled_by: str | None
    command: str = "config set"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "name": self.name,
            "value": _plain(self.value),
            "file": str(self.file),
            "overruled_by": self.overruled_by,
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        if self.command == "config unset":
            yield f"{self.name} was taken out of {self.file}; its default is {_words(_plain(self.value))}"
        else:
            yield f"{self.name} is {_words(_plain(self.value))}, written to {self.file}"

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if self.overruled_by:
            yield f"{self.overruled_by} is set as well, and wins over the file"


@dataclass(frozen=True)
class Checked(Result):
    """Settings that can be used, and variables that look like settings and are none."""

    file: Path
    exists: bool
    unknown: tuple[str, ...]
    # Of the gateway's tables: the names of upstreams, of models, and what is missing for them to be called.
    upstreams: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    command = "config check"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "file": str(self.file),
            "exists": self.exists,
            "unknown_variables": list(self.unknown),
            "upstreams": list(self.upstreams),
            "models": list(self.models),
            "missing": list(self.missing),
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        where = self.file if self.exists else f"no file at {self.file}"
        yield f"every setting can be used: {where}"
        if self.upstreams:
            yield f"upstreams: {', '.join(self.upstreams)}"
        if self.models:
            yield f"models: {', '.join(self.models)}"

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        yield from self.missing
        for name in self.unknown:
            yield f"{name} is set, and no setting has that variable"


def config(session: Session) -> Shown:
    """
    Show every setting, its value, and where it comes from.

    The command line wins over the environment, that over the file, and the file over the default.
    """
    return Shown(session.settings)


def path(session: Session) -> FilePath:
    """Show where the configuration file is."""
    from budgets.config import settings_file

    return FilePath(settings_file(session.env.environ))


def set(  # noqa: A001
    session: Session,
    name: SettingName,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="What it shall be.")],
) -> Written:
    """
    Write a setting into the configuration file.

    Every other line and comment stays as it is. Safe to repeat.
    """
    from budgets.config import settings_file
    from budgets.config_file import set_setting

    environ = session.env.environ
    found = set_setting(settings_file(environ), name, value)
    return Written(name, getattr(found, name), found.file, _overruled(name, environ))


def unset(session: Session, name: SettingName) -> Written:
    """Take a setting out of the file, so that its default counts again."""
    from budgets.config import settings_file
    from budgets.config_file import unset_setting

    environ = session.env.environ
    found = unset_setting(settings_file(environ), name)
    # What stood there may have been no setting at all.
    value = getattr(found, name, None)
    return Written(name, value, found.file, _overruled(name, environ), "config unset")


def check(session: Session) -> Checked:
    """
    Say whether every setting can be used.

    Ends with exit code 1 where one cannot. Names variables that begin with BUDGET_ and are no setting's, and
    what the gateway's upstreams and models lack: keys that are not set here, and prices.
    """
    from budgets.config import VARIABLES

    file = session.settings.file
    upstreams: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    if session.settings.tables:
        from budgets.gateway.configured import configuration, missing_in
        from budgets.prices import open_book

        found = configuration(session.settings.tables, session.env.environ)
        upstreams = (
            tuple(each.name for each in found.upstreams) if "upstreams" in session.settings.tables else ()
        )
        models = tuple(found.models or ())
        missing = tuple(missing_in(found, open_book(session.settings.prices), session.env.clock()))
    known = {*VARIABLES.values(), "BUDGET_CONFIG", "BUDGET_DEBUG"}
    unknown = sorted(name for name in session.env.environ if name.startswith("BUDGET_") and name not in known)
    return Checked(file, file.exists(), tuple(unknown), upstreams, models, missing)


def _overruled(name: str, environ: Mapping[str, str]) -> str | None:
    from budgets.config import VARIABLES

    variable = VARIABLES.get(name)
    return variable if variable and environ.get(variable) else None


def _value(settings: Settings, name: str) -> Any:
    """A setting's value as JSON has it; of a secret only that there is one."""
    value = getattr(settings, name)
    return "(set)" if name == "key" and value is not None else _plain(value)


def _plain(value: Any) -> Any:
    """A value as JSON has it; of an address only the host, for what follows it is often a secret."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, tuple):
        return list(value)
    scheme, address, rest = str(value).partition("://")
    if not address:
        return scheme
    host, slash, path = rest.rpartition("@")[2].partition("/")
    return f"{scheme}://{host}{slash}{'...' if path else ''}"


def _words(value: Any) -> str:
    import shlex

    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return shlex.join(value) if isinstance(value, list) else str(value)
