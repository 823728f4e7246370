from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from budgets.dialects import by_name
from budgets.dialects.base import Reported
from budgets.errors import ProviderError
from budgets.simulated import Fault, SimulatedUpstream
from budgets.upstream import Answer, OutgoingCall

REQUEST: dict[str, Any] = {
    "model": "some-model",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "one two three"}],
}
DIALECTS = ["openai-chat", "anthropic-messages"]


def _words(text: str) -> int:
    return len(text.split())


def _call(dialect: str, request: Any) -> OutgoingCall:
    url = f"https://simulated.invalid{by_name(dialect).sent({}).path}"
    return OutgoingCall("acme", url, {}, json.dumps(request).encode())


def _send(upstream: SimulatedUpstream, call: OutgoingCall) -> tuple[Answer, list[bytes]]:
    async def work() -> tuple[Answer, list[bytes]]:
        async with upstream.send(call) as answer:
            return answer, [chunk async for chunk in answer.chunks]

    return asyncio.run(work())


def _ask(dialect: str, upstream: SimulatedUpstream | None = None, **change: Any) -> Reported:
    call = _call(dialect, REQUEST | change)
    answer, chunks = _send(upstream or SimulatedUpstream(_words), call)
    assert answer.status == 200
    if not change.get("stream"):
        return by_name(dialect).read_reply(json.loads(b"".join(chunks)))
    reader = by_name(dialect).read_stream()
    for chunk in chunks:
        reader.feed(chunk)
    return reader.reported()


ASKING = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("change", [{}, ASKING], ids=["plain", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_reports_what_its_own_texts_count(dialect: str, change: dict[str, Any]) -> None:
    reported = _ask(dialect, **change)
    assert reported.usage is not None
    # Three words, three tokens for the message's frame and three for the reply's.
    assert dict(reported.usage) == {"input": 9, "output": _words(reported.text)}
    assert (reported.finished, reported.model) == (True, "some-model")
    assert "simulated" in reported.text


@pytest.mark.parametrize("change", [{}, ASKING], ids=["plain", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("limit", [1, 7, 12, 13])
def test_an_answer_stops_at_its_limit_and_says_so(dialect: str, change: dict[str, Any], limit: int) -> None:
    reported = _ask(dialect, max_tokens=limit, **change)
    assert reported.usage is not None
    assert reported.usage.output_tokens == _words(reported.text) == limit
    _, chunks = _send(SimulatedUpstream(_words), _call(dialect, REQUEST | change | {"max_tokens": limit}))
    reason = {"openai-chat": b'"finish_reason":"length"', "anthropic-messages": b'"stop_reason":"max_tokens"'}
    assert reason[dialect] in b"".join(chunks)


def test_each_of_several_answers_is_counted() -> None:
    one, three = _ask("openai-chat"), _ask("openai-chat", n=3)
    assert one.usage is not None
    assert three.usage is not None
    assert three.usage["output"] == 3 * one.usage["output"]
    assert three.usage["input"] == one.usage["input"]


def test_only_an_openai_stream_that_asks_for_usage_has_it() -> None:
    silent = _ask("openai-chat", stream=True)
    assert (silent.usage, silent.finished) == (None, True)
    assert _ask("anthropic-messages", stream=True).usage is not None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_calls_get_the_same_answers(dialect: str) -> None:
    first, second = SimulatedUpstream(_words), SimulatedUpstream(_words)
    for _ in range(2):
        assert _ask(dialect, first) == _ask(dialect, second)
    assert first.calls == 2


@pytest.mark.parametrize("dialect", DIALECTS)
def test_two_calls_have_two_ids(dialect: str) -> None:
    upstream = SimulatedUpstream(_words)
    assert _ask(dialect, upstream).reply_id != _ask(dialect, upstream).reply_id


@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_fault_of_the_provider_comes_once_in_its_own_words(dialect: str, status: int) -> None:
    upstream = SimulatedUpstream(_words, [Fault(status=status)])
    answer, chunks = _send(upstream, _call(dialect, REQUEST))
    assert answer.status == status
    assert by_name(dialect).read_error(b"".join(chunks)) == "this failure is simulated"
    assert ("retry-after" in answer.headers) is (status == 429)
    assert _send(upstream, _call(dialect, REQUEST))[0].status == 200


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_bad_request_is_refused_as_the_real_one_would(dialect: str) -> None:
    upstream = SimulatedUpstream(_words)
    assert _send(upstream, _call(dialect, {"model": "m"}))[0].status == 400
    assert _send(upstream, _call(dialect, [1]))[0].status == 400
    answer, chunks = _send(upstream, _call("anthropic-messages", REQUEST | {"max_tokens": None}))
    assert answer.status == 400
    assert b"max_tokens" in b"".join(chunks)
    assert (
        _send(upstream, OutgoingCall("acme", "https://x.invalid/v1/embeddings", {}, b"{}"))[0].status == 404
    )


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("size", [0, 1, 100, 700])
@pytest.mark.parametrize("one_byte", [False, True])
def test_a_cut_comes_after_so_many_bytes(dialect: str, size: int, one_byte: bool) -> None:
    fault = Fault(cut_after_bytes=size, one_byte_pieces=one_byte)
    upstream = SimulatedUpstream(_words, [fault])
    got = bytearray()

    async def work() -> None:
        async with upstream.send(_call(dialect, REQUEST | ASKING)) as answer:
            async for chunk in answer.chunks:
                assert len(chunk) == 1 or not one_byte
                got.extend(chunk)

    with pytest.raises(ProviderError) as cut:
        asyncio.run(work())
    assert len(got) == size
    assert cut.value.values == {"provider": "acme", "status": None, "charged_possible": True}


def test_a_provider_that_cannot_be_reached_has_charged_nothing() -> None:
    upstream = SimulatedUpstream(_words, [None, Fault(unreachable=True)])
    assert _ask("openai-chat", upstream).finished
    with pytest.raises(ProviderError) as refused:
        _ask("openai-chat", upstream)
    assert refused.value.values["charged_possible"] is False
    assert upstream.calls == 1


@pytest.mark.parametrize("change", [{}, ASKING], ids=["plain", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_usage_can_be_left_out(dialect: str, change: dict[str, Any]) -> None:
    reported = _ask(dialect, SimulatedUpstream(_words, [Fault(omit_usage=True)]), **change)
    assert reported.usage is None
    assert reported.text
