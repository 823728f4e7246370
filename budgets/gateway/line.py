"""
Calls that wait for money, first come first served.

Where only running calls stand in the way, a call waits in the line of the budget that stands in the way. It
is woken when a call of this process lets something go there, and looks by itself for what other processes
let go.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from budgets.awaiting import AwaitedEngine
from budgets.errors import BudgetBusyError, UnknownHoldError
from budgets.records import ROOT, Held, Quote

# How often who is first in a line looks whether another process has let something go.
_LOOKS_AGAIN_SECONDS = 0.1


class _Waiting:
    """One call in a line; it moves up when those before it leave."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()


class Line:
    """
    The lines of one project's calls.

    Args:
        engine: Where money is held.
    """

    def __init__(self, engine: AwaitedEngine) -> None:
        self._engine = engine
        # Whose budget stands in the way, and who waits for it, the first in front.
        self._lines: dict[str, OrderedDict[_Waiting, None]] = {}

    async def hold(
        self, user: str, quote: Quote, *, terms: Mapping[str, Any], patience_seconds: float
    ) -> Held:
        """
        Hold the most a call can cost, waiting its turn for up to *patience_seconds*.

        Raises:
            BudgetBusyError: running calls were still in the way after that.
            BudgetExceededError: it does not fit, however long it waits.
        """
        owner = await self._line_before(user) if self._lines else None
        busy: BudgetBusyError | None = None
        if owner is None:
            try:
                return await self._try(user, quote, terms)
            except BudgetBusyError as error:
                if patience_seconds <= 0:
                    raise
                busy = error
                owner = error.values["limit_user"] or ROOT
        return await self._wait(owner, user, quote, terms, patience_seconds, busy)

    async def _try(self, user: str, quote: Quote, terms: Mapping[str, Any], sharers: int = 1) -> Held:
        """Hold once. Who is cancelled meanwhile leaves nothing held behind."""
        hold_id = self._engine.engine.new_id("call")
        try:
            return await self._engine.hold(user, quote, hold_id=hold_id, terms=terms, sharers=sharers)
        except asyncio.CancelledError:
            # Queued behind the hold; where that was refused there is nothing to release.
            with suppress(UnknownHoldError):
                await asyncio.shield(self._engine.release(hold_id, reason="cancelled"))
            raise

    def let_go(self, path: tuple[str, ...]) -> None:
        """Something was settled or released on *path*: who is first in a line there may try."""
        if self._lines:
            for name in path:
                self._wake(name)

    async def _line_before(self, user: str) -> str | None:
        """The budget on the user's path for which others wait already: who comes now comes after them."""
        if user in self._lines:
            return user
        status = await asyncio.to_thread(self._engine.engine.status, user)
        return next((name for name in status.path if name in self._lines), None)

    async def _wait(
        self,
        owner: str,
        user: str,
        quote: Quote,
        terms: Mapping[str, Any],
        patience_seconds: float,
        busy: BudgetBusyError | None,
    ) -> Held:
        line = self._lines.setdefault(owner, OrderedDict())
        own = _Waiting()
        line[own] = None
        deadline = asyncio.get_running_loop().time() + patience_seconds
        try:
            while True:
                if next(iter(line)) is own:
                    own.woken.clear()
                    try:
                        return await self._try(user, quote, terms, sharers=len(line))
                    except BudgetBusyError as error:
                        busy = error
                rest = deadline - asyncio.get_running_loop().time()
                if rest <= 0:
                    break
                try:
                    async with asyncio.timeout(min(rest, _LOOKS_AGAIN_SECONDS)):
                        await own.woken.wait()
                except TimeoutError:
                    continue
        finally:
            del line[own]
            if line:
                self._wake(owner)
            elif self._lines.get(owner) is line:
                del self._lines[owner]
        if busy is None:
            # It never was first: what it would have been told is what it is told now.
            return await self._try(user, quote, terms)
        raise busy

    def _wake(self, owner: str) -> None:
        line = self._lines.get(owner)
        if line:
            next(iter(line)).woken.set()
