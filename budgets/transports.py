"""
Under an SDK's client: a transport that holds before it sends, and settles from what comes back.

Current SDKs stand on httpx or httpx2, which have the same transport interface; which of the two it is, is
taken from the client that is metered, and neither is imported for another reason.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cache, partial
from types import ModuleType
from typing import Any

from budgets.addressing import is_free, request_at, unmetered
from budgets.dialects import by_name
from budgets.doors import Door, aside, at_once
from budgets.errors import AccessDeniedError, BudgetError, InvalidValueError, StoreError, UnreadableReplyError
from budgets.metering import Doubt, Ending, Metering, Release, written_of
from budgets.open_call import OpenCall, begin
from budgets.passages import passage_of

# What an answer's headers say about bytes that are unpacked here.
_OF_THE_PACKING = frozenset(("content-encoding", "content-length", "transfer-encoding"))

# While these are raised, nothing of the request can have reached a provider.
_NEVER_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol")


class Metered(ABC):
    """
    What the blocking transport and the other one have in common.

    Args:
        http: The library that the client stands on.
        inner: The client that makes the calls.
        door: Carries the operations out; it fits the client.
        user: Whose money it is.
        provider: Who serves the calls, where their address does not say.
    """

    def __init__(self, http: ModuleType, inner: Any, door: Door, *, user: str, provider: str | None) -> None:
        self.http = http
        self.inner = inner
        self._door = door
        self._user = user
        self._provider = provider
        self._never_sent = tuple(getattr(http, name) for name in _NEVER_SENT)

    @abstractmethod
    async def send(self, request: Any) -> Any:
        """The inner client's response, its body not read yet."""

    @abstractmethod
    async def sent(self, request: Any) -> bytes:
        """The body of a request."""

    @abstractmethod
    async def read(self, response: Any) -> bytes:
        """The whole body of a response, unpacked."""

    @abstractmethod
    def stream(self, tap: Tap, response: Any) -> Any:
        """The body as it arrives, told to *tap*."""

    async def exchange(self, request: Any) -> Any:
        """
        Make one try of a call. Each try of an SDK that tries again comes here, and is held anew.

        What the budget refuses is answered with a response that raises the refusal when the SDK judges it: an
        exception raised here would be taken for a broken connection, wrapped, and tried again.
        """
        path = request.url.raw_path.decode("ascii")
        if self.inner.is_closed or is_free(request.method, path):
            return await self.send(request)
        try:
            body = await self._body(request, path)
            wanted = request_at(str(request.url), path, body, user=self._user, provider=self._provider)
            call, metering, outgoing = await begin(self._door, wanted)
            if outgoing is not wanted.body:
                request = await self._limited(call, request, metering, outgoing)
        except BudgetError as error:
            return refusing(self.http, request, error)
        try:
            response = await self.send(request)
        except BaseException as error:
            unsent = isinstance(error, self._never_sent)
            why = type(error).__name__
            await book(call, Release(why) if unsent else metering.broken_off(why))
            raise
        headers = {name.lower(): value for name, value in response.headers.items()}
        if response.status_code >= 300:
            return await self._refused(request, response, headers, call, metering)
        answered = partial(
            self.http.Response,
            response.status_code,
            headers=_unpacked(response),
            request=request,
            extensions=response.extensions,
        )
        if metering.is_stream(headers):
            return answered(stream=self.stream(Tap(call, metering), response))
        return answered(content=await self._whole(response, headers, call, metering))

    async def _body(self, request: Any, path: str) -> dict[str, Any]:
        if not request.headers.get("content-type", "").startswith("application/json"):
            # A form with files, say; it may be a stream that can be read once.
            raise unmetered(path)
        try:
            body = json.loads(await self.sent(request))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise InvalidValueError("the request is no JSON object", hint="send one, as the SDK does")
        return body

    async def _limited(
        self, call: OpenCall, request: Any, metering: Metering, outgoing: Mapping[str, Any]
    ) -> Any:
        """The same request with what the budget needs in its body."""
        if request.headers.get("authorization", "").startswith("AWS4-"):
            await call.release("its signature allows no output limit to be put in")
            raise InvalidValueError(
                "the request is signed, so that no output limit can be put in",
                hint="set max_tokens yourself",
            )
        _, body = by_name(metering.dialect.name).sent(outgoing)
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"content-length"]
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return self.http.Request(
            request.method, request.url, headers=headers, content=content, extensions=request.extensions
        )

    async def _refused(
        self, request: Any, response: Any, headers: Mapping[str, str], call: OpenCall, metering: Metering
    ) -> Any:
        """The provider refused, or wants the call elsewhere: no money is spent, whatever the body says."""
        raw = b""
        try:
            raw = await self.read(response)
        finally:
            error = metering.refused(response.status_code, raw, headers)
            await book(call, Release(written_of(error)))
        return self.http.Response(
            response.status_code,
            headers=_unpacked(response),
            content=raw,
            request=request,
            extensions=response.extensions,
        )

    async def _whole(
        self, response: Any, headers: Mapping[str, str], call: OpenCall, metering: Metering
    ) -> bytes:
        metering.answered = True
        try:
            raw = await self.read(response)
        except BaseException as error:
            await book(call, metering.broken_off(type(error).__name__))
            raise
        try:
            metering.read_plain(raw, headers)
            ending = metering.finish()
        except UnreadableReplyError as error:
            ending = Doubt(error.message, error)
        await book(call, ending)
        return raw


