"""What an owner's settings change about `budget serve` as a proxy server, shown with a server process."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest

import budgets
from budgets.dialects.sse import Event, SseSplitter, framed
from tests.support.provider import LoopbackProvider
from tests.support.scripted import ScriptedProvider, plain, streamed
from tests.support.servers import Server, serving

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name a river"}], "max_tokens": 25}
# Far more than a limit of 25 tokens: a test whose stream is not cut fails, and ends.
MANY = 1_000
LEAD = """
[[upstreams]]
name = "openai"
base_url = "{url}/v1"
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[budgets.Engine]:
    with budgets.open_engine(tmp_path / "budgets.sqlite") as opened:
        opened.create("ann", budgets.LimitTerms(budgets.parse_usd("1")))
        yield opened


def configure(folder: Path, provider: LoopbackProvider, settings: str = "") -> None:
    (folder / "config.toml").write_text(settings + LEAD.format(url=provider.url))


def bearer(engine: budgets.Engine) -> dict[str, str]:
    return {"authorization": f"Bearer {engine.create_key('meter', user='ann').text}"}


def chunks() -> Iterator[bytes]:
    for _ in range(MANY):
        choice = {"index": 0, "delta": {"content": " river"}, "finish_reason": None}
        value = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o-mini"}
        yield framed(Event("message", json.dumps({**value, "choices": [choice]})))


@pytest.mark.parametrize("cut", ["length", "error"])
def test_a_stream_that_outgrows_its_hold_ends_as_the_owner_wants(
    engine: budgets.Engine, tmp_path: Path, cut: str
) -> None:
    with closing(ScriptedProvider(lambda *_: streamed(chunks()), gap_seconds=0.0005)) as provider:
        configure(tmp_path, provider, f'cut = "{cut}"\n')
        with serving(tmp_path) as server:
            headers = {**bearer(engine), "content-type": "application/json"}
            body = server.ask("POST", "/v1/chat/completions", {**CHAT, "stream": True}, headers).body
    said = [each.data for each in SseSplitter().feed(body)]
    if cut == "error":
        assert '"ann"\'s budget ended this answer' in json.loads(said[-1])["error"]["message"]
    else:
        assert json.loads(said[-2])["choices"][0]["finish_reason"] == "length"
    assert engine.holds() == []


RUNNING = {"id": "resp_1", "object": "response", "model": "gpt-4o-mini", "status": "in_progress"}


def test_an_answer_in_the_background_is_refused_unless_the_owner_allows_it(
    engine: budgets.Engine, tmp_path: Path
) -> None:
    asked = {"model": "gpt-4o-mini", "input": "Name a river", "background": True, "max_output_tokens": 50}
    with closing(ScriptedProvider(lambda *_: plain({**RUNNING, "output": []}))) as provider:
        configure(tmp_path, provider)
        with serving(tmp_path) as server:
            refused = server.ask("POST", "/v1/responses", asked, bearer(engine))
            assert refused.status == 400
            assert "leave `background` out" in refused.document["error"]["message"]
        assert provider.asked == []

        configure(tmp_path, provider, "allow_background = true\n")
        with serving(tmp_path) as server:
            assert server.ask("POST", "/v1/responses", asked, bearer(engine)).status == 200
            assert [each.unconfirmed for each in engine.holds()] == [False]
            assert server.stop() == 0
    (held,) = engine.holds()
    assert held.unconfirmed
    # The gateway said so before the store was closed; it is no process that has died.
    (doubted,) = [each for each in engine.entries("ann") if each.id == f"{held.id}.expired"]
    assert doubted.detail["reason"] == "the gateway ended before the answer in the background"


AZURE = """
[[upstreams]]
name = "azure"
base_url = "{url}/openai/v1"
key_variable = "AZURE_OPENAI_API_KEY"
deployments = {{ "my-gpt" = "gpt-4o-mini", "cheap" = "gpt-4.1-nano" }}

[models.small]
deployments = [{{ upstream = "azure", model = "my-gpt" }}]
"""


def test_azures_deployments_are_called_by_their_name_and_have_their_models_price(
    engine: budgets.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "az-real")
    key = bearer(engine)["authorization"].removeprefix("Bearer ")
    asked: Any = {**CHAT, "model": "my-gpt"}
    with closing(LoopbackProvider()) as provider:
        (tmp_path / "config.toml").write_text(AZURE.format(url=provider.url))
        with serving(tmp_path) as server:
            older = openai.AzureOpenAI(
                azure_endpoint=f"{server.address}/azure", api_key=key, api_version="2025-04-01-preview"
            )
            newer = openai.OpenAI(base_url=f"{server.address}/azure/openai/v1", api_key=key)
            by_model = openai.OpenAI(base_url=f"{server.address}/v1", api_key=key)
            with older, newer, by_model:
                assert older.chat.completions.create(**asked).choices[0].message.content
                assert list(older.chat.completions.create(**asked, stream=True))
                newer.chat.completions.create(**asked)
                by_model.chat.completions.create(**{**asked, "model": "small"})
                with pytest.raises(openai.BadRequestError, match='known there: "my-gpt", "cheap"'):
                    older.chat.completions.create(**{**asked, "model": "gpt-4o-mini"})
    at_deployment = "/openai/deployments/my-gpt/chat/completions?api-version=2025-04-01-preview"
    assert provider.paths == [at_deployment] * 2 + ["/openai/v1/chat/completions"] * 2
    assert [each["model"] for each in provider.asked] == ["my-gpt"] * 4
    assert [(each["api-key"], each.get("authorization")) for each in provider.headers] == [
        ("az-real", None)
    ] * 4
    charges = [each for each in engine.entries("ann") if each.kind == "charge"]
    assert [each.model for each in charges] == ["gpt-4o-mini"] * 4
    billed = sum(each["prompt_tokens"] * 150 + each["completion_tokens"] * 600 for each in provider.bills)
    assert sum(each.nanos for each in charges) == billed > 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/openai/v1/chat/completions"])
def test_a_packed_call_is_read_or_refused_in_its_dialect(
    engine: budgets.Engine, tmp_path: Path, path: str
) -> None:
    raw = json.dumps(CHAT).encode()
    with closing(LoopbackProvider()) as provider:
        configure(tmp_path, provider)
        with serving(tmp_path) as server:
            headers = bearer(engine)
            read = server.ask("POST", path, gzip.compress(raw), {**headers, "content-encoding": "gzip"})
            assert read.status == 200, read.body
            for packing in ("br", "zstd-9"):
                refused = server.ask("POST", path, b"\x0b\x00", {**headers, "content-encoding": packing})
                assert refused.status == 415
                assert "send it plain, or as gzip" in refused.document["error"]["message"]
        assert [each["messages"] for each in provider.asked] == [CHAT["messages"]]


def test_the_servers_own_pages_read_packed_bodies(engine: budgets.Engine, tmp_path: Path) -> None:
    headers = {"authorization": f"Bearer {engine.create_key('admin').text}"}
    raw = json.dumps({"total_usd": "2"}).encode()

    def made(server: Server, body: bytes, packing: str) -> Any:
        sent = {**headers, "content-type": "application/json", "content-encoding": packing}
        return server.ask("PUT", "/v1/budgets/bob", body, sent)

    with serving(tmp_path) as server:
        refused = made(server, b"\x0b\x00", "br")
        assert "send it plain, or as gzip" in refused.document["detail"]
        assert refused.status == 422
        assert made(server, gzip.compress(b" " * 20_000_000), "gzip").status == 413
        assert made(server, gzip.compress(raw), "gzip").status == 200
    assert engine.status("bob").limits[0].left_nanos == 2 * 10**9
