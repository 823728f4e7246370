"""Engines with a clock that moves when told to and processes that end when told to."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Literal

from budgets.clock import FixedClock
from budgets.engine import Engine, EngineSettings, Runner
from budgets.money import parse_usd
from budgets.ports import Clock, Processes, Store
from budgets.records import Charge, Process

# A Saturday, and the last day of a month.
START = datetime(2026, 1, 31, 10, tzinfo=UTC)

# `BUDGET_FULL=1`: races, kills and machines at full size.
FULL = os.environ.get("BUDGET_FULL") == "1"


class FakeProcesses:
    """Processes that end when a test says so. All views of one host share what has *ended*."""

    def __init__(self, pid: int = 1, ended: set[int] | None = None) -> None:
        self.pid = pid
        self.gone: set[int] = set() if ended is None else ended

    def own(self) -> Process:
        return Process("host", self.pid, "start")

    def ended(self, process: Process) -> bool:
        return process.pid in self.gone


def open_engine(
    store: Store,
    *,
    clock: Clock | None = None,
    processes: Processes | None = None,
    project: str = "default",
    on_expiry: Literal["unconfirmed", "release"] = "unconfirmed",
    runner: Runner | None = None,
) -> Engine:
    """An engine without prices: its costs are amounts."""
    return Engine(
        store,
        clock=clock or FixedClock(START),
        processes=processes or FakeProcesses(),
        project=project,
        settings=EngineSettings(on_expiry=on_expiry),
        runner=runner,
    )


def dollars(text: str, *, model: str | None = None) -> Charge:
    """A cost that somebody names, for instance `dollars("2.50")`."""
    return Charge(parse_usd(text), model, how="amount")
