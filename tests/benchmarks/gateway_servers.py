"""
What stands around the gateway while it is measured: the upstream, and the same proxy without accounting.

Run as `python gateway_servers.py upstream`, or `... proxy URL`; each says its port.
"""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp
from aiohttp import web

CHUNKS = 50
_USAGE = {"prompt_tokens": 180, "completion_tokens": 50, "total_tokens": 230}
_HEAD = {"id": "chatcmpl-1", "created": 1_767_225_600, "model": "gpt-4o-mini"}
_MESSAGE = {"role": "assistant", "content": "river " * 130, "refusal": None}
_PLAIN = json.dumps(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
).encode()


def _event(choices: list[dict[str, object]], usage: dict[str, int] | None = None) -> bytes:
    chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


_STREAM = (
    *(
        _event([{"index": 0, "delta": {"content": "river "}, "finish_reason": None}])
        for _ in range(CHUNKS - 1)
    ),
    _event([{"index": 0, "delta": {}, "finish_reason": "stop"}]) + _event([], _USAGE) + b"data: [DONE]\n\n",
)


async def upstream(request: web.Request) -> web.StreamResponse:
    """Answer at once, with about 1 KB or in 50 chunks."""
    asked = await request.json()
    if not asked.get("stream"):
        return web.Response(body=_PLAIN, content_type="application/json")
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    for piece in _STREAM:
        await response.write(piece)
        # Each chunk on its own, as a provider sends them.
        await asyncio.sleep(0)
    await response.write_eof()
    return response


def proxy_to(url: str) -> web.Application:
    """What the gateway would be if it counted nothing: headers, body and pieces handed on, and no more."""
    app = web.Application()
    sessions: list[aiohttp.ClientSession] = []

    async def forward(request: web.Request) -> web.StreamResponse:
        if not sessions:
            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("host", "content-length")
        }
        body = await request.read()
        async with sessions[0].post(url + request.path_qs, data=body, headers=headers) as answer:
            kind = answer.headers["content-type"]
            if not kind.startswith("text/event-stream"):
                return web.Response(
                    body=await answer.read(), status=answer.status, headers={"content-type": kind}
                )
            response = web.StreamResponse(status=answer.status, headers={"content-type": kind})
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response

    app.router.add_route("*", "/{path:.*}", forward)
    return app


async def main(app: web.Application) -> None:
    """Serve until the process ends."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "upstream":
        served = web.Application()
        served.router.add_post("/{path:.*}", upstream)
    else:
        served = proxy_to(sys.argv[2])
    asyncio.run(main(served))
