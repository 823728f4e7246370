"""A provider that does not keep to the limit it was given: its stream is ended at the budget."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import budgets
from budgets.dialects import by_name
from budgets.dialects.sse import Event, SseSplitter, framed
from tests.support import frames
from tests.support.gate import Gate, chat, played, spent
from tests.support.scripted import Answered, ScriptedProvider, streamed

# Far more than any of the limits below: a test that is not cut fails, and ends.
MANY = 1_000


@pytest.fixture
def engine(tmp_path: Path):
    with budgets.open_engine(tmp_path / "budgets.sqlite", grouped=True) as opened:
        opened.create("ann", budgets.LimitTerms(budgets.parse_usd("1")))
        yield opened


def event(name: str = "message", /, **data: Any) -> bytes:
    return framed(Event(name, json.dumps(data)))


def named(kind: str, **data: Any) -> bytes:
    return event(kind, type=kind, **data)


def chunk(index: int, text: str) -> bytes:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
    return event(
        id="chatcmpl-1", object="chat.completion.chunk", created=7, model="gpt-4o-mini", choices=[choice]
    )


def chat_events() -> Iterator[bytes]:
    yield from (chunk(n % 2, " river") for n in range(MANY))


def anthropic_events() -> Iterator[bytes]:
    usage = {"input_tokens": 12, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [],
    }
    yield named("message_start", message={**message, "stop_reason": None, "usage": usage})
    yield named("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield named("content_block_stop", index=0)
    yield named("content_block_start", index=1, content_block={"type": "text", "text": ""})
    for _ in range(MANY):
        yield named("content_block_delta", index=1, delta={"type": "text_delta", "text": " river"})


def responses_events() -> Iterator[bytes]:
    numbers = itertools.count()

    def numbered(kind: str, **data: Any) -> bytes:
        return named(kind, sequence_number=next(numbers), **data)

    response = {
        "id": "resp_1",
        "object": "response",
        "model": "gpt-4o-mini",
        "status": "in_progress",
        "output": [],
    }
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    yield numbered("response.created", response={**response, "output": []})
    yield numbered("response.output_item.added", output_index=0, item=item)
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    yield numbered(
        "response.content_part.added", **at, part={"type": "output_text", "text": "", "annotations": []}
    )
    for _ in range(MANY):
        yield numbered("response.output_text.delta", **at, delta=" river", logprobs=[])


def gemini_pieces() -> Iterator[dict[str, Any]]:
    for number in range(MANY):
        yield {
            "candidates": [{"content": {"parts": [{"text": " river"}], "role": "model"}, "index": 0}],
            "usageMetadata": {
                "promptTokenCount": 4,
                "candidatesTokenCount": number + 1,
                "totalTokenCount": number + 5,
            },
            "modelVersion": "gemini-2.5-flash-lite",
            "responseId": "r1",
        }


def gemini_events() -> Iterator[bytes]:
    yield from (event(**piece) for piece in gemini_pieces())


def cohere_events() -> Iterator[bytes]:
    yield named("message-start", id="c1", delta={"message": {"role": "assistant", "content": []}})
    yield named("content-start", index=0, delta={"message": {"content": {"type": "text", "text": ""}}})
    for _ in range(MANY):
        yield named("content-delta", index=0, delta={"message": {"content": {"text": " river"}}})


MESSAGES = chat()["messages"]
GEMINI = {
    "contents": [{"role": "user", "parts": [{"text": "Name a river"}]}],
    "generationConfig": {"maxOutputTokens": 50},
}
CALLS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "openai-chat": ("/openai/v1/chat/completions", chat(max_tokens=25, n=2, stream=True), chat_events),
    "openai-responses": (
        "/openai/v1/responses",
        {"model": "gpt-4o-mini", "input": "Name a river", "max_output_tokens": 50, "stream": True},
        responses_events,
    ),
    "anthropic-messages": (
        "/anthropic/v1/messages",
        {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": MESSAGES, "stream": True},
        anthropic_events,
    ),
    "gemini": (
        "/google/v1beta/models/gemini-2.5-flash-lite:streamGenerateContent?alt=sse",
        GEMINI,
        gemini_events,
    ),
    "cohere-v2": (
        "/cohere/v2/chat",
        {"model": "command-r-08-2024", "messages": MESSAGES, "max_tokens": 50, "stream": True},
        cohere_events,
    ),
}


def cut(
    engine: budgets.Engine, dialect: str, *, one_byte: bool = False, **how: Any
) -> tuple[bytes, ScriptedProvider]:
    path, body, events = CALLS[dialect]

    async def scene(gate: Gate) -> bytes:
        async with gate.post(path, body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    # Without a pause, all of it would arrive in a few large pieces, each of which is passed on whole.
    gap = 0 if one_byte else 0.0005
    answer = streamed(events(), one_byte=one_byte)
    with closing(ScriptedProvider(lambda _, __: answer, gap_seconds=gap)) as provider:
        stream = played(engine, provider, scene, **how)
    return stream, provider


@pytest.mark.parametrize("one_byte", [False, True], ids=["by event", "by byte"])
@pytest.mark.parametrize("dialect", CALLS)
def test_a_stream_is_ended_as_a_full_answer_is(engine: budgets.Engine, dialect: str, one_byte: bool) -> None:
    stream, provider = cut(engine, dialect, one_byte=one_byte)
    # A comment names the budget, but where the SDK stumbles over comments.
    assert (b': "ann"\'s budget ended this answer' in stream) is (dialect != "gemini")
    # Whole events only, and an end that the dialect's own reader takes for one.
    events = SseSplitter().feed(stream)
    for each in events:
        assert each.data == "[DONE]" or json.loads(each.data)
    reader = by_name(dialect).read_stream()
    reader.feed(stream)
    reported = reader.reported()
    assert reported.finished
    written = reported.text.count("river")
    # The hold has room for the dearest count of the prompt, too; the count for strangers takes the lowest.
    assert 50 <= written <= 200
    (charge,) = [each for each in engine.entries("ann") if each.kind == "charge"]
    assert charge.detail["how"].startswith("estimated:")
    assert engine.holds() == []
    if not one_byte:
        assert provider.written < MANY


def test_every_open_choice_of_a_chat_is_ended(engine: budgets.Engine) -> None:
    stream, _ = cut(engine, "openai-chat")
    *_, first, second, done = [each.data for each in SseSplitter().feed(stream)]
    assert done == "[DONE]"
    assert [json.loads(each)["choices"][0]["index"] for each in (first, second)] == [0, 1]
    assert {json.loads(each)["choices"][0]["finish_reason"] for each in (first, second)} == {"length"}
    assert json.loads(first)["id"] == "chatcmpl-1"


def test_only_the_open_block_of_a_message_is_stopped(engine: budgets.Engine) -> None:
    stream, _ = cut(engine, "anthropic-messages")
    *_, last, delta, stop = SseSplitter().feed(stream)
    assert json.loads(last.data) == {"type": "content_block_stop", "index": 1}
    assert json.loads(delta.data)["delta"]["stop_reason"] == "max_tokens"
    assert json.loads(delta.data)["usage"]["output_tokens"] > 50
    assert stop.name == "message_stop"


def test_a_response_ends_incomplete_with_what_was_written(engine: budgets.Engine) -> None:
    stream, _ = cut(engine, "openai-responses")
    events = [json.loads(each.data) for each in SseSplitter().feed(stream)]
    assert [each["type"] for each in events[-4:]] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    numbers = [each["sequence_number"] for each in events]
    assert numbers == list(range(len(events)))
    response = events[-1]["response"]
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    text = response["output"][0]["content"][0]["text"]
    assert text == " river" * text.count("river")
    assert response["output"][0]["status"] == "incomplete"


def test_a_candidate_ends_at_max_tokens_with_the_providers_count(engine: budgets.Engine) -> None:
    stream, _ = cut(engine, "gemini")
    last = json.loads(SseSplitter().feed(stream)[-1].data)
    assert last["candidates"][0]["finishReason"] == "MAX_TOKENS"
    (charge,) = [each for each in engine.entries("ann") if each.kind == "charge"]
    told = last["usageMetadata"]["candidatesTokenCount"]
    assert told <= charge.detail["usage"]["output"] < 1.1 * told


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_json_array_stays_one(engine: budgets.Engine, size: int) -> None:
    path, body, _ = CALLS["gemini"]

    def pieces() -> Iterator[bytes]:
        whole = b"[" + b",\r\n".join(json.dumps(each).encode() for each in gemini_pieces()) + b"]"
        yield from (whole[n : n + size] for n in range(0, len(whole), size))

    async def scene(gate: Gate) -> Any:
        async with gate.post(path.partition("?")[0], body) as answer:
            return json.loads(await answer.read())

    with closing(ScriptedProvider(lambda _, __: Answered(pieces()))) as provider:
        found = played(engine, provider, scene)
    assert found[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert 50 < len(found) < MANY


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("openai-chat", "message"),
        ("openai-responses", "error"),
        ("anthropic-messages", "error"),
        ("gemini", "message"),
    ],
)
def test_the_owner_may_want_an_error_instead(engine: budgets.Engine, dialect: str, name: str) -> None:
    stream, _ = cut(engine, dialect, cut="error")
    last = SseSplitter().feed(stream)[-1]
    assert last.name == name
    assert '"ann"\'s budget ended this answer' in json.loads(last.data)["error"]["message"]


def test_the_next_call_finds_the_budget_used_up(engine: budgets.Engine) -> None:
    engine.change("ann", budgets.Change(total_nanos=200_000))
    endless = (chunk(0, " river") for _ in range(MANY))

    async def scene(gate: Gate) -> None:
        async with gate.post("/openai/v1/chat/completions", chat(stream=True)) as answer:
            await answer.read()
        assert spent(engine) > 199_000
        async with gate.post("/openai/v1/chat/completions", chat()) as answer:
            assert answer.status == 402

    with closing(ScriptedProvider(lambda _, __: streamed(endless), gap_seconds=0.0005)) as provider:
        played(engine, provider, scene)
        assert len(provider.asked) == 1
    # What was left over in the hold was for a longer prompt; the answer was ended within some tokens of it.
    assert spent(engine) < 202_000
    assert engine.check().faults == ()


def test_an_answer_within_its_limit_is_not_cut(engine: budgets.Engine) -> None:
    """Exactly as many tokens as were allowed, in the dearest form: each a chunk of its own."""
    usage = {"prompt_tokens": 10, "completion_tokens": 50, "total_tokens": 60}

    def events() -> Iterator[bytes]:
        yield from (chunk(0, " river") for _ in range(50))
        yield event(choices=[{"index": 0, "delta": {}, "finish_reason": "length"}])
        yield event(choices=[], usage=usage, model="gpt-4o-mini")
        yield b"data: [DONE]\n\n"

    async def scene(gate: Gate) -> bytes:
        body = chat(max_tokens=50, stream=True)
        async with gate.post("/openai/v1/chat/completions", body) as answer:
            return await answer.read()

    with closing(ScriptedProvider(lambda _, __: streamed(events()))) as provider:
        stream = played(engine, provider, scene)
    assert b"ended this answer" not in stream
    assert spent(engine) == 10 * 150 + 50 * 600


def test_frames_of_aws_are_broken_off_and_charged(engine: budgets.Engine) -> None:
    """Nobody but AWS writes those, so the caller sees a connection that broke."""
    delta = frames.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": " river"}})
    kind = {"content-type": "application/vnd.amazon.eventstream"}
    answer = Answered((delta for _ in range(MANY)), headers=kind)

    async def scene(gate: Gate) -> None:
        body = {
            "messages": [{"role": "user", "content": [{"text": "x"}]}],
            "inferenceConfig": {"maxTokens": 50},
        }
        async with gate.post("/bedrock/model/amazon.nova-lite-v1%3A0/converse-stream", body) as answer:
            assert answer.status == 200, await answer.text()
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()

    with closing(ScriptedProvider(lambda _, __: answer, gap_seconds=0.0005)) as provider:
        played(engine, provider, scene)
        assert provider.written < MANY
    assert spent(engine) > 50 * 240
    assert engine.holds() == []
