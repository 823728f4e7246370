"""What a request carries: the application's engines, who asks, and a body that is JSON."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

from aiohttp import web

from budgets.errors import InvalidValueError
from budgets.gateway.packing import unpacked
from budgets.server.counters import Metrics
from budgets.server.engines import Engines
from budgets.server.principals import Principal

ENGINES = web.AppKey("engines", Engines)
METRICS = web.AppKey("metrics", Metrics)

# Every request has one by the time its route sees it.
PRINCIPAL = web.RequestKey("principal", Principal)

# A body is read whole, so it has an end: a book of LiteLLM's has about 300 bytes for each user.
MOST_BODY_BYTES = 16 * 1024 * 1024
_LONGEST_BODY_SECONDS = 30.0


def principal(request: web.Request) -> Principal:
    """Who asks."""
    return request[PRINCIPAL]


async def body_of(request: web.Request, *, at_most: int = MOST_BODY_BYTES) -> bytes:
    """
    The body, whole and unpacked.

    Raises:
        InvalidValueError: it came too slowly, or is packed in a way that is not read here.
        web.HTTPRequestEntityTooLarge: it is longer than *at_most*.
    """
    try:
        async with asyncio.timeout(_LONGEST_BODY_SECONDS):
            body = await request.read()
    except TimeoutError as error:
        raise InvalidValueError(
            f"the body was not there after {_LONGEST_BODY_SECONDS:g} seconds", hint="send it again, at once"
        ) from error
    found = unpacked(body, request.headers.get("content-encoding", ""), at_most=at_most)
    if isinstance(found, bytes):
        return found
    if found.status == web.HTTPRequestEntityTooLarge.status_code:
        raise web.HTTPRequestEntityTooLarge(at_most, at_most + 1)
    raise InvalidValueError(found.words, hint="send it again, without a content-encoding")


async def json_object(request: web.Request) -> dict[str, Any]:
    """
    The body, which is one JSON object. Its numbers with a point are exact.

    Raises:
        InvalidValueError: it is something else, or came too slowly.
        web.HTTPRequestEntityTooLarge: it is longer than `MOST_BODY_BYTES`.
    """
    body = await body_of(request)
    try:
        found = json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidValueError("the body is not JSON", hint="send one JSON object, in UTF-8") from error
    if not isinstance(found, dict):
        raise InvalidValueError("the body is not a JSON object", hint='for instance {"project_name": "x"}')
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