class Tap:
    """What a stream says, on its way to the program."""

    def __init__(self, call: OpenCall, metering: Metering) -> None:
        self.call = call
        self._metering = metering
        self._passage = passage_of(metering)
        metering.feed(b"")

    def feed(self, piece: bytes) -> bytes:
        """The next bytes; gives those that the program asked for."""
        self._metering.feed(piece)
        return self._passage.feed(piece)

    def rest(self) -> bytes:
        """What is left for the program once the stream has ended."""
        return self._passage.rest()

    async def end(self, why: str | None) -> None:
        """Write down what came of it: the stream has ended, or, *why*, it will not be read further."""
        if not self.call.ended:
            await book(self.call, self._ending(why))

    def _ending(self, why: str | None) -> Ending:
        try:
            # An SDK that has seen the last event closes the stream before its very end.
            if why is None or self._metering.reported().finished:
                return self._metering.finish()
        except UnreadableReplyError as error:
            return Doubt(error.message, error)
        return self._metering.broken_off(why)


async def book(call: OpenCall, ending: Ending) -> None:
    """
    Write an ending down. The answer is there and goes to the program, even when the store fails now.

    An exception would be taken for a broken connection, and the call paid for again. Its hold stays.
    """
    try:
        await call.write(ending)
    except (StoreError, AccessDeniedError) as error:
        logging.getLogger("budgets").critical(
            "what the call %s cost is not written down, and its hold stays: %s", call.id, error
        )


def refusing(http: ModuleType, request: Any, error: BudgetError) -> Any:
    """A response that raises *error* as soon as somebody asks whether it is a success."""
    response = _refusal(http)(
        402,
        # For those who judge by the status alone.
        headers={"x-should-retry": "false"},
        json={"error": {"type": error.code, "message": error.message}},
        request=request,
    )
    response.error = error
    return response


@cache
def _refusal(http: ModuleType) -> type[Any]:
    class Refusal(http.Response):  # type: ignore[name-defined, misc]
        """An answer of the budget's, not of a provider."""

        error: BudgetError

        @property
        def is_success(self) -> bool:
            raise self.error

        def raise_for_status(self) -> Any:
            raise self.error

    return Refusal


def _unpacked(response: Any) -> list[tuple[bytes, bytes]]:
    return [
        (name, value)
        for name, value in response.headers.raw
        if name.decode("ascii", "replace").lower() not in _OF_THE_PACKING
    ]


@cache
def blocking(http: ModuleType) -> type[Any]:
    """The transport for the clients of *http* that block."""

    class Body(http.SyncByteStream):  # type: ignore[name-defined, misc]
        def __init__(self, tap: Tap, response: Any) -> None:
            self._tap = tap
            self._response = response

        def __iter__(self) -> Iterator[bytes]:
            try:
                for piece in self._response.iter_bytes():
                    if passed := self._tap.feed(piece):
                        yield passed
            except GeneratorExit:
                # `close` comes, and says so.
                raise
            except BaseException as error:
                at_once(self._tap.end(type(error).__name__))
                raise
            at_once(self._tap.end(None))
            if rest := self._tap.rest():
                yield rest

        def close(self) -> None:
            self._response.close()
            if not self._tap.call.ended:
                aside(partial(self._tap.end, "the stream was closed"))

    class Transport(http.BaseTransport, Metered):  # type: ignore[name-defined, misc]
        def handle_request(self, request: Any) -> Any:
            return at_once(self.exchange(request))

        async def send(self, request: Any) -> Any:
            return self.inner.send(request, stream=True, follow_redirects=False)

        async def sent(self, request: Any) -> bytes:
            return bytes(request.read())

        async def read(self, response: Any) -> bytes:
            return bytes(response.read())

        def stream(self, tap: Tap, response: Any) -> Any:
            return Body(tap, response)

        def close(self) -> None:
            self.inner.close()

    return Transport


@cache
def awaited(http: ModuleType) -> type[Any]:
    """The transport for the clients of *http* that are awaited."""

    class Body(http.AsyncByteStream):  # type: ignore[name-defined, misc]
        def __init__(self, tap: Tap, response: Any) -> None:
            self._tap = tap
            self._response = response

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for piece in self._response.aiter_bytes():
                    if passed := self._tap.feed(piece):
                        yield passed
            except GeneratorExit:
                # `aclose` comes, and says so.
                raise
            except BaseException as error:
                await self._tap.end(type(error).__name__)
                raise
            await self._tap.end(None)
            if rest := self._tap.rest():
                yield rest

        async def aclose(self) -> None:
            await self._response.aclose()
            await self._tap.end("the stream was closed")

    class Transport(http.AsyncBaseTransport, Metered):  # type: ignore[name-defined, misc]
        async def handle_async_request(self, request: Any) -> Any:
            return await self.exchange(request)

        async def send(self, request: Any) -> Any:
            return await self.inner.send(request, stream=True, follow_redirects=False)

        async def sent(self, request: Any) -> bytes:
            return bytes(await request.aread())

        async def read(self, response: Any) -> bytes:
            return bytes(await response.aread())

        def stream(self, tap: Tap, response: Any) -> Any:
            return Body(tap, response)

        async def aclose(self) -> None:
            await self.inner.aclose()

    return Transport
