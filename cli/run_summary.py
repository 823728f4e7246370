"""What the run of a program came to, in words and as a document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .results import Result, error_document, left_document

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.errors import BudgetError
    from budgets.gateway.counting import Counts
    from budgets.records import Left

Outcome = Literal["ended", "signalled", "stopped", "not_started"]


@dataclass(frozen=True)
class NotRun(Result):
    """A program that was not run; why was said when it happened."""

    code: int
    error: dict[str, Any]
    command = "wrap"

    @property
    def exit_code(self) -> int:
        """See `Result`."""
        return self.code

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"outcome": "not_started", "exit_code": self.code, "error": self.error}


@dataclass(frozen=True)
class LetGo(Result):
    """The end of a command that goes on in a process of its own, which has said all there is to say."""

    code: int
    command = "wrap"

    @property
    def exit_code(self) -> int:
        """See `Result`."""
        return self.code

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {}


@dataclass(frozen=True)
class Ran(Result):
    """A program that was run, and its calls."""

    # The program's name.
    program: str
    # Whose budget its calls were under: the user's, or the one of this run.
    user: str
    outcome: Outcome
    # What we end with, and what the program ended with.
    code: int
    child_code: int
    counts: Counts
    left: Left
    now: datetime
    # Warnings that would have been in the way of what the program drew.
    kept_back: tuple[str, ...] = ()
    quiet: bool = False
    calls_required: bool = False
    # The budget is this run's own (`--total`).
    own_total: bool = False
    # Variables that pointed at a provider's key; none: nothing could be called.
    keys: tuple[str, ...] = field(default=())
    command = "wrap"

    @property
    def exit_code(self) -> int:
        """See `Result`."""
        return self.code

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.money import format_usd

        counts = self.counts
        return {
            "outcome": self.outcome,
            "exit_code": self.code,
            "child_exit_code": self.child_code,
            "user": self.user,
            "calls": counts.charged,
            "estimated": counts.estimated,
            "unconfirmed": counts.unconfirmed,
            "failed": counts.failed,
            "refused": counts.refused,
            "refusal": error_document(counts.refusal) if counts.refusal else None,
            "unknown_keys": counts.strangers,
            "silent": not counts.seen,
            "usage": counts.usage,
            "cost_usd": format_usd(counts.cost_nanos),
            **left_document(self.left),
        }

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if not self.quiet:
            yield from self.kept_back
        if not self.counts.seen and (self.calls_required or not self.quiet):
            yield from self._silence()
        if self.counts.strangers and self.counts.seen and not self.quiet:
            yield f"budget: {self._strangers()}"
        if self.counts.refusal and not self.quiet:
            yield f"budget: {self._refusal(self.counts.refusal)}"
        if not self.quiet:
            yield self._summary()

    def _strangers(self) -> str:
        return (
            f"{_times(self.counts.strangers, 'call')} came without this run's key and went no further:"
            " set the provider's key in the environment in which `budget wrap` is started, not in a file"
        )

    def _refusal(self, error: BudgetError) -> str:
        if self.outcome == "stopped":
            said = f"{self.program} was ended, as a call no longer fitted: "
        else:
            said = (
                "refused: " if self.counts.refused == 1 else f"refused {self.counts.refused:,}, the first: "
            )
        # The budget of a run ends with it.
        own = self.own_total and error.code == "budget_exceeded" and error.values["limit_user"] == self.user
        hint = "run it again with a larger --total" if own else error.hint
        return f"{said}{error.message}{f'; {hint}' if hint else ''}"

    def _summary(self) -> str:
        from budgets.money import money

        from .words import left_words

        counts = self.counts
        used = "".join(f", {count:,} {unit.replace('_', ' ')}" for unit, count in counts.usage.items())
        line = (
            f"budget: {_times(counts.charged, 'call')}{used}{' tokens' if used else ''},"
            f" {money(counts.cost_nanos)}, {left_words(self.left, self.user, self.now)}"
        )
        marks = ("estimated", "unconfirmed", "failed", "refused")
        marked = [f"{getattr(counts, mark):,} {mark}" for mark in marks if getattr(counts, mark)]
        return f"{line}; {', '.join(marked)}" if marked else line

    def _silence(self) -> Iterator[str]:
        if self.counts.strangers:
            yield f"budget: NO CALL WAS METERED: {self._strangers()}"
            return
        yield f"budget: NO CALL WAS SEEN: {self.program} called no model, or it went past the budget"
        if self.keys:
            yield f"budget: it had the run key in {', '.join(self.keys)}, and our addresses beside it"
        else:
            yield "budget: no key of a provider was set, so that none could be called"
        yield (
            "budget: a program with settings or a login of its own does not ask the environment: point it at"
            " the gateway there; `budget wrap --env-only` shows the variables"
        )


def _times(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
