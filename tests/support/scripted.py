"""A provider on loopback that answers with the bytes that a test gives it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from tests.support.provider import LoopbackProvider


class Answered(NamedTuple):
    """One answer: its pieces are written one by one."""

    pieces: Iterable[bytes]
    status: int = 200
    headers: Mapping[str, str] = {"content-type": "application/json"}


class ScriptedProvider(LoopbackProvider):
    """
    Args:
        answer: What a call gets, by its path and its body.
        gap_seconds: How long a stream pauses between its pieces.
    """

    def __init__(self, answer: Callable[[str, dict[str, Any]], Answered], *, gap_seconds: float = 0) -> None:
        self.answer = answer
        # How many pieces were written, of all answers; and how many answers a caller broke off.
        self.written = 0
        self.broken_off = 0
        super().__init__(gap_seconds=gap_seconds)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.paths.append(request.rel_url.raw_path_qs)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.asked.append(json.loads(raw) if raw else {})
        found = self.answer(request.path, self.asked[-1])
        response = web.StreamResponse(status=found.status, headers=dict(found.headers))
        await response.prepare(request)
        try:
            for piece in found.pieces:
                await response.write(piece)
                self.written += 1
                await asyncio.sleep(self.gap_seconds)
            await response.write_eof()
        except ConnectionError:
            self.broken_off += 1
        return response


def plain(value: Mapping[str, Any], status: int = 200, **headers: str) -> Answered:
    """A plain JSON answer."""
    return Answered([json.dumps(value).encode()], status, {"content-type": "application/json", **headers})


def streamed(events: Iterable[bytes], *, one_byte: bool = False) -> Answered:
    """A stream of events, in pieces as they are given, or byte by byte."""
    pieces = (event[n : n + 1] for event in events for n in range(len(event))) if one_byte else events
    return Answered(pieces, 200, {"content-type": "text/event-stream"})
