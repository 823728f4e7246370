"""Who calls, told by the key; and the key that the provider gets in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from budgets.dialects import by_name, reading
from budgets.gateway.targets import Target, family

# Where clients put their key: OpenAI's and most others, Anthropic's, Azure's, Google's.
_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")

# The connection's own, what the gateway sets itself, and what is no provider's business.
_NOT_FORWARDED = frozenset(
    (
        "authorization",
        "proxy-authorization",
        *_KEY_HEADERS,
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose money a key spends."""

    user: str
    # Which key it was; not the key.
    key_id: str
    # The only models that may be asked for; `None`: any.
    models: tuple[str, ...] | None = None


def presented_key(headers: Mapping[str, str], query: str) -> tuple[str | None, str]:
    """
    The key that a call came with, and the query without it.

    Args:
        headers: Names in lower case.
        query: As it stood in the address, still encoded.
    """
    kept = []
    found = None
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name == "key":
            found = unquote_plus(value)
        else:
            kept.append(part)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        found = token.strip()
    for name in _KEY_HEADERS:
        found = headers.get(name, "").strip() or found
    return found, "&".join(kept)


def is_signed(headers: Mapping[str, str]) -> bool:
    """
    The call is signed with AWS's Signature Version 4, over its body and its host; neither stays as it was.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
    """
    return headers.get("authorization", "").startswith("AWS4-")


def forwarded_headers(headers: Mapping[str, str], target: Target, dialect: str) -> dict[str, str]:
    """
    What goes to the provider: the caller's headers without its key, with the provider's.

    Args:
        headers: Names in lower case.
        dialect: Of the call; it says where its provider expects the key.
    """
    # A header that the caller set, such as a version, stays as the caller wants it.
    about_connection = {name.strip().lower() for name in headers.get("connection", "").split(",")}
    own = {
        name: value
        for name, value in headers.items()
        if name not in _NOT_FORWARDED and name not in about_connection
    }
    return {**own_headers(target, dialect), **own}


def own_headers(target: Target, dialect: str) -> dict[str, str]:
    """What a call in *dialect* carries there: the provider's key, and what the dialect needs beside it."""
    spoken = by_name(dialect)
    if target.bearer:
        return {**spoken.headers(None), **reading.bearer_headers(target.key)}
    if target.key is not None and target.deployments and family(dialect) == "openai":
        # Azure takes a bearer token for a sign-in, and a key in a header of its own.
        # https://learn.microsoft.com/azure/ai-foundry/openai/reference#authentication
        return {**spoken.headers(None), "api-key": reading.usable_key(target.key)}
    return spoken.headers(target.key)
