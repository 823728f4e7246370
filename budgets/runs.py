"""A budget for one run of a program, below its user's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Self

from budgets.engine import LimitTerms
from budgets.engine.api import EngineApi
from budgets.holdings import Holding
from budgets.leases import Keeper
from budgets.money import Nanos, parse_usd
from budgets.periods import NEVER


class Run:
    """
    A child budget that is made when the block begins and archived when it ends. See `MeteringEngine.run`.

    `user` is its name: whatever takes a user's name, such as `budgets.meter`, can spend from it.
    """

    def __init__(self, engine: EngineApi, keeper: Keeper, user: str, *, total: str) -> None:
        self._engine = engine
        self._keeper = keeper
        self._parent = user
        self._total_nanos = parse_usd(total)
        # Chance keeps apart what begins in the same second, on any machine.
        self.user = f"{user}/run-{engine.clock():%Y%m%d}-{os.urandom(4).hex()}"

    @property
    def spent(self) -> Nanos:
        """What the run has spent, in nanos; also after its end."""
        primary = self._engine.status(self.user).primary
        assert primary is not None, "a run's budget has a limit"
        return primary.totals.spent_nanos

    @property
    def left(self) -> Nanos:
        """What is left to it in nanos, of its own limit and of all above; may be negative."""
        found = self._engine.status(self.user).left.nanos
        assert found is not None, "a run's own limit says something"
        return found

    def holding(
        self,
        request: Mapping[str, Any] | Nanos,
        *,
        provider: str | None = None,
        dialect: str | None = None,
        model: str | None = None,
    ) -> Holding:
        """The same as `MeteringEngine.holding`, of the run's money."""
        return Holding(
            self._engine,
            self._keeper,
            self.user,
            request,
            provider=provider,
            dialect=dialect,
            model=model,
        )

    def __enter__(self) -> Self:
        self._engine.create(self.user, LimitTerms(self._total_nanos, NEVER), parent=self._parent)
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.archive(self.user)

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.__exit__)
