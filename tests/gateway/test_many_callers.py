"""A hundred callers at once on a budget for ten calls: ten are made, and the sums are the upstream's own."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import aiohttp
import pytest

import budgets
from budgets.dialects import at_path
from tests.gateway.checking import charged_as_billed
from tests.gateway.running import KEY, Running
from tests.gateway.wire import WORDS, Manner, WireProvider

CALLERS, FIT = 100, 10

CHAT = "/openai/v1/chat/completions"
CALLS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # Where, the request, and how it limits its output to the whole answer.
    "chat": (CHAT, {"model": "gpt-4o-mini"}, {"max_tokens": len(WORDS)}),
    "chat streamed": (CHAT, {"model": "gpt-4o-mini", "stream": True}, {"max_tokens": len(WORDS)}),
    "messages": ("/anthropic/v1/messages", {"model": "claude-haiku-4-5"}, {"max_tokens": len(WORDS)}),
    "messages streamed": (
        "/anthropic/v1/messages",
        {"model": "claude-haiku-4-5", "stream": True},
        {"max_tokens": len(WORDS)},
    ),
    "gemini streamed": (
        "/google/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        {},
        {"generationConfig": {"maxOutputTokens": len(WORDS)}},
    ),
}


def _body(name: str, *, limited: bool) -> tuple[str, dict[str, Any]]:
    path, body, limit = CALLS[name]
    said = "Name three rivers"
    if "gemini" in name:
        asked: dict[str, Any] = {"contents": [{"parts": [{"text": said}], "role": "user"}]}
    else:
        asked = {"messages": [{"role": "user", "content": said}]}
    return path, {**body, **asked, **(limit if limited else {})}


def _least(engine: budgets.Engine, path: str, body: dict[str, Any]) -> int:
    """What has to be left for such a call to be made."""
    provider, _, rest = path.removeprefix("/").partition("/")
    found = at_path(f"/{rest}", body)
    assert found is not None
    dialect, request = found
    return engine.quote(dialect.read_request(request), provider=provider).least_nanos


async def _statuses(url: str, path: str, body: dict[str, Any]) -> Counter[int]:
    async def call(session: aiohttp.ClientSession) -> int:
        async with session.post(url + path, json=body) as answer:
            await answer.read()
            return answer.status

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, headers={"authorization": f"Bearer {KEY}"}
    ) as session:
        return Counter(await asyncio.gather(*(call(session) for _ in range(CALLERS))))


@pytest.mark.parametrize("limited", [False, True], ids=["without limits", "with limits"])
@pytest.mark.parametrize("name", CALLS)
def test_exactly_what_fits_is_made(
    gateway: Running, provider: WireProvider, name: str, limited: bool
) -> None:
    if "messages" in name and not limited:
        pytest.skip("this dialect has no call without a limit")
    path, body = _body(name, limited=limited)
    provider.manner = Manner(work_seconds=0.01)
    # One call alone tells what it costs.
    assert asyncio.run(_one(gateway.url, path, body)) == 200
    each = provider.billed_nanos
    cap = (FIT - 1) * each + _least(gateway.engine, path, body)
    gateway.engine.change("ann", budgets.Change(total_nanos=each + cap))

    statuses = asyncio.run(_statuses(gateway.url, path, body))
    assert statuses == {200: FIT, 402: CALLERS - FIT}
    gateway.reports[:] = [report for report in gateway.reports if report.outcome != "refused"]
    charged_as_billed(gateway, provider, 1 + FIT)
    assert gateway.spent_nanos == each * (1 + FIT) <= each + cap
    assert not [entry for entry in gateway.engine.entries("ann") if entry.kind == "overrun"]


async def _one(url: str, path: str, body: dict[str, Any]) -> int:
    async with (
        aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session,
        session.post(url + path, json=body) as answer,
    ):
        await answer.read()
        return answer.status
