"""
What learning costs: `reset-due` on settled calls, beside reading the same entries. Run by hand:

    python tests/benchmarks/learning.py [--entries 300000]

Also what the first quote of a process pays for the lessons, and any later one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from budgets.asks import Ask
from budgets.clock import FixedClock
from budgets.engine import Engine, LimitTerms
from budgets.lessons import Estimate, Learned
from budgets.prices import open_book
from budgets.processes import SystemProcesses
from budgets.records import ROOT, Entry
from budgets.stores.sqlite import SqliteStore
from budgets.tokens.counter import TiktokenCounter

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
ASK = Ask("openai-chat", "gpt-4o-mini", texts=("Name three rivers",), messages=1)
BATCH = 10_000


def settled(number: int) -> Entry:
    """A call of one of twenty models, of 50 to 9,000 tokens, of which up to 3% more were reported."""
    model, tokens = f"openai/model-{number % 20}", 50 + number * 7919 % 9_000
    detail = {
        "how": "reported",
        "held_nanos": 10,
        "estimate": Estimate(model, "text", tokens, "tiktoken:o200k_base +4/message").as_dict(),
        "usage": {"input": tokens + tokens * (number % 4) // 100, "output": 100, "how": "reported"},
        "prices": {"book": "bench", "model": model, "rows": {"input": "150000", "output": "600000"}},
    }
    return Entry(f"call-{number:09}", "charge", ("ann", ROOT), NOW, NOW, 5, model, detail)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=300_000)
    count = parser.parse_args().entries
    book, counter = open_book(None), TiktokenCounter()
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(
            SqliteStore(Path(folder) / "budgets.sqlite"),
            clock=FixedClock(NOW),
            processes=SystemProcesses(),
            book=lambda: book,
            counter=lambda: counter,
        )
        engine.create("ann", LimitTerms(10**15))
        for first in range(0, count, BATCH):
            with engine.store.transaction("default") as txn:
                txn.append(map(settled, range(first, first + BATCH)))
        runs = []
        known: Learned | None = None
        while known != engine.learned()[0]:
            known = engine.learned()[0]
            runs.append(seconds(engine.reset_due))
        *full, idle = runs
        reading = seconds(lambda: sum(1 for _ in engine.stream()))
        whole = sum(full)
        print(f"Python {sys.version.split()[0]}; {count:,} entries, {len(known.lessons)} lessons")
        print(f"reset-due: {whole / count * 1e5:.2f} s for 100,000 entries; nothing new {idle * 1e3:.1f} ms")
        print(f"all of it {whole:.1f} s, reading the entries {reading:.1f} s, ratio {whole / reading:.2f}")
        print(f"reading the lessons: {seconds(engine.learned) * 1e3:.1f} ms")
        engine.quote(ASK)
        each = statistics.median(seconds(lambda: engine.quote(ASK)) for _ in range(1_000))
        print(f"a quote: {each * 1e6:.0f} us")
        engine.close()


if __name__ == "__main__":
    main()
