"""
Does it stay as fast with many users and many entries? Run by hand:

    python tests/benchmarks/scale.py [--users 100000] [--entries 1000000]

Each thing is measured on a store with 10 users and on a large one, in turn, and the ratio is taken pair by
pair. Making the large store takes a minute or so.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from budgets.clock import FixedClock
from budgets.engine import Engine, LimitTerms, learning
from budgets.engine.holding import charge as charge_in
from budgets.engine.shaping import create as create_in
from budgets.periods import parse_rule
from budgets.processes import SystemProcesses
from budgets.records import ROOT, Charge
from budgets.stores.sqlite import SqliteStore
from budgets.usage import Usage

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
USAGE = Usage.of(input=1_000, output=100)
CHARGE = Charge(
    210_000,
    "gpt-4o-mini",
    USAGE,
    {"book": "bench", "model": "openai/gpt-4o-mini", "rows": {"input": "150000", "output": "600000"}},
)
MONTH, DAY = parse_rule("month"), parse_rule("day")
# As many in one commit while a store is made.
BATCH = 5_000


def made(path: Path, users: int, entries: int) -> Engine:
    """A store with so many users, the entries spread over them and over the month so far."""
    clock = FixedClock(NOW - timedelta(days=21))
    engine = Engine(SqliteStore(path), clock=clock, processes=SystemProcesses())
    names = [f"user-{number:06d}" for number in range(users)]
    for first in range(0, users, BATCH):
        with engine.store.transaction("default") as txn:
            for index, name in enumerate(names[first : first + BATCH], first):
                # Ten reset daily, in the small store and in the large one; the rest monthly.
                rule = DAY if index % (users // 10) == 0 else MONTH
                create_in(
                    txn,
                    clock(),
                    user=name,
                    limits=[LimitTerms(10**15, rule)],
                    parent=ROOT,
                    new_id=engine.new_id,
                )
    step = timedelta(days=21) / max(entries, 1)
    for first in range(0, entries, BATCH):
        with engine.store.transaction("default") as txn:
            for number in range(first, min(first + BATCH, entries)):
                clock.set(NOW - timedelta(days=21) + step * number)
                charge_in(
                    txn,
                    clock(),
                    user=names[number * 7919 % users],
                    entry_id=engine.new_id("call"),
                    cost=CHARGE,
                )
    clock.set(NOW)
    # So that what is measured is what happens every day.
    while _learn(engine):
        pass
    return engine


def _learn(engine: Engine) -> bool:
    before, learned = learning.learn(engine.store, "default")
    with engine.store.transaction("default") as txn:
        return learning.keep(txn, before, learned)


def hold_and_settle(engine: Engine) -> None:
    held = engine.hold("user-000003", 4_900_000, model="gpt-4o-mini")
    engine.settle(held.hold.id, CHARGE)


def status(engine: Engine) -> None:
    engine.status("user-000003")


def cost(engine: Engine) -> None:
    engine.spending("user-000003", by="model")


def reset_due(engine: Engine) -> None:
    # A day passes, and with it the periods of the daily ones.
    engine.clock.advance(days=1)  # type: ignore[attr-defined]
    engine.reset_due()


def micros(work: Callable[[Engine], None], engine: Engine, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work(engine)
    return (time.perf_counter() - start) / times * 1e6


def compare(what: str, work: Callable[[Engine], None], small: Engine, large: Engine, times: int) -> None:
    pairs = [(micros(work, large, times), micros(work, small, times)) for _ in range(7)]
    ratio = statistics.median(one / other for one, other in pairs)
    print(
        f"{what}: {statistics.median(one for one, _ in pairs):,.0f} us, with 10 users"
        f" {statistics.median(other for _, other in pairs):,.0f} us, ratio {ratio:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the files are made; the system's own by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        small = made(folder / "small.sqlite", 10, 100)
        start = time.perf_counter()
        large = made(folder / "large.sqlite", options.users, options.entries)
        seconds = time.perf_counter() - start
        print(
            f"Python {sys.version.split()[0]}; {options.users:,} users and {options.entries:,} entries"
            f" made in {seconds:,.0f} s"
        )
        compare("hold + settle", hold_and_settle, small, large, 300)
        compare("status of one user", status, small, large, 1_000)
        compare("cost of one user by model", cost, small, large, 1_000)
        compare("reset-due, ten are due", reset_due, small, large, 1)
        large.store.close()
        size = (folder / "large.sqlite").stat().st_size
        print(f"on disk: {size / 1e6:,.0f} MB, {size / options.entries:,.0f} bytes per entry, all told")
        print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
