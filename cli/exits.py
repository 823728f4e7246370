"""Exit codes, and which error ends with which. They are public: scripts rely on them."""

from __future__ import annotations

import typer

from budgets.errors import (
    BudgetBusyError,
    BudgetError,
    BudgetExceededError,
    InvalidValueError,
    StoreBusyError,
)

DONE = 0
FAILED = 1
# The command line itself cannot be meant.
USAGE = 2
# A budget said no.
REFUSED = 3
# Some of it was done, and the rest is reported.
PARTLY = 4
# The same as sysexits.h's EX_TEMPFAIL: try again.
BUSY = 75
# `wrap` of a program, as `env`, `timeout`, and `docker run` have it: it was not run, for a reason of ours; it
# cannot be run; there is no such program.
NOT_RUN = 125
NOT_RUNNABLE = 126
NOT_FOUND = 127
INTERRUPTED = 130
# Whoever read our output went away: 128 + SIGPIPE, as a shell shows it for other programs.
READER_GONE = 141


class UsageError(typer.TyperException):
    """
    Raised when the options of a command do not go together.

    One of Typer's, like those that Typer finds itself, and no `BudgetError`: the library has no options.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


# The first that fits counts, so the narrower stands before the wider.
_BY_ERROR: tuple[tuple[type[BudgetError], int], ...] = (
    (InvalidValueError, USAGE),
    (BudgetBusyError, BUSY),
    (StoreBusyError, BUSY),
    (BudgetExceededError, REFUSED),
)


def exit_code(error: BudgetError) -> int:
    """The code that a command ends with after *error*."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAILED)
