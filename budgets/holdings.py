"""A call that the program makes itself: held before a block, settled inside of it."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial, wraps
from types import TracebackType
from typing import Any, TypeVar

from budgets.addressing import request_of
from budgets.dialects import by_name
from budgets.dialects.base import Reported
from budgets.dialects.reading import parse_object
from budgets.dialects.shapes import dialect_of_reply
from budgets.doors import AtOnce, Awaited, Door, aside, at_once
from budgets.engine.api import EngineApi
from budgets.errors import InvalidValueError, UnreadableReplyError
from budgets.leases import Keeper
from budgets.metering import Doubt, Ending, Metering, Settle, priced
from budgets.money import Nanos
from budgets.open_call import OpenCall, begin
from budgets.passages import is_usage_alone
from budgets.plain import plain
from budgets.records import Charge, Quote, Receipt

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Holding:
    """What `MeteringEngine.holding` gives: a block, plain or async, that holds the most a call can cost."""

    def __init__(
        self,
        engine: EngineApi,
        keeper: Keeper,
        user: str,
        request: Mapping[str, Any] | Nanos,
        *,
        provider: str | None,
        dialect: str | None,
        model: str | None,
    ) -> None:
        if not isinstance(request, int | Mapping) or isinstance(request, bool):
            raise InvalidValueError(
                "what is to be held is neither a request nor an amount",
                hint="give the request as a dictionary, or whole nanos as from parse_usd",
            )
        self._engine = engine
        self._keeper = keeper
        self._case = _Case(user, request, provider=provider, dialect=dialect, model=model)

    def __enter__(self) -> HeldCall:
        at_once(self._case.enter(AtOnce(self._engine, self._keeper)))
        return HeldCall(self._case)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        at_once(self._case.leave(error))

    async def __aenter__(self) -> AwaitedCall:
        await self._case.enter(Awaited(self._engine, self._keeper))
        return AwaitedCall(self._case)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._case.leave(error)


class _Held:
    """What is known of a held call."""

    def __init__(self, case: _Case) -> None:
        self._case = case

    @property
    def id(self) -> str:
        """The call's id, under which its charge is found."""
        return self._case.call.id

    @property
    def request(self) -> dict[str, Any]:
        """The request as it may be sent, with the budget's output limit; empty where an amount was held."""
        return dict(self._case.outgoing)

    @property
    def quote(self) -> Quote | None:
        """What was held for the request; `None` where an amount was held."""
        return self._case.metering.quote if self._case.metering is not None else None

    @property
    def receipt(self) -> Receipt | None:
        """What it did cost, once that is settled."""
        return self._case.call.receipt


class HeldCall(_Held):
    """A held call in a `with` block."""

    def settle(self, reply: Any) -> Receipt:
        """
        Charge what the reply says that it used, and let the hold go.

        Args:
            reply: An SDK's object, LiteLLM's, or a dictionary; or whole nanos, or a `Charge`.

        Raises:
            ConflictError: it was settled with another cost.
            UnreadableReplyError: its usage is missing or cannot be trusted; the hold stays, unconfirmed.
        """
        return at_once(self._case.settle(reply))

    def release(self, reason: str = "the program says that it cost nothing") -> None:
        """
        Let the hold go: nothing was sent, or it cost nothing.

        Raises:
            ConflictError: the call was charged already.
        """
        at_once(self._case.call.release(reason))

    def watch(self, stream: Iterable[T]) -> Iterator[T]:
        """The chunks of an SDK's *stream* as they come; the call is settled at its end, or where you stop."""
        self._case.begin_watching()
        return self._watched(stream)

    def _watched(self, stream: Iterable[T]) -> Iterator[T]:
        try:
            for chunk in stream:
                if self._case.hear(chunk):
                    yield chunk
        except BaseException as error:
            _close(stream)
            # Whoever drops the stream may be the garbage collector.
            aside(partial(self._case.broken_off, type(error).__name__))
            raise
        at_once(self._case.heard_all())


class AwaitedCall(_Held):
    """A held call in an `async with` block."""

    async def settle(self, reply: Any) -> Receipt:
        """See `HeldCall.settle`."""
        return await self._case.settle(reply)

    async def release(self, reason: str = "the program says that it cost nothing") -> None:
        """See `HeldCall.release`."""
        await self._case.call.release(reason)

    def watch(self, stream: AsyncIterable[T]) -> AsyncIterator[T]:
        """See `HeldCall.watch`."""
        self._case.begin_watching()
        return self._watched(stream)

    async def _watched(self, stream: AsyncIterable[T]) -> AsyncIterator[T]:
        try:
            async for chunk in stream:
                if self._case.hear(chunk):
                    yield chunk
        except BaseException as error:
            await self._case.broken_off(type(error).__name__)
            raise
        await self._case.heard_all()


