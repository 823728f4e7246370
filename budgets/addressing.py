"""Which provider and dialect a request is for, by its address or by its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budgets import providers
from budgets.dialects import at_path
from budgets.errors import InvalidValueError
from budgets.metering import Request
from budgets.money import shown
from budgets.providers import Provider

# What is asked with these is neither written nor worked on by a model.
_FREE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))

# Posted, and not billed: counting, a call that is stopped, and OpenAI's moderation.
# https://platform.openai.com/docs/guides/moderation
_FREE_ENDINGS = ("/count_tokens", "/input_tokens", "/cancel", "/moderations")


def is_free(method: str, path: str) -> bool:
    """Whether a call costs nothing by its very address. A path is compared without its query."""
    return method.upper() in _FREE_METHODS or path.partition("?")[0].endswith(_FREE_ENDINGS)


def request_at(
    url: str, path: str, body: Mapping[str, Any], *, user: str, provider: str | None = None
) -> Request:
    """
    The request that *body* is when it is sent to *url*.

    Args:
        path: The path of *url*, with its query.
        provider: Who serves it, where the address does not say; else the model's name has to.

    Raises:
        InvalidValueError: calls to that address cannot be metered, or nobody knows who serves it.
    """
    found = at_path(path, body)
    if found is None:
        raise unmetered(path)
    dialect, request = found
    served = providers.named(provider) if provider is not None else providers.at_url(url)
    if served is None:
        served = _by_model(request)
    return Request(user, served, url, None, request, spoken=dialect.name)


def request_of(
    body: Mapping[str, Any], *, user: str, provider: str | None = None, dialect: str | None = None
) -> Request:
    """
    The request that *body*, as it is given to an SDK or to LiteLLM, is.

    Args:
        provider: Who serves it; `None`: the model's name says it.
        dialect: The wire format; `None`: its fields say it.

    Raises:
        InvalidValueError: neither was said, and nothing shows it.
    """
    served = providers.named(provider) if provider is not None else _by_model(body)
    return Request(user, served, served.base_url, None, body, spoken=dialect or _shape(body, served))


def unmetered(path: str) -> InvalidValueError:
    """A call of which nobody could say what it costs."""
    place = path.partition("?")[0]
    return InvalidValueError(
        f"a call to {place} cannot be metered",
        hint="make it with a client that is not metered, and record its cost with `budget charge`",
        path=place,
    )


def _by_model(body: Mapping[str, Any]) -> Provider:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise InvalidValueError(
            "the request does not name its model", hint="give it as `model`, a text that is not empty"
        )
    try:
        return providers.find_provider(model, None)[0]
    except InvalidValueError as error:
        raise InvalidValueError(
            f"{shown(model)} does not say who serves it",
            hint="say it with provider=, for instance provider='groq', or provider='compatible' for a server"
            " of your own",
            model=model,
        ) from error


def _shape(body: Mapping[str, Any], served: Provider) -> str:
    if "contents" in body:
        return "gemini"
    if "input" in body:
        # Both have `input`; only text to be embedded has nothing else to say.
        embeds = {"encoding_format", "dimensions"} & body.keys() or "embed" in str(body.get("model"))
        return "openai-embeddings" if embeds else "openai-responses"
    # A model named with its provider in front is a gateway's or LiteLLM's, and these speak OpenAI's format.
    prefixed = "/" in str(body.get("model"))
    if "system" in body or (served.dialect == "anthropic-messages" and not prefixed):
        return "anthropic-messages"
    return "openai-chat" if "messages" in body else served.dialect
