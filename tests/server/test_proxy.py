"""`budget serve` as a proxy server: a process, real SDKs with users' keys, providers on loopback."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

import budgets
from budgets.config import load_settings
from budgets.gateway.configured import configuration
from budgets.server import proxy
from budgets.server.engines import Engines
from budgets.simulated import Fault
from tests.support.provider import LoopbackProvider
from tests.support.servers import Server, serving
from tests.support.serving import served

WHOLE = 10**9
PROMPT = "a covert plan about rivers"
FIRST_KEY, SECOND_KEY, CLAUDE_KEY = "sk-real-first", "sk-real-second", "sk-ant-real"

CONFIG = """
[[upstreams]]
name = "first"
provider = "openai"
base_url = "{first}/v1"
key_variable = "FIRST_KEY"

[[upstreams]]
name = "second"
provider = "openai"
base_url = "{second}/openai/v1"
key_variable = "SECOND_KEY"

[[upstreams]]
name = "claude"
provider = "anthropic"
base_url = "{second}"

[models.small]
deployments = [
    {{ upstream = "first", model = "gpt-4o-mini", weight = 2 }},
    {{ upstream = "second", model = "gpt-4o-mini" }},
]
aliases = ["default"]

[models.claude-haiku-4-5]
deployments = [{{ upstream = "claude" }}]

[users.bob]
models = ["small"]
"""


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_KEY", FIRST_KEY)
    monkeypatch.setenv("SECOND_KEY", SECOND_KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", CLAUDE_KEY)


@pytest.fixture
def providers() -> Iterator[tuple[LoopbackProvider, LoopbackProvider]]:
    with closing(LoopbackProvider()) as first, closing(LoopbackProvider()) as second:
        yield first, second


@pytest.fixture
def engine(tmp_path: Path, providers: tuple[LoopbackProvider, LoopbackProvider]) -> Iterator[budgets.Engine]:
    first, second = providers
    (tmp_path / "config.toml").write_text(CONFIG.format(first=first.url, second=second.url))
    with budgets.open_engine(tmp_path / "budgets.sqlite") as opened:
        opened.create("ann", budgets.LimitTerms(WHOLE))
        opened.create("bob", budgets.LimitTerms(WHOLE))
        yield opened


def key_for(engine: budgets.Engine, user: str = "ann") -> str:
    return engine.create_key("meter", user=user).text


def chat_client(server: Server, key: str, path: str = "/v1") -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=server.address + path, max_retries=0)


def say(client: openai.OpenAI, model: str = "small", **more: Any) -> Any:
    messages = [{"role": "user", "content": PROMPT}]
    return client.chat.completions.create(model=model, messages=messages, **more)  # type: ignore[call-overload]


def say_until_refused(client: openai.OpenAI) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        say(client, max_tokens=5)


def spent(engine: budgets.Engine, user: str = "ann") -> int:
    return engine.status(user).limits[0].totals.spent_nanos


def billed(*providers: LoopbackProvider) -> int:
    """What the providers bill at gpt-4o-mini's prices."""
    bills = [bill for each in providers for bill in each.bills]
    return sum(each["prompt_tokens"] * 150 + each["completion_tokens"] * 600 for each in bills)


def test_a_users_key_makes_calls_that_take_turns_and_are_charged(
    engine: budgets.Engine, providers: tuple[LoopbackProvider, LoopbackProvider], tmp_path: Path
) -> None:
    first, second = providers
    with serving(tmp_path) as server, chat_client(server, key_for(engine)) as client:
        for _ in range(5):
            answer = say(client, max_tokens=30)
            assert answer.choices[0].message.content.startswith("This answer is simulated")
        chunks = list(say(client, "default", stream=True))
        assert "".join(each.choices[0].delta.content or "" for each in chunks).startswith("This answer")
        # By its name an upstream is called with the names that it has itself.
        with chat_client(server, key_for(engine), "/second/v1") as named:
            say(named, "gpt-4o-mini")
    assert (len(first.asked), len(second.asked)) == (4, 3)
    assert {each["model"] for each in first.asked + second.asked} == {"gpt-4o-mini"}
    assert set(first.paths) == {"/v1/chat/completions"}
    assert set(second.paths) == {"/openai/v1/chat/completions"}
    assert {each["authorization"] for each in first.headers} == {f"Bearer {FIRST_KEY}"}
    assert {each["authorization"] for each in second.headers} == {f"Bearer {SECOND_KEY}"}
    assert spent(engine) == billed(first, second) > 0
    assert engine.holds() == []


