"""
One metered call over an upstream, from request to receipt: quote, hold, send, read, settle.

What is held, sent, and written down is decided in `budgets.metering`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from budgets.dialects.base import Reported
from budgets.engine.desk import Desk
from budgets.errors import BudgetBusyError, BudgetError, ProviderError, UnreadableReplyError
from budgets.leases import Leased, kept_alive
from budgets.metering import (
    MOST_ERROR_BYTES,
    Doubt,
    Ending,
    Metering,
    Release,
    Request,
    Settle,
    unconfirmed_words,
)
from budgets.money import Nanos, money
from budgets.records import Charge, Entry, Held, Hold, Quote, Receipt
from budgets.upstream import Answer, OutgoingCall, Upstream

# Not reached, too many requests, overloaded. After another failure a provider may have worked already.
_TRIED_AGAIN = frozenset({None, 429, 503, 529})

# A provider that wants a longer pause is not waited for.
_LONGEST_PAUSE_SECONDS = 20


class CallEngine(Desk, Leased, Protocol):
    """What a call asks of an engine; every engine has more."""

    def hold(self, user: str, needed: Quote, *, terms: Mapping[str, Any] | None = None) -> Held:
        """Set the most it can cost aside."""
        ...

    def settle(self, hold_id: str, cost: Charge) -> Receipt:
        """Charge what it did cost."""
        ...

    def release(self, hold_id: str, *, reason: str) -> Entry:
        """Let the hold go: it cost nothing."""
        ...

    def doubt(self, hold_id: str, *, reason: str) -> Hold:
        """Keep the hold, unconfirmed: nobody knows what it cost."""
        ...


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


async def complete(
    engine: CallEngine,
    upstream: Upstream,
    request: Request,
    *,
    on_text: Callable[[str], None] = lambda _: None,
    on_broken_off: Callable[[str], None] = lambda _: None,
    in_doubt: Callable[[str, Nanos], str] = unconfirmed_words,
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
        in_doubt: Says what a hold (its id, its amount) means whose cost nobody knows, and what to do.
        patience_seconds: How long to wait where only running calls stand in the way.
        retries: How often to try again where nothing can have been charged: the provider was not
            reached, or said that it is too busy. The hold stays meanwhile.
        pause: Waits between tries, for so many seconds.

    Raises:
        BudgetExceededError: it does not fit; nothing was sent. `BudgetBusyError`: nor did it after waiting.
        ProviderError: the provider refused or did not answer; the message has its own words.
        UnreadableReplyError: an answer came that does not say what it used; its hold is unconfirmed.
    """
    call = _Call(engine, request, in_doubt)
    await call.hold(patience_seconds)
    with kept_alive(engine):
        return await call.carry_out(
            upstream, on_text=on_text, on_broken_off=on_broken_off, retries=retries, pause=pause
        )


