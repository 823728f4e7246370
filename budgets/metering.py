"""
One call being metered: what has to be held, what may be sent, what came of it.

Nothing here opens a socket or writes to a store. Whoever makes the call tells it what arrived, and is told
what to write down; so one set of rules serves the command line, the library's clients and the gateway.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

from budgets import pricing, providers
from budgets.asks import Ask, Count
from budgets.dialects import by_name, reading
from budgets.dialects.base import Dialect, Reported, StreamReader
from budgets.dialects.sse import Event
from budgets.engine.desk import Desk
from budgets.errors import BudgetError, ProviderError, UnknownPriceError, UnreadableReplyError
from budgets.money import money, round_up
from budgets.providers import Provider
from budgets.records import Charge, Held, Quote
from budgets.usage import Usage

# An error body is shown, not stored: this much of it tells what is wrong.
MOST_ERROR_BYTES = 64 * 1024

# How long the rest of an answer is read whose caller has gone, for the sake of its usage.
DRAIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent, and whose money it is."""

    user: str
    provider: Provider
    # Where the provider's API is; the dialect's path comes after it.
    base_url: str
    key: str | None = field(repr=False)
    # In the dialect.
    body: Mapping[str, Any] = field(repr=False)
    # Where it is not the provider's usual one: a provider may speak several.
    spoken: str | None = None

    @property
    def dialect(self) -> Dialect:
        """The wire format of the request."""
        return by_name(self.spoken or self.provider.dialect)

    @property
    def price_provider(self) -> str | None:
        """Whose prices count. A model on one's own machine has only the owner's, whatever serves it."""
        return None if self.provider.local else self.provider.id


@dataclass(frozen=True, slots=True)
class Settle:
    """Charge this, and let the hold go."""

    charge: Charge


@dataclass(frozen=True, slots=True)
class Release:
    """Let the hold go: nothing was charged."""

    reason: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """Keep the hold, unconfirmed: nobody knows what the call cost."""

    reason: str
    # What the caller is told, where the call itself did not fail.
    error: BudgetError | None = None


Ending: TypeAlias = Settle | Release | Doubt