def test_anthropics_sdk_reads_answers_and_refusals(
    engine: budgets.Engine, providers: tuple[LoopbackProvider, LoopbackProvider], tmp_path: Path
) -> None:
    engine.create("poor", budgets.LimitTerms(10))
    messages: Any = [{"role": "user", "content": PROMPT}]
    with serving(tmp_path) as server:
        rich, poor = (
            anthropic.Anthropic(api_key=key_for(engine, user), base_url=server.address)
            for user in ("ann", "poor")
        )
        with rich, poor:
            answer = rich.messages.create(model="claude-haiku-4-5", max_tokens=40, messages=messages)
            assert answer.content[0].type == "text"
            with pytest.raises(anthropic.APIStatusError, match="poor has") as refused:
                poor.messages.create(model="claude-haiku-4-5", max_tokens=40, messages=messages)
            assert refused.value.status_code == 402
            listed = [each.id for each in rich.models.list()]
    assert listed == ["small", "default", "claude-haiku-4-5"]
    assert [each["x-api-key"] for each in providers[1].headers] == [CLAUDE_KEY]
    assert spent(engine) > 0


@pytest.mark.parametrize("failure", ["busy", "gone"])
def test_a_deployment_that_fails_is_gone_around_and_left_alone(
    engine: budgets.Engine,
    providers: tuple[LoopbackProvider, LoopbackProvider],
    tmp_path: Path,
    failure: str,
) -> None:
    first, second = providers
    if failure == "busy":
        first.faults.extend([Fault(status=429)] * 20)
    else:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            gone = f"http://127.0.0.1:{closed.getsockname()[1]}"
        (tmp_path / "config.toml").write_text(CONFIG.format(first=gone, second=second.url))
    with serving(tmp_path) as server, chat_client(server, key_for(engine)) as client:
        for _ in range(6):
            assert say(client, max_tokens=20).choices
    assert len(second.asked) == 6
    # It failed, was left alone, and was tried again at most a few times while it cooled down.
    assert len(first.asked) <= (3 if failure == "busy" else 0)
    assert spent(engine) == billed(second)
    assert engine.holds() == []
    assert engine.check().faults == ()


def test_keys_that_make_no_calls_and_keys_that_were_revoked_are_refused(
    engine: budgets.Engine, providers: tuple[LoopbackProvider, LoopbackProvider], tmp_path: Path
) -> None:
    made = engine.create_key("meter", user="ann")
    wrong = {
        engine.create_key("admin").text: (403, "has the role admin"),
        engine.create_key("meter").text: (403, "no single user"),
        engine.create_key("read", user="ann").text: (403, "has the role read"),
        made.text[:-3] + "xxx": (401, "no such key"),
        "sk-something": (401, "no key of this program"),
    }
    with serving(tmp_path) as server:
        for key, (status, words) in wrong.items():
            with chat_client(server, key) as client, pytest.raises(openai.APIStatusError) as refused:
                say(client)
            assert refused.value.status_code == status
            assert words in refused.value.message
        answer = server.ask("POST", "/v1/chat/completions", {"model": "small"})
        assert answer.status == 401
        with chat_client(server, made.text) as client:
            assert say(client).choices
            engine.revoke_key(made.key.id)
            with pytest.raises(openai.AuthenticationError, match="was revoked"):
                say_until_refused(client)
    assert spent(engine) == billed(*providers)


def test_a_user_asks_for_what_is_allowed_and_sees_only_that(
    engine: budgets.Engine, providers: tuple[LoopbackProvider, LoopbackProvider], tmp_path: Path
) -> None:
    with serving(tmp_path) as server, chat_client(server, key_for(engine, "bob")) as client:
        assert [each.id for each in client.models.list()] == ["small", "default"]
        assert client.models.retrieve("small").id == "small"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("claude-haiku-4-5")
        assert say(client, "default").choices
        for model in ("claude-haiku-4-5", "gpt-4o", "gpt-4o-mini"):
            with pytest.raises(openai.PermissionDeniedError, match="bob may not ask for"):
                say(client, model)
        with (
            chat_client(server, key_for(engine)) as other,
            pytest.raises(openai.BadRequestError, match="is no model here; ask for one of small"),
        ):
            say(other, "gpt-4o")
    assert len(providers[0].asked) + len(providers[1].asked) == 1


