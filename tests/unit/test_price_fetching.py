"""Fetching a price book: from protected addresses, so much and so long, over real sockets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web

from budgets.addresses import protected
from budgets.errors import InvalidValueError, PriceSourceError
from budgets.prices.fetching import fetch

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def _serving(handler: Handler) -> Iterator[str]:
    """A server in a thread of its own, for `fetch` has a loop of its own."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def begin() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.mark.parametrize(
    "address",
    ["https://example.com/p?key=1", "http://localhost:8080/", "http://127.0.0.3/x", "http://[::1]:80/x"],
)
def test_a_protected_address_is_taken_as_it_is(address: str) -> None:
    assert protected(address) == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://example.com/p", "prices from example.com would come unprotected"),
        ("http://127.0.0.1.example.com/", "unprotected"),
        ("http://10.0.0.1/", "unprotected"),
        ("file:///etc/passwd", "not an address of the web"),
        ("prices.jsonl", "not an address of the web"),
        ("https://", "not an address of the web"),
        ("https://[::1/", "this is not an address"),
        ("https://a:99999999/", "this is not an address"),
        ("https://a/ b", "no spaces"),
        ("https://a/\r\nhost: b", "no spaces"),
    ],
)
def test_an_address_that_somebody_could_change_is_refused(address: str, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said) as caught:
        protected(address)
    assert caught.value.hint


def test_what_is_there_comes_whole_and_says_nothing_of_the_owner() -> None:
    seen: dict[str, str] = {}

    async def handler(request: web.Request) -> web.Response:
        seen.update(request.headers)
        return web.Response(body=b"x" * 300_000)

    with _serving(handler) as url:
        assert fetch(f"{url}/book") == b"x" * 300_000
    assert {name.lower() for name in seen} == {"host", "accept", "accept-encoding", "user-agent"}
    assert seen["User-Agent"] == "budget"


def test_a_redirect_is_followed_only_to_a_protected_address() -> None:
    async def handler(request: web.Request) -> web.Response:
        match request.path:
            case "/here":
                return web.Response(status=302, headers={"location": "/there"})
            case "/there":
                return web.Response(body=b"book")
            case "/round":
                return web.Response(status=307, headers={"location": "/round"})
            case "/nowhere":
                return web.Response(status=301)
            case _:
                return web.Response(status=302, headers={"location": "http://example.com/book"})

    with _serving(handler) as url:
        assert fetch(f"{url}/here") == b"book"
        with pytest.raises(PriceSourceError, match="leads to an address that is not protected"):
            fetch(f"{url}/away")
        for path in ("round", "nowhere"):
            with pytest.raises(PriceSourceError, match="from one address to another"):
                fetch(f"{url}/{path}")


def test_more_than_a_book_is_not_read() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 65_536)

    with _serving(handler) as url, pytest.raises(PriceSourceError, match="more than 1,000,000 bytes"):
        fetch(url, most_bytes=1_000_000)


def test_a_server_that_trickles_is_given_up() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x")
            await asyncio.sleep(0.02)

    with _serving(handler) as url, pytest.raises(PriceSourceError, match=r"within 0\.3 s"):
        fetch(url, most_seconds=0.3)


def test_an_error_names_the_host_and_keeps_the_rest() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=403, text="no")

    with _serving(handler) as url:
        with pytest.raises(PriceSourceError, match=r"^127\.0\.0\.1 answered 403$") as caught:
            fetch(f"{url}/book?key=secret")
        gone = url
    with pytest.raises(PriceSourceError, match=r"^127\.0\.0\.1 did not send the prices") as closed:
        fetch(f"{gone}/book?key=secret")
    for error in (caught.value, closed.value):
        assert "secret" not in f"{error.message} {error.hint} {error.__cause__}"
        assert error.hint
