"""
How the operations of a call are carried out: at once, or awaited in an event loop.

What is built on a door is written once, as coroutines. Behind `AtOnce` they never wait for a loop, so that
`at_once` runs them to their end in the thread that calls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from budgets.awaiting import AwaitedEngine
from budgets.engine import Engine
from budgets.engine.api import EngineApi
from budgets.leases import Keeper
from budgets.money import Nanos
from budgets.records import Charge, Entry, Held, Hold, Quote, Receipt
from budgets.writer import Writer

T = TypeVar("T")

# How long whoever closes a stream waits for what is written down about it.
_LONGEST_WAIT_SECONDS = 2.0


class Door(Protocol):
    """The operations of a call on one engine."""

    @property
    def engine(self) -> EngineApi:
        """Where they go."""
        ...

    @property
    def keeper(self) -> Keeper:
        """Keeps the engine's lease alive while calls run."""
        ...

    async def work(self, function: Callable[[], T]) -> T:
        """What *function*, which takes its time, gives back."""
        ...

    async def hold(
        self, user: str, needed: Quote | Nanos, *, model: str | None, terms: Mapping[str, Any]
    ) -> Held:
        """See `Engine.hold`. Who is cancelled meanwhile has held nothing."""
        ...

    async def settle(self, hold_id: str, cost: Charge) -> Receipt:
        """See `Engine.settle`. It is carried out, also for who is cancelled meanwhile."""
        ...

    async def release(self, hold_id: str, *, reason: str) -> Entry:
        """See `Engine.release`. It is carried out, also for who is cancelled meanwhile."""
        ...

    async def doubt(self, hold_id: str, *, reason: str) -> Hold:
        """See `Engine.doubt`. It is carried out, also for who is cancelled meanwhile."""
        ...


class AtOnce:
    """Carries operations out in the thread that calls."""

    def __init__(self, engine: EngineApi, keeper: Keeper) -> None:
        self.engine = engine
        self.keeper = keeper

    async def work(self, function: Callable[[], T]) -> T:
        """See `Door.work`."""
        return function()

    async def hold(
        self, user: str, needed: Quote | Nanos, *, model: str | None, terms: Mapping[str, Any]
    ) -> Held:
        """See `Door.hold`."""
        return self.engine.hold(user, needed, model=model, terms=terms)

    async def settle(self, hold_id: str, cost: Charge) -> Receipt:
        """See `Door.settle`."""
        return self.engine.settle(hold_id, cost)

    async def release(self, hold_id: str, *, reason: str) -> Entry:
        """See `Door.release`."""
        return self.engine.release(hold_id, reason=reason)

    async def doubt(self, hold_id: str, *, reason: str) -> Hold:
        """See `Door.doubt`."""
        return self.engine.doubt(hold_id, reason=reason)


class Awaited:
    """Carries operations out beside an asyncio loop: together in a writer's thread, else in threads."""

    def __init__(self, engine: EngineApi, keeper: Keeper) -> None:
        self.engine = engine
        self.keeper = keeper
        self._grouped: tuple[asyncio.AbstractEventLoop, AwaitedEngine] | None = None

    async def work(self, function: Callable[[], T]) -> T:
        """See `Door.work`."""
        return await asyncio.to_thread(function)

    async def hold(
        self, user: str, needed: Quote | Nanos, *, model: str | None, terms: Mapping[str, Any]
    ) -> Held:
        """See `Door.hold`."""
        grouped = self._awaited()
        holding = (
            asyncio.to_thread(self.engine.hold, user, needed, model=model, terms=terms)
            if grouped is None
            else grouped.hold(user, needed, model=model, terms=terms)
        )
        held, cancelled = await _carried_out(holding)
        if cancelled is not None:
            await self.release(held.hold.id, reason="cancelled before it was sent")
            raise cancelled
        return held

    async def settle(self, hold_id: str, cost: Charge) -> Receipt:
        """See `Door.settle`."""
        to = self._awaited()
        return await _written(
            asyncio.to_thread(self.engine.settle, hold_id, cost) if to is None else to.settle(hold_id, cost)
        )

    async def release(self, hold_id: str, *, reason: str) -> Entry:
        """See `Door.release`."""
        to = self._awaited()
        return await _written(
            asyncio.to_thread(self.engine.release, hold_id, reason=reason)
            if to is None
            else to.release(hold_id, reason=reason)
        )

    async def doubt(self, hold_id: str, *, reason: str) -> Hold:
        """See `Door.doubt`."""
        to = self._awaited()
        return await _written(
            asyncio.to_thread(self.engine.doubt, hold_id, reason=reason)
            if to is None
            else to.doubt(hold_id, reason=reason)
        )

    def _awaited(self) -> AwaitedEngine | None:
        """The engine's writer, for the loop that runs; `None`: it has none, or is on a server."""
        if not isinstance(self.engine, Engine) or not isinstance(self.engine.runner, Writer):
            return None
        loop = asyncio.get_running_loop()
        if self._grouped is None or self._grouped[0] is not loop:
            self._grouped = (loop, AwaitedEngine(self.engine))
        return self._grouped[1]


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """What *work* gives back, which has only an `AtOnce` door to wait for."""
    try:
        work.send(None)
    except StopIteration as end:
        found: T = end.value
        return found
    work.close()
    raise AssertionError("behind a door that acts at once nothing waits")


def aside(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """
    Run *work* in a thread of its own, and wait for it, for a while.

    The garbage collector may close a stream at any moment, also in the middle of a transaction of this very
    thread. Then the wait ends before the work, which is done once the transaction is.
    """
    thread = threading.Thread(target=lambda: at_once(work()), name="budgets-close")
    try:
        thread.start()
    except RuntimeError:
        # The interpreter ends and makes no more threads; nor is anything else in the middle of something.
        at_once(work())
        return
    thread.join(_LONGEST_WAIT_SECONDS)


async def _carried_out(work: Awaitable[T]) -> tuple[T, asyncio.CancelledError | None]:
    """What *work* gives back, and whether this was cancelled meanwhile. The work itself never is."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except Exception:  # noqa: BLE001, S110 - raised below, where the result is asked for
            pass
    return task.result(), cancelled


async def _written(work: Awaitable[T]) -> T:
    found, cancelled = await _carried_out(work)
    if cancelled is not None:
        raise cancelled
    return found
