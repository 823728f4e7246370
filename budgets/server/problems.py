"""What went wrong as a problem document (RFC 9457): https://www.rfc-editor.org/rfc/rfc9457"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from budgets.errors import (
    AccessDeniedError,
    BudgetBusyError,
    BudgetError,
    BudgetExceededError,
    ConflictError,
    InvalidValueError,
    StoreBusyError,
    UnauthenticatedError,
    UnknownEntryError,
    UnknownHoldError,
    UnknownKeyError,
    UnknownPriceError,
    UnknownUserError,
    UserExistsError,
    by_code,
)

# The first that fits counts, so the narrower stands before the wider.
_STATUS: tuple[tuple[type[BudgetError], int], ...] = (
    (UnauthenticatedError, 401),
    (AccessDeniedError, 403),
    (BudgetBusyError, 429),
    (BudgetExceededError, 402),
    (InvalidValueError, 422),
    (UnknownUserError, 404),
    (UnknownHoldError, 404),
    (UnknownEntryError, 404),
    (UnknownKeyError, 404),
    (UnknownPriceError, 422),
    (UserExistsError, 409),
    (ConflictError, 409),
    (StoreBusyError, 503),
)

# The codes are named there, each with what it means.
PROBLEMS_PATH = "/problems/"

# Of what a waiting caller may expect: about as long as a call takes.
_RETRY_AFTER_SECONDS = 1


def status_of(error: BudgetError) -> int:
    """The HTTP status of an error; 500 where the server itself is at fault."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def type_of(code: str) -> str:
    """Where the server says what it is; `about:blank` where its status says all of it (RFC 9457, 4.2.1)."""
    return f"{PROBLEMS_PATH}{code}" if code in by_code() else "about:blank"


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> web.Response:
    """
    A problem document.

    Args:
        code: The stable word for what happened; scripts rely on it.
        detail: What happened, one sentence.
        hint: What to do next.
        values: What a script wants to know, ready for JSON.
    """
    document = {
        **values,
        "type": type_of(code),
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
        "hint": hint,
    }
    return web.Response(
        status=status,
        body=json.dumps(document).encode(),
        content_type="application/problem+json",
        headers=headers,
    )


def problem_of(error: BudgetError) -> web.Response:
    """The problem document of one of our errors, with its values."""
    retry = isinstance(error, BudgetBusyError | StoreBusyError)
    headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)} if retry else {}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    return problem(
        status_of(error),
        error.code,
        error.message,
        hint=error.hint,
        headers=headers,
        **{"retry": retry, **error.values},
    )
