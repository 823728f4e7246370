"""
Sends one request to a provider and gives back bytes as they arrive: a seam with one method.

Whoever sends must know whether a failed call can have cost anything.
So every failure here says `charged_possible`: false while nothing can have reached the provider,
true from the moment a connection stood.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from budgets.errors import ProviderError

if TYPE_CHECKING:
    import aiohttp

# These are about the connection to the provider, not about the answer.
_OF_THE_CONNECTION = frozenset(("connection", "keep-alive", "transfer-encoding", "trailer", "upgrade"))
# A provider that packs its answer although it was asked not to: it is unpacked here, and these are void.
_OF_THE_PACKING = frozenset(("content-encoding", "content-length"))


@dataclass(frozen=True, slots=True)
class OutgoingCall:
    """One request, ready to be sent. Key and prompt are in it, so `repr` shows neither."""

    # Who answers, for messages.
    provider: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What comes back: any status, also 4xx and 5xx.

    `chunks` can be read once, inside the `send` block.
    It raises `ProviderError` when the connection breaks or falls silent.
    """

    status: int
    # Names in lower case.
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes] = field(repr=False)

    async def read(self, *, at_most: int | None = None) -> bytes:
        """The whole body, or its first *at_most* bytes or a little more."""
        body = bytearray()
        async for chunk in self.chunks:
            body += chunk
            if at_most is not None and len(body) >= at_most:
                break
        return bytes(body)


class Upstream(Protocol):
    """What `HttpUpstream` and `SimulatedUpstream` have in common."""

    def send(self, call: OutgoingCall) -> AbstractAsyncContextManager[Answer]:
        """
        Send *call*; the connection is held until the block ends.

        Raises:
            ProviderError: no answer came. `values["charged_possible"]` says whether the provider can have
                received the call.
        """
        ...


class HttpUpstream:
    """
    Calls over HTTP, with one pool of connections. Use it in one event loop and close it there.

    Certificates are verified, redirects are not followed (a key goes only where it was sent), nothing
    is retried, and the whole of an answer may take as long as it likes.
    """

    def __init__(
        self, *, connect_seconds: float = 10, answer_seconds: float = 600, silence_seconds: float = 120
    ) -> None:
        """
        Args:
            connect_seconds: How long finding and reaching the host may take.
            answer_seconds: How long the first byte may take. A plain reply has none before the model is
                done thinking and writing, so this is longer than `silence_seconds`.
            silence_seconds: How long an answer that has begun may pause.
        """
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._silence_seconds = silence_seconds
        self._session: aiohttp.ClientSession | None = None
        # Scheme and host -> the proxy for it: looking through the whole environment costs as much as a quote.
        self._proxies: dict[tuple[str, str], str | None] = {}

    async def __aenter__(self) -> HttpUpstream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Safe to call twice; a later `send` opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def send(self, call: OutgoingCall) -> AsyncIterator[Answer]:
        """
        Send *call*; the connection is held until the block ends.

        Raises:
            ProviderError: no answer came; see `Upstream.send`.
        """
        response = await self._request(call)
        try:
            yield Answer(response.status, _headers(response), self._chunks(call, response))
        finally:
            # Closing, not releasing: a caller who leaves early must not wait for the rest of a stream.
            response.close()

    async def _request(self, call: OutgoingCall) -> aiohttp.ClientResponse:
        import aiohttp
        from yarl import URL

        # As it stands: another form of the same address is another address to some.
        url = URL(call.url, encoded=True)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Calls wait for money, never for a place in the pool.
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_seconds, sock_read=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        try:
            async with asyncio.timeout(self._connect_seconds + self._answer_seconds):
                return await self._session.request(
                    call.method,
                    url,
                    data=_body(call.body),
                    # Packed pieces of a stream would wait in a decompressor.
                    headers={**call.headers, "accept-encoding": "identity"},
                    allow_redirects=False,
                    proxy=self._proxy(url.scheme, url.raw_authority, call.url),
                )
        # `from None`: the library's errors carry the request's headers, and with them the key.
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.InvalidURL,
            aiohttp.NonHttpUrlClientError,
        ) as error:
            raise _failure(call, "could not be reached", error, charged_possible=False) from None
        except TimeoutError:
            raise _failure(
                call, f"did not answer within {self._answer_seconds:g} s", None, charged_possible=True
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(call, "did not answer", error, charged_possible=True) from None

    def _proxy(self, scheme: str, host: str, address: str) -> str | None:
        if (scheme, host) not in self._proxies:
            self._proxies[scheme, host] = proxy_for(address)
        return self._proxies[scheme, host]

    async def _chunks(self, call: OutgoingCall, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        import aiohttp

        while True:
            try:
                # What is there already needs no timer.
                chunk = response.content.read_nowait()
                if not chunk:
                    async with asyncio.timeout(self._silence_seconds):
                        chunk = await response.content.readany()
            except TimeoutError:
                raise _failure(
                    call, f"fell silent for {self._silence_seconds:g} s", None, charged_possible=True
                ) from None
            except (aiohttp.ClientError, OSError) as error:
                raise _failure(call, "broke off its answer", error, charged_possible=True) from None
            if not chunk:
                return
            yield chunk


# From here on aiohttp wants a file to read from, so as not to stop everything else while it copies.
_LARGE_BYTES = 2**20


def _body(raw: bytes) -> bytes | io.BytesIO | None:
    return io.BytesIO(raw) if len(raw) > _LARGE_BYTES else raw or None


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers = {name.lower(): value for name, value in response.headers.items()}
    void = _OF_THE_CONNECTION | (_OF_THE_PACKING if "content-encoding" in headers else frozenset())
    return {name: value for name, value in headers.items() if name not in void}


def proxy_for(url: str) -> str | None:
    """The proxy that the usual variables name for an address, as curl and the SDKs have it."""
    # `trust_env` would also read passwords from ~/.netrc.
    from urllib.parse import urlsplit
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies()
    if not proxies or proxy_bypass(parts.netloc):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def _failure(
    call: OutgoingCall, what: str, error: Exception | None, *, charged_possible: bool
) -> ProviderError:
    why = f": {reason(error)}" if error is not None else ""
    return ProviderError(
        f"{call.provider} {what}{why}",
        hint=(
            "the call may have been charged: its hold stays until that is known"
            if charged_possible
            else "nothing was sent; check the network and the base URL"
        ),
        provider=call.provider,
        status=None,
        charged_possible=charged_possible,
    )


def reason(error: Exception) -> str:
    """What went wrong, from the kind of error alone: its own text may quote addresses and headers."""
    import aiohttp

    kinds: tuple[tuple[type[Exception], str], ...] = (
        (aiohttp.ClientConnectorDNSError, "no such host"),
        (aiohttp.ClientConnectorCertificateError, "its certificate is not to be trusted"),
        (aiohttp.ClientSSLError, "no secure connection"),
        (aiohttp.ConnectionTimeoutError, "no connection in time"),
        (aiohttp.InvalidURL, "the base URL is not an address"),
        (aiohttp.NonHttpUrlClientError, "the base URL is not an HTTP address"),
        (aiohttp.ServerDisconnectedError, "it closed the connection"),
        (aiohttp.ClientPayloadError, "the connection was cut"),
    )
    for kind, words in kinds:
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__
