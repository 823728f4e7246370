"""One completion under a budget: its request from the command line, its answer as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from budgets.errors import InvalidValueError

from .env import Env, is_terminal
from .exits import INTERRUPTED, UsageError
from .harmless import harmless
from .options import count
from .output import note, piece
from .prompting import Wanted, read_request
from .results import Result, left_document, threshold_documents
from .session import Session

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from datetime import datetime

    from budgets import calls
    from budgets.metering import Request
    from budgets.upstream import Upstream

# Where nothing can have been charged: the provider was not reached, or is too busy.
_RETRIES = 2
BOTH_FORMS = 'a completion: `budget wrap --model NAME "prompt"`; a program: `budget wrap -- COMMAND`'


@dataclass(frozen=True)
class Wrapped(Result):
    """A completion that was made; its answer was shown as it came, unless it goes into the document."""

    outcome: calls.Outcome
    # Never stored.
    answer: str = field(repr=False)
    now: datetime
    command = "wrap"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.money import format_usd

        outcome, receipt, entry = self.outcome, self.outcome.receipt, self.outcome.receipt.entry
        return {
            "answer": self.answer,
            "id": entry.id,
            "user": entry.user,
            "model": entry.model,
            "provider": outcome.quote.provider,
            "held_usd": format_usd(receipt.held_nanos or 0),
            "cost_usd": format_usd(entry.nanos),
            "usage": entry.detail.get("usage"),
            "how": entry.detail.get("how"),
            "prices": entry.detail.get("prices"),
            "bounded": outcome.quote.bounded,
            "output_limit": outcome.quote.output_limit,
            "output_limit_by": outcome.quote.limited_by,
            "cut": outcome.cut,
            "thresholds": threshold_documents(receipt),
            **left_document(receipt.left),
        }

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        from budgets.money import money

        from .words import left_words

        outcome, receipt = self.outcome, self.outcome.receipt
        usage = receipt.entry.detail["usage"]
        counts = ", ".join(
            f"{count:,} {unit.replace('_', ' ')}" for unit, count in usage.items() if unit != "how"
        )
        guessed = "" if usage["how"] == "reported" else f" ({usage['how']})"
        yield (
            f"{receipt.entry.model}: {counts} tokens{guessed}, {money(receipt.nanos)},"
            f" {left_words(receipt.left, receipt.entry.user, self.now)}"
        )
        if outcome.budget_output_limit is not None:
            whose = "what is left" if outcome.quote.limited_by == "budget" else "`default_output_tokens`"
            yield f"the answer was cut at {outcome.budget_output_limit:,} tokens by {whose}, not by the model"
        if receipt.overshoot_nanos:
            yield f"this was {money(receipt.overshoot_nanos)} more than was held"


@dataclass(frozen=True)
class BrokenOff(Result):
    """A completion that a signal ended; what was booked for it was said when it happened."""

    code: int
    command = "wrap"

    @property
    def exit_code(self) -> int:
        """See `Result`."""
        return self.code

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"broken_off": True}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say about a completion; texts are never shown."""

    words: list[str] | None = field(repr=False)
    model: str | None
    provider: str | None
    base_url: str | None
    messages: str | None
    request: str | None
    system: str | None = field(repr=False)
    max_output_tokens: str | None
    temperature: str | None
    stream: bool | None

    @property
    def options(self) -> list[str]:
        """The options that were given."""
        names = [each.name for each in fields(self) if each.name != "words"]
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) is not None]


def complete(
    session: Session, asked: Asked, *, user: str | None, patience: int | None
) -> Wrapped | BrokenOff:
    """
    Make one completion under a budget.

    Args:
        user: Whose; `None`: see `Session.user`.
        patience: How many seconds to wait for running calls; `None`: as the settings have it.

    Raises:
        UsageError: the options do not go together.
        BudgetError: it was refused, or failed.
    """
    env = session.env
    streams = asked.stream if asked.stream is not None else is_terminal(env.stdout) and not session.as_json
    wanted = _limited(_wanted(env, asked, stream=streams), asked.max_output_tokens)
    request = _request(session, session.user(user), wanted, asked.base_url)
    try:
        return _completed(
            session, request, session.settings.patience_seconds if patience is None else patience
        )
    finally:
        session.engine.end_lease()


