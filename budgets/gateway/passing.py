"""One call to one target: held, sent, passed back as it comes, and settled whatever happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from budgets.awaiting import AwaitedEngine
from budgets.clock import iso
from budgets.dialects import reading
from budgets.dialects.sse import Event
from budgets.errors import BudgetError, InvalidValueError, ProviderError, UnreadableReplyError
from budgets.gateway import cutting, deployments
from budgets.gateway.allowance import Allowance
from budgets.gateway.background import Background, followed, running_id
from budgets.gateway.callers import forwarded_headers, own_headers
from budgets.gateway.cutting import Cut
from budgets.gateway.incoming import Incoming, Reply, Report
from budgets.gateway.line import Line
from budgets.gateway.owners import Owners
from budgets.gateway.targets import Target, Targets
from budgets.metering import DRAIN_SECONDS, Doubt, Ending, Metering, Release, Request, Settle, written_of
from budgets.money import format_usd
from budgets.passages import Passage, passage_of, takes_comments
from budgets.records import Held, Left, Receipt
from budgets.upstream import Answer, OutgoingCall, Upstream

# After these, and when nobody was reached, another target may be tried: nothing was charged.
_NEXT_TARGET = frozenset({429, 503, 529})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the gateway waits."""

    # For money that running calls hold.
    hold_seconds: float = 30
    # For the rest of an answer whose caller has gone.
    drain_seconds: float = DRAIN_SECONDS
    # For an answer that is written in the background, and before it is asked for the first time.
    background_seconds: float = 3600
    poll_seconds: float = 2
    # For a caller to take what has come, before it is taken for gone.
    reader_seconds: float = 120


@dataclass(frozen=True, slots=True)
class House:
    """What all calls through one gateway share."""

    # Where money is held and charged.
    engine: AwaitedEngine
    # Where calls may go.
    targets: Targets
    # Sends them.
    upstream: Upstream
    # How long is waited, and for what.
    patience: Patience = Patience()
    # Is told what became of every call; must be quick.
    report: Callable[[Report], None] = lambda _: None
    # How a stream is ended that would cost more than was held for it.
    cut: Cut = "length"
    # Answers may be written in the background: their holds stay until they are whole.
    allow_background: bool = False
    # Those who wait for money.
    line: Line = field(init=False)
    owners: Owners = field(default_factory=Owners)
    background: Background = field(default_factory=Background)

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", Line(self.engine))


