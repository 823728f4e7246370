"""A gateway that runs beside the program that started it: in a thread, with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress

from budgets.awaiting import AwaitedEngine
from budgets.engine import Engine
from budgets.gateway.counting import Counting
from budgets.gateway.cutting import Cut
from budgets.gateway.listening import listening
from budgets.gateway.passing import House, Patience
from budgets.gateway.targets import ByName, Target
from budgets.upstream import HttpUpstream


class GatewayBeside:
    """
    A gateway for one run. It answers from `start` until `finish`.

    Args:
        engine: Opened with `grouped=True`.
        targets: Where calls may go.
        counting: Knows the run key, and counts.
        patience: How long calls wait for money, and how long the rest of an answer is read at the end.
        cut: How a stream is ended that would cost more than was held for it.
        allow_background: Answers may be written in the background.
        on_ended: Is called in the gateway's thread when it has ended, however it did.
    """

    def __init__(
        self,
        engine: Engine,
        targets: Sequence[Target],
        counting: Counting,
        *,
        patience: Patience,
        cut: Cut = "length",
        allow_background: bool = False,
        on_ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._targets = targets
        self._counting = counting
        self._patience = patience
        self._cut = cut
        self._allow_background = allow_background
        self._on_ended = on_ended
        self._port: Future[int] = Future()
        self._failure: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="budgets-gateway", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finish: asyncio.Event | None = None
        self._main: asyncio.Task[None] | None = None

    def start(self) -> str:
        """
        Begin to answer; gives the gateway's address, without a slash at the end.

        Raises:
            OSError: no port can be had.
        """
        self._thread.start()
        return f"http://127.0.0.1:{self._port.result()}"

    def finish(self) -> None:
        """Take no more calls, and let those that run come to their end; returns at once."""
        if self._finish is not None:
            self._call(self._finish.set)

    def hurry(self) -> None:
        """Break off what still runs: it is charged for what came of it. Returns at once."""
        if self._main is not None:
            self._call(self._main.cancel)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended

    def join(self) -> None:
        """Wait for the end; raises what ended it, if anything but `finish` and `hurry` did."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _call(self, function: Callable[[], object]) -> None:
        assert self._loop is not None, "it was started"
        # A loop that has ended meanwhile has nothing left to finish.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _run(self) -> None:
        try:
            with suppress(asyncio.CancelledError):
                asyncio.run(self._answer())
        except BaseException as error:  # noqa: BLE001
            # It is raised where somebody waits for it: at the start, or at the end.
            if self._port.done():
                self._failure = error
            else:
                self._port.set_exception(error)
        finally:
            self._ended = True
            self._on_ended()

    async def _answer(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        self._finish = asyncio.Event()
        async with HttpUpstream() as upstream:
            house = House(
                AwaitedEngine(self._engine),
                ByName(self._targets),
                upstream,
                patience=self._patience,
                report=self._counting.note,
                cut=self._cut,
                allow_background=self._allow_background,
            )
            async with listening(
                house, self._counting.find_caller, finish_seconds=self._patience.drain_seconds
            ) as port:
                self._port.set_result(port)
                await self._finish.wait()
