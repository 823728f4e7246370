"""`budget list-users`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from ..exits import UsageError
from ..options import Archived
from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from fractions import Fraction

EXAMPLES = """
budget list-users
budget list-users --under team-a --over 90%
budget list-users --archived --json
"""

Under: TypeAlias = Annotated[
    str | None, typer.Option("--under", metavar="NAME", help="Only those who stand below this budget.")
]
Over: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--over", metavar="PERCENT", help="Only those who have used so much of their tightest limit."
    ),
]


@dataclass(frozen=True)
class Users(Result):
    """The names of a project's users, sorted."""

    names: tuple[str, ...]
    project: str
    command = "list-users"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"project": self.project, "users": list(self.names)}

    def text(self) -> Iterator[str]:
        """See `Result`."""
        yield from self.names


def list_users(session: Session, under: Under = None, over: Over = None, archived: Archived = False) -> Users:
    """
    List who has a budget, one name a line.

    The tightest limit is the one on a user's path, their own or one above, that leaves least. What is held
    and unconfirmed uses it as well as what is spent; --over 90% takes those who have used exactly 90%.
    """
    if archived and (under is not None or over is not None):
        raise UsageError("--archived goes with neither --under nor --over", hint="leave one of them out")
    engine = session.engine
    least = None if over is None else _part(over)
    names = engine.users(archived=archived) if under is None else engine.members(under)
    if least is not None:
        from ..progress import Waiting

        with Waiting(session.env, "looking at budgets"):
            most = set(engine.used_most(least))
        names = [name for name in names if name in most]
    return Users(tuple(names), engine.project)


def _part(text: str) -> Fraction:
    """`90%` or `90`, as a part of one."""
    import re
    from fractions import Fraction

    from budgets.errors import InvalidValueError
    from budgets.money import shown

    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?%?", text.strip(), re.ASCII):
        raise InvalidValueError(
            f"--over: {shown(text)} is not a percentage", hint="give for instance 90%", option="--over"
        )
    return Fraction(text.strip().rstrip("%")) / 100
