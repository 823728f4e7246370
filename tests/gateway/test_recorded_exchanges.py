"""
What others recorded of real providers, replayed through the gateway to the providers' own SDKs.

The SDK gives its program the same objects as without a gateway, and each call is charged what its reply costs
where it is read without one; what replies cost is checked against a judge in `tests/recorded`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

import budgets
from budgets.dialects import at_path
from budgets.errors import UnknownPriceError
from budgets.metering import priced
from tests.gateway.running import KEY, Running, running
from tests.support.engines import FULL
from tests.support.recorded import exchanges, needs_recorded
from tests.support.recording import Recording, Replay

pytestmark = needs_recorded

PROVIDERS = {
    "api.openai.com": ("openai", "/v1"),
    "api.anthropic.com": ("anthropic", ""),
    "generativelanguage.googleapis.com": ("google", ""),
}
METHODS = ("/chat/completions", "/responses", "/embeddings", "/v1/messages", "enerateContent")


# Most plain replies are alike: by default one in so many is enough.
ONE_IN = 1 if FULL else 8


def answered() -> Iterator[Any]:
    """Calls to the three whose replies say what they used, each stream also byte by byte."""
    for number, (name, call) in enumerate(exchanges()):
        place = call["path"].partition("?")[0]
        if call["host"] not in PROVIDERS or call["status"] != 200 or not place.endswith(METHODS):
            continue
        if call.get("text"):
            yield pytest.param(call, False, id=name)
            yield pytest.param(call, True, id=f"{name}-in-bytes")
        elif number % ONE_IN == 0 and (call["json"].get("usage") or call["json"].get("usageMetadata")):
            yield pytest.param(call, False, id=name)


@pytest.fixture
def gateway(engine: budgets.Engine, replay: Replay) -> Iterator[Running]:
    with running(engine, replay.url) as opened:
        yield opened


def received(call: dict[str, Any], base_url: str) -> list[Any]:
    """What a program gets from its provider's SDK: one object, or those of a stream."""
    provider, version = PROVIDERS[call["host"]]
    request, stream = call["request"], bool(call.get("text"))
    url = base_url + version
    if provider == "google":
        with genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url)) as client:
            model = call["path"].rpartition("/")[2].partition(":")[0]
            if stream:
                return list(client.models.generate_content_stream(model=model, contents="Name a river"))
            return [client.models.generate_content(model=model, contents="Name a river")]
    made = openai.OpenAI if provider == "openai" else anthropic.Anthropic
    with made(base_url=url, api_key=KEY, max_retries=0) as client:
        create = {
            "completions": lambda: client.chat.completions.create,
            "responses": lambda: client.responses.create,
            "embeddings": lambda: client.embeddings.create,
            "messages": lambda: client.messages.create,
        }[call["path"].partition("?")[0].rpartition("/")[2]]()
        # The SDK wants to see these itself; the rest is sent as it was recorded.
        wanted = {"model", "messages", "input", "max_tokens"} & request.keys()
        named = {name: request[name] for name in wanted} | ({"stream": True} if stream else {})
        reply = create(**named, extra_body=request)
        return list(reply) if stream else [reply]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:anthropic", "ignore::DeprecationWarning:tests")
@pytest.mark.parametrize(("call", "one_byte"), list(answered()))
def test_the_program_gets_what_it_got_without_the_gateway(
    gateway: Running, replay: Replay, call: dict[str, Any], one_byte: bool
) -> None:
    provider, _ = PROVIDERS[call["host"]]
    replay.recording = Recording.of(call, one_byte_pieces=one_byte)
    assert _seen(received(call, f"{gateway.url}/{provider}")) == _seen(received(call, replay.url))

    (report,) = gateway.told(1)
    cost = _costs(gateway.engine, call, provider)
    # Where a session of code has no price, its hold stays until somebody says what it cost.
    assert report.outcome == ("unconfirmed" if cost is None else "charged")
    assert gateway.spent_nanos == (cost or 0)
    assert [hold.unconfirmed for hold in gateway.engine.holds()] == [True] * (cost is None)


def _seen(objects: list[Any]) -> list[Any]:
    """An SDK's objects as plain values, without the headers of the answer that Google's carries along."""
    return [each.model_dump(exclude={"sdk_http_response"}, warnings=False) for each in objects]


def _costs(engine: budgets.Engine, call: dict[str, Any], provider: str) -> int | None:
    found = at_path(call["path"], call["request"])
    assert found is not None
    dialect, request = found
    if call.get("text"):
        reader = dialect.read_stream()
        reader.feed(call["text"].encode())
        reported = reader.reported()
    else:
        reported = dialect.read_reply(call["json"], {})
    try:
        return priced(engine, reported, asked=request["model"], provider=provider).nanos
    except UnknownPriceError as error:
        assert error.values["unit"] == "code_sessions"
        return None
