"""
Calls that others recorded: what we read of a reply is what the provider wrote into it.

The counts are derived again here, field by field and without our code, from the provider's own block.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from budgets.dialects import by_name
from budgets.dialects.base import Reported

_FOLDER = os.environ.get("BUDGET_RECORDED")

pytestmark = pytest.mark.skipif(
    not _FOLDER, reason="set BUDGET_RECORDED to the folder of recorded calls to check against them"
)


def _calls() -> Iterator[Any]:
    for file in sorted(Path(_FOLDER).glob("*.jsonl")) if _FOLDER else ():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
            call = json.loads(line)
            path = call["path"].partition("?")[0]
            if path.endswith("/chat/completions"):
                call["dialect"] = "openai-chat"
            elif path == "/v1/messages":
                call["dialect"] = "anthropic-messages"
            else:
                continue
            yield pytest.param(call, id=f"{file.stem}-{number}")


CALLS = list(_calls())
ANSWERED = [call for call in CALLS if call.values[0]["status"] == 200]
STREAMED = [call for call in ANSWERED if call.values[0].get("text")]
PLAIN = [call for call in ANSWERED if not call.values[0].get("text")]


def _events(text: str) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def _expected(call: dict[str, Any]) -> dict[str, int] | None:
    """The totals and parts that the provider reported, by our names."""
    bodies = _events(call["text"]) if call.get("text") else [call["json"]]
    if call["dialect"] == "openai-chat":
        blocks = [body["usage"] for body in bodies if body.get("usage")]
        return _expected_openai(blocks[-1]) if blocks else None
    usage: dict[str, Any] = {}
    for body in bodies:
        usage |= body.get("message", body).get("usage") or {}
    return _expected_anthropic(usage)


def _expected_openai(usage: dict[str, Any]) -> dict[str, int]:
    read = usage.get("prompt_tokens_details") or {}
    written = usage.get("completion_tokens_details") or {}
    return {
        "all input": usage["prompt_tokens"],
        "all output": max(usage["completion_tokens"], usage["total_tokens"] - usage["prompt_tokens"]),
        "cached_input": read.get("cached_tokens", usage.get("num_cached_tokens", 0)),
        "reasoning": written.get("reasoning_tokens", 0),
    }


def _expected_anthropic(usage: dict[str, Any]) -> dict[str, int]:
    passes = [one for one in usage.get("iterations") or [usage] if one.get("type") != "advisor_message"]
    sums = {
        field: sum(one.get(field) or 0 for one in passes)
        for field in (
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "output_tokens",
        )
    }
    return {
        "all input": sum(sums.values()) - sums["output_tokens"],
        "all output": sums["output_tokens"],
        "cached_input": sums["cache_read_input_tokens"],
        "all cache writes": sums["cache_creation_input_tokens"],
        "reasoning": (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0),
    }


def _check(reported: Reported, call: dict[str, Any]) -> None:
    expected = _expected(call)
    if expected is None:
        assert reported.usage is None
        return
    assert reported.usage is not None
    found = {
        "all input": reported.usage.input_tokens,
        "all output": reported.usage.output_tokens,
        "all cache writes": reported.usage["cache_write"] + reported.usage["cache_write_1h"],
        "cached_input": reported.usage["cached_input"],
        "reasoning": reported.usage["reasoning"],
    }
    assert {name: found[name] for name in expected} == expected
    assert reported.usage.how == "reported"


def test_the_folder_has_calls_of_both_dialects_plain_and_streamed() -> None:
    for calls in (PLAIN, STREAMED):
        assert {call.values[0]["dialect"] for call in calls} == {"openai-chat", "anthropic-messages"}


@pytest.mark.parametrize("call", CALLS)
def test_every_recorded_request_is_understood(call: dict[str, Any]) -> None:
    request = call["request"]
    ask = by_name(call["dialect"]).read_request(request)
    assert ask.model == request["model"]
    assert ask.stream is bool(request.get("stream"))
    assert len(ask.tools) >= len(request.get("tools") or [])
    assert ask.output_limit == request.get("max_tokens", request.get("max_completion_tokens"))
    # Every word of a message that is plain text is there to be counted.
    texts = [m["content"] for m in request["messages"] if isinstance(m.get("content"), str) and m["content"]]
    assert not [text for text in texts if text not in ask.texts]


@pytest.mark.parametrize("call", CALLS)
def test_a_limit_changes_nothing_else_in_a_recorded_request(call: dict[str, Any]) -> None:
    dialect = by_name(call["dialect"])
    request = call["request"]
    limited = dialect.limit_output(request, 4000)
    limits = ("max_tokens", "max_completion_tokens")
    assert {k: v for k, v in limited.items() if k not in limits} == {
        k: v for k, v in request.items() if k not in limits
    }
    own = dialect.read_request(request).output_limit
    assert dialect.read_request(limited).output_limit == min(4000, own or 4000)


@pytest.mark.parametrize("call", PLAIN)
def test_a_plain_reply_is_read_without_loss(call: dict[str, Any]) -> None:
    reported = by_name(call["dialect"]).read_reply(call["json"])
    _check(reported, call)
    assert reported.finished
    assert reported.model == call["json"]["model"]
    assert reported.reply_id == call["json"].get("id")


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("call", STREAMED)
def test_a_stream_is_read_without_loss_in_pieces_of_any_size(call: dict[str, Any], size: int) -> None:
    reader = by_name(call["dialect"]).read_stream()
    data = call["text"].encode()
    text = "".join(reader.feed(data[at : at + size]) for at in range(0, len(data), size))
    reported = reader.reported()
    _check(reported, call)
    assert reported.text == text
    ends = any(end in call["text"] for end in ("data: [DONE]", '"type":"message_stop"'))
    assert reported.finished is ends


@pytest.mark.parametrize("call", STREAMED)
def test_a_stream_cut_anywhere_is_never_taken_for_a_whole_one(call: dict[str, Any]) -> None:
    data = call["text"].encode()
    for part in range(1, 20):
        reader = by_name(call["dialect"]).read_stream()
        reader.feed(data[: len(data) * part // 20])
        assert not reader.reported().finished


@pytest.mark.parametrize("call", [call for call in CALLS if call.values[0]["status"] >= 400])
def test_the_words_of_a_recorded_error_are_found(call: dict[str, Any]) -> None:
    words = by_name(call["dialect"]).read_error(json.dumps(call["json"]).encode())
    assert words == call["json"]["error"]["message"]
