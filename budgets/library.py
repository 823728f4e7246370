"""Opens the engine of a Python program: on a store of this machine, or on a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from budgets.engine import Engine
from budgets.metering_engine import MeteringEngine

if TYPE_CHECKING:
    from budgets.ports import Clock


class LocalEngine(Engine, MeteringEngine):
    """A metering engine on a store of this machine."""


def opened(
    store: str | os.PathLike[str] | None = None,
    *,
    project: str | None = None,
    clock: Clock | None = None,
    grouped: bool = False,
) -> MeteringEngine:
    """See `budgets.open_engine`."""
    from budgets.clock import utc_now
    from budgets.config import load_settings

    settings = load_settings(
        os.environ, store=os.fspath(store) if store is not None else None, project=project
    )
    if settings.server is not None:
        from budgets.served import served

        return served(settings, settings.server, clock=clock or utc_now)
    from budgets.wiring import open_engine

    engine = open_engine(settings, clock=clock or utc_now, grouped=grouped, kind=LocalEngine)
    assert isinstance(engine, LocalEngine), "it is made of the kind that was asked for"
    return engine
