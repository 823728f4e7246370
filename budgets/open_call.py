"""The money of one call, from its hold to what is written down about it, once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from budgets import process_cap
from budgets.doors import Door
from budgets.errors import BudgetError
from budgets.metering import Ending, Metering, Release, Request, Settle, unconfirmed_words
from budgets.money import Nanos
from budgets.process_cap import CapHold
from budgets.records import Charge, Held, Quote, Receipt

_log = logging.getLogger("budgets")


class OpenCall:
    """
    Money that is held for one call, until `settle`, `release`, or `doubt`.

    Args:
        door: Carries the operations out.
        user: Whose money it is.
    """

    def __init__(self, door: Door, user: str) -> None:
        self._door = door
        self.user = user
        self._capped: CapHold | None = None
        self.held: Held | None = None
        # Nothing more has to be written down: it was settled, released, or said to be in doubt.
        self.ended = False
        self.receipt: Receipt | None = None

    @property
    def id(self) -> str:
        """The call's id: its hold's, and its charge's."""
        assert self.held is not None, "it is asked for once it is held"
        return self.held.hold.id

    async def hold(
        self, needed: Quote | Nanos, *, model: str | None = None, terms: Mapping[str, Any] | None = None
    ) -> Held:
        """
        Set the most that it can cost aside, of the user's money and of what this process may spend.

        Raises:
            BudgetExceededError: it does not fit.
        """
        # It costs no writing, so it comes first.
        capped = process_cap.hold(needed, user=self.user)
        try:
            self.held = await self._door.hold(
                self.user, capped.quote or needed, model=model, terms=terms or {}
            )
        except BaseException:
            capped.release()
            raise
        capped.shrink(self.held.hold.nanos)
        self._capped = capped
        self._door.keeper.begin()
        return self.held

    def through(self, door: Door) -> None:
        """From now on have its operations carried out there."""
        self._door = door

    async def settle(self, cost: Charge) -> Receipt:
        """Charge what it did cost. Twice charges once."""
        self.receipt = await self._door.settle(self.id, cost)
        self._cap.settle(self.receipt.nanos)
        self._end()
        return self.receipt

    async def release(self, reason: str) -> None:
        """Let the hold go: it cost nothing."""
        await self._door.release(self.id, reason=reason)
        self._cap.release()
        self._end()

    async def doubt(self, reason: str) -> str:
        """Keep the hold, unconfirmed, and warn; gives what it means, in words."""
        hold = await self._door.doubt(self.id, reason=reason)
        self._cap.doubt()
        self._end()
        words = unconfirmed_words(hold.id, hold.nanos)
        _log.warning("a call of %s: %s; %s", self.user, reason, words)
        return words

    async def write(self, ending: Ending) -> None:
        """Write down what metering says; nothing, where that is done."""
        if self.ended:
            return
        if isinstance(ending, Settle):
            await self.settle(ending.charge)
        elif isinstance(ending, Release):
            await self.release(ending.reason)
        else:
            await self.doubt(ending.reason)

    @property
    def _cap(self) -> CapHold:
        assert self._capped is not None, "it is asked for once it is held"
        return self._capped

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._door.keeper.end()


async def begin(door: Door, request: Request) -> tuple[OpenCall, Metering, Mapping[str, Any]]:
    """
    Quote and hold *request*; gives its money, its metering, and what may be sent.

    Raises:
        BudgetExceededError: it does not fit; nothing is held.
        InvalidValueError: it is no request of its dialect, or its output cannot be limited.
        UnknownPriceError: its model has no price.
    """
    metering = await door.work(lambda: Metering(door.engine, request))
    call = OpenCall(door, request.user)
    metering.take(await call.hold(metering.quote, terms=metering.terms))
    try:
        return call, metering, metering.outgoing()
    except BudgetError as error:
        await call.release(error.message)
        raise
