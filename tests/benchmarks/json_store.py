"""
Updates of the JSON store, beside a plain lock, sync, and rename of the same sizes. Run by hand:

    python tests/benchmarks/json_store.py [--users 100] [--pairs 300] [--rounds 5]

An update is one commit: a hold writes the document, a settle writes an entry and the document. The plain
counterpart takes the same lock and writes, syncs, and renames as many bytes, and does nothing else. Both run
in turn, for machines are noisy.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from budgets.clock import utc_now
from budgets.engine import Engine, LimitTerms
from budgets.periods import parse_rule
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.json_file import JsonStore

CHARGE = Charge(210_000, "gpt-4o-mini")


class Plain:
    """Lock; append and sync, for every second one; write, sync, and rename; sync the folder."""

    def __init__(self, folder: Path, *, document_bytes: int, entry_bytes: int) -> None:
        self._folder = folder
        self._document = b"x" * document_bytes
        self._entry = b"x" * entry_bytes
        self._turn = 0

    def update(self) -> None:
        self._turn += 1
        lock = os.open(self._folder / "plain.lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if self._turn % 2 == 0:
            with (self._folder / "plain.jsonl").open("ab") as file:
                file.write(self._entry)
                file.flush()
                os.fsync(file.fileno())
        new = self._folder / "plain.new"
        with new.open("wb") as file:
            file.write(self._document)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / "plain.json")
        descriptor = os.open(self._folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        os.close(lock)


def rate(work: Callable[[], object], updates: int) -> float:
    start = time.perf_counter()
    work()
    return updates / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are made; the system's own by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        path = folder / "ours.json"
        engine = Engine(JsonStore(path), clock=utc_now, processes=SystemProcesses())
        for number in range(options.users):
            engine.create(f"user-{number}", LimitTerms(10**15, parse_rule("month")))

        def ours() -> None:
            for number in range(options.pairs):
                held = engine.hold(f"user-{number % options.users}", 4_900_000, model="gpt-4o-mini")
                engine.settle(held.hold.id, CHARGE)

        ours()
        log = path.with_suffix(".entries.jsonl")
        size = log.stat().st_size
        engine.charge("user-0", CHARGE)
        plain = Plain(folder, document_bytes=path.stat().st_size, entry_bytes=log.stat().st_size - size)
        updates = 2 * options.pairs
        mine, bare = [], []
        for _ in range(options.rounds):
            mine.append(rate(ours, updates))
            bare.append(rate(lambda: [plain.update() for _ in range(updates)], updates))
        ratios = sorted(one / other for one, other in zip(mine, bare, strict=True))
        print(
            f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, {options.users} users,"
            f" a document of {path.stat().st_size:,} bytes"
        )
        print(
            f"updates: {statistics.median(mine):,.0f} a second, plain files {statistics.median(bare):,.0f};"
            f" ratio median {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
        assert engine.check().faults == ()


if __name__ == "__main__":
    main()
