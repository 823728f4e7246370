"""`budget list-users`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..results import Result
from ..session import Session

EXAMPLES = """
budget list-users
budget list-users --json
"""


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


def list_users(session: Session) -> Users:
    """List who has a budget, one name a line."""
    return Users(tuple(session.engine.users()), session.engine.project)
