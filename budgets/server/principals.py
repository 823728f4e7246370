"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from budgets.records import ROOT, Key, Path, Role

# `read`: look at it; `meter`: hold, settle, release, and charge for it; `admin`: shape it, give money back.
Action: TypeAlias = Literal["read", "meter", "admin"]

_ALLOWED: dict[Role, frozenset[Action]] = {
    "admin": frozenset(("read", "meter", "admin")),
    "read": frozenset(("read",)),
    "meter": frozenset(("read", "meter")),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request."""

    role: Role
    # What tells this one's clients from those of others; never a secret.
    id: str = ""
    # The only project that is open to it; `None`: every one.
    project: str | None = None
    # The only user, or the top of the only subtree (`ROOT`: all of the project).
    user: str | None = None
    under: str = ROOT

    @classmethod
    def of(cls, project: str, key: Key) -> Principal:
        """Whoever has that key of that project."""
        return cls(key.role, key.id, project, key.user, key.under)

    def may(self, action: Action, path: Path) -> bool:
        """
        Whether it may do that to the budget at the beginning of *path*.

        Args:
            path: The user, the user's parent, and so on up to the project; `(ROOT,)` for all of the project.
        """
        if action not in _ALLOWED[self.role]:
            return False
        return path[0] == self.user if self.user is not None else self.under in path


# Whoever may reach a server without keys, which listens on this machine only.
ANYBODY = Principal("admin")
