"""The anthropic SDK, unmodified, calls the gateway: plain, streamed, counting; sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import anthropic
import pytest

from tests.gateway.checking import charged_as_billed, make_poor, refused_once
from tests.gateway.running import KEY, Running
from tests.gateway.wire import ANSWER, Manner, WireProvider

CALL = {
    "model": "claude-haiku-4-5",
    "max_tokens": 40,
    "messages": [{"role": "user", "content": "Name three rivers"}],
}


@pytest.fixture
def client(gateway: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"{gateway.url}/anthropic", api_key=KEY) as opened:
        yield opened


def test_a_message(client: anthropic.Anthropic, gateway: Running, provider: WireProvider) -> None:
    reply = client.messages.create(**CALL)
    assert (reply.content[0].text, reply.stop_reason) == (ANSWER, "end_turn")
    sent = provider.calls[0].headers
    assert sent["x-api-key"] == "sk-ant-real"
    assert sent["anthropic-version"] == client.default_headers["anthropic-version"]
    charged_as_billed(gateway, provider)


def test_a_message_with_a_token_in_place_of_a_key(gateway: Running, provider: WireProvider) -> None:
    """As programs do that set `ANTHROPIC_AUTH_TOKEN`."""
    with anthropic.Anthropic(base_url=f"{gateway.url}/anthropic", auth_token=KEY) as client:
        assert client.messages.create(**CALL).content[0].text == ANSWER
    assert "authorization" not in provider.calls[0].headers
    charged_as_billed(gateway, provider)


@pytest.mark.parametrize("one_byte", [False, True])
def test_a_message_streamed(
    client: anthropic.Anthropic, gateway: Running, provider: WireProvider, one_byte: bool
) -> None:
    provider.manner = Manner(one_byte_pieces=one_byte)
    with client.messages.stream(**CALL) as stream:
        assert "".join(stream.text_stream) == ANSWER
        assert stream.get_final_message().usage.output_tokens == provider.bills[0].output_tokens
    charged_as_billed(gateway, provider)


def test_async_at_once(gateway: Running, provider: WireProvider) -> None:
    async def plain(client: anthropic.AsyncAnthropic) -> str:
        return (await client.messages.create(**CALL)).content[0].text

    async def streamed(client: anthropic.AsyncAnthropic) -> str:
        async with client.messages.stream(**CALL) as stream:
            return await stream.get_final_text()

    async def main() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=f"{gateway.url}/anthropic", api_key=KEY) as client:
            return await asyncio.gather(*(call(client) for call in (plain, streamed) * 5))

    assert asyncio.run(main()) == [ANSWER] * 10
    charged_as_billed(gateway, provider, 10)


def test_counting_is_free(client: anthropic.Anthropic, gateway: Running) -> None:
    counted = client.messages.count_tokens(model=CALL["model"], messages=CALL["messages"])
    assert counted.input_tokens == 3
    assert gateway.spent_nanos == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_understood_and_not_tried_again(
    client: anthropic.Anthropic, gateway: Running, provider: WireProvider, stream: bool
) -> None:
    make_poor(gateway)
    with pytest.raises(anthropic.APIStatusError, match=r"ann has \$0.00000001 left") as caught:
        client.messages.create(**CALL, stream=stream)
    assert caught.value.status_code == 402
    assert caught.value.body["error"]["type"] == "billing_error"
    refused_once(gateway, provider)


def test_an_overloaded_provider_is_heard_and_costs_nothing(
    client: anthropic.Anthropic, gateway: Running, provider: WireProvider
) -> None:
    provider.manner = Manner(status=529)
    with pytest.raises(anthropic.APIStatusError, match="this failure is simulated") as caught:
        client.with_options(max_retries=0).messages.create(**CALL)
    assert caught.value.status_code == 529
    assert gateway.outcomes == ["released"]
    assert (gateway.spent_nanos, gateway.engine.holds()) == (0, [])
