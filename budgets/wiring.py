"""The only place that picks a store, prices, a counter and a clock, and puts an engine together."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from budgets.clock import utc_now
from budgets.config import Settings
from budgets.engine import Engine, EngineSettings
from budgets.errors import ConfigError
from budgets.ports import Clock, Store
from budgets.processes import SystemProcesses

if TYPE_CHECKING:
    from budgets.ports import TokenCounter
    from budgets.pricing import PriceBook


def open_engine(settings: Settings, *, clock: Clock = utc_now, grouped: bool = False) -> Engine:
    """
    An engine on the store that *settings* name.

    Nothing heavy is loaded before it is needed: prices when one is asked for, the tokenizer when something
    is counted.

    Args:
        grouped: Many threads' operations share one commit (`budgets.writer`), for a server or a gateway.
    """
    store = open_store(settings)

    @cache
    def book() -> PriceBook:
        from budgets.prices import open_book

        return open_book(settings.prices)

    @cache
    def counter() -> TokenCounter:
        from budgets.tokens.counter import TiktokenCounter

        return TiktokenCounter()

    runner = None
    if grouped:
        from budgets.writer import Writer

        runner = Writer(store, settings.project, clock)
    return Engine(
        store,
        project=settings.project,
        clock=clock,
        processes=SystemProcesses(),
        book=book,
        counter=counter,
        settings=EngineSettings(
            on_expiry=settings.on_expiry,
            default_output_tokens=settings.default_output_tokens,
            durable_holds=settings.durability == "power",
        ),
        runner=runner,
    )


def open_store(settings: Settings) -> Store:
    """The store of that path; SQLite is the only kind for now."""
    if "://" in str(settings.store) or str(settings.store).startswith(("http:", "https:")):
        raise ConfigError(f"{settings.store} is not a file", hint="give the path of a store's file")
    from budgets.stores.sqlite import SqliteStore

    return SqliteStore(settings.store)
