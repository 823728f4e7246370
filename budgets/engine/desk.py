"""Where a call is counted and priced: beside the request, so that prompts stay there."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from budgets import pricing
    from budgets.asks import Ask
    from budgets.ports import Clock, TokenCounter
    from budgets.pricing import PriceBook
    from budgets.records import Quote
    from budgets.usage import Usage


class Desk(Protocol):
    """Counts and prices; every engine is one."""

    clock: Clock

    @property
    def book(self) -> PriceBook:
        """The price book."""
        ...

    @property
    def counter(self) -> TokenCounter:
        """The token counter."""
        ...

    def quote(self, ask: Ask, *, provider: str | None = None) -> Quote:
        """The most a request can cost, now."""
        ...

    def cost(
        self,
        usage: Usage,
        *,
        model: str,
        provider: str | None = None,
        tier: str | None = None,
        region: str | None = None,
        at: datetime | None = None,
    ) -> pricing.Cost:
        """What *usage* costs at the prices of the moment of the call."""
        ...


D = TypeVar("D", bound=Desk)


class AtDesk(Generic[D]):
    """
    Counts and prices at another desk; what else it does, its own class says.

    Args:
        desk: Nothing is kept in it.
    """

    def __init__(self, desk: D) -> None:
        self._desk = desk
        self.clock: Clock = desk.clock

    @property
    def book(self) -> PriceBook:
        """See `Engine.book`."""
        return self._desk.book

    @property
    def counter(self) -> TokenCounter:
        """See `Engine.counter`."""
        return self._desk.counter

    def quote(self, ask: Ask, *, provider: str | None = None) -> Quote:
        """See `Engine.quote`."""
        return self._desk.quote(ask, provider=provider)

    def cost(
        self,
        usage: Usage,
        *,
        model: str,
        provider: str | None = None,
        tier: str | None = None,
        region: str | None = None,
        at: datetime | None = None,
    ) -> pricing.Cost:
        """See `Engine.cost`."""
        return self._desk.cost(usage, model=model, provider=provider, tier=tier, region=region, at=at)
