"""
One metered call, from request to receipt: quote, hold, send, read, settle.

Everything that meters goes through here, so there is one place where a cost comes about.
"""

from __future__ import annotations

import asyncio
import json
import random
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from budgets import pricing, providers
from budgets.asks import Ask
from budgets.dialects import by_name, reading
from budgets.dialects.base import Dialect, Reported, StreamReader
from budgets.engine import Engine
from budgets.errors import (
    BudgetBusyError,
    BudgetError,
    ProviderError,
    UnknownPriceError,
    UnreadableReplyError,
)
from budgets.leases import kept_alive
from budgets.money import money, round_up
from budgets.providers import Provider
from budgets.records import Charge, Held, Quote, Receipt
from budgets.upstream import Answer, OutgoingCall, Upstream
from budgets.usage import Usage

# An error body is shown, not stored: this much of it tells what is wrong.
_MOST_ERROR_BYTES = 64 * 1024

# Not reached, too many requests, overloaded. After another failure a provider may have worked already.
_TRIED_AGAIN = frozenset({None, 429, 503, 529})

# A provider that wants a longer pause is not waited for.
_LONGEST_PAUSE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent, and whose money it is."""

    user: str
    provider: Provider
    # Where the provider's API is; the dialect's path comes after it.
    base_url: str
    key: str | None = field(repr=False)
    # In the provider's dialect.
    body: Mapping[str, Any] = field(repr=False)

    @property
    def dialect(self) -> Dialect:
        """The wire format of the provider."""
        return by_name(self.provider.dialect)

    @property
    def price_provider(self) -> str | None:
        """Whose prices count. A model on one's own machine has only the owner's, whatever serves it."""
        return None if self.provider.local else self.provider.id


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call that was answered."""

    receipt: Receipt
    quote: Quote
    reported: Reported
    # The output limit that the budget, not the caller and not the model, set; `None`: it set none.
    budget_output_limit: int | None
    # The answer was ended by that limit, or broke off.
    cut: bool


def quote(engine: Engine, request: Request) -> tuple[Ask, Quote]:
    """
    What *request* asks for, and the most it can cost.

    Raises:
        InvalidValueError: it is no request of its dialect.
        UnknownPriceError: its model has no price.
    """
    ask = request.dialect.read_request(request.body)
    ask = replace(ask, region=ask.region or providers.region_of(request.base_url))
    try:
        return ask, engine.quote(ask, provider=request.price_provider)
    except UnknownPriceError as error:
        if not request.provider.local or "unit" in error.values:
            raise
        name = shlex.quote(ask.model)
        raise UnknownPriceError(
            error.message,
            hint=f"a model that costs you nothing: `budget prices set {name} --free`; else set its prices",
            **error.values,
        ) from error


def priced(
    engine: Engine,
    reported: Reported,
    *,
    asked: str | None,
    provider: str | None,
    at: datetime | None = None,
    asked_decides: bool = False,
) -> Charge:
    """
    What a reply cost, ready to be charged: summed over every model that worked on it, rounded once.

    Where the provider bills what its reply says (OpenRouter), that is the cost, known model or not.

    The model that served decides if it has a price, else the one that was asked for.

    Args:
        asked_decides: The other way round: a server of one's own may name what it serves as it likes.

    Raises:
        UnknownPriceError: a model, a unit or the service tier has no price. Nothing is left out.
        UnreadableReplyError: the reply has no usage.
    """
    if reported.usage is None:
        raise UnreadableReplyError(
            "the reply has no usage block",
            hint="charge token counts or an amount instead",
            model=reported.model,
        )

    def found(usage: Usage, *names: str | None) -> pricing.Cost:
        known = [name for name in names if name]
        cost = partial(
            engine.cost, usage, provider=provider, tier=reported.service_tier, region=reported.region, at=at
        )
        for name in known[:-1]:
            # Gateways, too, name what they serve as they like; then the other name's price holds.
            with suppress(UnknownPriceError):
                return cost(model=name)
        return cost(model=known[-1])

    if not (reported.model or asked):
        raise UnreadableReplyError("the reply does not name its model", hint="say which with --model")
    names = (asked, reported.model) if asked_decides else (reported.model, asked)
    if reported.billed_picos is not None and providers.bills_in_reply(provider):
        return _as_billed(reported, reported.billed_picos, next(filter(None, names)), provider)
    first = found(reported.usage, *names)
    others = [found(usage, model) for model, usage in reported.others]
    pins = first.pins()
    if others:
        pins["others"] = [
            {"usage": usage.as_dict(), **cost.pins()}
            for (_, usage), cost in zip(reported.others, others, strict=True)
        ]
    return Charge(
        round_up(sum((cost.exact_picos for cost in others), first.exact_picos)),
        first.prices.model,
        reported.usage,
        pins,
        # One count that was not reported makes the whole an estimate.
        how=next((used.how for _, used in reported.others if used.how != "reported"), reported.usage.how),
    )


