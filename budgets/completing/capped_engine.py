"""An engine whose calls must fit the cap of this process as well."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from budgets import process_cap
from budgets.asks import Ask
from budgets.engine.api import EngineApi
from budgets.ports import Clock, TokenCounter
from budgets.pricing import Cost, PriceBook
from budgets.process_cap import CapHold
from budgets.records import Charge, Entry, Held, Hold, Quote, Receipt
from budgets.usage import Usage


class CappedEngine:
    """
    An engine whose calls must fit the cap as well. It is what `budgets.calls` asks of one, and no more.

    Args:
        engine: Where calls are quoted, held, and charged.
    """

    def __init__(self, engine: EngineApi) -> None:
        self._engine = engine
        self.clock: Clock = engine.clock
        self._holds: dict[str, CapHold] = {}

    @property
    def book(self) -> PriceBook:
        """See `Engine.book`."""
        return self._engine.book

    @property
    def counter(self) -> TokenCounter:
        """See `Engine.counter`."""
        return self._engine.counter

    def quote(self, ask: Ask, *, provider: str | None = None) -> Quote:
        """See `Engine.quote`."""
        return self._engine.quote(ask, provider=provider)

    def cost(
        self,
        usage: Usage,
        *,
        model: str,
        provider: str | None = None,
        tier: str | None = None,
        region: str | None = None,
        at: datetime | None = None,
    ) -> Cost:
        """See `Engine.cost`."""
        return self._engine.cost(usage, model=model, provider=provider, tier=tier, region=region, at=at)

    def renew_lease(self) -> None:
        """See `Engine.renew_lease`."""
        self._engine.renew_lease()

    def hold(
        self,
        user: str,
        needed: Quote,
        *,
        terms: Mapping[str, Any] | None = None,
    ) -> Held:
        """See `Engine.hold`. The cap comes first: it costs no writing."""
        capped = process_cap.hold(needed, user=user)
        try:
            found = self._engine.hold(user, capped.quote or needed, terms=terms)
        except BaseException:
            capped.release()
            raise
        capped.shrink(found.hold.nanos)
        self._holds[found.hold.id] = capped
        return found

    def settle(self, hold_id: str, cost: Charge) -> Receipt:
        """See `Engine.settle`."""
        receipt = self._engine.settle(hold_id, cost)
        self._holds.pop(hold_id).settle(receipt.nanos)
        return receipt

    def release(self, hold_id: str, *, reason: str) -> Entry:
        """See `Engine.release`."""
        entry = self._engine.release(hold_id, reason=reason)
        self._holds.pop(hold_id).release()
        return entry

    def doubt(self, hold_id: str, *, reason: str) -> Hold:
        """See `Engine.doubt`."""
        doubted = self._engine.doubt(hold_id, reason=reason)
        self._holds.pop(hold_id).doubt()
        return doubted
