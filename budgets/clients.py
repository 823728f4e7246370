"""`meter`: an official SDK's client under a budget."""

from __future__ import annotations

import weakref
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

from budgets.doors import AtOnce, Awaited, Door, aside
from budgets.errors import InvalidValueError
from budgets.library import opened
from budgets.metering_engine import MeteringEngine
from budgets.providers import named
from budgets.transports import awaited, blocking

C = TypeVar("C")

# The libraries that SDKs stand on.
_LIBRARIES = ("httpx2", "httpx")

# The HTTP clients made here: what one of them sends is counted already.
_METERED: weakref.WeakSet[Any] = weakref.WeakSet()


def meter(client: C, *, user: str, engine: MeteringEngine | None = None, provider: str | None = None) -> C:
    """
    A copy of an OpenAI or Anthropic client, blocking or async, whose calls are held and charged.

    The program's code does not change: chat completions, responses, embeddings, and messages, plain and
    streamed, are quoted and held before they are sent, get an output limit where they have none, and are
    charged what the reply reports. Calls that cost nothing pass; others are refused, because nobody could
    say what they cost. Each try of an SDK that tries again is held anew, and let go where the provider
    refused it. A stream that is closed early is charged for what came.

    A refusal is raised at the call, and not tried again: `BudgetExceededError` where it does not fit,
    `UnknownPriceError` for a model without a price.

    Args:
        client: Stays as it is, and is closed with the copy.
        user: Whose budget it is.
        engine: Where it is kept; `None`: as `budgets.open_engine()`, opened for this client.
        provider: Who serves the calls, where the client's address is nobody's known; `None`: the model's
            name says it.

    Raises:
        InvalidValueError: it is no such client, or it is metered already; or nobody knows the provider.
        UnknownUserError: the user has no budget.
    """
    inner = getattr(client, "_client", None)
    found = _library(inner)
    if found is None or not hasattr(client, "with_options"):
        raise InvalidValueError(
            f"{type(client).__name__} is no client that can be metered",
            hint="give a client of the openai or anthropic package, or use `engine.holding` around its calls",
        )
    if inner in _METERED:
        raise InvalidValueError("this client is metered already", hint="meter the one that it was made from")
    if provider is not None:
        named(provider)
    http, is_async = found
    own = engine is None
    if engine is None:
        # Tasks of one loop share commits.
        engine = opened(grouped=is_async)
    engine.status(user)
    door: Door = Awaited(engine, engine.keeper) if is_async else AtOnce(engine, engine.keeper)
    transport = (awaited if is_async else blocking)(http)(http, inner, door, user=user, provider=provider)
    outer = _client_over(http, transport, inner, is_async=is_async)
    _METERED.add(outer)
    if own:
        weakref.finalize(outer, aside, partial(_closed, engine))
    copied: C = client.with_options(http_client=outer)
    return copied


async def _closed(engine: MeteringEngine) -> None:
    engine.close()


def _library(inner: Any) -> tuple[ModuleType, bool] | None:
    """The library whose client *inner* is, and whether it is awaited; `None`: it is none."""
    for kind in type(inner).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in _LIBRARIES and kind.__name__ in ("Client", "AsyncClient"):
            return import_module(root), kind.__name__ == "AsyncClient"
    return None


def _client_over(http: ModuleType, transport: Any, inner: Any, *, is_async: bool) -> Any:
    """A client that builds its requests as *inner* would, and has them sent by it, proxies and all."""
    return (http.AsyncClient if is_async else http.Client)(
        transport=transport,
        base_url=inner.base_url,
        headers=inner.headers,
        params=inner.params,
        cookies=inner.cookies,
        timeout=inner.timeout,
        follow_redirects=inner.follow_redirects,
        trust_env=False,
    )