def _wanted(env: Env, asked: Asked, *, stream: bool) -> Wanted:
    if asked.model is None and asked.request is None:
        raise UsageError("say which model, or which program", hint=BOTH_FORMS)
    if asked.words and len(asked.words) > 1:
        raise UsageError(
            "the prompt is one argument, this is several", hint="put it in quotes; for a program: `--`"
        )
    words = asked.words[0] if asked.words else None
    if words is None and asked.messages is None and asked.request is None:
        if is_terminal(env.stdin):
            raise UsageError(
                "there is no prompt", hint="give it in quotes, by stdin, or with --messages FILE"
            )
        words = env.stdin.read()
    if words is not None and not words.strip():
        raise UsageError("the prompt is empty", hint="nothing was sent; give it in quotes or by stdin")
    wanted = read_request(
        env,
        model=asked.model,
        provider=asked.provider or (_SERVES_ANYTHING if asked.base_url is not None else None),
        prompt=words,
        messages=asked.messages,
        request=asked.request,
        system=asked.system,
        temperature=_temperature(asked.temperature),
        stream=stream,
    )
    if asked.request is None or "stream" in wanted.body or not stream:
        return wanted
    return Wanted(wanted.provider, {**wanted.body, "stream": True})


# The row of the provider table for whatever a base URL points to.
_SERVES_ANYTHING = "compatible"


def _temperature(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 2:
        raise InvalidValueError(
            "--temperature is a number from 0 to 2", hint="for instance 0.7", option="--temperature"
        )
    return found


def _limited(wanted: Wanted, text: str | None) -> Wanted:
    limit = count("--max-output-tokens", text)
    if limit is None:
        return wanted
    if limit == 0:
        raise InvalidValueError(
            "--max-output-tokens: an answer of 0 tokens is none",
            hint="give 1 or more",
            option="--max-output-tokens",
        )
    from budgets.dialects import by_name

    return Wanted(wanted.provider, by_name(wanted.provider.dialect).limit_output(wanted.body, limit))


def _request(session: Session, user: str, wanted: Wanted, base_url: str | None) -> Request:
    from budgets import providers
    from budgets.metering import Request

    environ = session.env.environ
    if base_url is not None and not base_url.startswith(("http://", "https://")):
        raise InvalidValueError("--base-url is no HTTP address", hint="for instance http://localhost:8000/v1")
    url = base_url.rstrip("/") if base_url is not None else providers.base_url(wanted.provider, environ)
    return Request(user, wanted.provider, url, providers.key(wanted.provider, environ), wanted.body)


def _completed(session: Session, request: Request, patience: float) -> Wrapped | BrokenOff:
    """Make the call. A signal that would end us settles it first."""
    import asyncio
    import signal
    from contextlib import AsyncExitStack, suppress

    from budgets import calls

    env = session.env
    told: list[str] = []
    signals: list[int] = []

    def hear(text: str) -> None:
        told.append(text)
        if text and not session.as_json:
            piece(env, _lines(text) if is_terminal(env.stdout) else text)

    async def complete() -> calls.Outcome:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "it runs in a task"

        def end(number: int) -> None:
            signals.append(number)
            task.cancel()

        async with AsyncExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGHUP):
                # Outside the main thread signals belong to somebody else.
                with suppress(ValueError, RuntimeError):
                    loop.add_signal_handler(number, end, number)
            return await calls.complete(
                session.engine,
                await _upstream(env, stack),
                request,
                on_text=hear,
                on_broken_off=lambda booked: note(env, f"broken off: {booked}"),
                patience_seconds=patience,
                retries=_RETRIES,
            )

    try:
        outcome = asyncio.run(complete())
    except asyncio.CancelledError:
        return BrokenOff(128 + signals[0] if signals else INTERRUPTED)
    text = "".join(told)
    if not session.as_json and not text.endswith("\n"):
        piece(env, "\n")
    return Wrapped(outcome, text, env.clock())


async def _upstream(env: Env, stack: AsyncExitStack) -> Upstream:
    if env.upstream is not None:
        return env.upstream()
    from budgets.upstream import HttpUpstream

    return await stack.enter_async_context(HttpUpstream())


def _lines(text: str) -> str:
    """A model's words for a terminal: lines and tabs as they are, what would steer it spelled out."""
    return "".join(part if part in "\n\t" else harmless(part) for part in _parts(text))


def _parts(text: str) -> list[str]:
    import re

    return re.split(r"([\n\t])", text)
