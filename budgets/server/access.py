"""What a key may do: one place that every route asks, and one that leaves out what a key may not see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from budgets.engine import Engine
from budgets.errors import AccessDeniedError
from budgets.operations import Operation
from budgets.records import ROOT, Path
from budgets.server.principals import Action, Principal


def allow_project(principal: Principal, project: str) -> None:
    """
    Let pass who may act on *project*.

    Raises:
        AccessDeniedError: the key is for another one.
    """
    if principal.project not in (None, project):
        raise AccessDeniedError(f"this key is not for the project {project}", hint="use a key that is")


def allow(principal: Principal, action: Action, path: Path) -> None:
    """
    Let pass who may do that to the budget at the beginning of *path*.

    Raises:
        AccessDeniedError: the key's role, or its scope, does not have it.
    """
    if not principal.may(action, path):
        raise AccessDeniedError(
            f"this key, of role {principal.role}, may not {_WORDS[action]} {path[0] or 'the whole project'}",
            hint="use a key with another role, or for that user; `budget key create` makes one",
        )


_WORDS: Final[Mapping[Action, str]] = {
    "read": "read about",
    "meter": "make calls or charges for",
    "admin": "change",
}


def sees_all(principal: Principal) -> bool:
    """Whether it is bound to no user and to no subtree."""
    return principal.user is None and principal.under == ROOT


def allow_operation(
    principal: Principal, asked: Operation, arguments: Mapping[str, Any], engine: Engine
) -> None:
    """
    Let pass who may carry out an operation of the engine with these arguments.

    Raises:
        AccessDeniedError: it may not.
        UnknownUserError, UnknownHoldError: what it is about is not there.
    """
    if sees_all(principal):
        allow(principal, asked.action, (arguments.get(asked.by or "") or ROOT, ROOT))
        return
    for path in _paths(principal, asked, arguments, engine):
        allow(principal, asked.action, path)


def _paths(
    principal: Principal, asked: Operation, arguments: Mapping[str, Any], engine: Engine
) -> list[Path]:
    """Of everything that the operation touches."""
    named = arguments.get(asked.by or "", ROOT) or ROOT
    own = (principal.user or principal.under,)
    if asked.subject == "lease" or (named == ROOT and asked.name in SEEN):
        # What it is about is the key's own, or is left out of the answer where it is not.
        return [own if principal.user else (*own, ROOT)]
    if asked.subject == "call":
        return [engine.path_of(named)]
    if asked.name == "create":
        return [(named, *engine.path(arguments.get("parent", ROOT)))] if named else [(ROOT,)]
    if named == ROOT:
        return [(ROOT,)]
    paths = [engine.path(named)]
    if asked.name == "change" and arguments["wanted"].parent is not None:
        paths.append(engine.path(arguments["wanted"].parent))
    return paths


# Operations on the whole project whose answer is a list, and the user that each item of it is about.
SEEN: Final[Mapping[str, Callable[[Any], str]]] = {
    "users": lambda name: name,
    "used_most": lambda name: name,
    "statuses": lambda status: status.budget.user,
    "holds": lambda hold: hold.user,
    "expire": lambda hold: hold.user,
}


def seen(principal: Principal, asked: Operation, found: Any, engine: Engine) -> Any:
    """Of an answer, what the key may see."""
    about = SEEN.get(asked.name)
    if about is None or sees_all(principal):
        return found
    paths = {user: engine.path(user) for user in {about(each) for each in found}}
    return [each for each in found if principal.may("read", paths[about(each)])]