def test_without_tables_the_keys_that_are_set_say_where_calls_may_go(
    engine: budgets.Engine,
    providers: tuple[LoopbackProvider, LoopbackProvider],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, _ = providers
    (tmp_path / "config.toml").unlink()
    monkeypatch.setenv("OPENAI_API_KEY", FIRST_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{first.url}/v1")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    with serving(tmp_path) as server:
        for path in ("/v1", "/openai/v1"):
            with chat_client(server, key_for(engine), path) as client:
                assert say(client, "gpt-4o-mini").choices
        with chat_client(server, key_for(engine)) as client:
            names = [each.id for each in client.models.list()]
            assert "gpt-4o-mini" in names
            assert not any(name.startswith("claude") for name in names)
            with pytest.raises(openai.AuthenticationError, match="set GROQ_API_KEY where the gateway"):
                say(client, "groq/llama-3.3-70b-versatile")
        assert any("calls may go to openai" in line for line in server.lines)
    assert first.paths == ["/v1/chat/completions"] * 2
    assert spent(engine) == billed(first)


def test_a_hundred_callers_spend_exactly_what_fits(
    engine: budgets.Engine, providers: tuple[LoopbackProvider, LoopbackProvider], tmp_path: Path
) -> None:
    first, second = providers
    key = key_for(engine)
    with serving(tmp_path, "--quiet") as server, chat_client(server, key) as client:
        say(client, max_tokens=30)
        one = spent(engine)
        engine.reset("ann")
        # Ten calls fit, and not an eleventh: what is held for one is a little more than it costs.
        engine.change("ann", budgets.Change(total_nanos=10 * one))

        async def call(session: aiohttp.ClientSession) -> int:
            body = {
                "model": "small",
                "max_tokens": 30,
                "messages": [{"role": "user", "content": PROMPT}],
            }
            url, headers = f"{server.address}/v1/chat/completions", {"authorization": f"Bearer {key}"}
            async with session.post(url, json=body, headers=headers) as answer:
                await answer.read()
                return answer.status

        async def main() -> list[int]:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                return list(await asyncio.gather(*(call(session) for _ in range(100))))

        statuses = asyncio.run(main())
        assert set(statuses) == {200, 402}
        metrics = server.ask(
            "GET", "/metrics", headers={"Authorization": f"Bearer {engine.create_key('admin').text}"}
        ).body.decode()
    assert 9 <= statuses.count(200) <= 10
    assert len(first.bills) + len(second.bills) == statuses.count(200) + 1
    assert spent(engine) == statuses.count(200) * one <= 10 * one
    assert engine.check().faults == ()
    assert engine.holds() == []
    assert f"budget_holds_total {statuses.count(200) + 1}\n" in metrics
    total = budgets.format_usd(billed(first, second))
    assert f"budget_charges_usd_total {total}\n" in metrics


def test_a_kill_in_the_middle_loses_nothing_and_what_ran_stays_held(
    engine: budgets.Engine, providers: tuple[LoopbackProvider, LoopbackProvider], tmp_path: Path
) -> None:
    first, second = providers
    key = key_for(engine)
    body = json.dumps({"model": "small", "max_tokens": 30, "messages": [{"role": "user", "content": PROMPT}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    with serving(tmp_path) as server:
        with chat_client(server, key) as client:
            say(client, max_tokens=30)
        one = spent(engine)
        first.seconds = second.seconds = 2
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as caller:
            caller.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            deadline = time.monotonic() + 30
            while first.running + second.running == 0:
                assert time.monotonic() < deadline, "the call never reached a provider"
                time.sleep(0.01)
            assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    first.seconds = second.seconds = 0
    with serving(tmp_path) as server, chat_client(server, key) as client:
        say(client, max_tokens=30)
        engine.expire()
        totals = engine.status("ann").limits[0].totals
        assert totals.spent_nanos == 2 * one
        # Nobody knows what the call cost that was under way, so it goes on counting.
        assert totals.unconfirmed_nanos > 0
        (left,) = engine.holds()
        assert totals.unconfirmed_nanos == left.nanos
    assert engine.check().faults == ()
    while first.running + second.running:
        time.sleep(0.01)


def test_no_key_and_no_prompt_is_written_anywhere(
    engine: budgets.Engine, providers: tuple[LoopbackProvider, LoopbackProvider], tmp_path: Path
) -> None:
    key = key_for(engine)
    secret = key.rpartition("_")[2]
    with serving(tmp_path) as server, chat_client(server, key) as client:
        say(client)
        list(say(client, stream=True))
        for each in providers:
            each.faults.append(Fault(status=500))
        # A model that is not there, and a provider that fails.
        for model in ("nonesuch", "small"):
            with pytest.raises(openai.APIStatusError):
                say(client, model, user=PROMPT)
        server.ask("POST", f"/v1/chat/completions?key={key}", {"model": "small", "messages": PROMPT})
        server.ask("POST", f"/nobody/{secret}/v1/chat/completions", {"model": PROMPT})
        admin = {"Authorization": f"Bearer {engine.create_key('admin').text}"}
        metrics = server.ask("GET", "/metrics", headers=admin).body
        assert server.stop() == 0
        said = "".join(server.lines).encode()
    assert b"POST /{version}/{call} 200" in said
    written = b"".join(each.read_bytes() for each in tmp_path.iterdir() if each.name.startswith("budgets."))
    for kept in (metrics, said, written):
        for word in (secret, PROMPT, FIRST_KEY, SECOND_KEY, "simulated", *PROMPT.split()[1:3]):
            assert word.encode() not in kept, word


def test_a_request_that_never_becomes_whole_is_hung_up_on(
    engine: budgets.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_LONGEST_BODY_SECONDS", 0.2)
    key = key_for(engine)
    settings = load_settings(
        {"BUDGET_CONFIG": str(tmp_path / "config.toml")}, store=str(tmp_path / "budgets.sqlite")
    )
    found = configuration(settings.tables, {})
    with served(Engines(settings), upstreams=found) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as caller:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            caller.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
            assert caller.recv(1_000) == b""
    assert engine.holds() == []
