"""
The operations of a call for an event loop: awaited, carried out together by the writer's thread.

A thread that waits for each operation costs two hand-overs of the interpreter for each; here a whole commit's
answers come back at one waking of the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from budgets.engine import Engine
from budgets.engine.steps import Step
from budgets.money import Nanos
from budgets.records import Charge, Entry, Held, Hold, Quote, Receipt
from budgets.writer import Answered, Writer

T = TypeVar("T")


class AwaitedEngine:
    """
    An engine whose calls' operations can be awaited. Everything else is asked of `engine`.

    Use it in one event loop. An operation that is cancelled while it is on its way is carried out all the
    same: ask again with its id, or settle what it held.

    Args:
        engine: It was opened with `grouped=True`.
    """

    def __init__(self, engine: Engine) -> None:
        if not isinstance(engine.runner, Writer):
            raise TypeError("an awaited engine needs a writer: open it with grouped=True")
        self.engine = engine
        self._writer = engine.runner
        self._loop = asyncio.get_running_loop()
        self._answers: deque[tuple[asyncio.Future[Any], Answered[Any]]] = deque()

    async def hold(
        self,
        user: str,
        needed: Quote | Nanos,
        *,
        model: str | None = None,
        hold_id: str | None = None,
        terms: Mapping[str, Any] | None = None,
        sharers: int = 1,
    ) -> Held:
        """See `Engine.hold`."""
        return await self.take(
            self.engine.steps.hold(user, needed, model=model, hold_id=hold_id, terms=terms, sharers=sharers)
        )

    async def settle(self, hold_id: str, cost: Charge) -> Receipt:
        """See `Engine.settle`."""
        return await self.take(self.engine.steps.settle(hold_id, cost))

    async def release(self, hold_id: str, *, reason: str) -> Entry:
        """See `Engine.release`."""
        return await self.take(self.engine.steps.release(hold_id, reason=reason))

    async def doubt(self, hold_id: str, *, reason: str) -> Hold:
        """See `Engine.doubt`."""
        return await self.take(self.engine.steps.doubt(hold_id, reason=reason))

    async def take(self, step: Step[T]) -> T:
        """Have a step carried out; gives its answer, or raises its refusal."""
        done: asyncio.Future[Any] = self._loop.create_future()
        self._writer.submit(step.operation, partial(self._answered, done), durable=step.durable)
        return step.finish(await done)

    def _answered(self, done: asyncio.Future[Any], given: Answered[Any]) -> None:
        """In the writer's thread: the first answer of a commit wakes the loop, the others come with it."""
        self._answers.append((done, given))
        if len(self._answers) == 1:
            # A loop that was closed meanwhile has nobody left to be told.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._answers:
            done, given = self._answers.popleft()
            if done.cancelled():
                continue
            if given.failure is not None:
                done.set_exception(given.failure)
            else:
                done.set_result(given.value)
