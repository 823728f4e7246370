"""
An answer of the gateway's own, in the dialect of the call, so that its SDK raises what it would raise.

A refusal says which budget, what is left and held, what was needed, when it resets, and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from budgets.errors import (
    AccessDeniedError,
    BudgetBusyError,
    BudgetError,
    BudgetExceededError,
    ConfigError,
    InvalidValueError,
    MissingKeyError,
    ProviderError,
    StoreError,
    UnauthenticatedError,
    UnknownPriceError,
    UnknownUserError,
    UnreadableReplyError,
)

# Who is told that a budget is busy may ask again after so many seconds.
BUSY_SECONDS = 2

_STATUS: tuple[tuple[type[BudgetError], int], ...] = (
    (BudgetBusyError, 429),
    (BudgetExceededError, 402),
    (UnauthenticatedError, 401),
    (AccessDeniedError, 403),
    (UnknownUserError, 403),
    (UnknownPriceError, 400),
    (MissingKeyError, 401),
    (InvalidValueError, 400),
    (UnreadableReplyError, 502),
    (ProviderError, 502),
    (StoreError, 503),
    (ConfigError, 500),
)

# The names that each dialect has for what went wrong, by status.
# https://platform.openai.com/docs/guides/error-codes
_OPENAI = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    426: "invalid_request_error",
    429: "rate_limit_error",
}
# https://platform.claude.com/docs/en/api/errors
_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
# https://cloud.google.com/apis/design/errors#handling_errors
_GOOGLE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
_BEDROCK = {
    400: "ValidationException",
    401: "AccessDeniedException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    413: "ValidationException",
    415: "ValidationException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the caller gets instead of the provider's answer."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def refusal_of(error: BudgetError, dialect: str) -> Refusal:
    """The answer that says *error* in *dialect*."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    said = error.message if error.hint is None else f"{error.message}; {error.hint}"
    headers = {}
    if isinstance(error, BudgetBusyError):
        headers["retry-after"] = str(BUSY_SECONDS)
    elif status < 500:
        # SDKs that obey it do not ask again for what cannot have become possible.
        headers["x-should-retry"] = "false"
    for name, value in (("left", "left_usd"), ("held", "held_usd")):
        if error.values.get(value) is not None:
            headers[f"x-budget-{name}-usd"] = str(error.values[value])
    if error.values.get("resets_at"):
        headers["x-budget-resets-at"] = str(error.values["resets_at"])
    details = {name: value for name, value in error.values.items() if value is not None}
    return refusal(status, said, dialect, code=error.code, details=details, headers=headers)


def refusal(
    status: int,
    said: str,
    dialect: str,
    *,
    code: str,
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Refusal:
    """
    An answer of this status that says so in *dialect*.

    Args:
        code: The stable name of what is wrong, for programs.
        details: What a program wants to know, ready for JSON.
    """
    message = f"budget: {said}"
    budget = {"code": code, **(details or {})}
    sent = {"content-type": "application/json", **(headers or {})}
    if dialect == "anthropic-messages":
        kind = _ANTHROPIC.get(status, "api_error")
        body = {"type": "error", "error": {"type": kind, "message": message, "budget": budget}}
    elif dialect == "gemini":
        named = _GOOGLE.get(status, "INTERNAL")
        body = {"error": {"code": status, "message": message, "status": named, "details": [budget]}}
    elif dialect.startswith("bedrock"):
        sent["x-amzn-errortype"] = _BEDROCK.get(status, "InternalServerException")
        body = {"message": message, "budget": budget}
    elif dialect.startswith("cohere"):
        body = {"message": message, "budget": budget}
    else:
        kind = _OPENAI.get(status, "server_error")
        body = {"error": {"message": message, "type": kind, "param": None, "code": code, "budget": budget}}
    return Refusal(status, sent, body)
