"""The google-genai SDK, unmodified, calls the gateway: plain and streamed, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from google import genai
from google.genai import errors, types

from tests.gateway.checking import charged_as_billed, make_poor, refused_once
from tests.gateway.running import KEY, Running
from tests.gateway.wire import ANSWER, Manner, WireProvider

MODEL = "gemini-2.5-flash"
QUESTION = "Name three rivers"


@pytest.fixture
def client(gateway: Running) -> Iterator[genai.Client]:
    with _client(gateway) as opened:
        yield opened


def _client(gateway: Running) -> genai.Client:
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=f"{gateway.url}/google"))


@pytest.mark.parametrize("limit", [None, 40])
def test_content(client: genai.Client, gateway: Running, provider: WireProvider, limit: int | None) -> None:
    config = types.GenerateContentConfig(max_output_tokens=limit)
    reply = client.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    assert reply.text == ANSWER
    assert provider.calls[0].headers["x-goog-api-key"] == "AIza-real"
    charged_as_billed(gateway, provider)


@pytest.mark.parametrize("one_byte", [False, True])
def test_content_streamed(
    client: genai.Client, gateway: Running, provider: WireProvider, one_byte: bool
) -> None:
    provider.manner = Manner(one_byte_pieces=one_byte)
    stream = client.models.generate_content_stream(model=MODEL, contents=QUESTION)
    assert "".join(chunk.text or "" for chunk in stream) == ANSWER
    charged_as_billed(gateway, provider)


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
def test_async_at_once(gateway: Running, provider: WireProvider) -> None:
    async def plain(client: genai.client.AsyncClient) -> str | None:
        return (await client.models.generate_content(model=MODEL, contents=QUESTION)).text

    async def streamed(client: genai.client.AsyncClient) -> str:
        stream = await client.models.generate_content_stream(model=MODEL, contents=QUESTION)
        return "".join([chunk.text or "" async for chunk in stream])

    async def main() -> list[str | None]:
        async with _client(gateway).aio as client:
            return await asyncio.gather(*(call(client) for call in (plain, streamed) * 5))

    assert asyncio.run(main()) == [ANSWER] * 10
    charged_as_billed(gateway, provider, 10)


def test_a_refusal_is_understood_and_not_tried_again(
    client: genai.Client, gateway: Running, provider: WireProvider
) -> None:
    make_poor(gateway)
    with pytest.raises(errors.ClientError, match=r"ann has \$0.00000001 left") as caught:
        client.models.generate_content(model=MODEL, contents=QUESTION)
    assert (caught.value.code, caught.value.status) == (402, "RESOURCE_EXHAUSTED")
    refused_once(gateway, provider)