def _as_billed(reported: Reported, billed: pricing.Picos, model: str, provider: str | None) -> Charge:
    """A charge of what the provider says that it bills, whatever our book would have made of it."""
    assert reported.usage is not None, "a bill stands in a usage block"
    pins = {"model": f"{provider}/{model}", "billed_picos": str(billed)}
    return Charge(round_up(billed), model, reported.usage, pins, how=reported.usage.how)


async def complete(
    engine: Engine,
    upstream: Upstream,
    request: Request,
    *,
    on_text: Callable[[str], None] = lambda _: None,
    on_broken_off: Callable[[str], None] = lambda _: None,
    patience_seconds: float = 0,
    retries: int = 0,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Outcome:
    """
    Make one call under the user's budget.

    Nothing is sent before the hold is in the store. What happens after is written down, whatever it is: the
    charge, or the hold's release, or that nobody knows. When this is cancelled, what was received is charged.

    Args:
        on_text: Gets the answer's text as it arrives.
        on_broken_off: Is told, in words, what was booked when this is cancelled or *on_text* raises.
        patience_seconds: How long to wait where only running calls stand in the way.
        retries: How often to try again where nothing can have been charged: the provider was not
            reached, or said that it is too busy. The hold stays meanwhile.
        pause: Waits between tries, for so many seconds.

    Raises:
        BudgetExceededError: it does not fit; nothing was sent. `BudgetBusyError`: nor did it after waiting.
        ProviderError: the provider refused or did not answer; the message has its own words.
        UnreadableReplyError: an answer came that does not say what it used; its hold is unconfirmed.
    """
    call = _Call(engine, request)
    await call.hold(patience_seconds)
    with kept_alive(engine):
        return await call.carry_out(
            upstream, on_text=on_text, on_broken_off=on_broken_off, retries=retries, pause=pause
        )


class _Call:
    """The state of one call between its steps."""

    def __init__(self, engine: Engine, request: Request) -> None:
        self._engine = engine
        self._request = request
        self._dialect = request.dialect
        self._ask, self._quote = quote(engine, request)
        self._held: Held | None = None
        # What has come of it: nothing, a status that is no refusal, some of a stream.
        self._answered = False
        self._reader: StreamReader | None = None
        self._tries = 0
        # Between two tries nothing is on its way, and what came before cost nothing.
        self._pausing = False

    @property
    def _hold_id(self) -> str:
        assert self._held is not None, "a call is held before it leaves"
        return self._held.hold.id

    async def hold(self, patience_seconds: float) -> None:
        """Hold the most it can cost, waiting for running calls up to the given time."""
        deadline = time.monotonic() + patience_seconds
        nap = 0.02
        while True:
            try:
                self._held = self._engine.hold(
                    self._request.user,
                    self._quote,
                    terms={
                        "provider": self._quote.provider,
                        "input_tokens": self._quote.input_tokens_most,
                        "counted": self._quote.counted,
                    },
                )
            except BudgetBusyError:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    raise
                # Chance keeps those who wait from asking at the same moment; it is no secret.
                await asyncio.sleep(min(rest, nap * (0.5 + random.random())))  # noqa: S311
                nap = min(nap * 1.5, 0.5)
            else:
                assert self._held.quote is not None, "what was quoted is held as a quote"
                self._quote = self._held.quote
                return

    async def carry_out(
        self,
        upstream: Upstream,
        *,
        on_text: Callable[[str], None],
        on_broken_off: Callable[[str], None],
        retries: int,
        pause: Callable[[float], Awaitable[None]],
    ) -> Outcome:
        """Send it and write down what became of it."""
        outgoing = self._outgoing()
        try:
            while True:
                try:
                    reported = await self._answer(upstream, outgoing, on_text)
                    break
                except ProviderError as error:
                    wait = self._may_try_again(error, self._tries) if self._tries < retries else None
                    if wait is None:
                        raise
                self._tries += 1
                self._pausing = True
                await pause(wait)
                self._pausing = False
        except ProviderError as error:
            if self._answered or error.values.get("charged_possible"):
                booked = self._broken_off(error.message)
                raise ProviderError(error.message, hint=booked, **error.values) from error
            self._engine.release(self._hold_id, reason=error.message)
            raise
        except UnreadableReplyError as error:
            raise self._doubted(error) from error
        except BaseException as error:
            if self._pausing:
                self._engine.release(self._hold_id, reason=type(error).__name__)
                on_broken_off("nothing was charged")
                raise
            # Cancelled, or a broken pipe of our own: what was received is charged before anything else.
            on_broken_off(self._broken_off(type(error).__name__))
            raise
        return self._settle(reported)

    async def _answer(
        self, upstream: Upstream, outgoing: OutgoingCall, on_text: Callable[[str], None]
    ) -> Reported:
        async with upstream.send(outgoing) as answer:
            if answer.status >= 400:
                raise await self._refused(answer)
            self._answered = True
            kind, _, _ = answer.headers.get("content-type", "").partition(";")
            if not self._ask.stream or kind.strip().lower() not in self._dialect.stream_types:
                reported = self._read_plain(await answer.read(), answer.headers)
                if not reported.finished:
                    raise UnreadableReplyError(f"{self._request.provider.id} has not finished the answer")
                on_text(reported.text)
                return reported
            self._reader = self._dialect.read_stream()
            async for piece in answer.chunks:
                on_text(self._reader.feed(piece))
            return self._reader.reported()

    def _may_try_again(self, error: ProviderError, tries: int) -> float | None:
        """How many seconds to wait before another try; `None`: none, or something may have been charged."""
        if self._answered or error.values.get("charged_possible") is not False:
            return None
        if error.values["status"] not in _TRIED_AGAIN:
            return None
        said = error.values.get("retry_after_seconds")
        if said is not None:
            return float(said) if said <= _LONGEST_PAUSE_SECONDS else None
        return float(2**tries) * (0.5 + random.random() / 2)  # noqa: S311 - chance is enough

    def _outgoing(self) -> OutgoingCall:
        request = self._request
        body = dict(request.body)
        try:
            if self._quote.limited_by != "caller":
                body = self._dialect.limit_output(body, self._quote.output_limit)
            if self._ask.stream and request.provider.stream_usage_on_request:
                body = self._dialect.ask_for_usage(body)
        except BudgetError as error:
            self._engine.release(self._hold_id, reason=error.message)
            raise
        sent = self._dialect.sent(body)
        return OutgoingCall(
            provider=request.provider.id,
            url=request.base_url + sent.path,
            headers={"content-type": "application/json", **self._dialect.headers(request.key)},
            body=json.dumps(sent.body, ensure_ascii=False).encode("utf-8", "replace"),
        )

    async def _refused(self, answer: Answer) -> ProviderError:
        """The provider's own words. A call that it refuses is not billed."""
        try:
            words = self._dialect.read_error(await answer.read(at_most=_MOST_ERROR_BYTES))
        except ProviderError as error:
            words = error.message
        after = answer.headers.get("retry-after", "")
        # It may also be a date, which tells a person no more than "later".
        seconds = int(after) if after.isascii() and after.isdigit() else None
        again = answer.status == 429 or answer.status >= 500
        return ProviderError(
            f"{self._request.provider.id} answered {answer.status}: {words}",
            hint=(
                "nothing was charged; try again" + (" later" if seconds is None else f" in {seconds} seconds")
                if again
                else "nothing was charged; mend the request, the model's name or the key"
            ),
            provider=self._request.provider.id,
            status=answer.status,
            retry_after_seconds=seconds,
            charged_possible=False,
        )

    def _read_plain(self, raw: bytes, headers: Mapping[str, str]) -> Reported:
        body = reading.parse_object(raw)
        if body is None:
            raise UnreadableReplyError(f"{self._request.provider.id} sent a reply that is no JSON object")
        return self._dialect.read_reply(body, headers)

    def _settle(self, reported: Reported) -> Outcome:
        usage = reported.usage
        if usage is None and self._thinks_unseen():
            raise self._doubted(
                UnreadableReplyError(f"{self._request.provider.id} did not say what the answer used")
            )
        if usage is None or not reported.finished:
            usage = self._estimated(reported)
        try:
            receipt = self._engine.settle(self._hold_id, self._priced(usage, reported))
        except UnknownPriceError as error:
            raise self._doubted(error) from error
        limit = self._quote.output_limit if self._quote.limited_by in ("budget", "default") else None
        reached = limit is not None and usage.output_tokens >= limit * self._ask.answers
        return Outcome(
            receipt, self._quote, reported, limit if reached else None, reached or not reported.finished
        )

    def _broken_off(self, why: str) -> str:
        """
        Charge what came; where that does not tell what it cost, keep the hold, unconfirmed.

        Gives what was booked, in words.
        """
        try:
            reported = self._reader.reported() if self._reader is not None else None
            if reported is None or self._thinks_unseen() or _told_nothing(reported):
                return self._unconfirmed(why)
            usage = reported.usage
            if usage is None or not reported.finished:
                usage = self._estimated(reported)
            cost = self._priced(usage, reported)
        except (UnknownPriceError, UnreadableReplyError):
            return self._unconfirmed(why)
        receipt = self._engine.settle(self._hold_id, cost)
        return f"charged {money(receipt.nanos)} for what was received ({cost.how})"

    def _unconfirmed(self, why: str) -> str:
        hold = self._engine.doubt(self._hold_id, reason=why)
        return (
            f"nobody knows what it cost: {money(hold.nanos)} stays held, unconfirmed, until"
            f" `budget holds settle {hold.id} --amount USD` or `budget holds release {hold.id}`"
        )

    def _thinks_unseen(self) -> bool:
        prices = self._engine.book.find(
            self._ask.model, provider=self._request.price_provider, at=self._engine.clock()
        )
        return self._ask.reasoning or prices.reasoning

    def _estimated(self, reported: Reported) -> Usage:
        """Our own count, said to be one: what came, and of the input what was told, else the quote's."""
        count = self._engine.counter.count_text(
            reported.text + reported.aside, provider=self._quote.provider, model=self._quote.model
        )
        told = dict(reported.usage.counts) if reported.usage is not None else {}
        output = max(count.likely, told.pop("output", 0))
        if not told:
            told = {"input": self._quote.input_tokens}
        return Usage.of(how=f"estimated:{count.how}", **{**told, "output": output})

    def _priced(self, usage: Usage, reported: Reported) -> Charge:
        assert self._held is not None, "a call is held before it leaves"
        return priced(
            self._engine,
            replace(reported, usage=usage, region=reported.region or self._ask.region),
            asked=self._ask.model,
            provider=self._request.price_provider,
            at=self._held.hold.at,
            asked_decides=self._request.provider.local,
        )

    def _doubted(self, error: BudgetError) -> BudgetError:
        """The same error, once its hold says that nobody knows the cost."""
        return type(error)(error.message, hint=self._unconfirmed(error.message), **error.values)


def _told_nothing(reported: Reported) -> bool:
    return reported.usage is None and not reported.text and not reported.aside