class _Case:
    """One block, behind whatever door it is entered by."""

    def __init__(
        self,
        user: str,
        wanted: Mapping[str, Any] | Nanos,
        *,
        provider: str | None,
        dialect: str | None,
        model: str | None,
    ) -> None:
        self._user = user
        self._amount = wanted if isinstance(wanted, int) else None
        self._request = (
            None
            if isinstance(wanted, int)
            else request_of(plain(wanted), user=user, provider=provider, dialect=dialect)
        )
        self._model = model
        self._door: Door
        self.call: OpenCall
        self.metering: Metering | None = None
        self.outgoing: Mapping[str, Any] = {}
        self._watching = False

    async def enter(self, door: Door) -> None:
        """Hold it."""
        self._door = door
        if self._request is not None:
            self.call, self.metering, self.outgoing = await begin(door, self._request)
        else:
            assert self._amount is not None, "what is no request is an amount"
            self.call = OpenCall(door, self._user)
            await self.call.hold(self._amount, model=self._model)

    async def leave(self, error: BaseException | None) -> None:
        """The block has ended: where it wrote nothing down, decide."""
        if self.call.ended:
            return
        if self._watching:
            await self.broken_off("the stream was not read to its end")
        elif provider_refused(error):
            await self.call.release(f"the provider refused: {type(error).__name__}")
        else:
            how = "without settling" if error is None else f"with {type(error).__name__}"
            await self.call.doubt(f"its block ended {how}")

    async def settle(self, reply: Any) -> Receipt:
        """See `HeldCall.settle`."""
        if isinstance(reply, Charge):
            return await self.call.settle(reply)
        if isinstance(reply, int) and not isinstance(reply, bool):
            model = self._model if self.metering is None else self.metering.quote.model
            return await self.call.settle(Charge(reply, model, how="amount"))
        ending = self._ending(_reported(reply, self.metering))
        if isinstance(ending, Settle):
            return await self.call.settle(ending.charge)
        assert isinstance(ending, Doubt), "a reply that is there has cost something"
        words = await self.call.doubt(ending.reason)
        assert ending.error is not None, "the call itself did not fail"
        raise type(ending.error)(ending.error.message, hint=words, **ending.error.values)

    def _ending(self, reported: Reported) -> Ending:
        if self.metering is None:
            return Settle(priced(self._door.engine, reported, asked=self._model, provider=None))
        self.metering.read_reported(reported)
        return self.metering.finish()

    # Streams

    def begin_watching(self) -> None:
        """From now on the stream says what the call costs."""
        self._metered().feed(b"")
        self._watching = True

    def hear(self, chunk: Any) -> bool:
        """Take one chunk; gives whether the program asked for it."""
        metering = self._metered()
        text = _json(chunk)
        metering.feed(b"data: %b\n\n" % text.encode())
        return not (metering.asked_for_usage and is_usage_alone(parse_object(text) or {}))

    async def heard_all(self) -> None:
        """The stream has ended."""
        metering = self._metered()
        if metering.dialect.name == "openai-chat":
            # SDKs keep the stream's last line to themselves.
            metering.feed(b"data: [DONE]\n\n")
        try:
            ending = metering.finish()
        except UnreadableReplyError as error:
            ending = Doubt(error.message, error)
        await self.call.write(ending)

    async def broken_off(self, why: str) -> None:
        """The stream will not be read further."""
        if not self.call.ended:
            await self.call.write(self._metered().broken_off(why))

    def _metered(self) -> Metering:
        if self.metering is None:
            raise InvalidValueError(
                "an amount was held, so that nothing is known of a stream",
                hint="hold the request, or settle with the amount that it did cost",
            )
        return self.metering


def metered(hold_for: Callable[[Mapping[str, Any]], Holding]) -> Callable[[F], F]:
    """See `MeteringEngine.metered`."""

    def holding(request: Mapping[str, Any]) -> Holding:
        if request.get("stream"):
            raise InvalidValueError(
                "a streamed call is not over when its function returns",
                hint="use `engine.holding` and read the stream through `hold.watch`",
            )
        return hold_for(request)

    def decorate(function: F) -> F:
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def awaited(**request: Any) -> Any:
                async with holding(request) as hold:
                    reply = await function(**hold.request)
                    await hold.settle(reply)
                return reply

            return awaited  # type: ignore[return-value]

        @wraps(function)
        def called(**request: Any) -> Any:
            with holding(request) as hold:
                reply = function(**hold.request)
                hold.settle(reply)
            return reply

        return called  # type: ignore[return-value]

    return decorate


def provider_refused(error: BaseException | None) -> bool:
    """Whether it says that a provider refused the call, as SDKs' errors do. A 5xx or a 408 may have cost."""
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and 400 <= status < 500 and status != 408


def _reported(reply: Any, metering: Metering | None) -> Reported:
    # Read from text, so that the fractions of a bill are exact.
    body = parse_object(_json(reply))
    assert body is not None, "it was written as an object just now"
    name = dialect_of_reply(body)
    if name is None and metering is not None:
        name = metering.dialect.name
    if name is None:
        raise UnreadableReplyError(
            "no provider's usage is in this reply", hint="settle with the amount that the call did cost"
        )
    return by_name(name).read_reply(body)


def _json(value: Any) -> str:
    """An SDK's object, or a dictionary, as it was on the wire."""
    found = plain(value)
    if not isinstance(found, Mapping):
        raise InvalidValueError(
            f"a {type(value).__name__} is no reply",
            hint="give the SDK's reply, a dictionary, whole nanos, or a Charge",
        )
    # What JSON has no form for is no usage.
    return json.dumps(found, default=str)


def _close(stream: object) -> None:
    """So that the provider stops writing, and billing."""
    close = getattr(stream, "close", None)
    if callable(close):
        close()
