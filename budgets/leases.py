"""Keeps this process's holds alive while its calls run: one thread, one write every 30 seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from budgets.engine import RENEW_SECONDS
from budgets.errors import AccessDeniedError, StoreError


class Leased(Protocol):
    """Whose lease it is; every engine is one."""

    def renew_lease(self) -> None:
        """Let its holds live on."""
        ...


@contextmanager
def kept_alive(engine: Leased) -> Iterator[None]:
    """
    Renew the engine's lease for as long as the block runs.

    A renewal that fails is tried again at the next turn, and logged: a lease outlasts three of them, and a
    hold that turns unconfirmed all the same is put right when its call is settled.
    """
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEW_SECONDS):
            _renewed(engine)

    thread = threading.Thread(target=renew, name="budgets-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Keeper:
    """
    The same for many calls that begin and end as they like: one thread for all of them, while there are any.

    Args:
        engine: Whose lease it is.
    """

    def __init__(self, engine: Leased) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._calls = 0
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """A call has been held."""
        with self._lock:
            self._calls += 1
            # A fork takes no threads along.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._renew, name="budgets-keeper", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """What became of it is written down."""
        with self._lock:
            self._calls -= 1

    def _renew(self) -> None:
        # Nobody ever sets it: the thread ends by itself at the first turn without a call.
        never = threading.Event()
        while not never.wait(RENEW_SECONDS):
            with self._lock:
                if self._calls <= 0:
                    self._thread = None
                    return
            _renewed(self._engine)


def _renewed(engine: Leased) -> None:
    try:
        engine.renew_lease()
    except (StoreError, AccessDeniedError) as error:
        logging.getLogger("budgets").warning("the lease was not renewed: %s", error)
