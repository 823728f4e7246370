"""The engines of one process: one for each project, all on the same store."""

from __future__ import annotations

import threading

from budgets import rules
from budgets.clock import utc_now
from budgets.config import Settings
from budgets.engine import Engine
from budgets.ports import Clock
from budgets.wiring import open_grouped, open_store
from budgets.writer import Writer


class Engines:
    """
    Opens an engine for a project when it is first asked for. Safe to use from any thread.

    Args:
        settings: Which store, and the project of those who name none.
        clock: Asked for the time.
    """

    def __init__(self, settings: Settings, *, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.store = open_store(settings)
        self.clock = clock
        self._lock = threading.Lock()
        self._opened: dict[str, tuple[Engine, Writer]] = {}

    def of(self, project: str) -> Engine:
        """
        The engine of that project; a project without budgets has one too.

        Raises:
            InvalidValueError: it is no name.
        """
        with self._lock:
            found = self._opened.get(project)
            if found is None:
                name = rules.check_name(project, "a project's name")
                found = open_grouped(self.settings, self.store, name, clock=self.clock)
                self._opened[project] = found
            return found[0]

    def known(self, project: str) -> Engine | None:
        """The same, but `None` for a project that has no budget: asking about it leaves no trace."""
        return self.of(project) if project in self._opened or project in self.projects() else None

    def projects(self) -> list[str]:
        """Every project of the store that has a budget, by name."""
        return self.store.projects()

    def opened(self) -> list[Engine]:
        """Those that were asked for."""
        with self._lock:
            return [engine for engine, _ in self._opened.values()]

    def close(self) -> None:
        """Finish what was handed in, give the leases back, let go of the store. Closing twice is fine."""
        with self._lock:
            for engine, writer in self._opened.values():
                engine.end_lease()
                writer.close()
            self._opened.clear()
            self.store.close()
