"""What may pass: only calls that are metered, and those that their providers do not bill."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

import budgets
from budgets.gateway.packing import Unread, unpacked
from budgets.gateway.places import is_plain, place_of
from tests.support.gate import KEY, Gate, chat, played, spent
from tests.support.scripted import ScriptedProvider, plain

REPLY = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Rhine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 14},
}


@pytest.fixture
def engine(tmp_path: Path):
    with budgets.open_engine(tmp_path / "budgets.sqlite", grouped=True) as opened:
        opened.create("ann", budgets.LimitTerms(budgets.parse_usd("1")))
        yield opened


@pytest.fixture(scope="module")
def echo():
    opened = ScriptedProvider(lambda path, body: plain(REPLY))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", True),
        ("/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/converse", True),
        ("//v1/chat/completions", False),
        ("/v1/models/../organization/costs", False),
        ("/v1/models/%2e%2E/responses/resp_1", False),
        ("/v1/models/%252e%252e/responses/resp_1", False),
        ("/v1/models/..%2fadmin", False),
        ("/v1/models/..%5cadmin", False),
        ("/v1/models/x%00y", False),
        ("/v1/models/", False),
        ("v1/models", False),
    ],
)
def test_a_path_is_plain_when_every_server_reads_it_alike(path: str, expected: bool) -> None:
    assert is_plain(path) is expected


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/v1/models", "free"),
        ("GET", "/v1/models/meta-llama/llama-4-scout", "free"),
        ("GET", "/v1beta/models/gemini-2.5-pro", "free"),
        ("HEAD", "/v1/models", None),
        ("POST", "/v1/models", None),
        ("GET", "/v1/models/meta-llama%2Fllama-4-scout", "free"),
        ("GET", "/v1/models/a%20b", None),
        ("GET", "/v1/responses/resp_1", "owned"),
        ("GET", "/v1/responses/resp_1%2Fx", None),
        ("GET", "/v1/chat/completions", None),
        ("OPTIONS", "/v1/chat/completions", None),
        ("POST", "/v1/messages/batches", "refused"),
        ("POST", "/v1/projects/p/locations/global/publishers/google/models/g:generateContent", "refused"),
        ("POST", "/v1/projects/p/locations/global/endpoints/openapi/chat/completions", "refused"),
    ],
)
def test_a_place_is_told_by_method_and_path(method: str, path: str, kind: str | None) -> None:
    found = place_of(method, path)
    assert (found.kind if found else None) == kind


WORDS = [
    *("openai", "anthropic", "google", "azure", "groq", "v1", "v1beta", "v2", "models", "chat"),
    *("completions", "responses", "resp_1", "embeddings", "messages", "count_tokens", "cancel", "batches"),
    *("gpt-4o-mini:generateContent", "gpt-4o-mini:countTokens", "deployments", "prod", "converse", "model"),
    *(
        "files",
        "..",
        ".",
        "",
        "%2e%2e",
        "%2F",
        "a%2Fb",
        "%252e",
        "organization",
        "costs",
        "admin",
        "%00",
        "x?y=1",
    ),
]
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]
# What reached the provider is one of these, or is in the ledger.
FREE = [
    ("GET", "/models"),
    ("POST", "/messages/count_tokens"),
    ("POST", ":countTokens"),
    ("POST", "/responses/input_tokens"),
]


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    calls=st.lists(
        st.tuples(st.sampled_from(METHODS), st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)),
        min_size=20,
        max_size=40,
    )
)
def test_nothing_reaches_a_provider_unmetered_but_what_is_free(
    engine: budgets.Engine, echo: ScriptedProvider, calls: list[tuple[str, list[str]]]
) -> None:
    echo.paths.clear()
    methods: list[str] = []

    async def scene(gate: Gate) -> int:
        for method, words in calls:
            url = URL(f"{gate.url}/openai/{'/'.join(words)}", encoded=True)
            body = chat(max_tokens=5, input="x")
            before = len(echo.paths)
            async with gate.session.request(
                method, url, json=body, headers={"authorization": f"Bearer {KEY}"}, allow_redirects=False
            ) as answer:
                await answer.read()
            methods.extend([method] * (len(echo.paths) - before))
        return sum(each.outcome != "refused" for each in gate.reports)

    in_ledger = played(engine, echo, scene)
    free = 0
    for method, path in zip(methods, echo.paths, strict=True):
        place, _, _ = path.partition("?")
        assert is_plain(place)
        free += any(method == wanted and end in place for wanted, end in FREE)
    assert len(echo.paths) == in_ledger + free
    assert engine.holds() == []


@pytest.mark.parametrize(
    "path",
    [
        "/openai/../admin",
        "/openai/v1/models/../organization/costs",
        "//openai//v1/chat/completions",
        "/openai//v1/chat/completions",
        "/openai/v1/models/%2e%2e/files",
    ],
)
def test_an_address_that_means_two_things_is_refused(
    engine: budgets.Engine, echo: ScriptedProvider, path: str
) -> None:
    echo.paths.clear()

    async def scene(gate: Gate) -> None:
        url = URL(gate.url + path, encoded=True)
        for method in ("GET", "POST"):
            async with gate.session.request(
                method, url, json=chat(), headers={"authorization": f"Bearer {KEY}"}
            ) as answer:
                assert answer.status == 404
                assert "nothing was sent" in await answer.text()

    played(engine, echo, scene)
    assert echo.paths == []


def test_a_signed_call_is_refused_by_name(engine: budgets.Engine, echo: ScriptedProvider) -> None:
    echo.paths.clear()

    async def scene(gate: Gate) -> None:
        signed = "AWS4-HMAC-SHA256 Credential=AKIA/20261122/us-east-1/bedrock/aws4_request, Signature=00"
        path = "/openai/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"
        async with gate.post(path, {"messages": []}, headers={"authorization": signed}) as answer:
            assert answer.status == 401
            told = await answer.json()
            assert "AWS_BEARER_TOKEN_BEDROCK" in told["message"]
            assert "AKIA" not in told["message"]

    played(engine, echo, scene)
    assert echo.paths == []


def azure(deployment: str) -> str:
    return f"/azure/openai/deployments/{deployment}/chat/completions?api-version=2025-04-01-preview"


def test_an_azure_deployment_has_the_price_of_its_model(
    engine: budgets.Engine, echo: ScriptedProvider
) -> None:
    echo.paths.clear()

    async def scene(gate: Gate) -> None:
        # What the body calls it is not obeyed: Azure does not, either.
        async with gate.post(azure("prod"), chat(model="gpt-5-pro", max_tokens=5)) as answer:
            assert answer.status == 200
        async with gate.post(azure("other"), chat(max_tokens=5)) as answer:
            assert answer.status == 400
            told = (await answer.json())["error"]["message"]
            assert 'which model the deployment "other" at azure is' in told
            assert 'known there: "prod"' in told

    played(engine, echo, scene)
    assert len(echo.paths) == 1
    assert spent(engine) == 12 * 150 + 2 * 600
    assert [each.model for each in engine.entries("ann") if each.kind == "charge"] == ["gpt-4o-mini"]


def test_azure_is_asked_for_a_deployment_by_its_name(engine: budgets.Engine, echo: ScriptedProvider) -> None:
    """In the newer form of its API the model of the body is the deployment."""
    echo.asked.clear()
    echo.headers.clear()

    async def scene(gate: Gate) -> None:
        async with gate.post("/azure/openai/v1/chat/completions", chat(model="prod")) as answer:
            assert answer.status == 200, await answer.text()

    played(engine, echo, scene)
    assert echo.asked[0]["model"] == "prod"
    assert (echo.headers[0]["api-key"], echo.headers[0].get("authorization")) == ("az-real", None)
    assert echo.asked[0]["max_tokens"] > 0
    assert spent(engine) == 12 * 150 + 2 * 600


def test_a_deployment_without_a_table_is_refused(engine: budgets.Engine, echo: ScriptedProvider) -> None:
    async def scene(gate: Gate) -> None:
        path = azure("gpt-4o-mini").replace("/azure/", "/openai/", 1)
        async with gate.post(path, chat()) as answer:
            assert answer.status == 400
            assert "add it to `deployments` of the upstream openai" in await answer.text()

    played(engine, echo, scene)


# --- packed requests ------------------------------------------------------------------------------------

BODY = json.dumps(chat(max_tokens=5)).encode()


@pytest.mark.parametrize(
    ("raw", "packing", "expected"),
    [
        pytest.param(BODY, "", BODY, id="plain"),
        pytest.param(BODY, "identity", BODY, id="identity"),
        pytest.param(gzip.compress(BODY), "gzip", BODY, id="gzip"),
        pytest.param(gzip.compress(BODY), " GZIP ", BODY, id="gzip in capitals"),
        pytest.param(zlib.compress(BODY), "deflate", BODY, id="deflate"),
        pytest.param(zlib.compress(BODY)[2:-4], "deflate", BODY, id="bare deflate"),
        pytest.param(BODY, "gzip", BODY, id="unpacked on arrival"),
        pytest.param(gzip.compress(BODY)[:-9], "gzip", 400, id="cut"),
        pytest.param(b"junk", "gzip", 400, id="not packed"),
        pytest.param(b"junk", "br", 415, id="brotli"),
        pytest.param(b"junk", "gzip, gzip", 415, id="twice"),
        pytest.param(gzip.compress(b" " * 5000), "gzip", 413, id="a bomb"),
        pytest.param(b"{" + b" " * 5000, "", 413, id="large"),
    ],
)
def test_a_packed_request_is_read_or_refused(raw: bytes, packing: str, expected: bytes | int) -> None:
    found = unpacked(raw, packing, at_most=1000)
    assert (found.status if isinstance(found, Unread) else found) == expected


def test_zstd_is_read_where_the_interpreter_can() -> None:
    zstd = pytest.importorskip("backports.zstd")
    assert unpacked(zstd.compress(BODY), "zstd", at_most=1000) == BODY
    refused = unpacked(zstd.compress(b" " * 5000), "zstd", at_most=1000)
    assert isinstance(refused, Unread)
    assert refused.status == 413


def test_a_packed_request_is_forwarded_plain(engine: budgets.Engine, echo: ScriptedProvider) -> None:
    echo.headers.clear()
    echo.asked.clear()

    async def scene(gate: Gate) -> None:
        headers = {
            "authorization": f"Bearer {KEY}",
            "content-encoding": "gzip",
            "content-type": "application/json",
        }
        url = f"{gate.url}/openai/v1/chat/completions"
        async with gate.session.post(url, data=gzip.compress(BODY), headers=headers) as answer:
            assert answer.status == 200
        for packing in ("br", "zstd", "snappy"):
            headers["content-encoding"] = packing
            async with gate.session.post(url, data=b"junk", headers=headers) as answer:
                assert answer.status == 415
                assert (await answer.json())["error"]["code"] == "unread_request"

    played(engine, echo, scene)
    assert echo.asked == [chat(max_tokens=5)]
    assert "content-encoding" not in echo.headers[0]
    assert echo.headers[0]["content-length"] == str(len(BODY))


def test_an_answer_that_comes_packed_is_passed_on_plain(engine: budgets.Engine) -> None:
    packed = gzip.compress(json.dumps(REPLY).encode())
    provider = ScriptedProvider(
        lambda path, body: plain({}, **{"content-encoding": "gzip"})._replace(pieces=[packed])
    )

    async def scene(gate: Gate) -> None:
        async with gate.post("/openai/v1/chat/completions", chat(max_tokens=5)) as answer:
            assert "content-encoding" not in answer.headers
            assert int(answer.headers["content-length"]) == len(json.dumps(REPLY))
            assert await answer.json() == REPLY

    try:
        played(engine, provider, scene)
    finally:
        provider.close()
    assert spent(engine) == 12 * 150 + 2 * 600


def test_headers_about_the_callers_connection_stay_here(
    engine: budgets.Engine, echo: ScriptedProvider
) -> None:
    echo.headers.clear()

    async def scene(gate: Gate) -> None:
        headers = {"connection": "keep-alive, x-hop", "x-hop": "1", "x-kept": "2", "te": "trailers"}
        async with gate.post("/openai/v1/chat/completions", chat(max_tokens=5), headers=headers) as answer:
            assert answer.status == 200

    played(engine, echo, scene)
    assert "x-hop" not in echo.headers[0]
    assert "te" not in echo.headers[0]
    assert echo.headers[0]["x-kept"] == "2"


def test_a_request_may_come_byte_by_byte_or_be_large(
    engine: budgets.Engine, echo: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    engine.change("ann", budgets.Change(total_nanos=budgets.parse_usd("1000")))

    async def scene(gate: Gate) -> None:
        async def bytewise():
            for byte in BODY:
                yield bytes([byte])
                await asyncio.sleep(0)

        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        url = f"{gate.url}/openai/v1/chat/completions"
        async with gate.session.post(url, data=bytewise(), headers=headers) as answer:
            assert answer.status == 200
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 20_000_000}}
        body = chat(max_tokens=5, messages=[{"role": "user", "content": [picture]}])
        large = io.BytesIO(json.dumps(body).encode())
        async with gate.session.post(url, data=large, headers=headers) as answer:
            assert answer.status == 200
        headers |= {"x-long": "y" * 20_000}
        async with gate.session.post(url, data=BODY, headers=headers) as answer:
            assert answer.status == 200
        headers |= {"x-long": "y" * 40_000}
        async with gate.session.post(url, data=BODY, headers=headers) as answer:
            assert answer.status in (400, 431)

    played(engine, echo, scene)
    # What was too long may have had a key in it.
    assert "LineTooLong" in caplog.text
    assert "yyyy" not in caplog.text


def test_head_and_options_are_no_calls(engine: budgets.Engine, echo: ScriptedProvider) -> None:
    echo.paths.clear()

    async def scene(gate: Gate) -> None:
        for method in ("HEAD", "OPTIONS", "PUT", "PATCH"):
            headers = {"authorization": f"Bearer {KEY}"}
            async with gate.session.request(
                method, f"{gate.url}/openai/v1/chat/completions", headers=headers
            ) as answer:
                assert answer.status == 404

    played(engine, echo, scene)
    assert echo.paths == []
