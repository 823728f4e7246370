"""A call as it comes to the gateway, where its answer goes, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from budgets.dialects.base import Dialect
from budgets.errors import BudgetError
from budgets.gateway.callers import Caller
from budgets.records import Receipt


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call as it came, its caller known."""

    caller: Caller
    # Which target its address names, and the address after that, the query (without a key) with it.
    target: str | None
    path: str
    # Names in lower case.
    headers: Mapping[str, str] = field(repr=False)
    dialect: Dialect
    # The request, and the bytes that it was read from.
    body: Mapping[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)


class Reply(Protocol):
    """Where the caller's answer goes."""

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """The whole answer. Raises `ConnectionError` where the caller has gone."""
        ...

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """An answer begins that comes in pieces. Raises `ConnectionError` where the caller has gone."""
        ...

    async def piece(self, piece: bytes) -> None:
        """More of it. Raises `ConnectionError` where the caller has gone."""
        ...

    def break_off(self, *, at_once: bool = False) -> None:
        """
        An answer that has begun does not come to its end: the caller has to see that.

        Args:
            at_once: What was not taken yet is thrown away, too.
        """
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one call, for whoever keeps count."""

    outcome: Literal["charged", "unconfirmed", "released", "refused"]
    user: str
    # The names of what was asked for.
    provider: str
    model: str
    receipt: Receipt | None = None
    # Why it was refused, released, or is unconfirmed.
    error: BudgetError | None = None
