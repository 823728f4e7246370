"""Recorded calls as counting sees them: what was asked, and how many tokens the provider says it read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from budgets.asks import Ask, Count
from budgets.dialects import at_path
from budgets.tokens.counter import TiktokenCounter
from budgets.tokens.families import family_of
from tests.support.recorded import FOLDER, PROVIDERS

_NO_ANSWERS = ("/count-tokens", "/responses/input_tokens")


class Counted(NamedTuple):
    """One recorded call whose provider said how much it read."""

    id: str
    provider: str | None
    request: dict[str, Any]
    ask: Ask
    # What we make of it.
    count: Count
    # What was reported.
    reported: int

    @property
    def kind(self) -> str:
        """The thing in it that is hardest to count: `images`, `tools` ..."""
        if self.ask.output_limit == 0:
            return "embeddings"
        if self.ask.images:
            return "images"
        if self.ask.sealed or self.ask.sealed_earlier or self.ask.thoughts:
            return "thoughts"
        return "tools" if self.ask.tools or self.ask.schemas else "text"

    @property
    def vendor(self) -> str:
        """Whose rules it is counted by."""
        name = family_of(self.provider, self.ask.model).name
        return name.partition("-")[0] if name.startswith(("openai", "anthropic", "google")) else "others"

    @property
    def bounded(self) -> bool:
        """The request itself says what is read, so that the most is the most."""
        return not self.ask.unbounded and not self.count.uncounted

    @property
    def error(self) -> float:
        """How far off the likely count is, as a share of what was reported."""
        return abs(self.count.likely - self.reported) / self.reported


def counted_calls() -> Iterator[Counted]:
    """Every recorded call that was answered with a count of its input."""
    counter = TiktokenCounter()
    for file in sorted(Path(FOLDER).glob("*.jsonl")) if FOLDER else ():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
            call = json.loads(line)
            if call["status"] != 200 or call["path"].endswith(_NO_ANSWERS):
                continue
            request = call["request"]
            if isinstance(request, str):
                # Bedrock's clients send JSON under another content type; one was cut before its last brace.
                request = json.loads(request + "}" * (request.count("{") - request.count("}")))
            found = at_path(call["path"], request)
            assert found is not None, f"no dialect has {call['path']}"
            dialect, body = found
            if call.get("text"):
                reader = dialect.read_stream()
                reader.feed(call["text"].encode())
                usage = reader.reported().usage
            else:
                usage = dialect.read_reply(call["json"]).usage
            if usage is not None and usage.input_tokens:
                ask = dialect.read_request(body)
                provider = PROVIDERS.get(call["host"])
                count = counter.count(ask, provider=provider)
                yield Counted(f"{file.stem}-{number}", provider, body, ask, count, usage.input_tokens)
