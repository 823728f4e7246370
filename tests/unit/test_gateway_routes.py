"""The gateway with routes: each call under its upstream's own base, by the model's name there."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import budgets
from budgets.awaiting import AwaitedEngine
from budgets.gateway.callers import Caller
from budgets.gateway.configured import configuration
from budgets.gateway.listening import listening
from budgets.gateway.passing import House
from budgets.gateway.routing import Routes
from budgets.upstream import HttpUpstream
from tests.support.provider import LoopbackProvider

KEY = "bk_ann_key"
TABLES = """
[[upstreams]]
name = "openai"
base_url = "{0}/openai/v1"

[[upstreams]]
name = "claude"
provider = "anthropic"
base_url = "{0}/anthropic"

[[upstreams]]
name = "google"
base_url = "{0}/v1beta"
dialect = "gemini"

[models.chat]
deployments = [{{ upstream = "openai", model = "gpt-4o-mini" }}]

[models.haiku]
deployments = [{{ upstream = "claude", model = "claude-haiku-4-5" }}]

[models.flash]
deployments = [{{ upstream = "google", model = "gemini-2.5-flash" }}]
"""
ENVIRON = {"OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", "GEMINI_API_KEY": "sk-g"}
ASKED = [{"role": "user", "content": "Name a river"}]


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with closing(LoopbackProvider()) as opened:
        yield opened


def asked(
    tmp_path: Path,
    provider: LoopbackProvider,
    method: str,
    path: str,
    body: Any = None,
    **headers: str,
) -> tuple[int, Any]:
    """What the gateway answers: status and document."""

    async def main() -> tuple[int, Any]:
        found = configuration(tomllib.loads(TABLES.format(provider.url)), ENVIRON)
        with budgets.open_engine(tmp_path / "budgets.sqlite", grouped=True) as engine:
            engine.create("ann", budgets.LimitTerms(10**9))
            async with HttpUpstream() as upstream, aiohttp.ClientSession() as session:
                house = House(AwaitedEngine(engine), Routes(found), upstream)
                async with listening(house, {KEY: Caller("ann", "ann")}.get, finish_seconds=1) as port:
                    url = f"http://127.0.0.1:{port}{path}"
                    sent = {"x-api-key": KEY, **headers}
                    async with session.request(method, url, json=body, headers=sent) as answer:
                        return answer.status, await answer.json()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "body", "there", "model", "key"),
    [
        pytest.param(
            "/v1/chat/completions",
            {"model": "chat", "messages": ASKED},
            "/openai/v1/chat/completions",
            "gpt-4o-mini",
            ("authorization", "Bearer sk-o"),
            id="openai",
        ),
        pytest.param(
            "/openai/v1/chat/completions",
            {"model": "gpt-4o", "messages": ASKED, "max_tokens": 5},
            "/openai/v1/chat/completions",
            "gpt-4o",
            ("authorization", "Bearer sk-o"),
            id="openai by its name",
        ),
        pytest.param(
            "/v1/responses?a=b",
            {"model": "chat", "input": "Name a river"},
            "/openai/v1/responses?a=b",
            "gpt-4o-mini",
            ("authorization", "Bearer sk-o"),
            id="another of OpenAI's dialects",
        ),
        pytest.param(
            "/v1/messages?beta=true",
            {"model": "haiku", "messages": ASKED, "max_tokens": 5},
            "/anthropic/v1/messages?beta=true",
            "claude-haiku-4-5",
            ("x-api-key", "sk-a"),
            id="anthropic",
        ),
        pytest.param(
            "/v1/messages/count_tokens",
            {"model": "haiku", "messages": ASKED},
            "/anthropic/v1/messages/count_tokens",
            "claude-haiku-4-5",
            ("x-api-key", "sk-a"),
            id="a count is free, and has the same name",
        ),
        pytest.param(
            "/v1beta/models/flash:generateContent",
            {"contents": [{"parts": [{"text": "Name a river"}]}]},
            "/v1beta/models/gemini-2.5-flash:generateContent",
            None,
            ("x-goog-api-key", "sk-g"),
            id="gemini has the model in the path",
        ),
        pytest.param(
            "/v1beta/models/flash:countTokens",
            {"contents": []},
            "/v1beta/models/gemini-2.5-flash:countTokens",
            None,
            ("x-goog-api-key", "sk-g"),
            id="gemini counts",
        ),
    ],
)
def test_where_a_call_goes_and_as_what(
    tmp_path: Path,
    provider: LoopbackProvider,
    path: str,
    body: Any,
    there: str,
    model: str | None,
    key: tuple[str, str],
) -> None:
    asked(tmp_path, provider, "POST", path, body)
    assert provider.paths == [there]
    assert provider.asked[0].get("model") == model
    name, value = key
    assert provider.headers[0][name] == value
    assert KEY not in str(provider.headers)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/chat/completions", {"model": "haiku", "messages": ASKED}, "not served in openai-chat"),
        (
            "/claude/v1/chat/completions",
            {"model": "claude-haiku-4-5", "messages": ASKED},
            "claude does not speak openai-chat",
        ),
        ("/v1/chat/completions", {"model": "gpt-4o", "messages": ASKED}, "is no model here"),
        ("/mars/v1/chat/completions", {"model": "gpt-4o", "messages": ASKED}, "is no model here"),
    ],
)
def test_what_nobody_serves_is_refused(
    tmp_path: Path, provider: LoopbackProvider, path: str, body: Any, words: str
) -> None:
    status, told = asked(tmp_path, provider, "POST", path, body)
    assert status == 400
    assert words in told["error"]["message"]
    assert provider.paths == []


def test_models_are_listed_in_the_dialect_that_asks(tmp_path: Path, provider: LoopbackProvider) -> None:
    names = ["chat", "haiku", "flash"]
    _, listed = asked(tmp_path, provider, "GET", "/v1/models")
    assert [each["id"] for each in listed["data"]] == names
    assert provider.paths == []


def test_an_upstreams_own_list_is_its_own(tmp_path: Path, provider: LoopbackProvider) -> None:
    status, _ = asked(tmp_path, provider, "GET", "/claude/v1/models")
    assert status == 200
    assert provider.paths == ["/anthropic/v1/models"]
    assert provider.headers[0]["x-api-key"] == "sk-a"
