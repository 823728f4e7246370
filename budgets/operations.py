"""
The engine's operations as a client asks a server for them: one table, which both sides read.

Each is a method of `Engine`, by the same name and with the same arguments; its JSON follows from the
annotations. Requests are counted and priced where they are made, so prompts do not cross.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, TypeAlias

from budgets import wire
from budgets.engine import Engine
from budgets.engine.steps import Steps
from budgets.records import Process

# Read what stands where; make calls and charge for them; change budgets.
Action: TypeAlias = Literal["read", "meter", "admin"]

# What an operation is about: a user's budget, a call by its id, the caller's own lease, or the project.
Subject: TypeAlias = Literal["user", "call", "lease", "project"]


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose holds are made: a process elsewhere, and the id of its lease."""

    lease_id: str
    process: Process


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of an engine."""

    name: str
    # What a key must allow.
    action: Action
    subject: Subject
    # The argument that names the subject.
    by: str | None
    arguments: tuple[wire.Field, ...]
    result: wire.Codec
    # The argument that stands for any number of them.
    spread: str | None
    # Reads a project from one end to the other, and takes as long as that does.
    long: bool

    def written(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments ready for JSON; what has its default is left out."""
        return {
            each.key: each.codec.encode(arguments[each.name])
            for each in self.arguments
            if each.name in arguments
        }

    def read(self, value: Any) -> dict[str, Any]:
        """
        The arguments that JSON stands for.

        Raises:
            ValueError: one is missing, is not known, or cannot be meant.
        """
        return wire.taken(value, self.arguments, self.name, strict=True)

    def carry_out(self, engine: Engine | Steps, arguments: Mapping[str, Any]) -> Any:
        """What the method gives back: the answer, or the step that leads to it."""
        rest = dict(arguments)
        first = [rest.pop(self.by)] if self.by is not None and self.by in rest else []
        spread = rest.pop(self.spread, ()) if self.spread is not None else ()
        return getattr(engine, self.name)(*first, *spread, **rest)


# Name -> what a key must allow, and what it is about.
_TABLE: Final[Mapping[str, tuple[Action, Subject]]] = {
    "hold": ("meter", "user"),
    "settle": ("meter", "call"),
    "settle_amount": ("meter", "call"),
    "release": ("meter", "call"),
    "doubt": ("meter", "call"),
    "charge": ("meter", "user"),
    "correct": ("admin", "call"),
    "renew_lease": ("meter", "lease"),
    "end_lease": ("meter", "lease"),
    "expire": ("read", "project"),
    "create": ("admin", "user"),
    "change": ("admin", "user"),
    "archive": ("admin", "user"),
    "unarchive": ("admin", "user"),
    "reset": ("admin", "user"),
    "reset_due": ("admin", "project"),
    "budget": ("read", "user"),
    "status": ("read", "user"),
    "statuses": ("read", "project"),
    "outlook": ("read", "user"),
    "users": ("read", "project"),
    "members": ("read", "user"),
    "used_most": ("read", "project"),
    "tree": ("read", "user"),
    "holds": ("read", "user"),
    "find_hold": ("read", "call"),
    "stream_page": ("read", "user"),
    "charges_page": ("read", "user"),
    "history": ("read", "user"),
    "explain": ("read", "call"),
    "learned": ("read", "project"),
    "timezone": ("read", "user"),
    "spending": ("read", "user"),
    "projects": ("read", "project"),
    "project_names": ("read", "project"),
    "info": ("read", "project"),
    "check": ("read", "project"),
}
NAMES: Final = tuple(_TABLE)

_SUBJECTS: Final[Mapping[Subject, tuple[str, ...]]] = {
    "user": ("user", "above", "top"),
    "call": ("hold_id", "charge_id", "record_id"),
    "lease": (),
    "project": (),
}
_LONG: Final = frozenset({"check", "projects", "spending", "reset_due", "statuses", "tree", "used_most"})

# These are asked for by whoever has a lease, and name it.
HOLDER: Final = wire.field_of("holder", Holder, needed=True)
WITH_HOLDER: Final = frozenset({"hold", "renew_lease", "end_lease"})


@cache
def operation(name: str) -> Operation:
    """The operation of that name, one of `NAMES`."""
    action, subject = _TABLE[name]
    method = getattr(Engine, name)
    annotated = wire.hints(method)
    arguments = []
    spread = None
    for each in inspect.signature(method).parameters.values():
        # Who watches is on this side.
        if each.name in ("self", "watch"):
            continue
        kind = annotated[each.name]
        if each.kind is inspect.Parameter.VAR_POSITIONAL:
            spread, kind = each.name, tuple[(kind, ...)]  # type: ignore[valid-type]
        needed = each.default is inspect.Parameter.empty and each.name != spread
        arguments.append(wire.field_of(each.name, kind, needed=needed))
    names = [each.name for each in arguments]
    if name in WITH_HOLDER:
        arguments.append(HOLDER)
    by = next((each for each in _SUBJECTS[subject] if each in names), None)
    assert by is not None or subject in ("lease", "project"), f"{name} does not say whom it is about"
    return Operation(
        name, action, subject, by, tuple(arguments), wire.codec(annotated["return"]), spread, name in _LONG
    )
