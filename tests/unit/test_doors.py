"""How a call's operations are carried out: at once, awaited, beside a garbage collector, for long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import budgets
from budgets import doors, leases
from budgets.doors import Awaited, aside, at_once
from budgets.leases import Keeper
from tests.support.programs import Where, opened


@pytest.fixture(params=["alone", "grouped", "server"])
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[budgets.MeteringEngine]:
    where: Where = "server" if request.param == "server" else "file"
    with opened(tmp_path, where, grouped=request.param == "grouped") as found:
        found.create("ann", budgets.LimitTerms(1_000))
        yield found


def test_who_is_cancelled_while_it_is_held_has_held_nothing(engine: budgets.MeteringEngine) -> None:
    async def main() -> None:
        door = Awaited(engine, engine.keeper)
        task = asyncio.create_task(door.hold("ann", 5, model=None, terms={}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert engine.holds() == []
    assert [entry.kind for entry in engine.entries("ann")][-1] == "released"


def test_who_is_cancelled_while_it_is_settled_has_settled(engine: budgets.MeteringEngine) -> None:
    async def main() -> None:
        door = Awaited(engine, engine.keeper)
        held = await door.hold("ann", 5, model=None, terms={})
        task = asyncio.create_task(door.settle(held.hold.id, budgets.Charge(3)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert engine.status("ann").limits[0].totals.spent_nanos == 3


def test_a_refusal_is_raised_to_who_waits(engine: budgets.MeteringEngine) -> None:
    async def main() -> None:
        await Awaited(engine, engine.keeper).hold("ann", 5_000, model=None, terms={})

    with pytest.raises(budgets.BudgetExceededError):
        asyncio.run(main())


def test_what_waits_for_a_loop_is_not_run_at_once() -> None:
    with pytest.raises(AssertionError):
        at_once(asyncio.sleep(0))


@pytest.mark.parametrize("engine", ["alone", "grouped"], indirect=True)
def test_a_stream_that_is_dropped_in_a_transaction_waits_for_its_end(
    engine: budgets.MeteringEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector may run anywhere; writing there would break the transaction that it runs in."""
    monkeypatch.setattr(doors, "_LONGEST_WAIT_SECONDS", 0.01)
    held = engine.hold("ann", 5)
    done = threading.Event()

    async def settle() -> None:
        engine.settle(held.hold.id, budgets.Charge(3))
        done.set()

    with engine.store.transaction(engine.project) as txn:
        aside(settle)
        assert txn.hold(held.hold.id) is not None
    assert done.wait(20)
    assert engine.holds() == []
    assert engine.check().faults == ()


def test_one_thread_renews_for_all_calls_while_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed = threading.Semaphore(0)

    class Renewing:
        def renew_lease(self) -> None:
            renewed.release()

    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.001)
    others = set(threading.enumerate())
    keeper = Keeper(Renewing())  # type: ignore[arg-type]
    keeper.begin()
    keeper.begin()
    (thread,) = set(threading.enumerate()) - others
    keeper.end()
    assert all(renewed.acquire(timeout=20) for _ in range(3))
    keeper.end()
    thread.join(20)
    assert not thread.is_alive()
    keeper.begin()
    assert renewed.acquire(timeout=20)
    keeper.end()