class OneCall:
    """One call to one target."""

    def __init__(self, house: House, call: Incoming, target: Target, reply: Reply, *, last: bool) -> None:
        self._house = house
        self._engine = house.engine
        self._call = call
        self._target = target
        self._reply = reply
        self._in_background = call.dialect.name == "openai-responses" and call.body.get("background") is True
        # No other target is left to try.
        self._last = last
        self._caller_gone = False
        # Some of a stream was passed on: a refusal can no longer be said.
        self._begun = False
        # It was reached, and was not too busy.
        self._well = True
        self._held: Held | None = None
        self._receipt: Receipt | None = None

    async def carried_out(self) -> bool:
        """Make the call; `False`: this target cannot be had now, nothing was charged, nothing answered."""
        call, target = self._call, self._target
        target.check_key()
        if self._in_background and not self._house.allow_background:
            raise InvalidValueError(
                "an answer in the background is not metered here: it costs money when nobody waits for it",
                hint="leave `background` out, or let the gateway's owner allow it",
            )
        metering = Metering(
            self._engine.engine,
            Request(
                call.caller.user,
                target.provider,
                target.origin,
                target.key,
                deployments.priced(target, call.path, target.renamed(call.body)),
                spoken=call.dialect.name,
            ),
        )
        held = self._held = await self._house.line.hold(
            call.caller.user,
            metering.quote,
            terms=metering.terms,
            patience_seconds=self._house.patience.hold_seconds,
        )
        metering.take(held)
        self._house.targets.begun(target)
        try:
            return await self._sent(metering)
        except _TryNextError:
            return False
        except ProviderError as error:
            self._well = False
            if reply_id := self._runs_on(metering):
                self._follow(metering, reply_id)
                self._reply.break_off()
                return True
            ending = metering.failed(error)
            await self._write(ending)
            if isinstance(ending, Release) and not self._last:
                return False
            if not self._begun:
                raise
            self._reply.break_off()
            return True
        except BudgetError as error:
            # It cannot be sent as the budget needs it, or came back in a form that says nothing.
            if metering.answered:
                await self._write(Doubt(error.message, error))
            else:
                await self._write(Release(error.message))
            raise
        except BaseException as error:
            # The gateway ends: what was received is charged before anything else.
            await asyncio.shield(self._write(metering.broken_off(type(error).__name__)))
            raise
        finally:
            self._house.targets.ended(target, well=self._well)

    async def _sent(self, metering: Metering) -> bool:
        body = metering.outgoing()
        tries = _forms(metering, body)
        for number, form in enumerate(tries, 1):
            async with self._house.upstream.send(self._outgoing(metering, form)) as answer:
                if answer.status < 400:
                    metering.answered = True
                    if metering.is_stream(answer.headers):
                        await self._pass_stream(metering, answer)
                    else:
                        await self._pass_plain(metering, answer)
                    return True
                raw = await answer.read()
                if (
                    number < len(tries)
                    and answer.status in (400, 422)
                    and _names_ours(raw, form, call=self._call)
                ):
                    continue
                await self._pass_refusal(metering, answer, raw)
                return True
        raise AssertionError("the last form is always answered")

    def _outgoing(self, metering: Metering, body: Mapping[str, Any]) -> OutgoingCall:
        call, target = self._call, self._target
        asked = target.renamed(call.body)
        if body is metering.request.body and asked is call.body:
            raw = call.raw
        else:
            sent = deployments.sent(target, asked, metering.dialect.sent(body).body)
            raw = json.dumps(sent, ensure_ascii=False).encode("utf-8", "replace")
        headers = forwarded_headers(call.headers, target, metering.dialect.name)
        address = target.address(call.path, metering.dialect.name)
        return OutgoingCall(target.provider.id, address, headers, raw)

    async def _pass_refusal(self, metering: Metering, answer: Answer, raw: bytes) -> None:
        """The provider refused: what it says goes to the caller as it is, and costs nothing."""
        error = metering.refused(answer.status, raw, answer.headers)
        await self._write(Release(written_of(error)))
        if answer.status in _NEXT_TARGET:
            self._well = False
            if not self._last:
                raise _TryNextError
        self._told("released", error=error)
        with suppress(ConnectionError):
            await self._reply.whole(answer.status, answer.headers, raw)

    async def _pass_plain(self, metering: Metering, answer: Answer) -> None:
        raw = await answer.read()
        if self._in_background and (reply_id := running_id(raw)):
            metering.answered = True
            self._follow(metering, reply_id)
            with suppress(ConnectionError):
                await self._reply.whole(answer.status, {**answer.headers, **self._figures(metering)}, raw)
            return
        try:
            metering.read_plain(raw, answer.headers)
            ending = metering.finish()
        except UnreadableReplyError as error:
            ending = Doubt(error.message, error)
        self._remember(metering)
        await self._write(ending)
        headers = {**answer.headers, **self._figures(metering)}
        # Who has gone is charged all the same: the provider's work is done.
        with suppress(ConnectionError):
            await self._reply.whole(answer.status, headers, raw)

    async def _pass_stream(self, metering: Metering, answer: Answer) -> None:
        passage = passage_of(metering, answer.headers.get("content-type", ""))
        allowance = Allowance(metering)
        events: list[Event] | None = None
        metering.feed(b"")
        self._begun = True
        await self._to_caller(self._reply.begin(answer.status, {**answer.headers, **self._figures(metering)}))
        async with aclosing(self._with_deadline(answer.chunks)) as pieces:
            async for piece in pieces:
                metering.feed(piece)
                passed = passage.feed(piece)
                if passed and not self._caller_gone:
                    await self._to_caller(self._reply.piece(passed))
                if allowance.used_up(len(piece)) and (events := metering.cut_here()) is not None:
                    break
        try:
            ending = metering.finish() if events is None else metering.cut()
        except UnreadableReplyError as error:
            ending = Doubt(error.message, error)
        self._remember(metering)
        if reply_id := self._runs_on(metering):
            # Where a stream ends, the answer goes on, and is charged as it turns out.
            self._follow(metering, reply_id)
        else:
            await self._write(ending)
        if events == []:
            # This wire has no end that we could write.
            self._reply.break_off()
            return
        comments = takes_comments(metering, answer.headers)
        last = passage.rest() if events is None else self._cut(metering, passage, events, comments=comments)
        if comments:
            # A comment: no reader of events sees it, a person who looks at the stream does.
            last += "".join(
                f": {name}: {value}\n" for name, value in self._figures(metering).items()
            ).encode()
            last += b"\n"
        if last:
            await self._to_caller(self._reply.piece(last))

    def _runs_on(self, metering: Metering) -> str | None:
        """The id of a reply that its provider goes on to write when this stream has ended."""
        if not self._in_background or not metering.answered:
            return None
        try:
            reported = metering.reported()
        except UnreadableReplyError:
            return None
        return None if reported.finished else reported.reply_id

    def _follow(self, metering: Metering, reply_id: str) -> None:
        """Settle the call when its reply is whole, whoever waits for it."""
        self._house.owners.remember(reply_id, self._call.caller.user, self._target.name)
        self._house.background.follow(self._settled_later(metering, reply_id))

    async def _settled_later(self, metering: Metering, reply_id: str) -> None:
        place, mark, query = self._call.path.partition("?")
        path = f"{place}/{reading.escaped(reply_id)}{mark}{query}"
        url = self._target.address(path, metering.dialect.name)
        headers = own_headers(self._target, metering.dialect.name)
        asking = OutgoingCall(self._target.provider.id, url, headers, b"", method="GET")
        patience = self._house.patience
        try:
            ending = await followed(
                self._house.upstream,
                metering,
                asking,
                pause_seconds=patience.poll_seconds,
                most_seconds=patience.background_seconds,
            )
        except asyncio.CancelledError:
            await asyncio.shield(self._write(Doubt("the gateway ended before the answer in the background")))
            raise
        await self._write(ending)

    def _cut(self, metering: Metering, passage: Passage, events: Sequence[Event], *, comments: bool) -> bytes:
        """The end of a stream that the budget ends."""
        assert self._held is not None, "what is answered was held"
        said = cutting.words(self._held)
        if self._house.cut == "error":
            events = [cutting.error_event(said, metering.dialect.name)]
        before = cutting.comment(said) if comments else b""
        return before + passage.end(events)

    async def _to_caller(self, sending: Awaitable[None]) -> None:
        """Pass something on; where the caller has gone, the rest is read for the sake of its usage."""
        try:
            async with asyncio.timeout(self._house.patience.reader_seconds):
                await sending
        except ConnectionError:
            self._caller_gone = True
        except TimeoutError:
            self._caller_gone = True
            self._reply.break_off(at_once=True)

    async def _with_deadline(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The pieces as they come; once the caller has gone, only for a bounded time."""
        loop = asyncio.get_running_loop()
        until: float | None = None
        while True:
            if self._caller_gone and until is None:
                until = loop.time() + self._house.patience.drain_seconds
            try:
                if until is None:
                    piece = await anext(chunks)
                else:
                    async with asyncio.timeout_at(until):
                        piece = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise ProviderError(
                    "the caller went away and the answer did not end in time",
                    provider=self._target.provider.id,
                    status=None,
                    charged_possible=True,
                ) from None
            yield piece

    async def _write(self, ending: Ending) -> None:
        """Write down what became of the call, and let the next in line try."""
        assert self._held is not None, "what is written down was held"
        hold = self._held.hold
        if isinstance(ending, Settle):
            self._receipt = await self._engine.settle(hold.id, ending.charge)
            self._told("charged", receipt=self._receipt)
        elif isinstance(ending, Release):
            await self._engine.release(hold.id, reason=ending.reason)
        else:
            await self._engine.doubt(hold.id, reason=ending.reason)
            self._told("unconfirmed", error=ending.error)
        self._house.line.let_go(hold.path)

    def _told(
        self,
        outcome: Literal["charged", "unconfirmed", "released"],
        *,
        receipt: Receipt | None = None,
        error: BudgetError | None = None,
    ) -> None:
        asked = str(self._call.body.get("model", ""))
        self._house.report(
            Report(outcome, self._call.caller.user, self._target.provider.id, asked, receipt, error)
        )

    def _remember(self, metering: Metering) -> None:
        with suppress(UnreadableReplyError):
            reply_id = metering.reported().reply_id
            if reply_id:
                self._house.owners.remember(reply_id, self._call.caller.user, self._target.name)

    def _figures(self, metering: Metering) -> dict[str, str]:
        """What an answer says about the budget, as headers."""
        assert self._held is not None, "what is answered was held"
        left: Left = self._receipt.left if self._receipt is not None else self._held.left
        figures = {"x-budget-held-usd": format_usd(self._held.hold.nanos)}
        if self._receipt is not None:
            figures["x-budget-cost-usd"] = format_usd(self._receipt.nanos)
        if left.nanos is not None:
            figures["x-budget-left-usd"] = format_usd(left.nanos)
        if left.resets_at is not None:
            figures["x-budget-resets-at"] = iso(left.resets_at)
        if metering.quote.limited_by in ("budget", "default"):
            figures["x-budget-output-limit"] = str(metering.quote.output_limit)
        return figures


class _TryNextError(Exception):
    """This target is too busy, and another is there."""


def _forms(metering: Metering, body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The request, and what it may be sent as once more where the provider does not know a field of ours."""
    if metering.dialect.name not in ("openai-chat", "openai-completions") or body is metering.request.body:
        return (body,)
    other = dict(body)
    if metering.asked_for_usage:
        asked = metering.request.body.get("stream_options")
        other.pop("stream_options")
        if asked is not None:
            other["stream_options"] = asked
    for ours, instead in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
        if ours in body and ours not in metering.request.body:
            other[instead] = other.pop(ours)
            break
    return (body, other)


def _names_ours(raw: bytes, form: Mapping[str, Any], call: Incoming) -> bool:
    """The refusal is about a field that the caller did not send."""
    said = raw.decode("utf-8", "replace")
    ours = [name for name in form if name not in call.body or form[name] != call.body[name]]
    return any(name in said for name in ours)
