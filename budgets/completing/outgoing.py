"""From OpenAI's form of a request to one in the dialect of whoever serves the model."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from budgets import providers
from budgets.completing import litellm_upstream
from budgets.completing.answers import (
    AnthropicChunks,
    OpenAIChunks,
    Reply,
    anthropic_reply,
    openai_reply,
    whole_chunks,
)
from budgets.completing.litellm_upstream import LiteLLMUpstream
from budgets.dialects import by_name
from budgets.errors import InvalidValueError, MissingKeyError
from budgets.metering import Request, is_stream_of
from budgets.plain import plain
from budgets.providers import Provider
from budgets.upstream import Upstream
from budgets.usage import Usage

_EXTRA = "install it with `pip install 'llm-budgets[litellm]'`"


class Chunks(Protocol):
    """Makes OpenAI's chunks of a stream's bytes."""

    def feed(self, piece: bytes) -> Iterator[Reply]:
        """The chunks that *piece* completes."""
        ...

    def ended(self, usage: Usage) -> Iterator[Reply]:
        """What comes once all has arrived."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request, ready to be metered, and how its answer is read."""

    request: Request
    # `None`: HTTP.
    upstream: Upstream | None
    # The caller asked for usage in the stream.
    wants_usage: bool

    def read(self, body: bytes, usage: Usage) -> dict[str, Any]:
        """A plain answer, whose usage is known, in OpenAI's shape."""
        fields = json.loads(body)
        if self.request.provider.dialect == "anthropic-messages":
            return anthropic_reply(fields, usage, created=int(time.time()))
        return openai_reply(fields)

    def is_stream(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer with these headers comes in chunks, as it was asked for."""
        return is_stream_of(self.request.dialect, headers)

    def chunks_of(self, body: bytes, usage: Usage) -> Iterator[Reply]:
        """A plain answer to a request for a stream: one chunk, and the usage where it was asked for."""
        return whole_chunks(self.read(body, usage), usage if self.wants_usage else None)

    def chunks(self) -> Chunks:
        """A reader for one stream."""
        if self.request.provider.dialect == "anthropic-messages":
            return AnthropicChunks(usage=self.wants_usage, created=int(time.time()))
        return OpenAIChunks(usage=self.wants_usage)


def outgoing(
    model: str,
    messages: list[Any],
    params: Mapping[str, Any],
    *,
    user: str,
    provider: str | None,
    api_key: str | None,
    base_url: str | None,
) -> Outgoing:
    """
    What has to be sent, and to whom.

    We speak OpenAI's chat format with all who copy it, and Anthropic's for texts. The rest goes through the
    litellm package where that is installed.

    Raises:
        InvalidValueError: it is not known who serves the model, or the request cannot be said there.
        MissingKeyError: there is no key for the provider.
    """
    told = [_sendable(plain(message)) for message in messages]
    body = {"model": model, "messages": told, **{name: plain(value) for name, value in params.items()}}
    options = body.get("stream_options")
    wants_usage = isinstance(options, Mapping) and bool(options.get("include_usage"))
    served, name = _served(model, provider, base_url)
    if served is not None and served.dialect == "openai-chat":
        body["model"] = name
    elif served is not None and (said := _in_anthropic(served, name, body)) is not None:
        body = said
    elif litellm_upstream.installed():
        seller = served.id if served is not None else model.partition("/")[0]
        given = {"api_key": api_key, "api_base": base_url}
        upstream = LiteLLMUpstream({key: value for key, value in given.items() if value is not None})
        if provider is not None:
            body["model"] = f"{provider}/{model}"
        request = Request(user, litellm_upstream.provider_for(seller), "litellm:", None, body)
        return Outgoing(request, upstream, wants_usage)
    elif served is None:
        # Says what it takes to know.
        try:
            providers.find_provider(model, provider)
        except InvalidValueError as error:
            raise InvalidValueError(
                error.message, hint=f"{error.hint}; or call it through litellm: {_EXTRA}", **error.values
            ) from error
        raise AssertionError("whoever is found is spoken to")
    else:
        raise InvalidValueError(
            f"{served.id} is not asked in OpenAI's form with more than texts, temperature, and limits",
            hint=f"send texts alone, or call it through litellm: {_EXTRA}",
            provider=served.id,
        )
    url = base_url.rstrip("/") if base_url is not None else providers.base_url(served, os.environ)
    return Outgoing(Request(user, served, url, _key(served, api_key), body), None, wants_usage)


def _served(model: str, provider: str | None, base_url: str | None) -> tuple[Provider | None, str]:
    try:
        return providers.find_provider(model, provider)
    except InvalidValueError:
        if base_url is not None and provider is None:
            return providers.named("compatible"), model
        return None, model


def _key(provider: Provider, given: str | None) -> str | None:
    if given is not None:
        return given
    try:
        return providers.key(provider, os.environ)
    except MissingKeyError as error:
        raise MissingKeyError(error.message, hint=f"{error.hint}, or give api_key", **error.values) from error


def _sendable(message: Any) -> Any:
    """A message without the fields that say nothing, which answers have and requests may not."""
    if not isinstance(message, Mapping):
        return message
    return {key: value for key, value in message.items() if value is not None or key == "content"}


# OpenAI's name -> Anthropic's.
_SAID = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
}
_UNSAID = frozenset({"model", "messages", "stream", "stream_options", "stop"})


def _in_anthropic(served: Provider, name: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The request in Anthropic's form; `None` where that is not the provider's, or cannot say it here."""
    if served.dialect != "anthropic-messages" or not body.keys() <= {*_SAID, *_UNSAID}:
        return None
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for message in body["messages"]:
        text = _text(message)
        if text is None:
            return None
        if message["role"] in ("system", "developer") and not messages:
            system.append(text)
        elif message["role"] in ("user", "assistant"):
            messages.append({"role": message["role"], "content": text})
        else:
            return None
    said = by_name(served.dialect).build_request(
        model=name,
        messages=messages,
        system="\n\n".join(system) if system else None,
        temperature=None,
        stream=bool(body.get("stream")),
    )
    said |= {_SAID[key]: value for key, value in body.items() if key in _SAID and value is not None}
    stop = body.get("stop")
    if stop is not None:
        said["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    return said


def _text(message: Any) -> str | None:
    """A message's words; `None`: it has no role, or more than words."""
    if not isinstance(message, Mapping) or not message.keys() <= {"role", "content"} or "role" not in message:
        return None
    content = message.get("content")
    if isinstance(content, list):
        parts = [
            part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
            for part in content
        ]
        return None if None in parts else "".join(map(str, parts))
    return content if isinstance(content, str) else None
