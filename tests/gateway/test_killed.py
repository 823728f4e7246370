"""
The gateway is killed with SIGKILL while calls of all kinds run through it, again and again on one store.

`BUDGET_FULL=1` kills 50 times.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp

import budgets
from tests.gateway.process import KEY, process
from tests.gateway.wire import Manner, WireProvider
from tests.support.engines import FULL

KILLS = 50 if FULL else 5
CALLERS = 12
# Each gateway lives so long after its first answer, at most.
LONGEST_LIFE_SECONDS = 0.4
MESSAGES = [{"role": "user", "content": "Name three rivers"}]


async def told_until_killed(url: str, life_seconds: float, kill: Callable[[], None]) -> list[str]:
    """What callers were told that calls cost, until the gateway is killed, so long after its first answer."""
    costs: list[str] = []
    first = asyncio.Event()

    async def caller(session: aiohttp.ClientSession, number: int) -> None:
        limit = {} if number % 3 else {"max_tokens": 40}
        body = {"model": "gpt-4o-mini", "messages": MESSAGES, "stream": number % 2 == 0, **limit}
        while True:
            async with session.post(f"{url}/openai/v1/chat/completions", json=body) as answer:
                text = await answer.text()
                assert answer.status == 200, text
                told = answer.headers.get("x-budget-cost-usd")
                costs.append(told or text.rpartition("x-budget-cost-usd: ")[2].splitlines()[0])
                first.set()

    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session:
        callers = [asyncio.create_task(caller(session, number)) for number in range(CALLERS)]
        async with asyncio.timeout(30):
            await first.wait()
        await asyncio.sleep(life_seconds)
        kill()
        ended = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(each, (aiohttp.ClientError, ConnectionError)) for each in ended), ended
    return costs


def test_killed_in_the_middle_it_has_what_it_said_and_no_cap_is_passed(
    tmp_path: Path, provider: WireProvider
) -> None:
    store = tmp_path / "budgets.sqlite"
    room = cap = budgets.parse_usd("0.05")
    provider.manner = Manner(gap_seconds=0.002)
    chance = random.Random(5)
    told: list[str] = []
    interrupted = 0
    # What stood in doubt and was released, so that the next gateway has room.
    forgiven_nanos = 0
    with budgets.open_engine(store) as engine:
        engine.create("ann", budgets.LimitTerms(cap))
    for _ in range(KILLS):
        with process(store, provider.url, "ann") as (running, url):
            life_seconds = chance.uniform(0, LONGEST_LIFE_SECONDS)
            told += asyncio.run(told_until_killed(url, life_seconds, running.kill))
            assert running.wait() == -signal.SIGKILL
        with budgets.open_engine(store) as later:
            later.expire()
            assert all(hold.unconfirmed for hold in later.holds()), "a hold has outlived its lease"
            assert later.check().faults == ()
            totals = later.status("ann").limits[0].totals
            assert totals.spent_nanos + totals.held_nanos + totals.unconfirmed_nanos <= cap
            charges = Counter(entry.nanos for entry in later.entries("ann") if entry.kind == "charge")
            assert totals.spent_nanos == sum(nanos * times for nanos, times in charges.items())
            # Whatever a caller was told is there; and what was billed is charged, or in doubt with enough.
            assert not Counter(map(budgets.parse_usd, told)) - charges
            assert provider.billed_nanos <= totals.spent_nanos + totals.unconfirmed_nanos + forgiven_nanos
            for hold in later.holds():
                interrupted += 1
                forgiven_nanos += hold.nanos
                later.release(hold.id, reason="the next one needs room")
            # A quick machine makes many calls between two kills.
            cap = room + totals.spent_nanos
            later.change("ann", budgets.Change(total_nanos=cap))
    assert len(told) > KILLS
    assert interrupted
