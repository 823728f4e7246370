"""
What every door asks of an engine, on a store of this machine or on a server. `Engine` says each in full.

What crosses to a server is made from these annotations, so they are read by a program as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any, Protocol

from budgets import pricing
from budgets.asks import Ask
from budgets.engine.explaining import Explained
from budgets.engine.reading import Outlook
from budgets.engine.reporting import Branch, By, ProjectReport, Spending, Which
from budgets.engine.shaping import Change, LimitTerms
from budgets.lessons import Learned
from budgets.money import Nanos
from budgets.ports import Clock, TokenCounter
from budgets.pricing import PriceBook
from budgets.records import (
    ROOT,
    Budget,
    BudgetStatus,
    Charge,
    CheckReport,
    Entry,
    Held,
    Hold,
    Quote,
    Receipt,
    Rolled,
    StoreInfo,
)
from budgets.usage import Usage


class EngineApi(Protocol):
    """One project's budgets, wherever they are kept. Safe to share between threads."""

    project: str
    clock: Clock

    # Counted and priced where the request is: prompts stay there.

    @property
    def book(self) -> PriceBook: ...
    @property
    def counter(self) -> TokenCounter: ...
    def new_id(self, kind: str) -> str: ...
    def quote(self, ask: Ask, *, provider: str | None = None) -> Quote: ...
    def cost(
        self,
        usage: Usage,
        *,
        model: str,
        provider: str | None = None,
        tier: str | None = None,
        region: str | None = None,
        at: datetime | None = None,
    ) -> pricing.Cost: ...

    # Money in motion

    def hold(
        self,
        user: str,
        needed: Quote | Nanos,
        *,
        model: str | None = None,
        hold_id: str | None = None,
        terms: Mapping[str, Any] | None = None,
        sharers: int = 1,
    ) -> Held: ...
    def settle(self, hold_id: str, cost: Charge) -> Receipt: ...
    def settle_amount(self, hold_id: str, nanos: Nanos, *, note: str | None = None) -> Receipt: ...
    def release(self, hold_id: str, *, reason: str) -> Entry: ...
    def doubt(self, hold_id: str, *, reason: str) -> Hold: ...
    def charge(
        self, user: str, cost: Charge, *, charge_id: str | None = None, at: datetime | None = None
    ) -> Receipt: ...
    def correct(
        self, charge_id: str, nanos: Nanos, *, note: str, correction_id: str | None = None
    ) -> Receipt: ...

    # Leases

    def renew_lease(self) -> None: ...
    def end_lease(self) -> None: ...
    def expire(self) -> list[Hold]: ...

    # The shape of things

    def create(
        self,
        user: str,
        *limits: LimitTerms,
        parent: str = ROOT,
        if_missing: bool = False,
        change_id: str | None = None,
    ) -> tuple[Budget, bool]: ...
    def change(self, user: str, wanted: Change, *, change_id: str | None = None) -> Budget: ...
    def archive(self, user: str) -> Budget: ...
    def unarchive(self, user: str) -> Budget: ...
    def reset(self, user: str, *, change_id: str | None = None) -> list[Rolled]: ...
    def reset_due(
        self, *, dry_run: bool = False, watch: Callable[[int], None] | None = None
    ) -> list[Rolled]: ...

    # Questions

    def budget(self, user: str) -> Budget | None: ...
    def status(self, user: str) -> BudgetStatus: ...
    def statuses(
        self,
        *,
        with_project: bool = False,
        archived: bool = False,
        watch: Callable[[int], None] | None = None,
    ) -> list[BudgetStatus]: ...
    def outlook(self, user: str, quote: Quote) -> Outlook: ...
    def users(self, *, archived: bool = False) -> list[str]: ...
    def members(self, above: str) -> list[str]: ...
    def used_most(self, least: Fraction) -> list[str]: ...
    def tree(self, top: str = ROOT, *, depth: int | None = None) -> Branch | None: ...
    def holds(self, user: str | None = None) -> list[Hold]: ...
    def find_hold(self, hold_id: str) -> Hold: ...
    def entries(self, user: str | None = None) -> list[Entry]: ...
    def stream(self, user: str | None = None) -> Iterator[Entry]: ...
    def history(self, user: str | None = None, *, before: str | None = None, count: int) -> list[Entry]: ...
    def charges(
        self, user: str = ROOT, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Entry]: ...
    def explain(self, record_id: str) -> Explained: ...
    def learned(self) -> tuple[Learned, datetime | None]: ...
    def timezone(self, user: str = ROOT) -> str: ...
    def spending(
        self,
        user: str = ROOT,
        *,
        by: By = "model",
        which: Which = "current",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Spending: ...
    def projects(self) -> list[ProjectReport]: ...
    def project_names(self) -> list[str]: ...
    def info(self) -> StoreInfo: ...
    def check(self, *, watch: Callable[[int], None] | None = None) -> CheckReport: ...
    def let_go(self) -> None: ...
    def close(self) -> None: ...


__all__ = ["EngineApi"]
