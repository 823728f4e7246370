"""The openai SDK, unmodified, calls the gateway: chat, responses, embeddings; sync, async, streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import openai
import pytest

from tests.gateway.checking import charged_as_billed, make_poor, refused_once
from tests.gateway.running import KEY, Running
from tests.gateway.wire import ANSWER, Manner, WireProvider

MODEL = "gpt-4o-mini"
QUESTION = "Name three rivers"
MESSAGES = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def client(gateway: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/openai/v1", api_key=KEY) as opened:
        yield opened


@pytest.mark.parametrize("limits", [{}, {"max_tokens": 40}, {"max_completion_tokens": 5}])
def test_chat(
    client: openai.OpenAI, gateway: Running, provider: WireProvider, limits: dict[str, int]
) -> None:
    reply = client.chat.completions.create(model=MODEL, messages=MESSAGES, **limits)
    whole = "max_completion_tokens" not in limits
    assert reply.choices[0].message.content == (ANSWER if whole else "The long river that you")
    assert reply.choices[0].finish_reason == ("stop" if whole else "length")
    assert provider.calls[0].headers["authorization"] == "Bearer sk-real"
    charged_as_billed(gateway, provider)


@pytest.mark.parametrize("one_byte", [False, True])
@pytest.mark.parametrize("asks", [False, True])
def test_chat_streamed(
    client: openai.OpenAI, gateway: Running, provider: WireProvider, one_byte: bool, asks: bool
) -> None:
    provider.manner = Manner(one_byte_pieces=one_byte)
    options = {"stream_options": {"include_usage": True}} if asks else {}
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, **options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
    # The last one is there for who asked for it, and for nobody else.
    assert [chunk.usage is not None for chunk in chunks if not chunk.choices] == [True] * asks
    charged_as_billed(gateway, provider)


def test_responses(client: openai.OpenAI, gateway: Running, provider: WireProvider) -> None:
    reply = client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=40)
    assert (reply.output_text, reply.status) == (ANSWER, "completed")
    charged_as_billed(gateway, provider)


@pytest.mark.parametrize("one_byte", [False, True])
def test_responses_streamed(
    client: openai.OpenAI, gateway: Running, provider: WireProvider, one_byte: bool
) -> None:
    provider.manner = Manner(one_byte_pieces=one_byte)
    with client.responses.stream(model=MODEL, input=QUESTION) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert text == stream.get_final_response().output_text == ANSWER
    charged_as_billed(gateway, provider)


@pytest.mark.parametrize("given", [QUESTION, [QUESTION, "and one sea"]])
def test_embeddings(
    client: openai.OpenAI, gateway: Running, provider: WireProvider, given: str | list[str]
) -> None:
    reply = client.embeddings.create(model="text-embedding-3-small", input=given)
    assert [each.embedding for each in reply.data] == [[0.25, -0.5]] * (1 if isinstance(given, str) else 2)
    charged_as_billed(gateway, provider)


def test_async_at_once(gateway: Running, provider: WireProvider) -> None:
    async def plain(client: openai.AsyncOpenAI) -> str | None:
        reply = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        return reply.choices[0].message.content

    async def streamed(client: openai.AsyncOpenAI) -> str:
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def main() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/openai/v1", api_key=KEY) as client:
            return await asyncio.gather(*(call(client) for call in (plain, streamed) * 5))

    assert asyncio.run(main()) == [ANSWER] * 10
    charged_as_billed(gateway, provider, 10)


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_understood_and_not_tried_again(
    client: openai.OpenAI, gateway: Running, provider: WireProvider, stream: bool
) -> None:
    make_poor(gateway)
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=stream)
    error = caught.value
    assert (error.status_code, error.code, error.type) == (402, "budget_exceeded", "insufficient_quota")
    assert error.body["message"].startswith("budget: ann has $0.00000001 left")
    refused_once(gateway, provider)


def test_a_wrong_key_is_an_authentication_error(gateway: Running, provider: WireProvider) -> None:
    with (
        openai.OpenAI(base_url=f"{gateway.url}/openai/v1", api_key="sk-wrong") as client,
        pytest.raises(openai.AuthenticationError, match="this key is not known here"),
    ):
        client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert provider.calls == []


def test_an_overloaded_provider_is_heard_and_costs_nothing(
    client: openai.OpenAI, gateway: Running, provider: WireProvider
) -> None:
    provider.manner = Manner(status=503)
    with pytest.raises(openai.InternalServerError, match="this failure is simulated"):
        client.with_options(max_retries=0).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert gateway.outcomes == ["released"]
    assert (gateway.spent_nanos, gateway.engine.holds()) == (0, [])


def test_a_stream_that_is_cut_is_an_error_and_charged_as_an_estimate(
    client: openai.OpenAI, gateway: Running, provider: WireProvider
) -> None:
    provider.manner = Manner(cut_after=8)
    stream = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    read = []
    # The SDK lets an error of the library beneath it pass, which differs from version to version.
    with pytest.raises(Exception, match="peer closed connection"):
        read.extend(chunk.choices[0].delta.content for chunk in stream)
    assert "".join(read) == "The long river that you ask for"
    assert [report.outcome for report in gateway.told(1)] == ["charged"]
    (charge,) = [entry for entry in gateway.engine.entries("ann") if entry.kind == "charge"]
    assert charge.detail["how"].startswith("estimated")
    assert charge.nanos > 0
    assert gateway.engine.holds() == []
