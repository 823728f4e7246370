"""A client hangs up, at every point of an answer: what the upstream bills is what is charged."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.checking import charged_as_billed
from tests.gateway.running import KEY, Running
from tests.gateway.wire import Manner, WireProvider, spoken

MESSAGES = [{"role": "user", "content": "Name three rivers"}]
STREAMS: dict[str, dict[str, Any]] = {
    "/openai/v1/chat/completions": {"model": "gpt-4o-mini", "messages": MESSAGES, "stream": True},
    "/openai/v1/responses": {"model": "gpt-4o-mini", "input": "Name three rivers", "stream": True},
    "/anthropic/v1/messages": {
        "model": "claude-haiku-4-5",
        "max_tokens": 40,
        "messages": MESSAGES,
        "stream": True,
    },
    "/google/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse": {
        "contents": [{"parts": [{"text": "Name three rivers"}]}]
    },
}


async def hang_up(url: str, path: str, body: dict[str, Any], events: int, *, rudely: bool) -> None:
    """
    Send a call, read so many events of its answer, and go.

    Args:
        rudely: Reset the connection; else it is closed.
    """
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer {KEY}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw)
    await writer.drain()
    read = b""
    while read.count(b"data:") < events:
        piece = await reader.read(4096)
        assert piece, f"the answer ended before {events} events: {read!r}"
        read += piece
    if rudely:
        writer.transport.abort()
    else:
        writer.close()


@pytest.mark.parametrize("rudely", [False, True])
@pytest.mark.parametrize("path", STREAMS)
def test_who_leaves_a_stream_pays_what_is_billed(
    gateway: Running, provider: WireProvider, path: str, rudely: bool
) -> None:
    provider.manner = Manner(gap_seconds=0.005)
    _, _, pieces = spoken(path.partition("?")[0], STREAMS[path], 0)
    # Before the first event, and after each.
    points = b"".join(pieces).count(b"data:") + 1

    async def leave_everywhere() -> None:
        calls = (hang_up(gateway.url, path, STREAMS[path], events, rudely=rudely) for events in range(points))
        await asyncio.gather(*calls)

    asyncio.run(leave_everywhere())
    charged_as_billed(gateway, provider, points)


@pytest.mark.parametrize("rudely", [False, True])
def test_who_leaves_a_plain_call_pays_what_is_billed(
    gateway: Running, provider: WireProvider, rudely: bool
) -> None:
    provider.manner = Manner(work_seconds=0.2)
    path = "/openai/v1/chat/completions"
    body = {**STREAMS[path], "stream": False}

    async def leave() -> None:
        await asyncio.gather(*(hang_up(gateway.url, path, body, 0, rudely=rudely) for _ in range(5)))

    asyncio.run(leave())
    charged_as_billed(gateway, provider, 5)
