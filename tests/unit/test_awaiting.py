"""An event loop's holds and charges: each its own answer, together in few commits, none lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import budgets
from budgets.awaiting import AwaitedEngine
from budgets.errors import BudgetExceededError, UnknownHoldError
from budgets.records import Charge


@pytest.fixture
def engine(tmp_path: Path):
    with budgets.open_engine(tmp_path / "budgets.sqlite", grouped=True) as opened:
        opened.create("ann", budgets.LimitTerms(100))
        yield opened


def test_what_tasks_hold_together_is_exactly_what_fits(engine: budgets.Engine) -> None:
    async def main() -> list[str]:
        awaited = AwaitedEngine(engine)

        async def work() -> str:
            try:
                held = await awaited.hold("ann", 3, model="m")
            except BudgetExceededError as refusal:
                return refusal.code
            receipt = await awaited.settle(held.hold.id, Charge(3, "m"))
            assert receipt.entry.id == held.hold.id
            return "charged"

        return await asyncio.gather(*(work() for _ in range(60)))

    assert asyncio.run(main()).count("charged") == 33
    assert engine.status("ann").limits[0].totals.spent_nanos == 99
    assert engine.holds() == []
    assert engine.check().faults == ()


def test_a_failure_is_raised_to_the_one_who_asked(engine: budgets.Engine) -> None:
    async def main() -> list[object]:
        awaited = AwaitedEngine(engine)
        held = await awaited.hold("ann", 1)
        return await asyncio.gather(
            awaited.release(held.hold.id, reason="unused"),
            awaited.settle("call_nobody", Charge(1)),
            return_exceptions=True,
        )

    released, failed = asyncio.run(main())
    assert not isinstance(released, BaseException)
    assert isinstance(failed, UnknownHoldError)


def test_who_is_cancelled_leaves_a_hold_that_can_be_let_go(engine: budgets.Engine) -> None:
    async def main() -> None:
        awaited = AwaitedEngine(engine)
        task = asyncio.create_task(awaited.hold("ann", 5, hold_id="call_mine"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await awaited.release("call_mine", reason="cancelled")

    asyncio.run(main())
    assert engine.holds() == []


def test_it_needs_a_writer(tmp_path: Path) -> None:
    async def main(engine: budgets.Engine) -> None:
        AwaitedEngine(engine)

    with budgets.open_engine(tmp_path / "other.sqlite") as engine, pytest.raises(TypeError, match="grouped"):
        asyncio.run(main(engine))
