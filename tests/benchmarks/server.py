"""
Hold and settle over HTTP, beside LiteLLM's hosted `BudgetManager`. Run by hand, with litellm installed:

    python tests/benchmarks/server.py [--clients 1 10 100] [--seconds 4]

Ours: each client is a thread, a pair is a hold and a settle, each committed and synced before the server
answers. LiteLLM's: each client is a thread, a pair is `update_cost` by texts and `save_data`, which posts
the whole dictionary to a bare aiohttp server that keeps what it gets in memory, and holds and books nothing.
Servers are processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

Pair = Callable[[int], object]


def measured(clients: int, seconds: float, pair_of: Callable[[int], Pair]) -> tuple[int, float, float]:
    """Pairs per second of all clients together, and the median and the 99th percentile in milliseconds."""
    took: list[float] = []
    barrier = threading.Barrier(clients + 1)

    def work(number: int) -> None:
        pair, own = pair_of(number), []
        pair(-1)
        barrier.wait()
        end, turn = time.perf_counter() + seconds, 0
        while (begun := time.perf_counter()) < end:
            pair(turn)
            turn += 1
            own.append(time.perf_counter() - begun)
        took.extend(own)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    barrier.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begun
    cuts = statistics.quantiles(took, n=100)
    return round(len(took) / elapsed), cuts[49] * 1_000, cuts[98] * 1_000


@contextmanager
def process(*arguments: str) -> Iterator[str]:
    """The address of a server in a process of its own."""
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as running:
        assert running.stdout is not None
        try:
            yield f"http://127.0.0.1:{running.stdout.readline().split()[1]}"
        finally:
            running.kill()


def ours(address: str) -> Callable[[int], Pair]:
    from budgets.clock import utc_now
    from budgets.engine import LimitTerms
    from budgets.processes import SystemProcesses
    from budgets.records import Charge
    from budgets.remote import RemoteEngine
    from budgets.server_link import Link
    from budgets.stores.memory import MemoryStore
    from tests.support.engines import open_engine

    desk = open_engine(MemoryStore(), clock=utc_now)
    link = Link(address, None)
    client = RemoteEngine(link, project="default", desk=desk, processes=SystemProcesses())
    client.create("ann", LimitTerms(10**18), if_missing=True)

    def pair_of(number: int) -> Pair:
        def pair(_turn: int) -> object:
            held = client.hold("ann", 210_000, model="gpt-4o-mini")
            return client.settle(held.hold.id, Charge(210_000, "gpt-4o-mini"))

        del number
        return pair

    return pair_of


def litellms(address: str) -> Callable[[int], Pair]:
    with contextlib.redirect_stdout(io.StringIO()):
        from litellm import BudgetManager

        manager = BudgetManager(project_name="p", client_type="hosted", api_base=address)
        manager.create_budget(total_budget=1e9, user="ann", duration="monthly")

    def pair_of(number: int) -> Pair:
        def pair(_turn: int) -> object:
            manager.update_cost(
                user="ann", model="gpt-4o-mini", input_text="Name three rivers", output_text="Rhine"
            )
            return manager.save_data()

        del number
        return pair

    return pair_of


async def bare() -> None:
    """Keeps what it gets."""
    from aiohttp import web

    kept: dict[str, Any] = {}

    async def get_budget(_request: web.Request) -> web.Response:
        return web.json_response({"data": kept} if kept else {"status": "error"})

    async def set_budget(request: web.Request) -> web.Response:
        kept.update(await request.json())
        return web.json_response({"status": "success"})

    app = web.Application(client_max_size=2**26)
    for path in ("/get_budget", "//get_budget"):
        app.router.add_post(path, get_budget)
    for path in ("/set_budget", "//set_budget"):
        app.router.add_post(path, set_budget)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"ready {runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--bare", action="store_true")
    given = parser.parse_args()
    if given.bare:
        asyncio.run(bare())
        return
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    print(f"{'':24}{'clients':>8}{'pairs/s':>10}{'p50 ms':>10}{'p99 ms':>10}")
    with tempfile.TemporaryDirectory() as folder:
        worker = str(ROOT / "tests" / "race" / "server_worker.py")
        for clients in given.clients:
            store = str(Path(folder) / f"{clients}.sqlite")
            with process(worker, store, "0") as address:
                show("hold + settle, ours", clients, measured(clients, given.seconds, ours(address)))
            with process(__file__, "--bare") as address:
                show("LiteLLM, bare server", clients, measured(clients, given.seconds, litellms(address)))
            check(Path(store))


def show(name: str, clients: int, found: tuple[int, float, float]) -> None:
    print(f"{name:24}{clients:>8}{found[0]:>10,}{found[1]:>10.2f}{found[2]:>10.2f}", flush=True)


def check(store: Path) -> None:
    """Fast and wrong would not count."""
    from budgets.clock import utc_now
    from budgets.engine import Engine
    from budgets.processes import SystemProcesses
    from budgets.wiring import open_store_at

    with closing(open_store_at(store)) as opened:
        report = Engine(opened, clock=utc_now, processes=SystemProcesses()).check()
        assert report.faults == (), report


if __name__ == "__main__":
    main()