class Metering:
    """
    One call, from its request to what is written down about it.

    In this order: `take` what was held; send `outgoing`; tell it of the reply (`read_plain`, or `feed` piece
    by piece) and write down what `finish` says. In place of the last step: `refused`, where the provider
    refused; `unanswered`, where no answer came; `broken_off`, where it did not come to its end.

    Args:
        desk: Quotes and prices.
        request: What the caller wants to send.

    Raises:
        InvalidValueError: it is no request of its dialect.
        UnknownPriceError: its model has no price.
    """

    def __init__(self, desk: Desk, request: Request) -> None:
        self._desk = desk
        self.request = request
        self.dialect = request.dialect
        self.ask, self.quote = quote(desk, request)
        # The moment of the call, of which the prices are; `None` before it is held.
        self._at: datetime | None = None
        # Something came that is no refusal: from now on money may have been spent.
        self.answered = False
        # The stream was asked for its usage by us, not by the caller.
        self.asked_for_usage = False
        self._reader: StreamReader | None = None
        self._plain: Reported | None = None

    @property
    def terms(self) -> dict[str, Any]:
        """What is kept with the hold: counts and ids only."""
        return {
            "provider": self.quote.provider,
            "input_tokens": self.quote.input_tokens_most,
            "counted": self.quote.counted,
        }

    def take(self, held: Held) -> None:
        """It is held: the quote is the one that fits, and the moment of the call is known."""
        assert held.quote is not None, "what was quoted is held as a quote"
        self.quote = held.quote
        self._at = held.hold.at

    def outgoing(self) -> Mapping[str, Any]:
        """
        What may be sent: the very body of the request, or a copy with what the budget needs.

        Raises:
            InvalidValueError: its output cannot be limited; let the hold go.
        """
        body = self.request.body
        if self.quote.limited_by != "caller":
            body = self.dialect.limit_output(body, self.quote.output_limit)
        if self.ask.stream and self.request.provider.stream_usage_on_request:
            asking = self.dialect.ask_for_usage(body)
            self.asked_for_usage = asking != body
            body = asking
        return self.request.body if body == self.request.body else body

    # What arrives

    def is_stream(self, headers: Mapping[str, str]) -> bool:
        """An answer with these headers (names in lower case) is the stream that was asked for."""
        return self.ask.stream and is_stream_of(self.dialect, headers)

    def read_plain(self, raw: bytes, headers: Mapping[str, str]) -> str:
        """
        A whole reply is there; gives its text.

        Raises:
            UnreadableReplyError: it is no JSON, its usage cannot be trusted, or the call goes on elsewhere.
        """
        self.answered = True
        body = reading.parse_object(raw)
        if body is None:
            raise UnreadableReplyError(f"{self.request.provider.id} sent a reply that is no JSON object")
        return self.read_reported(self.dialect.read_reply(body, headers))

    def read_reported(self, reported: Reported) -> str:
        """
        The same for a reply that somebody has read already.

        Raises:
            UnreadableReplyError: the call goes on elsewhere.
        """
        self.answered = True
        if not reported.finished:
            raise UnreadableReplyError(f"{self.request.provider.id} has not finished the answer")
        self._plain = reported
        return reported.text

    def feed(self, piece: bytes) -> str:
        """The next bytes of a stream are there (none at all: it has begun); gives the text they complete."""
        self.answered = True
        if self._reader is None:
            self._reader = self.dialect.read_stream()
        return self._reader.feed(piece)

    def reported(self) -> Reported:
        """
        What has arrived, as far as it says what was used.

        Raises:
            UnreadableReplyError: a usage block came and cannot be trusted, or nothing has arrived.
        """
        if self._plain is not None:
            return self._plain
        if self._reader is None:
            raise UnreadableReplyError(f"{self.request.provider.id} has sent nothing")
        return self._reader.reported()

    # What to write down

    def refused(self, status: int, raw: bytes, headers: Mapping[str, str]) -> ProviderError:
        """The provider refused, in its own words. Release the hold: a call that it refuses is not billed."""
        provider = self.request.provider.id
        words = self.dialect.read_error(raw)
        after = headers.get("retry-after", "")
        # It may also be a date, which tells a person no more than "later".
        seconds = int(after) if after.isascii() and after.isdigit() else None
        again = status == 429 or status >= 500
        return ProviderError(
            f"{provider} answered {status}: {words}",
            hint=(
                "nothing was charged; try again" + (" later" if seconds is None else f" in {seconds} seconds")
                if again
                else "nothing was charged; mend the request, the model's name or the key"
            ),
            provider=provider,
            status=status,
            retry_after_seconds=seconds,
            charged_possible=False,
        )

    def finish(self) -> Ending:
        """
        The answer is complete, or its stream has ended.

        Raises:
            UnreadableReplyError: its usage cannot be trusted: `broken_off` says what to write.
        """
        reported = self.reported()
        told = reported.usage is not None and not reported.leaves_out_answer
        if not told and self._thinks_unseen():
            error = UnreadableReplyError(f"{self.request.provider.id} did not say what the answer used")
            return Doubt(error.message, error)
        try:
            return Settle(self._priced(reported))
        except UnknownPriceError as error:
            return Doubt(error.message, error)

    def broken_off(self, why: str) -> Ending:
        """It ended before its time: charge what came; where that does not tell what it cost, doubt."""
        try:
            reported = self.reported()
            if self._plain is None and (self._thinks_unseen() or _told_nothing(reported)):
                return Doubt(why)
            return Settle(self._priced(reported))
        except (UnknownPriceError, UnreadableReplyError):
            return Doubt(why)

    def cut(self) -> Ending:
        """We ended it, because what came costs more than was held: that is what is charged."""
        try:
            return Settle(self._priced(self.reported()))
        except (UnknownPriceError, UnreadableReplyError) as error:
            return Doubt(error.message)

    def cut_here(self) -> list[Event] | None:
        """The events that end the stream here; see `StreamReader.cut_here`."""
        assert self._reader is not None, "a stream that is cut has begun"
        return self._reader.cut_here(self._estimated(self.reported()).output_tokens)

    def count(self, text: str) -> Count:
        """Our own count of a text that the model wrote."""
        return self._desk.counter.count_text(text, provider=self.quote.provider, model=self.quote.model)

    def least_nanos(self, reported: Reported, tokens: int) -> int:
        """
        What the call has cost at least, when so much is reported and *tokens* were written.

        Raises:
            UnknownPriceError: something of it has no price.
        """
        return self._charge(self._at_least(reported, tokens, "least"), reported).nanos

    def failed(self, error: ProviderError) -> Ending:
        """No answer came, or it broke off: released where nothing can have been charged."""
        if self.answered or error.values.get("charged_possible"):
            return self.broken_off(written_of(error))
        return Release(written_of(error))

    def budget_output_limit(self, charge: Charge) -> int | None:
        """The output limit that the budget set, and that ended the answer; `None`: it did not."""
        if self.quote.limited_by not in ("budget", "default") or charge.usage is None:
            return None
        limit = self.quote.output_limit
        return limit if charge.usage.output_tokens >= limit * self.ask.answers else None

    def _thinks_unseen(self) -> bool:
        prices = self._desk.book.find(
            self.ask.model, provider=self.request.price_provider, at=self._desk.clock()
        )
        return self.ask.reasoning or prices.reasoning

    def _estimated(self, reported: Reported) -> Usage:
        """Our own count, said to be one: what came, and of the input what was told, else the quote's."""
        count = self.count(reported.text + reported.aside)
        return self._at_least(reported, count.likely, count.how)

    def _at_least(self, reported: Reported, tokens: int, how: str) -> Usage:
        """What was told, with *tokens* of output at least, of which reasoning that was shown is a part."""
        told = dict(reported.usage.counts) if reported.usage is not None else {}
        written = reported.usage.output_tokens if reported.usage is not None else 0
        output = told.pop("output", 0) + max(0, tokens - written)
        if not told:
            told = {"input": self.quote.input_tokens, **dict(self.ask.fees)}
        return Usage.of(how=f"estimated:{how}", **{**told, "output": output})

    def _priced(self, reported: Reported) -> Charge:
        usage = reported.usage
        if usage is None or not reported.finished or reported.leaves_out_answer:
            usage = self._estimated(reported)
        return self._charge(usage, reported)

    def _charge(self, usage: Usage, reported: Reported) -> Charge:
        return priced(
            self._desk,
            replace(reported, usage=usage, region=reported.region or self.ask.region),
            asked=self.ask.model,
            provider=self.request.price_provider,
            at=self._at,
            asked_decides=self.request.provider.local,
        )


