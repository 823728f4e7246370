"""
Cohere's reranking, and those that copy it: a query and documents in, their order out; billed by the search.

https://docs.cohere.com/reference/rerank
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.bearer import BearerDialect
from budgets.dialects.cohere_v2 import CohereV2Stream, whole_number

# A search is one query with up to 100 documents. A document counts as several where it and the query are
# longer than 500 tokens. https://cohere.com/pricing
_DOCUMENTS_PER_SEARCH = 100
_TOKENS_PER_DOCUMENT = 500
# Longer documents are cut off here, unless the call says where.
# https://docs.cohere.com/reference/rerank#request.body.max_tokens_per_doc
_DEFAULT_MOST_TOKENS = 4096


class CohereRerank(BearerDialect):
    """The dialect `cohere-rerank`."""

    name = "cohere-rerank"
    # An order comes whole.
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
        A request body: the first message is the query, the others are to be ranked.

        Raises:
            InvalidValueError: *system*, *temperature* or *stream*, which no ranking has.
        """
        reading.refuse_without_answer(system=system, temperature=temperature, stream=stream or None)
        query, *documents = [message["content"] for message in messages]
        return {"model": model, "query": query, "documents": documents}

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for: as many searches as it can be billed as.

        A token is a byte at least, so bytes bound the tokens. Of a query 250 tokens count against a
        document's 500: of a longer one what is reported is charged, held or not.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        model = reading.name_of_model(body)
        query = reading.text_at(body, "query")
        if not query:
            raise reading.wrong("query", "is missing or empty")
        most = reading.whole_number_at(body, "max_tokens_per_doc", least=1) or _DEFAULT_MOST_TOKENS
        documents = reading.list_at(body, "documents")
        if not documents:
            raise reading.wrong("documents", "is missing or empty")
        room = _TOKENS_PER_DOCUMENT - min(_bytes(query), _TOKENS_PER_DOCUMENT // 2)
        counted = 0
        for number, document in enumerate(documents):
            # The first version of the API, and some copies, take objects.
            text = reading.compact_json(document) if isinstance(document, Mapping) else document
            if not isinstance(text, str):
                raise reading.wrong(f"documents[{number}]", "is neither text nor an object")
            counted += max(1, -(-min(_bytes(text), most) // room))
        searches = -(-counted // _DOCUMENTS_PER_SEARCH)
        fees = (("queries", searches),)
        return Ask(dialect=self.name, model=model, output_limit=0, fees=fees, by_tokens=False)

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:  # noqa: ARG002 - nothing is written
        """A copy of *body*: nothing is written, so nothing is limited."""
        return dict(body)

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """*body* as it goes out."""
        return Sent("/v2/rerank", body)

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is."""
        return dict(body) if path.partition("?")[0].endswith("/rerank") else None

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: replies carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a reply reports: `meta.billed_units.search_units`. It does not name its model.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        meta = reading.block_at(body, "meta", "meta")
        units = reading.block_at(meta, "billed_units", "meta.billed_units")
        searches = whole_number(units, "search_units", "meta.billed_units.search_units")
        return Reported(
            model=None,
            usage=None if searches is None else reading.usage_of({"queries": searches}),
            reply_id=reading.text_or_none(body.get("id")),
        )

    def read_stream(self) -> CohereV2Stream:
        """A reader for a stream, which this API has none of: one that comes all the same is read as chat."""
        return CohereV2Stream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
