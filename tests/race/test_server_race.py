"""
Many clients on one budget over HTTP: exactly what fits is let through, also when the server is killed.

`BUDGET_FULL=1`: 200 clients with 50 calls each.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from budgets.clock import utc_now
from budgets.engine import Engine, LimitTerms
from budgets.errors import BudgetBusyError, BudgetExceededError
from budgets.money import NANOS_PER_USD
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.remote import RemoteEngine
from budgets.server_link import Link
from budgets.stores.memory import MemoryStore
from budgets.wiring import open_store_at
from tests.support.engines import FULL, FakeProcesses, open_engine

CLIENTS, CALLS = (200, 50) if FULL else (24, 8)
KILLS = 5 if FULL else 2
# Of all the calls that are tried, two in three fit.
FIT = CLIENTS * CALLS * 2 // 3

WORKER = Path(__file__).with_name("server_worker.py")


class Server:
    """A server in a process of its own, which can be killed and started again at the same address."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", str(WORKER), str(self._store), str(self.port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split()[1])

    def kill(self) -> None:
        """SIGKILL, at whatever it is doing."""
        assert self._process is not None
        self._process.kill()
        with self._process:
            pass


@contextmanager
def serving(store: Path) -> Iterator[Server]:
    server = Server(store)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def call(client: RemoteEngine, call_id: str) -> bool:
    """Hold a dollar, settle a dollar; whether it fitted."""
    while True:
        try:
            client.hold("ann", NANOS_PER_USD, model="gpt", hold_id=call_id)
        except BudgetBusyError:
            # Those that run settle to what they hold, so this one never fits; but it cannot know that.
            time.sleep(0.01)
        except BudgetExceededError:
            return False
        else:
            assert client.settle(call_id, Charge(NANOS_PER_USD, "gpt")).nanos == NANOS_PER_USD
            return True


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, KILLS], ids=["in peace", "killed"])
def test_exactly_what_fits_is_let_through_and_nothing_is_lost(tmp_path: Path, kills: int) -> None:
    store = tmp_path / "budgets.sqlite"
    with closing(open_store_at(store)) as opened:
        Engine(opened, clock=utc_now, processes=SystemProcesses()).create(
            "ann", LimitTerms(FIT * NANOS_PER_USD)
        )
    accepted: list[str] = []
    failures: list[Exception] = []

    with serving(store) as server:
        barrier = threading.Barrier(CLIENTS + 1)

        def work(number: int) -> None:
            client = RemoteEngine(
                Link(f"http://127.0.0.1:{server.port}", None, patience_seconds=60),
                project="default",
                desk=open_engine(MemoryStore(), clock=utc_now),
                processes=FakeProcesses(number + 1),
            )
            barrier.wait()
            try:
                for turn in range(CALLS):
                    call_id = f"p{number}-{turn}"
                    if call(client, call_id):
                        accepted.append(call_id)
                client.close()
            except Exception as error:  # noqa: BLE001 - whatever it was, the test fails with it
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        barrier.wait()
        chance = random.Random(5)
        for _ in range(kills):
            time.sleep(chance.uniform(0.02, 0.15))
            server.kill()
            server.start()
        for thread in threads:
            thread.join()

    assert failures == []
    with closing(open_store_at(store)) as opened:
        engine = Engine(opened, clock=utc_now, processes=SystemProcesses())
        charged = [entry.id for entry in engine.entries("ann") if entry.kind == "charge"]
        assert sorted(charged) == sorted(accepted)
        assert len(charged) == FIT
        totals = engine.status("ann").limits[0].totals
        assert (totals.spent_nanos, totals.taken_nanos) == (FIT * NANOS_PER_USD, FIT * NANOS_PER_USD)
        assert engine.check().faults == ()
