"""Tools and answer schemas as OpenAI's models see them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from budgets.tokens.openai_view import schema_seen, tools_seen


def tool(**parts: Any) -> str:
    return json.dumps({"type": "function", "function": {"name": "f", **parts}})


def takes(schema: dict[str, Any], required: tuple[str, ...] = ("x",)) -> str:
    return tool(parameters={"type": "object", "properties": {"x": schema}, "required": list(required)})


def test_functions_stand_in_a_namespace() -> None:
    weather = {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Which"}, "days": {"type": "integer"}},
        "required": ["city"],
    }
    assert tools_seen([tool(description="The weather.", parameters=weather), '{"name":"g"}']) == "\n".join(
        (
            "namespace functions {",
            "",
            "// The weather.",
            "type f = (_: {",
            "// Which",
            "city: string,",
            "days?: number,",
            "}) => any;",
            "",
            "type g = () => any;",
            "",
            "} // namespace functions",
        )
    )


@pytest.mark.parametrize(
    ("schema", "seen"),
    [
        ({"type": "boolean"}, "x: boolean,"),
        ({"type": ["string", "null"]}, "x: string | null,"),
        ({"enum": ["a", 1]}, 'x: "a" | 1,'),
        ({"const": "a"}, 'x: "a",'),
        (
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "number"}}]},
            "x: string | number[],",
        ),
        ({"type": "array"}, "x: any[],"),
        ({"type": "object"}, "x: object,"),
        ({"type": "object", "properties": {"y": {}}}, "x: {\ny?: any,\n},"),
        ({"$ref": "#/$defs/A"}, "x: any,"),
        ({"type": "string", "default": "é"}, 'x: string, // default: "é"'),
        ({"type": "file"}, "x: any,"),
        (True, "x: any,"),
    ],
)
def test_a_schema_is_a_type(schema: Any, seen: str) -> None:
    assert f"(_: {{\n{seen}\n}}) => any;" in tools_seen([takes(schema)])


def test_a_descriptions_indent_is_taken_off() -> None:
    assert "// One.\n\nArgs:\n    x: X\ntype f" in tools_seen(
        [tool(description="One.\n\n    Args:\n        x: X\n    ")]
    )


@pytest.mark.parametrize(
    "text", ["{}", "[]", "null", '{"type":"web_search"}', '{"function":7}', '{"function":{"name":7}}']
)
def test_what_is_no_function_stands_as_it_is(text: str) -> None:
    assert text in tools_seen([text])


def test_a_schema_of_any_depth_is_seen() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        deep = {"type": "object", "properties": {"x": deep}}
    assert "type f" in tools_seen([takes(deep)])
    nested = '{"a":' * 100_000 + "1" + "}" * 100_000
    assert tools_seen([nested]).count("{") == 100_001
    assert schema_seen(nested) == nested


def test_an_answers_schema_stands_under_a_heading() -> None:
    schema = {"type": "object", "properties": {"required": {"type": "string"}}, "additionalProperties": False}
    loose = schema_seen(json.dumps({"name": "s", "schema": schema}))
    assert loose.startswith("# Response Formats\n\n## s\n\n{")
    assert "additionalProperties" in loose
    assert "additionalProperties" not in schema_seen(
        json.dumps({"name": "s", "strict": True, "schema": schema})
    )
    assert schema_seen('{"type":"object"}') == '{"type":"object"}'
