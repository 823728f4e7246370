"""
Hold + settle, beside bare sqlite3 doing the same two commits. Run by hand:

    python tests/benchmarks/ledger.py [--pairs 3000] [--rounds 5]

Every figure stands beside its bare counterpart from the same run, in turn, for machines are noisy.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from budgets.awaiting import AwaitedEngine
from budgets.clock import utc_now
from budgets.engine import Engine, LimitTerms
from budgets.periods import parse_rule
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.sqlite import SqliteStore
from budgets.usage import Usage
from budgets.writer import Writer

USAGE = Usage.of(input=1_000, output=100)
PINS = {
    "book": "bench",
    "model": "openai/gpt-4o-mini",
    "rows": {"input": "150000", "output": "600000"},
}
CHARGE = Charge(210_000, "gpt-4o-mini", USAGE, PINS)
HELD = 4_900_000


def open_engine(path: Path, *, grouped: bool = False) -> tuple[Engine, Writer | None]:
    store = SqliteStore(path)
    writer = Writer(store, "default", utc_now) if grouped else None
    engine = Engine(store, clock=utc_now, processes=SystemProcesses(), runner=writer)
    engine.create("ann", LimitTerms(1_000_000 * 10**9, parse_rule("month")), if_missing=True)
    return engine, writer


def pair(engine: Engine) -> None:
    held = engine.hold("ann", HELD, model="gpt-4o-mini")
    engine.settle(held.hold.id, CHARGE)


class Bare:
    """The least that a durable hold and settle need in SQLite: what our statements come down to."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.executescript(
            "CREATE TABLE budget (user TEXT PRIMARY KEY, total INT, spent INT, held INT);"
            "INSERT INTO budget VALUES ('ann', 1000000000000000, 0, 0);"
            "CREATE TABLE hold (id TEXT PRIMARY KEY, user TEXT, nanos INT, at INT);"
            "CREATE TABLE entry (seq INTEGER PRIMARY KEY, id TEXT UNIQUE,"
            " user TEXT, nanos INT, at INT, detail TEXT);"
        )
        self.number = 0

    def hold(self) -> str:
        self.number += 1
        name = f"call_{self.number:012x}"
        row = self.db.execute(
            "UPDATE budget SET held = held + ? WHERE user = 'ann' AND spent + held + ? <= total RETURNING 1",
            (HELD, HELD),
        ).fetchone()
        assert row is not None
        self.db.execute("INSERT INTO hold VALUES (?, 'ann', ?, ?)", (name, HELD, time.time_ns()))
        return name

    def settle(self, name: str) -> None:
        self.db.execute("DELETE FROM hold WHERE id = ?", (name,))
        self.db.execute(
            "UPDATE budget SET held = held - ?, spent = spent + ? WHERE user = 'ann'", (HELD, 210_000)
        )
        self.db.execute(
            "INSERT INTO entry (id, user, nanos, at, detail) VALUES (?, 'ann', ?, ?, ?)",
            (name, 210_000, time.time_ns(), '{"input":1000,"output":100}'),
        )

    def pair(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        name = self.hold()
        self.db.execute("COMMIT")
        self.db.execute("BEGIN IMMEDIATE")
        self.settle(name)
        self.db.execute("COMMIT")

    def grouped(self, size: int) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        names = [self.hold() for _ in range(size)]
        self.db.execute("COMMIT")
        self.db.execute("BEGIN IMMEDIATE")
        for name in names:
            self.settle(name)
        self.db.execute("COMMIT")


def rate(work: Callable[[], object], pairs: int) -> float:
    start = time.perf_counter()
    work()
    return pairs / (time.perf_counter() - start)


def one_by_one(pairs: int, rounds: int, folder: Path) -> None:
    engine, _ = open_engine(folder / "one.sqlite")
    bare = Bare(folder / "bare-one.sqlite")
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(rate(lambda: [pair(engine) for _ in range(pairs)], pairs))
        theirs.append(rate(lambda: [bare.pair() for _ in range(pairs)], pairs))
    report("hold + settle, two full-sync commits", ours, theirs)


def in_groups(pairs: int, rounds: int, folder: Path, size: int = 32) -> None:
    """All the engine's work on a pair, *size* operations in one commit, without the threads."""
    engine, _ = open_engine(folder / "group.sqlite")
    bare = Bare(folder / "bare-group.sqlite")
    batch = _Batch(engine)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(rate(lambda: [batch.pairs(size) for _ in range(pairs // size)], pairs // size * size))
        theirs.append(rate(lambda: [bare.grouped(size) for _ in range(pairs // size)], pairs // size * size))
    report(f"grouped, {size} in one commit", ours, theirs)
    engine, writer = open_engine(folder / "writer.sqlite", grouped=True)
    assert writer is not None
    threaded = []
    for _ in range(rounds):
        threaded.append(rate(lambda: in_threads(engine, size, pairs // size), pairs // size * size))
    print(f"  the same through the writer from {size} threads: {statistics.median(threaded):,.0f} pairs/s")
    looped = []
    for _ in range(rounds):
        looped.append(rate(lambda: asyncio.run(in_tasks(engine, size, pairs // size)), pairs // size * size))
    print(f"  the same awaited by {size} tasks of one loop: {statistics.median(looped):,.0f} pairs/s")
    writer.close()


class _Batch:
    """Hands the engine's own operations to one transaction, as the writer does."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.txn = None
        engine._run = self.run

    def run(self, operation, *, durable=True):
        del durable
        return operation(self.txn, self.engine.clock())

    def pairs(self, size: int) -> None:
        with self.engine.store.transaction("default") as self.txn:
            held = [self.engine.hold("ann", HELD, model="gpt-4o-mini").hold.id for _ in range(size)]
        with self.engine.store.transaction("default") as self.txn:
            for hold_id in held:
                self.engine.settle(hold_id, CHARGE)


def in_threads(engine: Engine, threads: int, each: int) -> None:
    def work() -> None:
        for _ in range(each):
            pair(engine)

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


async def in_tasks(engine: Engine, tasks: int, each: int) -> None:
    awaited = AwaitedEngine(engine)

    async def work() -> None:
        for _ in range(each):
            held = await awaited.hold("ann", HELD, model="gpt-4o-mini")
            await awaited.settle(held.hold.id, CHARGE)

    await asyncio.gather(*(work() for _ in range(tasks)))


def many_processes(pairs: int, folder: Path, processes: int = 8) -> None:
    path = folder / "many.sqlite"
    open_engine(path)[0].store.close()
    start = time.perf_counter()
    running = [
        subprocess.Popen(
            [sys.executable, __file__, "--child", str(path), "--pairs", str(pairs // processes)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    waits = [float(child.communicate()[0]) for child in running]
    seconds = time.perf_counter() - start
    done = pairs // processes * processes
    print(
        f"{processes} processes on one budget: {done / seconds:,.0f} pairs/s with their start,"
        f" worst wait for one operation {max(waits) * 1000:,.0f} ms"
    )


def child(path: Path, pairs: int) -> None:
    engine, _ = open_engine(path)
    worst = 0.0
    for _ in range(pairs):
        start = time.perf_counter()
        held = engine.hold("ann", HELD, model="m")
        between = time.perf_counter()
        engine.settle(held.hold.id, CHARGE)
        worst = max(worst, between - start, time.perf_counter() - between)
    print(worst)


def report(what: str, ours: list[float], theirs: list[float]) -> None:
    ratios = sorted(mine / bare for mine, bare in zip(ours, theirs, strict=True))
    print(
        f"{what}: {statistics.median(ours):,.0f} pairs/s, bare sqlite3 {statistics.median(theirs):,.0f}"
        f" pairs/s; ratio median {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are made; the system's own by default")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.pairs)
        return
    print(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        one_by_one(options.pairs, options.rounds, folder)
        in_groups(options.pairs, options.rounds, folder)
        many_processes(options.pairs, folder)


if __name__ == "__main__":
    main()
