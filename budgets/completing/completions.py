"""
`completion` and `acompletion`: one call in OpenAI's shape, to any provider, under budgets.

The most it can cost is held before it leaves, on the cap of this process and, with `user=`, on the path of
the user in the store. What it did cost is written down whatever happens to the caller.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, overload

from budgets import calls, process_cap
from budgets.completing import stamps
from budgets.completing.answers import Reply
from budgets.completing.background import Job, line
from budgets.completing.capped_engine import CappedEngine
from budgets.completing.outgoing import Outgoing, outgoing
from budgets.config import Settings, load_settings
from budgets.engine import Engine
from budgets.engine.api import EngineApi
from budgets.metering import DRAIN_SECONDS, unconfirmed_words
from budgets.records import ROOT
from budgets.upstream import Answer, OutgoingCall, Upstream
from budgets.usage import Usage
from budgets.wiring import open_api, open_desk, open_unbooked

# A provider that was not reached, or is too busy, is tried so often again.
_RETRIES = 2


@overload
def completion(
    model: str,
    messages: list[Any],
    *,
    user: str | None = None,
    stream: Literal[False] = False,
    project: str | None = None,
    provider: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    patience_seconds: float | None = None,
    timeout: float | None = None,
    **params: Any,
) -> Reply: ...
@overload
def completion(
    model: str,
    messages: list[Any],
    *,
    stream: Literal[True],
    user: str | None = None,
    project: str | None = None,
    provider: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    patience_seconds: float | None = None,
    timeout: float | None = None,
    **params: Any,
) -> ReplyStream: ...
def completion(
    model: str,
    messages: list[Any],
    *,
    user: str | None = None,
    stream: bool = False,
    project: str | None = None,
    provider: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    patience_seconds: float | None = None,
    timeout: float | None = None,
    **params: Any,
) -> Reply | ReplyStream:
    """
    Make one call, and give its reply in OpenAI's shape. It may block inside a running event loop.

    Args:
        model: For instance `gpt-4o-mini`, `claude-haiku-4-5`, `groq/llama-3.3-70b-versatile`.
        messages: As OpenAI takes them; earlier replies' messages among them.
        user: Whose budget in the store it is booked on; the reply then bears its charge id. `None`: it counts
            against `budgets.max_budget` alone. It is not sent to the provider.
        stream: Give chunks as they arrive. A refusal is raised here, before the first of them.
        project: The user's; `None`: what the settings say.
        provider: Who serves the model, where its name leaves that open.
        api_key: `None`: from the provider's usual environment variable.
        base_url: Where its API is; `None`: the usual place, or what the environment says.
        patience_seconds: How long to wait where only running calls stand in the way; `None`: the settings'.
        timeout: Seconds for the whole of it; what was received by then is charged. `None`: no limit.
        params: All else that the request has: `temperature`, `max_tokens`, `tools` ...

    Raises:
        BudgetExceededError: it does not fit; nothing was sent. `BudgetBusyError`: nor did it after waiting.
        UnknownUserError: the user has no budget.
        UnknownPriceError: the model has no price.
        ProviderError: the provider refused or did not answer.
        InvalidValueError: the request cannot be meant, or nobody here can make it.
        TimeoutError: it took longer than *timeout*.
    """
    call = _Call.of(
        model, messages, params, stream, user, project, provider, api_key, base_url, patience_seconds, timeout
    )
    if not stream:
        return line().start(call.reply()).result()
    return ReplyStream(call)


async def acompletion(
    model: str,
    messages: list[Any],
    *,
    user: str | None = None,
    stream: bool = False,
    project: str | None = None,
    provider: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    patience_seconds: float | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 - as OpenAI's and LiteLLM's clients take it
    **params: Any,
) -> Any:
    """
    The same as `completion`, awaited: a `Reply`, or with *stream* an `AsyncReplyStream`.

    Cancelling it charges what was received.
    """
    call = _Call.of(
        model, messages, params, stream, user, project, provider, api_key, base_url, patience_seconds, timeout
    )
    if not stream:
        return await line().start(call.reply()).awaited()
    found = AsyncReplyStream(call)
    await found._opened()  # noqa: SLF001 - our own
    return found


@dataclass(frozen=True, slots=True)
class _Ended:
    """The end of a stream: what it cost, or why it broke off."""

    budget: Reply | None = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class _Begun:
    """The provider has begun to answer."""


_Item: TypeAlias = Reply | _Begun | _Ended


class _Stream:
    """What both kinds of streams know."""

    # What it cost; `None` until the end.
    budget: Reply | None = None
    _over = False

    def _take(self, item: _Item) -> Reply | None:
        """The chunk that has come; `None`: it is no chunk. Why the stream broke off is raised."""
        if isinstance(item, _Ended):
            self._over = True
            self.budget = item.budget
            if item.error is not None:
                raise item.error
        return item if isinstance(item, Reply) else None


class ReplyStream(_Stream):
    """
    Chunks in OpenAI's shape, as they arrive. Read it once; when it ends, what it cost is booked, and `budget`
    says what.

    `close` it, or use it as a context, to break off. The rest is then read in the background, for 30 seconds
    at most, because the provider says at its end what it bills; what was received by then is charged, also
    where the program ends before.
    """

    def __init__(self, call: _Call) -> None:
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._job: Job[None] = line().start(call.stream(self._items.put))
        try:
            self._take(self._items.get())
        except BaseException:
            self._job.join()
            raise

    def __iter__(self) -> Iterator[Reply]:
        return self

    def __next__(self) -> Reply:
        found = None if self._over else self._take(self._items.get())
        if found is None:
            raise StopIteration
        return found

    def close(self) -> None:
        """Break off; does not wait. Closing twice, or at the end, is fine."""
        self._over = True
        self._job.stop(after_seconds=DRAIN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_job"):
            self._job.stop(after_seconds=DRAIN_SECONDS)


class AsyncReplyStream(_Stream):
    """The same as `ReplyStream`, for an event loop."""

    def __init__(self, call: _Call) -> None:
        self._items: asyncio.Queue[_Item] = asyncio.Queue()
        loop, items = asyncio.get_running_loop(), self._items

        def put(item: _Item) -> None:
            # A loop that has ended takes nothing any more; the rest is read for its usage alone.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(items.put_nowait, item)

        self._job: Job[None] = line().start(call.stream(put))

    async def _opened(self) -> None:
        try:
            self._take(await self._items.get())
        except BaseException:
            await self._job.joined()
            raise

    def __aiter__(self) -> AsyncIterator[Reply]:
        return self

    async def __anext__(self) -> Reply:
        found = None if self._over else self._take(await self._items.get())
        if found is None:
            raise StopAsyncIteration
        return found

    async def aclose(self) -> None:
        """Break off; does not wait. Closing twice, or at the end, is fine."""
        self._over = True
        self._job.stop(after_seconds=DRAIN_SECONDS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._job.stop(after_seconds=DRAIN_SECONDS)


@dataclass(frozen=True, slots=True)
class _Call:
    """A completion that is wanted, and under what."""

    outgoing: Outgoing
    engine: CappedEngine
    # In the store, or `None`: booked nowhere.
    project: str | None
    patience_seconds: float
    timeout_seconds: float | None

    @classmethod
    def of(
        cls,
        model: str,
        messages: list[Any],
        params: Mapping[str, Any],
        stream: bool,
        user: str | None,
        project: str | None,
        provider: str | None,
        api_key: str | None,
        base_url: str | None,
        patience_seconds: float | None,
        timeout_seconds: float | None,
    ) -> _Call:
        settings = load_settings(os.environ, project=project)
        wanted = outgoing(
            model,
            messages,
            {**params, "stream": True} if stream else params,
            user=user if user is not None else ROOT,
            provider=provider,
            api_key=api_key,
            base_url=base_url,
        )
        return cls(
            wanted,
            CappedEngine(_booked(settings) if user is not None else _unbooked(settings)),
            settings.project if user is not None else None,
            settings.patience_seconds if patience_seconds is None else patience_seconds,
            timeout_seconds,
        )

    async def reply(self) -> Reply:
        """Make it, plain."""
        pieces: list[bytes] = []
        outcome = await self._made(lambda _: None, pieces.append)
        fields = self.outgoing.read(b"".join(pieces), _usage(outcome))
        return Reply({**fields, stamps.FIELD: self._budget(outcome)})

    async def stream(self, put: Callable[[_Item], None]) -> None:
        """Make it, and *put* what comes: that it has begun, chunks, and the end, which is put always."""
        chunks = self.outgoing.chunks()
        # Not every provider can stream every answer.
        whole: bytearray | None = None

        def begin(headers: Mapping[str, str]) -> None:
            nonlocal whole
            whole = None if self.outgoing.is_stream(headers) else bytearray()
            put(_Begun())

        def pass_on(piece: bytes) -> None:
            if whole is not None:
                whole.extend(piece)
                return
            for chunk in chunks.feed(piece):
                put(chunk)

        try:
            outcome = await self._made(begin, pass_on)
        except BaseException as error:
            put(_Ended(error=error if isinstance(error, Exception) else None))
            raise
        usage = _usage(outcome)
        for chunk in chunks.ended(usage) if whole is None else self.outgoing.chunks_of(bytes(whole), usage):
            put(chunk)
        put(_Ended(budget=Reply(self._budget(outcome))))

    async def _made(
        self, on_answer: Callable[[Mapping[str, str]], None], on_piece: Callable[[bytes], None]
    ) -> calls.Outcome:
        upstream = self.outgoing.upstream or line().upstream
        async with asyncio.timeout(self.timeout_seconds):
            return await calls.complete(
                self.engine,
                _Overheard(upstream, on_answer, on_piece),
                self.outgoing.request,
                in_doubt=unconfirmed_words if self.project is not None else process_cap.unconfirmed_words,
                patience_seconds=self.patience_seconds,
                retries=_RETRIES,
            )

    def _budget(self, outcome: calls.Outcome) -> dict[str, Any]:
        entry = outcome.receipt.entry
        said = stamps.document(entry, self.project)
        return {**said, "output_limit": outcome.budget_output_limit}


def _usage(outcome: calls.Outcome) -> Usage:
    """What was charged: as reported, or where that was missing, as counted."""
    return Usage.of(**outcome.receipt.entry.detail["usage"])


class _Overheard:
    """An upstream whose answers are heard as they pass; those that refuse are not."""

    def __init__(
        self,
        upstream: Upstream,
        on_answer: Callable[[Mapping[str, str]], None],
        on_piece: Callable[[bytes], None],
    ) -> None:
        self._upstream = upstream
        self._on_answer = on_answer
        self._on_piece = on_piece

    @asynccontextmanager
    async def send(self, call: OutgoingCall) -> AsyncIterator[Answer]:
        """See `Upstream.send`."""
        async with self._upstream.send(call) as answer:
            if answer.status >= 400:
                yield answer
                return
            self._on_answer(answer.headers)
            yield replace(answer, chunks=self._heard(answer.chunks))

    async def _heard(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in chunks:
            self._on_piece(piece)
            yield piece


_lock = threading.Lock()
# By what the settings say, whatever said it.
_engines: dict[str, EngineApi] = {}
_desks: dict[str, Engine] = {}


def _booked(settings: Settings) -> EngineApi:
    """The engine on the store in force, opened once for the process."""
    settings, key = _lasting(settings)
    with _lock:
        if key not in _engines:
            _engines[key] = engine = open_api(settings)
            atexit.register(engine.let_go)
        return _engines[key]


def _unbooked(settings: Settings) -> EngineApi:
    """An engine for one call, at the same prices, that are read once."""
    settings, key = _lasting(settings)
    with _lock:
        if key not in _desks:
            _desks[key] = open_desk(settings)
        return open_unbooked(_desks[key])


def _lasting(settings: Settings) -> tuple[Settings, str]:
    """The settings as they hold in any folder, and a name for them."""
    store = settings.store
    if isinstance(store, Path):
        store = store.absolute()
    settings = replace(settings, store=store, prices=settings.prices.absolute(), sources={})
    return settings, f"{settings!r} {settings.key}"