class _Call:
    """One call between its steps, and what was written down about it."""

    def __init__(self, engine: CallEngine, request: Request, in_doubt: Callable[[str, Nanos], str]) -> None:
        self._engine = engine
        self._request = request
        self._in_doubt = in_doubt
        self._metering = Metering(engine, request)
        self._hold_id = ""
        self._tries = 0
        # Between two tries nothing is on its way, and what came before cost nothing.
        self._pausing = False

    async def hold(self, patience_seconds: float) -> None:
        """Hold the most it can cost, waiting for running calls up to the given time."""
        deadline = time.monotonic() + patience_seconds
        nap = 0.02
        metering = self._metering
        while True:
            try:
                held = self._engine.hold(self._request.user, metering.quote, terms=metering.terms)
            except BudgetBusyError:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    raise
                # Chance keeps those who wait from asking at the same moment; it is no secret.
                await asyncio.sleep(min(rest, nap * (0.5 + random.random())))  # noqa: S311
                nap = min(nap * 1.5, 0.5)
            else:
                metering.take(held)
                self._hold_id = held.hold.id
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
        try:
            outgoing = self._outgoing()
        except BudgetError as error:
            self._engine.release(self._hold_id, reason=error.message)
            raise
        try:
            while True:
                try:
                    await self._answer(upstream, outgoing, on_text)
                    break
                except ProviderError as error:
                    wait = self._may_try_again(error, self._tries) if self._tries < retries else None
                    if wait is None:
                        raise
                self._tries += 1
                self._pausing = True
                await pause(wait)
                self._pausing = False
            ending = self._metering.finish()
        except ProviderError as error:
            ending = self._metering.failed(error)
            booked = self._written(ending)
            if isinstance(ending, Release):
                raise
            raise ProviderError(error.message, hint=booked, **error.values) from error
        except UnreadableReplyError as error:
            ending = Doubt(error.message, error)
        except BaseException as error:
            if self._pausing:
                self._engine.release(self._hold_id, reason=type(error).__name__)
                on_broken_off("nothing was charged")
                raise
            # Cancelled, or a broken pipe of our own: what was received is charged before anything else.
            on_broken_off(self._written(self._metering.broken_off(type(error).__name__)))
            raise
        return self._outcome(ending)

    async def _answer(
        self, upstream: Upstream, outgoing: OutgoingCall, on_text: Callable[[str], None]
    ) -> None:
        metering = self._metering
        async with upstream.send(outgoing) as answer:
            if answer.status >= 400:
                raise metering.refused(answer.status, await _error_body(answer), answer.headers)
            metering.answered = True
            if not metering.is_stream(answer.headers):
                on_text(metering.read_plain(await answer.read(), answer.headers))
                return
            metering.feed(b"")
            async for piece in answer.chunks:
                on_text(metering.feed(piece))

    def _may_try_again(self, error: ProviderError, tries: int) -> float | None:
        """How many seconds to wait before another try; `None`: none, or something may have been charged."""
        if self._metering.answered or error.values.get("charged_possible") is not False:
            return None
        if error.values["status"] not in _TRIED_AGAIN:
            return None
        said = error.values.get("retry_after_seconds")
        if said is not None:
            return float(said) if said <= _LONGEST_PAUSE_SECONDS else None
        return float(2**tries) * (0.5 + random.random() / 2)  # noqa: S311 - chance is enough

    def _outgoing(self) -> OutgoingCall:
        request, dialect = self._request, self._metering.dialect
        sent = dialect.sent(self._metering.outgoing())
        return OutgoingCall(
            provider=request.provider.id,
            url=request.base_url + sent.path,
            headers={"content-type": "application/json", **dialect.headers(request.key)},
            body=json.dumps(sent.body, ensure_ascii=False).encode("utf-8", "replace"),
        )

    def _outcome(self, ending: Ending) -> Outcome:
        if isinstance(ending, Doubt):
            assert ending.error is not None, "an answer that came to its end is doubted for a reason"
            error = ending.error
            raise type(error)(error.message, hint=self._written(ending), **error.values) from error
        assert isinstance(ending, Settle), "an answer is charged"
        receipt = self._engine.settle(self._hold_id, ending.charge)
        metering, reported = self._metering, self._metering.reported()
        reached = metering.budget_output_limit(ending.charge)
        return Outcome(
            receipt, metering.quote, reported, reached, reached is not None or not reported.finished
        )

    def _written(self, ending: Ending) -> str:
        """Write an ending down; gives what was booked, in words."""
        if isinstance(ending, Settle):
            receipt = self._engine.settle(self._hold_id, ending.charge)
            return f"charged {money(receipt.nanos)} for what was received ({ending.charge.how})"
        if isinstance(ending, Release):
            self._engine.release(self._hold_id, reason=ending.reason)
            return "nothing was charged"
        hold = self._engine.doubt(self._hold_id, reason=ending.reason)
        return self._in_doubt(hold.id, hold.nanos)


async def _error_body(answer: Answer) -> bytes:
    try:
        return await answer.read(at_most=MOST_ERROR_BYTES)
    except ProviderError as error:
        return error.message.encode()
