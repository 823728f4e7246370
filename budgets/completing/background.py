"""
One event loop in a thread of its own, with one pool of connections, for calls that block or run in any loop.

A program may call from many threads, from inside a running loop, or from loops that come and go; the
connections, and the booking of what a call cost, outlive them all.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent import futures
from typing import Any, Generic, TypeVar

from budgets.upstream import HttpUpstream

T = TypeVar("T")

_CLOSING_SECONDS = 5


class Job(Generic[T]):
    """One coroutine that runs on the line."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self.future: futures.Future[T] = futures.Future()
        # From now on it can only be cancelled by `stop`, which lets it write down what it cost.
        self.future.set_running_or_notify_cancel()
        self._task: asyncio.Task[T] | None = None
        loop.call_soon_threadsafe(self._begin, coroutine)

    def _begin(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.future.set_exception(futures.CancelledError())
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())

    def stop(self, *, after_seconds: float = 0) -> None:
        """Have it end soon, if it has not by then; what it has received is written down. Does not wait."""

        def cancel() -> None:
            assert self._task is not None, "it is begun before it is stopped"
            self._task.cancel()

        if not self.future.done():
            self._loop.call_soon_threadsafe(self._loop.call_later, after_seconds, cancel)

    def result(self) -> T:
        """What it gives; whoever interrupts the waiting stops it, and waits for the writing down."""
        try:
            return self.future.result()
        except BaseException:
            self.join()
            raise

    def join(self) -> None:
        """Stop it, and wait until it has ended."""
        self.stop()
        futures.wait([self.future])

    async def awaited(self) -> T:
        """The same as `result` for an event loop."""
        try:
            return await asyncio.wrap_future(self.future)
        except asyncio.CancelledError:
            await self.joined()
            raise

    async def joined(self) -> None:
        """The same as `join` for an event loop."""
        self.stop()
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.future.add_done_callback(lambda _: loop.call_soon_threadsafe(ended.set))
        await ended.wait()


class Line:
    """The loop, its thread, and its connections. Made by `line`."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.upstream = HttpUpstream()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="budgets-line", daemon=True)
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Job[T]:
        """Run *coroutine* here."""
        return Job(self._loop, coroutine)

    def close(self) -> None:
        """End what runs, so that it is written down, and let go of everything. Closing twice is fine."""
        if self._loop.is_closed():
            return
        futures.wait([self.start(self._wind_up()).future], timeout=_CLOSING_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSING_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _wind_up(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.upstream.close()


_lock = threading.Lock()
_line: Line | None = None
# Those that a fork has brought along: their threads are the parent's. Nothing of them is touched.
_left_alone: list[Line] = []


def line() -> Line:
    """This process's line, started when it is first asked for."""
    global _line
    with _lock:
        if _line is not None and _line.pid != os.getpid():
            _left_alone.append(_line)
            _line = None
        if _line is None:
            _line = Line()
            atexit.register(_close, _line)
        return _line


def _close(which: Line) -> None:
    if which.pid == os.getpid():
        which.close()
