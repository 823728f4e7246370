"""What a request gives to read, collected on the way through it."""

from __future__ import annotations

from typing import Any

from budgets.asks import Ask, Image
from budgets.dialects import reading


def is_token(value: Any) -> bool:
    """Whether *value* is the id of a token."""
    return type(value) is int and value >= 0


class Inputs:
    """Texts, tools, pictures, and why the rest has no bound; a dialect's own reader fills it."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.tools: list[str] = []
        self.schemas: list[str] = []
        self.images: list[Image] = []
        self.unbounded: list[str] = []
        self.media: list[str] = []
        self.answer_media: list[str] = []
        self.must_call = False
        self.calls = 0
        self.together: list[str] = []
        self.hidden = 0
        # The dearest caching that was asked for.
        self.cache_write: str | None = None
        # Thinking of this turn, in the clear and in characters of what is sealed; then that of earlier ones.
        self._thoughts: list[str] = []
        self._sealed = 0
        self._earlier_thoughts: list[str] = []
        self._earlier_sealed = 0

    def add_text(self, text: str | None) -> None:
        """A text that is read; nothing where there is none."""
        if text:
            self.texts.append(text)

    def add_json(self, value: Any) -> None:
        """A value that is read as JSON; nothing where there is none."""
        if value is not None:
            self.texts.append(reading.compact_json(value))

    def add_thought(self, text: str | None) -> None:
        """Thinking of an earlier answer, sent back in the clear."""
        if text:
            self._thoughts.append(text)

    def add_sealed(self, data: str | None) -> None:
        """Thinking of an earlier answer, sent back as only its vendor can read it."""
        self._sealed += len(data or "")

    def begin_turn(self) -> None:
        """The user speaks: what was thought before belongs to an earlier turn."""
        self._earlier_thoughts += self._thoughts
        self._earlier_sealed += self._sealed
        self._thoughts, self._sealed = [], 0

    def add_cache_mark(self, lifetime: Any) -> None:
        """A mark that asks for caching: for an hour where it says so, else for five minutes."""
        self.cache_write = "1h" if "1h" in (lifetime, self.cache_write) else "5m"

    def ask(self, **rest: Any) -> Ask:
        """The request: what was collected, and *rest*, which is everything else that an `Ask` says."""
        return Ask(
            texts=(*self.texts, *self._thoughts),
            tools=tuple(self.tools),
            must_call=self.must_call,
            schemas=tuple(self.schemas),
            images=tuple(self.images),
            media=tuple(dict.fromkeys(self.media)),
            answer_media=tuple(dict.fromkeys(self.answer_media)),
            calls=self.calls,
            together=tuple(self.together),
            thoughts=tuple(self._earlier_thoughts),
            sealed=self._sealed,
            sealed_earlier=self._earlier_sealed,
            hidden=self.hidden,
            cache_write=self.cache_write,
            unbounded=self.reasons,
            **rest,
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the request does not bound what is read, each once."""
        return tuple(dict.fromkeys(self.unbounded))
