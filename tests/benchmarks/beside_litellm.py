"""
One charge, and a race, beside LiteLLM's `BudgetManager`. Run by hand, with litellm installed beside this:

    python tests/benchmarks/beside_litellm.py [--users 10 1000 100000]

LiteLLM answers before its background thread has rewritten the file; what is timed here is the whole of it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from budgets.clock import utc_now
from budgets.engine import Engine, LimitTerms
from budgets.periods import parse_rule
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.sqlite import SqliteStore
from budgets.usage import Usage

CHARGE = Charge(210_000, "gpt-4o-mini", Usage.of(input=1_000, output=100))
RACERS, CHARGES = 4, 200


def milliseconds(work: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start) * 1000)
    return statistics.median(found)


def our_engine(path: Path) -> Engine:
    return Engine(SqliteStore(path), clock=utc_now, processes=SystemProcesses())


def ours(users: int, folder: Path) -> float:
    engine = our_engine(folder / f"ours-{users}.sqlite")
    rule = parse_rule("month")
    with engine.store.transaction("default") as txn:
        from budgets.engine.shaping import create

        for number in range(users):
            create(
                txn,
                utc_now(),
                user=f"user-{number}",
                limits=[LimitTerms(10**12, rule)],
                parent="",
                new_id=engine.new_id,
            )
    return milliseconds(lambda: engine.charge("user-3", CHARGE), 50)


def theirs(users: int, folder: Path) -> float:
    manager = _manager(folder, users)
    reply = _reply()

    def charge() -> None:
        manager.update_cost(user="user-3", completion_obj=reply)
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join()

    return milliseconds(charge, 5 if users > 10_000 else 20)


def _manager(folder: Path, users: int) -> Any:
    from litellm import BudgetManager

    place = folder / f"litellm-{users}"
    place.mkdir(exist_ok=True)
    record = {"total_budget": 1000, "duration": 28, "created_at": 0, "last_updated_at": 0}
    record |= {"current_cost": 0.1, "model_cost": {"gpt-4o-mini": 0.1}}
    (place / "user_cost.json").write_text(
        json.dumps({f"user-{number}": record for number in range(users)}, indent=4)
    )
    # It writes into the folder that it runs in.
    os.chdir(place)
    return BudgetManager(project_name="bench")


def _reply() -> Any:
    from litellm import ModelResponse
    from litellm import Usage as TheirUsage

    return ModelResponse(
        model="gpt-4o-mini",
        usage=TheirUsage(prompt_tokens=1_000, completion_tokens=100, total_tokens=1_100),
    )


def race_ours(folder: Path) -> float:
    path = folder / "race.sqlite"
    our_engine(path).create("ann", LimitTerms(10**15))
    _run_racers("--race-ours", path)
    return our_engine(path).status("ann").limits[0].totals.spent_nanos / (RACERS * CHARGES * CHARGE.nanos)


def race_theirs(folder: Path) -> float | None:
    manager = _manager(folder, 10)
    cost = manager.get_current_cost("user-3")
    _run_racers("--race-theirs", Path.cwd())
    try:
        kept = json.loads(Path("user_cost.json").read_text())["user-3"]["current_cost"] - cost
    except ValueError:
        return None
    return kept / (RACERS * CHARGES * 0.00021)


def _run_racers(option: str, path: Path) -> None:
    racers = [
        subprocess.Popen([sys.executable, __file__, option, str(path)], stderr=subprocess.DEVNULL)
        for _ in range(RACERS)
    ]
    for racer in racers:
        racer.wait()


def race(option: str, path: Path) -> None:
    """One of the processes that charge at once."""
    if option == "ours":
        engine = our_engine(path)
        for _ in range(CHARGES):
            engine.charge("ann", CHARGE)
        return
    from litellm import BudgetManager

    os.chdir(path)
    manager, reply = BudgetManager(project_name="bench"), _reply()
    for _ in range(CHARGES):
        manager.update_cost(user="user-3", completion_obj=reply)
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, nargs="*", default=[10, 1_000, 100_000])
    parser.add_argument("--race-ours", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--race-theirs", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.race_ours or options.race_theirs:
        race("ours" if options.race_ours else "theirs", options.race_ours or options.race_theirs)
        return
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    print(f"Python {sys.version.split()[0]}, litellm {version('litellm')}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for users in options.users:
            print(
                f"one charge among {users:,} users: {ours(users, folder):.2f} ms, durable;"
                f" LiteLLM {theirs(users, folder):,.2f} ms"
            )
        kept = race_theirs(folder)
        print(
            f"{RACERS} processes x {CHARGES} charges of one user: {race_ours(folder):.0%} kept; LiteLLM"
            f" {'left a file that cannot be read' if kept is None else f'{kept:.0%} kept'}"
        )
        os.chdir("/")


if __name__ == "__main__":
    main()
