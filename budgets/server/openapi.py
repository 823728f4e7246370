"""GET /openapi.json: the API as a document for programs, OpenAPI 3.1, written from the tables of routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from aiohttp import web

from budgets import wire
from budgets.operations import NAMES, operation
from budgets.server.rest import ROUTES, Route

_PROJECT: Final = ("project", "The namespace of users; `default` where it is not said.")

# Status -> when. https://www.rfc-editor.org/rfc/rfc9457
PROBLEMS: Final[Mapping[int, str]] = {
    401: "There is no key, or it is not known.",
    402: "A limit is used up. `left_usd`, `held_usd`, `needed_usd`, `limit_user`, and `resets_at` say more.",
    403: "The key may not do that.",
    404: "There is no such user, hold, or entry.",
    409: "The id was used before with other content.",
    422: "The request cannot be meant.",
    429: "It would fit once running calls settle: try again after `Retry-After` seconds.",
    503: "The store is busy: try again after `Retry-After` seconds.",
}


def routes() -> list[web.RouteDef]:
    """The routes of this file."""
    return [web.get("/openapi.json", openapi)]


async def openapi(_request: web.Request) -> web.Response:
    """The document."""
    return web.Response(body=_text(), content_type="application/json")


@cache
def _text() -> bytes:
    return json.dumps(document()).encode()


def document() -> dict[str, Any]:
    """The whole API."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    for name in NAMES:
        paths[f"/v1/engine/{name}"] = {"post": _engine(name)}
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "budget",
            "version": "1",
            "description": "Hold the most a call can cost, settle to what it did cost. Amounts are exact"
            " decimal text in US dollars, in fields that end with `usd`; moments are ISO 8601 in UTC.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": _PROBLEM},
        },
        "security": [{"key": []}],
    }
    schemas = found["components"]["schemas"]
    while missing := set(_references(found)) - schemas.keys():
        schemas |= {name: wire.schema_named(name) for name in sorted(missing)}
    return found


def _operation(route: Route) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    parameters += [
        {"name": name, "in": "query", "description": says, "schema": {"type": "string"}}
        for name, says in (*route.query, _PROJECT)
    ]
    body = {} if route.takes is None else {"requestBody": _json(wire.codec(route.takes).schema)}
    return {
        "operationId": route.name,
        "summary": route.says,
        "parameters": parameters,
        **body,
        "responses": _responses(wire.codec(route.answers).schema),
    }


def _engine(name: str) -> dict[str, Any]:
    asked = operation(name)
    takes = {
        "type": "object",
        "properties": {each.key: each.codec.schema for each in asked.arguments},
        "required": [each.key for each in asked.arguments if each.needed],
        "additionalProperties": False,
    }
    answers = {"type": "object", "properties": {"result": asked.result.schema}, "required": ["result"]}
    return {
        "operationId": f"engine_{name}",
        "summary": f"The engine's own `{name}`, for clients of this program.",
        "parameters": [
            {"name": _PROJECT[0], "in": "query", "description": _PROJECT[1], "schema": {"type": "string"}}
        ],
        "requestBody": _json(takes),
        "responses": _responses(answers),
    }


def _responses(schema: Mapping[str, Any]) -> dict[str, Any]:
    problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {
        "200": {"description": "Done.", **_json(schema)},
        **{str(status): {"description": says, **problem} for status, says in PROBLEMS.items()},
    }


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


_PROBLEM: Final = {
    "type": "object",
    "description": "Problem details, RFC 9457. Beside these, the values of the error.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "hint": {"type": ["string", "null"]},
        "retry": {"type": "boolean"},
    },
    "required": ["type", "title", "status", "detail", "code"],
}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _references(each)
