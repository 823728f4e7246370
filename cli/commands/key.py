"""`budget key create`, `list`, `revoke`, and `rotate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast, get_args

import typer

from budgets.errors import ConfigError

from .. import options
from ..exits import UsageError
from ..harmless import shown_name
from ..options import OneUser, Under
from ..results import Result, iso_or_none
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.engine import Engine
    from budgets.engine.keys import NewKey
    from budgets.records import Key

    from ..tables import Table

EXAMPLES = """
budget key create --role admin
budget key list
"""
CREATE_EXAMPLES = """
budget key create --role admin
budget key create --role meter --user ann --note "ann's laptop"
budget key create --role read --under team-a --expires 2027-01-01
"""
LIST_EXAMPLES = """
budget key list
"""
REVOKE_EXAMPLES = """
budget key revoke ci-runner
"""
ROTATE_EXAMPLES = """
budget key rotate ci-runner
"""

KeyId: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="The key's id, from `budget key list`.")]


@dataclass(frozen=True)
class KeyShown(Result):
    """A key whose text is shown, now and never again."""

    made: NewKey
    now: datetime
    command: str = "key create"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"key": self.made.text, **key_document(self.made.key, self.now)}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        yield self.made.text

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        key = self.made.key
        yield f"key {key.id}, role {key.role}, for {_whom(key)}"
        yield "it is shown only now: keep it where secrets are kept"


@dataclass(frozen=True)
class KeysListed(Result):
    """The keys of a project."""

    keys: tuple[Key, ...]
    now: datetime
    command = "key list"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"keys": [key_document(each, self.now) for each in self.keys]}

    def text(self) -> Iterator[Table]:
        """See `Result`."""
        from ..tables import Column, Table

        if self.keys:
            yield Table(
                (
                    Column("ID"),
                    Column("ROLE"),
                    Column("FOR"),
                    Column("STATE"),
                    Column("CREATED", keep=2),
                    Column("EXPIRES", keep=1),
                    Column("NOTE", keep=0),
                ),
                tuple(
                    (
                        each.id,
                        each.role,
                        _whom(each),
                        _state(each, self.now),
                        f"{each.created_at:%Y-%m-%d}",
                        f"{each.expires_at:%Y-%m-%d}" if each.expires_at else "never",
                        each.note or "",
                    )
                    for each in self.keys
                ),
            )

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if not self.keys:
            yield "there are no keys: a server on this store listens on its own machine only"


@dataclass(frozen=True)
class Revoked(Result):
    """A key that is refused from now on."""

    key: Key
    now: datetime
    command = "key revoke"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return key_document(self.key, self.now)

    def text(self) -> Iterator[str]:
        """See `Result`."""
        yield f"revoked {self.key.id}; a running server refuses it within a second"


def key(_session: Session) -> None:
    """
    Make and revoke the keys that clients of `budget serve` show.

    A key is shown once, when it is made. The store keeps only a hash of it.
    """


def create(
    session: Session,
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="admin, read, or meter.")],
    user: OneUser = None,
    under: Under = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DAY", help="From this day or moment on it is refused.")
    ] = None,
    id: Annotated[  # noqa: A002
        str | None, typer.Option("--id", metavar="NAME", help="An id of your own, to know it by.")
    ] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="What it is for; kept.")] = None,
) -> KeyShown:
    """
    Make a key, and show it once.

    admin may do everything in the project. read sees budgets and reports. meter also holds, settles, and
    charges. The latter two can be bound to one user, or to a budget and all below it.
    """
    from budgets.records import ROOT, Role

    if role not in get_args(Role):
        raise UsageError(f"--role is one of {', '.join(get_args(Role))}", hint="for instance --role meter")
    if user is not None and under is not None:
        raise UsageError("--user and --under exclude each other", hint="give one of them")
    made = _engine(session).create_key(
        cast("Role", role),
        key_id=id,
        user=user,
        under=ROOT if under is None else under,
        expires_at=options.moment("--expires", expires),
        note=note,
    )
    return KeyShown(made, session.env.clock())


def list(session: Session) -> KeysListed:  # noqa: A001
    """List the project's keys, without their secrets."""
    return KeysListed(tuple(_engine(session).keys()), session.env.clock())


def revoke(session: Session, key: KeyId) -> Revoked:
    """
    Refuse a key from now on.

    Safe to repeat. The key stays in the list.
    """
    return Revoked(_engine(session).revoke_key(key), session.env.clock())


def rotate(session: Session, key: KeyId) -> KeyShown:
    """
    Give a key another secret, and show it once.

    The old secret is refused at once; role and bounds stay. For a change without a gap, create a second key
    and revoke the first.
    """
    return KeyShown(_engine(session).rotate_key(key), session.env.clock(), "key rotate")


def _engine(session: Session) -> Engine:
    """The engine on the store's own file: whoever may make keys must be able to write it."""
    from budgets.engine import Engine

    if isinstance(session.engine, Engine):
        return session.engine
    raise ConfigError(
        "keys are made where the store is, and here it is a server's",
        hint="run it on the server's machine, with --store and the store's file",
    )


def key_document(key: Key, now: datetime) -> dict[str, Any]:
    """A key as every document has it."""
    return {
        "id": key.id,
        "role": key.role,
        "user": key.user,
        "under": key.under or None,
        "state": _state(key, now),
        "created_at": iso_or_none(key.created_at),
        "expires_at": iso_or_none(key.expires_at),
        "revoked_at": iso_or_none(key.revoked_at),
        "note": key.note,
    }


def _whom(key: Key) -> str:
    if key.user is not None:
        return shown_name(key.user)
    return f"all below {shown_name(key.under)}" if key.under else "the project"


def _state(key: Key, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"
