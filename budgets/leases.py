"""Keeps this process's holds alive while its calls run: one thread, one write every 30 seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from budgets.engine import RENEW_SECONDS
from budgets.errors import AccessDeniedError, StoreError

if TYPE_CHECKING:
    from budgets.engine.api import EngineApi


@contextmanager
def kept_alive(engine: EngineApi) -> Iterator[None]:
    """
    Renew the engine's lease for as long as the block runs.

    A renewal that fails is tried again at the next turn, and logged: a lease outlasts three of them, and a
    hold that turns unconfirmed all the same is put right when its call is settled.
    """
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEW_SECONDS):
            try:
                engine.renew_lease()
            except (StoreError, AccessDeniedError) as error:
                logging.getLogger("budgets").warning("the lease was not renewed: %s", error)

    thread = threading.Thread(target=renew, name="budgets-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
