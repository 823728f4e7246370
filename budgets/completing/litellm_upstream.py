"""
Providers whose dialect we do not speak, by way of the litellm package: an upstream like any other.

It takes and gives OpenAI's wire format, so what it calls is held, limited, read, and charged as everything
else is. litellm is loaded at the first such call (3 to 4 seconds), and never otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from budgets.errors import ProviderError
from budgets.providers import Provider
from budgets.upstream import Answer, OutgoingCall

# What litellm gives a status of its own although no answer came: the call may have arrived.
_NO_ANSWER = frozenset({"APIConnectionError", "Timeout"})


def installed() -> bool:
    """Whether the package is there. Nothing is loaded."""
    return find_spec("litellm") is not None


def provider_for(name: str) -> Provider:
    """A provider of that name, as litellm presents it: in OpenAI's dialect."""
    return Provider(
        id=name,
        dialect="openai-chat",
        base_url="litellm:",
        documentation="https://docs.litellm.ai/docs/providers",
        stream_usage_on_request=True,
    )


class LiteLLMUpstream:
    """
    Args:
        options: What litellm is told beside the request: `api_key`, `api_base`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    @asynccontextmanager
    async def send(self, call: OutgoingCall) -> AsyncIterator[Answer]:
        """
        Have litellm make *call*, once.

        Raises:
            ProviderError: it failed without an answer of the provider's.
        """
        litellm = await asyncio.to_thread(_loaded)
        body = json.loads(call.body)
        try:
            found = await litellm.acompletion(**body, **self._options, num_retries=0, max_retries=0)
        except Exception as error:
            status = getattr(error, "status_code", None)
            if type(status) is not int or status < 400 or type(error).__name__ in _NO_ANSWER:
                raise ProviderError(
                    f"{call.provider} could not be called through litellm: {type(error).__name__}",
                    hint="look whether litellm knows the model, and has what it needs to call it",
                    provider=call.provider,
                    status=None,
                    charged_possible=True,
                ) from error
            words = json.dumps({"error": {"message": str(error)}}).encode()
            answer = Answer(status, {"content-type": "application/json"}, _whole(words))
        else:
            streams = bool(body.get("stream"))
            kind = "text/event-stream" if streams else "application/json"
            chunks = _events(found) if streams else _whole(found.model_dump_json().encode())
            answer = Answer(200, {"content-type": kind}, chunks)
        yield answer


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _events(stream: Any) -> AsyncIterator[bytes]:
    async for chunk in stream:
        yield b"data: " + chunk.model_dump_json().encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _loaded() -> Any:
    # Else it asks the network for prices, which we have.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    return import_module("litellm")
