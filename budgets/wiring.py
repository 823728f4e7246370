"""The only place that picks a store, prices, a counter and a clock, and puts an engine together."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from budgets.clock import utc_now
from budgets.config import Settings
from budgets.engine import Change, Engine, EngineSettings
from budgets.errors import ConfigError, StoreError
from budgets.ports import Clock, Store
from budgets.processes import SystemProcesses
from budgets.records import ROOT, Threshold

if TYPE_CHECKING:
    from budgets.engine import Runner
    from budgets.engine.api import EngineApi
    from budgets.notices import Notices
    from budgets.ports import TokenCounter
    from budgets.pricing import PriceBook
    from budgets.remote import RemoteEngine
    from budgets.writer import Writer


def open_engine(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    grouped: bool = False,
    on_threshold: Callable[[Threshold], None] | None = None,
    kind: type[Engine] = Engine,
) -> Engine:
    """
    An engine on the store that *settings* name.

    Nothing heavy is loaded before it is needed: prices when one is asked for, the tokenizer when something
    is counted.

    Args:
        grouped: Many threads' operations share one commit (`budgets.writer`), for a server or a gateway.
        on_threshold: Is told of each threshold that a charge reaches; `None`: whoever the settings name.
        kind: The class of the engine.
    """
    store = open_store(settings)
    runner = None
    if grouped:
        from budgets.writer import Writer

        runner = Writer(store, settings.project, clock)
    notices = _notices(settings, settings.project) if on_threshold is None else None
    on_threshold = notices.send if notices is not None else on_threshold
    engine = _engine(settings, store, settings.project, clock, runner, on_threshold, kind)
    _finish_with(engine, notices)
    return engine


def open_api(
    settings: Settings,
    *,
    clock: Clock = utc_now,
    on_threshold: Callable[[Threshold], None] | None = None,
) -> EngineApi:
    """The engine on the store that *settings* name, be it a file or kept by a server."""
    if settings.server is None:
        return open_engine(settings, clock=clock, on_threshold=on_threshold)
    return connect(settings, settings.server, clock=clock, on_threshold=on_threshold)


def connect(
    settings: Settings,
    address: str,
    *,
    clock: Clock = utc_now,
    on_threshold: Callable[[Threshold], None] | None = None,
    kind: type[RemoteEngine] | None = None,
) -> RemoteEngine:
    """
    An engine on the server at *address*, which is asked when something is first needed.

    Args:
        kind: The class of the engine; `None`: `RemoteEngine`.

    Raises:
        ConfigError: it is no address, or the key would travel unprotected.
    """
    from budgets.remote import RemoteEngine
    from budgets.server_link import Link

    notices = _notices(settings, settings.project) if on_threshold is None else None
    engine = (kind or RemoteEngine)(
        Link(address, settings.key),
        project=settings.project,
        desk=open_desk(settings, clock=clock),
        processes=SystemProcesses(),
        on_threshold=notices.send if notices is not None else on_threshold,
    )
    _finish_with(engine, notices)
    return engine


def open_grouped(
    settings: Settings,
    store: Store,
    project: str,
    *,
    clock: Clock = utc_now,
    on_threshold: Callable[[Threshold], None] | None = None,
) -> tuple[Engine, Writer]:
    """An engine for one project of an open store, and the writer that groups its operations; close both."""
    from budgets.writer import Writer

    writer = Writer(store, project, clock)
    notices = _notices(settings, project) if on_threshold is None else None
    on_threshold = notices.send if notices is not None else on_threshold
    engine = _engine(settings, store, project, clock, writer, on_threshold)
    _finish_with(engine, notices)
    return engine, writer


def _notices(settings: Settings, project: str) -> Notices | None:
    """What tells those whom the settings name of thresholds; what fails there is logged."""
    if settings.on_threshold is None:
        return None
    import logging

    from budgets.notices import Notices

    return Notices(settings.on_threshold, project, report=logging.getLogger("budgets").warning)


def _finish_with(engine: Engine | RemoteEngine, notices: Notices | None) -> None:
    """Whoever lets the engine go, or ends the program, waits a while for what is being sent."""
    if notices is not None:
        weakref.finalize(engine, notices.finish)


def _engine(
    settings: Settings,
    store: Store,
    project: str,
    clock: Clock,
    runner: Runner | None,
    on_threshold: Callable[[Threshold], None] | None,
    kind: type[Engine] = Engine,
) -> Engine:
    @cache
    def book() -> PriceBook:
        from budgets.prices import open_book

        return open_book(settings.prices)

    @cache
    def counter() -> TokenCounter:
        from budgets.tokens.counter import TiktokenCounter

        return TiktokenCounter()

    return kind(
        store,
        project=project,
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
        on_threshold=on_threshold,
    )


def open_desk(settings: Settings, *, clock: Clock = utc_now) -> Engine:
    """An engine that counts and prices. What it is told is in memory, and nobody else's."""
    from budgets.stores.memory import MemoryStore

    return _engine(settings, MemoryStore(), settings.project, clock, None, None)


def open_unbooked(desk: Engine) -> Engine:
    """
    An engine for one call that is booked nowhere: a project without limits, forgotten with it.

    Args:
        desk: Whose prices, counter, clock, and settings it has.
    """
    from budgets.stores.memory import MemoryStore

    made = Engine(
        MemoryStore(),
        clock=desk.clock,
        processes=SystemProcesses(),
        book=lambda: desk.book,
        counter=lambda: desk.counter,
        settings=desk.settings,
    )
    # The project's own budget is there once something was asked of it.
    made.change(ROOT, Change())
    return made


def open_store(settings: Settings) -> Store:
    """
    The store of these settings.

    Raises:
        ConfigError: a server keeps it.
    """
    if isinstance(settings.store, str):
        raise ConfigError(
            f"{settings.store} is a server, and this needs the store itself",
            hint="run it on the server's machine, with --store and the store's file",
        )
    return open_store_at(settings.store)


def open_store_at(path: Path) -> Store:
    """
    The store of that path: a JSON store where it ends in `.json`, else SQLite.

    Raises:
        ConfigError: it is the address of something else than a file.
        StoreError: there is a store of the other kind.
    """
    if "://" in str(path) or str(path).startswith(("http:", "https:")):
        raise ConfigError(f"{path} is not a file", hint="give the path of a store's file")
    is_json = path.suffix.lower() == ".json"
    _check_kind(path, is_json=is_json)
    if is_json:
        from budgets.stores.json_file import JsonStore

        return JsonStore(path)
    from budgets.stores.sqlite import SqliteStore

    return SqliteStore(path)


# How the files of each kind begin. Loading both kinds in order to ask them would cost every command.
_SQLITE = b"SQLite format 3\0"
_JSON = b'{\n  "format": "budget store"'


def _check_kind(path: Path, *, is_json: bool) -> None:
    """A file that is there must be of the kind that its name says."""
    try:
        with path.open("rb") as file:
            beginning = file.read(max(len(_SQLITE), len(_JSON)))
    except OSError:
        # It is missing, or it cannot be read: the store itself says so, and what to do.
        return
    if beginning.startswith(_SQLITE if is_json else _JSON):
        kind, other = ("SQLite", "another ending than .json") if is_json else ("JSON", "the ending .json")
        raise StoreError(
            f"{path} is a {kind} store, and its name says it is not",
            hint=f"give the file a name with {other}",
            path=str(path),
        )