def written_of(error: ProviderError) -> str:
    """What is written down of a failure: a provider's own words may quote the prompt, or a key."""
    status = error.values.get("status")
    return error.message if status is None else f"{error.values['provider']} answered {status}"


def _told_nothing(reported: Reported) -> bool:
    return reported.usage is None and not reported.text and not reported.aside


def is_stream_of(dialect: Dialect, headers: Mapping[str, str]) -> bool:
    """Whether an answer with these headers (names in lower case) is a stream of *dialect*."""
    kind, _, _ = headers.get("content-type", "").partition(";")
    return kind.strip().lower() in dialect.stream_types


def unconfirmed_words(hold_id: str, nanos: int) -> str:
    """What a hold means whose cost nobody knows, and what to do about it."""
    return (
        f"nobody knows what it cost: {money(nanos)} stays held, unconfirmed, until"
        f" `budget holds settle {hold_id} --amount USD` or `budget holds release {hold_id}`"
    )


def quote(desk: Desk, request: Request) -> tuple[Ask, Quote]:
    """
    What *request* asks for, and the most it can cost.

    Raises:
        InvalidValueError: it is no request of its dialect.
        UnknownPriceError: its model has no price.
    """
    ask = request.dialect.read_request(request.body)
    ask = replace(ask, region=ask.region or providers.region_of(request.base_url))
    try:
        return ask, desk.quote(ask, provider=request.price_provider)
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
    desk: Desk,
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
        UnreadableReplyError: the reply has no usage, or one that leaves its answer out.
    """
    if reported.usage is None:
        raise UnreadableReplyError(
            "the reply has no usage block",
            hint="charge token counts or an amount instead",
            model=reported.model,
        )
    if reported.leaves_out_answer:
        raise UnreadableReplyError(
            "the reply has an answer, and its usage says that nothing was written",
            hint="charge token counts or an amount instead",
            model=reported.model,
        )

    def found(usage: Usage, *names: str | None) -> pricing.Cost:
        known = [name for name in names if name]
        cost = partial(
            desk.cost, usage, provider=provider, tier=reported.service_tier, region=reported.region, at=at
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
