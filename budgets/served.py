"""The engine of a Python program whose store is kept by a server."""

from __future__ import annotations

from budgets.config import Settings
from budgets.metering_engine import MeteringEngine
from budgets.ports import Clock
from budgets.remote import RemoteEngine
from budgets.wiring import connect


class ServedEngine(RemoteEngine, MeteringEngine):
    """A metering engine on a server. The server has the calls of all its clients share commits."""


def served(settings: Settings, address: str, *, clock: Clock) -> ServedEngine:
    """
    An engine on the server at *address*, which is asked when something is first needed.

    Raises:
        ConfigError: it is no address, or the key would travel unprotected.
    """
    engine = connect(settings, address, clock=clock, kind=ServedEngine)
    assert isinstance(engine, ServedEngine), "it is made of the kind that was asked for"
    return engine
