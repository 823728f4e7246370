"""What a request gives to read, collected on the way through it."""

from __future__ import annotations

from typing import Any

from budgets.dialects import reading


class Inputs:
    """Texts, tools, and why the rest has no bound; a dialect's own reader fills it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.tools: list[str] = []
        self.unbounded: list[str] = []
        # The dearest caching that was asked for.
        self.cache_write: str | None = None

    def add_text(self, text: str | None) -> None:
        """A text that is read; nothing where there is none."""
        if text:
            self.texts.append(text)

    def add_json(self, value: Any) -> None:
        """A value that is read as JSON; nothing where there is none."""
        if value is not None:
            self.texts.append(reading.compact_json(value))

    def add_cache_mark(self, lifetime: Any) -> None:
        """A mark that asks for caching: for an hour where it says so, else for five minutes."""
        self.cache_write = "1h" if "1h" in (lifetime, self.cache_write) else "5m"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the request does not bound what is read, each once."""
        return tuple(dict.fromkeys(self.unbounded))
