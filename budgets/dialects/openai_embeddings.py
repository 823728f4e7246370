"""
OpenAI's Embeddings API, and those that copy it: texts in, vectors out, no tokens written.

https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import openai_usage, reading
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.bearer import BearerDialect
from budgets.dialects.inputs import is_token
from budgets.dialects.openai_chat import OpenAIChatStream

# https://learn.microsoft.com/azure/ai-services/openai/reference#embeddings
_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/embeddings$")


class OpenAIEmbeddings(BearerDialect):
    """The dialect `openai-embeddings`."""

    name = "openai-embeddings"
    # Vectors come whole.
    stream_types: tuple[str, ...] = ()

    def build_request(
        self,
        *,
        model: str,
        messages: list[dict[str, Any]],
        system: str | None,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, Any]:
        """
        A request body that embeds each message's text.

        Raises:
            InvalidValueError: *system*, *temperature* or *stream*, which no embedding has.
        """
        reading.refuse_without_answer(system=system, temperature=temperature, stream=stream or None)
        return {"model": model, "input": [message["content"] for message in messages]}

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for: texts, or token ids, which are counted by counting them.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        model = reading.name_of_model(body)
        given = body.get("input")
        if isinstance(given, str):
            given = [given]
        if not isinstance(given, list) or not given:
            raise reading.wrong("input", "is neither text nor a list with something in it")
        if all(is_token(each) for each in given):
            given = [given]
        texts = [each for each in given if isinstance(each, str)]
        ids = [each for each in given if isinstance(each, list) and all(is_token(token) for token in each)]
        if len(texts) + len(ids) != len(given):
            raise reading.wrong("input", "has something else than texts and token ids in it")
        return Ask(
            dialect=self.name,
            model=model,
            texts=tuple(text for text in texts if text),
            token_ids=sum(len(each) for each in ids),
            messages=len(given),
            output_limit=0,
        )

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:  # noqa: ARG002 - nothing is written
        """A copy of *body*: nothing is written, so nothing is limited."""
        return dict(body)

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """*body* as it goes out."""
        return Sent("/embeddings", body)

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is. Azure names the model in the path, as a deployment."""
        place, _, _ = path.partition("?")
        if not place.endswith("/embeddings"):
            return None
        deployment = _DEPLOYMENT.search(place)
        return {**({"model": reading.unescaped(deployment[1])} if deployment else {}), **body}

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: replies carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a reply reports.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        block = body.get("usage")
        return Reported(
            model=reading.text_or_none(body.get("model")),
            usage=openai_usage.read_usage(block),
            reply_id=reading.text_or_none(body.get("id")),
            billed_picos=openai_usage.read_bill(block),
        )

    def read_stream(self) -> OpenAIChatStream:
        """A reader for a stream, which this API has none of: one that comes all the same is read as chat."""
        return OpenAIChatStream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)
