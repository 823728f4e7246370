"""`HttpUpstream` against real sockets on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest
from aiohttp import web

from budgets.errors import ProviderError
from budgets.upstream import Answer, HttpUpstream, OutgoingCall

KEY = "sk-very-secret"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def _run(work: Coroutine[Any, Any, T]) -> T:
    # Nothing here takes a second; a test that hangs must fail instead.
    return asyncio.run(asyncio.wait_for(work, 20))


@contextlib.asynccontextmanager
async def _serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _call(url: str, body: bytes = b"{}") -> OutgoingCall:
    return OutgoingCall("acme", url, {"authorization": f"Bearer {KEY}"}, body)


@contextlib.asynccontextmanager
async def _asking(
    handler: Handler, path: str = "/", body: bytes = b"{}", **seconds: float
) -> AsyncIterator[Answer]:
    async with (
        _serving(handler) as url,
        HttpUpstream(**seconds) as upstream,
        upstream.send(_call(url + path, body)) as answer,
    ):
        yield answer


def _refused(handler: Handler, **seconds: float) -> ProviderError:
    """The error of a call to *handler*, whether it comes with the head or with the body."""

    async def work() -> None:
        async with _asking(handler, "/v1/chat/completions", b"{}", **seconds) as answer:
            await answer.read()

    with pytest.raises(ProviderError) as refused:
        _run(work())
    return refused.value


def test_a_call_arrives_as_it_was_given_and_the_answer_comes_back() -> None:
    seen: dict[str, Any] = {}

    async def handler(request: web.Request) -> web.Response:
        seen.update(method=request.method, path=request.path, headers=request.headers)
        seen["body"] = await request.read()
        return web.Response(body=b'{"ok":true}', headers={"X-Request-Id": "r1"})

    async def work() -> None:
        async with _asking(handler, "/v1/chat/completions", b'{"model":"m"}') as answer:
            assert (answer.status, answer.headers["x-request-id"]) == (200, "r1")
            assert await answer.read() == b'{"ok":true}'

    _run(work())
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/v1/chat/completions", b'{"model":"m"}')
    assert seen["headers"]["authorization"] == f"Bearer {KEY}"
    assert seen["headers"]["accept-encoding"] == "identity"


def test_a_packed_answer_is_unpacked_and_no_longer_said_to_be_packed() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"plain"), headers={"content-encoding": "gzip"})

    async def work() -> None:
        async with _asking(handler) as answer:
            assert answer.headers.keys().isdisjoint({"content-encoding", "content-length", "connection"})
            assert await answer.read() == b"plain"

    _run(work())


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_a_refusal_of_the_provider_is_an_answer(status: int) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, body=b'{"error":{"message":"no"}}', headers={"retry-after": "7"})

    async def work() -> None:
        async with _asking(handler) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (status, "7")
            assert b"no" in await answer.read()

    _run(work())


def test_pieces_of_a_stream_are_given_on_as_they_come() -> None:
    """The server sends the second piece only after the first one has been read."""
    read = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await read.wait()
        await response.write(b"data: 2\n\n")
        return response

    async def work() -> None:
        async with _asking(handler) as answer:
            assert await anext(answer.chunks) == b"data: 1\n\n"
            read.set()
            assert await answer.read() == b"data: 2\n\n"

    _run(work())


def test_leaving_a_stream_early_closes_the_connection_and_the_next_call_works() -> None:
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/quick":
            return web.Response(body=b"ok")
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 1000)
                await asyncio.sleep(0)
        finally:
            gone.set()

    async def work() -> None:
        async with _serving(handler) as url, HttpUpstream() as upstream:
            async with upstream.send(_call(f"{url}/endless")) as answer:
                assert len(await answer.read(at_most=10)) >= 10
            await gone.wait()
            async with upstream.send(_call(f"{url}/quick")) as answer:
                assert await answer.read() == b"ok"

    _run(work())


def test_a_redirect_is_not_followed_so_the_key_stays_where_it_was_sent() -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=307, headers={"location": "/elsewhere"})

    async def work() -> int:
        async with _asking(handler, "/here") as answer:
            return answer.status

    assert _run(work()) == 307
    assert paths == ["/here"]


def test_a_refused_connection_cannot_have_been_charged() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    async def work() -> None:
        async with HttpUpstream() as upstream, upstream.send(_call(url)):
            raise AssertionError("nobody listens there")

    with pytest.raises(ProviderError) as refused:
        _run(work())
    assert refused.value.values == {"provider": "acme", "status": None, "charged_possible": False}
    assert "acme could not be reached" in refused.value.message


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/", "http://"])
def test_a_place_that_is_none_cannot_have_charged(url: str) -> None:
    async def work() -> None:
        async with HttpUpstream() as upstream, upstream.send(_call(url)):
            raise AssertionError("there is no such place")

    with pytest.raises(ProviderError) as refused:
        _run(work())
    assert refused.value.values["charged_possible"] is False


def test_a_host_that_nobody_knows_cannot_have_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    async def work() -> None:
        async with HttpUpstream() as upstream, upstream.send(_call("http://provider.invalid/v1")):
            raise AssertionError("there is no such host")

    with pytest.raises(ProviderError) as refused:
        _run(work())
    assert refused.value.message == "acme could not be reached: no such host"
    assert refused.value.values["charged_possible"] is False


def test_a_server_that_hangs_up_after_the_request_may_have_charged() -> None:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    refused = _refused(handler)
    assert refused.values["charged_possible"] is True
    assert refused.message == "acme did not answer: it closed the connection"


def test_an_answer_that_breaks_off_may_have_been_charged() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "1000"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
        request.transport.close()
        return response

    refused = _refused(handler)
    assert refused.values["charged_possible"] is True
    assert "broke off its answer" in refused.message


def test_a_server_that_never_answers_may_have_charged() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("never set")

    refused = _refused(handler, answer_seconds=0.01, connect_seconds=0.2)
    assert refused.values["charged_possible"] is True
    assert refused.message == "acme did not answer within 0.01 s"


def test_an_answer_that_falls_silent_may_have_been_charged() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        await asyncio.Event().wait()
        raise AssertionError("never set")

    refused = _refused(handler, silence_seconds=0.05)
    assert refused.values["charged_possible"] is True
    assert refused.message == "acme fell silent for 0.05 s"


def test_the_key_and_the_prompt_are_in_no_error_and_no_repr() -> None:
    call = _call("http://127.0.0.1:1/", b"a secret prompt")
    assert KEY not in repr(call)
    assert "secret" not in repr(call)

    async def work() -> None:
        async with HttpUpstream() as upstream, upstream.send(call):
            raise AssertionError("nobody listens there")

    with pytest.raises(ProviderError) as refused:
        _run(work())
    shown = "".join(traceback.format_exception(refused.value)) + repr(refused.value.values)
    assert KEY not in shown
    assert "secret" not in shown


def test_closing_twice_does_no_harm() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    async def work() -> None:
        upstream = HttpUpstream()
        await upstream.close()
        async with _serving(handler) as url:
            async with upstream.send(_call(url)) as answer:
                assert answer.status == 200
            await upstream.close()
            await upstream.close()

    _run(work())


def test_a_proxy_of_the_environment_is_used_and_its_exceptions_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(body=b"by proxy")

    async def work(target: str) -> bytes:
        async with _serving(proxy) as url, HttpUpstream() as upstream:
            monkeypatch.setenv("http_proxy", url)
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            async with upstream.send(_call(target or url)) as answer:
                return await answer.read()

    assert _run(work("http://provider.invalid/v1")) == b"by proxy"
    assert asked == ["http://provider.invalid/v1"]
    _run(work(""))
    assert asked[1:] == ["/"]
