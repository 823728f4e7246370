"""
How OpenAI's models see tools and answer schemas: as a namespace of TypeScript, and under a heading.

OpenAI says that functions are "injected into the system message in a syntax the model has been trained on",
https://platform.openai.com/docs/guides/function-calling#token-usage, and does not say which. The form of
tools is the one that https://github.com/hmarr/openai-chat-tokens found, that of schemas was read off recorded
usage; `docs/explanation/counting.md` says how well both fit. They are likely figures, never a bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from typing import Any

_NAMES = {"string": "string", "boolean": "boolean", "null": "null", "number": "number", "integer": "number"}


def tools_seen(tools: Iterable[str]) -> str:
    """
    The functions that *tools* define, as one text.

    Args:
        tools: Definitions in compact JSON, in the form of either of OpenAI's APIs.
    """
    return "\n".join(("namespace functions {", "", *map(_tool, tools), "} // namespace functions"))


def schema_seen(schema: str) -> str:
    """
    A schema that the answer has to fit, as one text.

    Args:
        schema: `{"name", "schema", "strict"}` in compact JSON, or a bare schema.
    """
    try:
        given = json.loads(schema)
        if not isinstance(given, Mapping) or not isinstance(given.get("schema"), Mapping):
            return schema
        # What is strict must have all it names and nothing else, so neither is said again.
        inner = _without_strictness(given["schema"]) if given.get("strict") is True else given["schema"]
        return f"# Response Formats\n\n## {given.get('name')}\n\n{_json(inner)}"
    except RecursionError:
        return schema


def _without_strictness(value: Any) -> Any:
    if isinstance(value, Mapping):
        said = {key: each for key, each in value.items() if key not in ("additionalProperties", "required")}
        return {key: _without_strictness(each) for key, each in said.items()}
    return [_without_strictness(each) for each in value] if isinstance(value, list) else value


def _tool(text: str) -> str:
    try:
        tool = json.loads(text)
        function = tool.get("function", tool) if isinstance(tool, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or function is None:
            # A tool of OpenAI's own, or one that makes no sense.
            return text
        parameters = function.get("parameters")
        takes = isinstance(parameters, Mapping) and parameters.get("properties")
        signature = f"(_: {_type(parameters)})" if takes else "()"
        return "\n".join((*_comment(function), f"type {name} = {signature} => any;", ""))
    except RecursionError:
        # Nested deeper than Python reads: its own JSON stands in.
        return text


def _comment(described: Mapping[str, Any]) -> Iterator[str]:
    description = described.get("description")
    if isinstance(description, str) and description:
        # Only its first line is marked, and what indents all the others is taken off.
        yield f"// {cleandoc(description)}"


def _type(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return "any"
    either = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(either, list):
        return " | ".join(_type(each) for each in either)
    if "const" in schema:
        return _json(schema["const"])
    if isinstance(schema.get("enum"), list):
        return " | ".join(map(_json, schema["enum"]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_type({**schema, "type": each}) for each in kind)
    if kind == "array":
        return f"{_type(schema['items'])}[]" if schema.get("items") else "any[]"
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        return "\n".join(("{", *_members(schema, properties), "}"))
    if kind == "object":
        return "object"
    # A reference, or a word that no schema has.
    return _NAMES.get(kind, "any") if isinstance(kind, str) else "any"


def _members(schema: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required")
    for name, member in properties.items():
        mark = "" if isinstance(required, list) and name in required else "?"
        note = ""
        if isinstance(member, Mapping):
            yield from _comment(member)
            if "default" in member:
                note = f" // default: {_json(member['default'])}"
        yield f"{name}{mark}: {_type(member)},{note}"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
