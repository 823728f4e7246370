"""Replies that a provider writes after it has answered (`background: true`), followed to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from budgets.dialects import reading
from budgets.errors import ProviderError, UnreadableReplyError
from budgets.metering import Doubt, Ending, Metering
from budgets.upstream import OutgoingCall, Upstream

# https://platform.openai.com/docs/guides/background
_RUNNING = frozenset({"queued", "in_progress"})
# How much longer is waited each time before it is asked again, and how long at most.
_SLOWER = 1.5
_SLOWEST_SECONDS = 15.0


class Background:
    """The tasks that follow such replies. They go on when their callers have gone."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, following: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else."""
        task = asyncio.get_running_loop().create_task(following)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all that is followed: what it will cost is in doubt. Safe to call twice."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def running_id(raw: bytes) -> str | None:
    """The id of the reply, if it is one that is still being written."""
    body = reading.parse_object(raw) or {}
    return reading.text_or_none(body.get("id")) if body.get("status") in _RUNNING else None


async def followed(
    upstream: Upstream,
    metering: Metering,
    asking: OutgoingCall,
    *,
    pause_seconds: float,
    most_seconds: float,
) -> Ending:
    """
    Ask for the reply until it is whole; gives what to write down.

    Args:
        asking: The call that gets the reply.
        pause_seconds: How long to wait before it is asked for; longer each time.
        most_seconds: How long to go on; after that the cost is in doubt.
    """
    try:
        async with asyncio.timeout(most_seconds):
            while True:
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * _SLOWER, _SLOWEST_SECONDS)
                ending = await _asked(upstream, metering, asking)
                if ending is not None:
                    return ending
    except TimeoutError:
        return Doubt(f"the answer in the background was not whole after {most_seconds:g} s")


async def _asked(upstream: Upstream, metering: Metering, call: OutgoingCall) -> Ending | None:
    """What the reply says now; `None`: it is still being written, or could not be had this time."""
    try:
        async with upstream.send(call) as answer:
            raw = await answer.read()
            status, headers = answer.status, answer.headers
    except ProviderError:
        # Counted against the time that is left, and said at its end.
        return None
    if status == 404:
        return Doubt("the answer in the background was deleted before it was whole")
    if status >= 400 or running_id(raw) is not None:
        return None
    try:
        metering.read_plain(raw, headers)
        return metering.finish()
    except UnreadableReplyError as error:
        return Doubt(error.message)
