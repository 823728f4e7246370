"""A provider on loopback that answers with what was recorded: whole, in bytes, cut, stalled, erring."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Recording:
    """One answer to give, and how."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    one_byte_pieces: bool = False
    # Close the connection after so many bytes.
    cut_after: int | None = None
    # After so many bytes, send nothing more until the client is gone.
    stall_after: int | None = None

    @classmethod
    def of(cls, call: dict[str, Any], **how: Any) -> Recording:
        """What was recorded of *call*."""
        body = call["text"] if call.get("text") else json.dumps(call["json"])
        return cls(call["status"], call["ctype"] or "application/json", body.encode(), **how)


class Replay:
    """Gives the answer that was put in place last, and remembers what it was asked."""

    def __init__(self) -> None:
        self.recording: Recording | None = None
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> str:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._answer)
        # A stalled answer must not hold up the end of the test.
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        return f"http://127.0.0.1:{port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.headers.append(dict(request.headers))
        recording = self.recording
        assert recording is not None, "put a recording in place first"
        response = web.StreamResponse(
            status=recording.status, headers={"content-type": recording.content_type}
        )
        await response.prepare(request)
        body = recording.body[: recording.cut_after]
        if recording.stall_after is not None:
            await response.write(body[: recording.stall_after])
            # The handler is cancelled when the client is gone or the server stops.
            await asyncio.sleep(30)
        elif recording.one_byte_pieces:
            for index in range(len(body)):
                await response.write(body[index : index + 1])
        else:
            await response.write(body)
        if recording.cut_after is not None:
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write_eof()
        return response

    async def _end(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
        # Answers that stall on purpose are still at it.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def close(self) -> None:
        """Stop serving."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
