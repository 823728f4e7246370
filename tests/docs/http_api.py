"""The reference page of the HTTP API, from the tables that register its routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from budgets import wire
from budgets.server.openapi import PROBLEMS
from budgets.server.rest import ROUTES, Route
from tests.docs.pages import page_head

_INTRODUCTION = """For `curl`, and for programs in any language.
[How to share one budget](../how-to/share-one-budget.md) has examples.
The server says the same at `/openapi.json`, in OpenAPI 3.1.

Bodies and answers are JSON.
An amount is exact decimal text in US dollars, in a field whose name ends with `usd`.
A moment is ISO 8601 in UTC.
`?project=NAME` names the project, `default` where it is not said.
A field that a body may not have is an error.

A key goes into the header `Authorization: Bearer bk_...`.
A key of role `admin` may do all of this, `meter` what needs `meter` or `read`, and `read` what needs `read`.
A key that is bound to users does it for them only.

Clients of this program use `POST /v1/engine/OPERATION` instead.
There is one for each method of [the engine](python-api.md), with its arguments as fields."""


def page() -> str:
    """The whole page."""
    lines = [page_head("HTTP API", _INTRODUCTION)]
    for route in ROUTES:
        lines += [f"## `{route.method} {route.path}`", "", f"{route.says} Needs `{route.action}`.", ""]
        lines += _query(route)
        if route.takes is not None:
            lines += ["The body:", "", *_fields(route.takes)]
        lines += [f"Answers with {_reference(wire.codec(route.answers).schema)}.", ""]
    lines += ["## What is answered", ""]
    for name in _answers():
        schema = wire.schema_named(name)
        lines += [f"### `{name}`", "", schema["description"], "", *_rows(schema, needed=False)]
    lines += [
        "## Problems",
        "",
        "What goes wrong is answered with `application/problem+json`, RFC 9457.",
        "It has `type`, `title`, `status`, and `detail`, and the values involved.",
        "`type` is `/problems/` and the code; the server says there what it means.",
        "Where the status says all, it is `about:blank`.",
        "`code` and `hint` are those of the [error](errors.md); `retry` says whether asking again may help.",
        "",
        "| status | when |",
        "| --- | --- |",
        *(f"| {status} | {says} |" for status, says in PROBLEMS.items()),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _answers() -> list[str]:
    """The records that answers are made of, those of the routes first."""
    found: dict[str, None] = {}
    pending = [name for route in ROUTES for name in _references(wire.codec(route.answers).schema)]
    while pending:
        name = pending.pop(0)
        if name not in found:
            found[name] = None
            pending += _references(wire.schema_named(name))
    return list(found)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _references(each)


def _query(route: Route) -> Iterator[str]:
    if route.query:
        yield from ("| parameter | it is |", "| --- | --- |")
        yield from (f"| `{name}` | {says} |" for name, says in route.query)
        yield ""


def _fields(kind: Any) -> Iterator[str]:
    wire.codec(kind)
    yield from _rows(wire.schema_named(kind.__name__), needed=True)


def _rows(schema: Mapping[str, Any], *, needed: bool) -> Iterator[str]:
    head = ("field", "type", "needed") if needed else ("field", "type")
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for name, each in schema["properties"].items():
        row = [f"`{name}`", _type(each)]
        if needed:
            row.append("yes" if name in schema["required"] else "no")
        yield f"| {' | '.join(row)} |"
    yield ""


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return _reference(schema)
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("format") == "decimal":
        return "amount"
    return {"date-time": "moment"}.get(schema.get("format", ""), str(schema.get("type", "any")))


def _reference(schema: Mapping[str, Any]) -> str:
    (name,) = _references(schema)
    return f"[`{name}`](#{name.lower()})"
