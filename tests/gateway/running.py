"""A gateway in a thread of its own, so that clients of every kind can call it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import budgets
from budgets.awaiting import AwaitedEngine
from budgets.gateway.callers import Caller
from budgets.gateway.incoming import Report
from budgets.gateway.listening import listening
from budgets.gateway.passing import House, Patience
from budgets.gateway.targets import ByName, Target
from budgets.providers import named
from budgets.upstream import HttpUpstream

# The key of the user `ann`.
KEY = "bk_run_key"


@dataclass
class Running:
    """A gateway that runs, and what it has told of its calls."""

    url: str
    engine: budgets.Engine
    reports: list[Report] = field(default_factory=list)
    _told: threading.Condition = field(default_factory=threading.Condition)

    def note(self, report: Report) -> None:
        with self._told:
            self.reports.append(report)
            self._told.notify_all()

    def told(self, count: int) -> list[Report]:
        """The first *count* reports, waiting for them."""
        with self._told:
            assert self._told.wait_for(lambda: len(self.reports) >= count, 30), self.reports
            return self.reports[:count]

    @property
    def spent_nanos(self) -> int:
        return self.engine.status("ann").limits[0].totals.spent_nanos

    @property
    def outcomes(self) -> list[str]:
        return [each.outcome for each in self.reports]


def targets(url: str) -> ByName:
    """All of them at one address."""
    return ByName(
        [
            Target("openai", named("openai"), url, "sk-real"),
            Target("anthropic", named("anthropic"), url, "sk-ant-real"),
            Target("google", named("google"), url, "AIza-real"),
        ]
    )


@contextmanager
def running(engine: budgets.Engine, upstream_url: str, patience: Patience = Patience()) -> Iterator[Running]:  # noqa: B008 - it is frozen
    """A gateway before *upstream_url*, where the key `KEY` spends what `ann` has."""
    found = Running("", engine)
    started = threading.Event()
    ended: list[asyncio.Event] = []
    loop = asyncio.new_event_loop()

    async def run() -> None:
        end = asyncio.Event()
        ended.append(end)
        callers = {KEY: Caller("ann", "run")}
        async with HttpUpstream() as upstream:
            house = House(
                AwaitedEngine(engine),
                targets(upstream_url),
                upstream,
                patience,
                found.note,
                # One of the recorded exchanges is of an answer in the background.
                allow_background=True,
            )
            async with listening(house, callers.get, finish_seconds=1) as port:
                found.url = f"http://127.0.0.1:{port}"
                started.set()
                await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert started.wait(10), "the gateway did not start"
        yield found
    finally:
        loop.call_soon_threadsafe(ended[0].set)
        thread.join(20)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
