"""
Gemini's own API, at Google AI Studio and at Vertex: `generateContent`, its streams, and embeddings.

https://ai.google.dev/api/generate-content
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.gemini_request import embeds, key_in, read_request, thinking_budget
from budgets.dialects.json_array import ArraySplitter
from budgets.dialects.sse import Event, SseSplitter
from budgets.usage import Usage

_ADDRESS = re.compile(
    r"(?:^|/)models/([^/:]+):(generateContent|streamGenerateContent|embedContent|batchEmbedContents)$"
)

# Vertex says in which traffic a call went; each has prices of its own.
# https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#TrafficType
_TRAFFIC = {
    "TRAFFIC_TYPE_UNSPECIFIED": None,
    "ON_DEMAND": "standard",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
}

# Gemini bills sound apart; whatever is seen (a page of a document, a frame of a video) is one price.
# https://ai.google.dev/gemini-api/docs/pricing
_SEEN = frozenset({"IMAGE", "VIDEO", "DOCUMENT"})


class Gemini:
    """The dialect `gemini`."""

    name = "gemini"
    # Without `alt=sse` a stream is one JSON array that arrives bit by bit.
    stream_types = ("text/event-stream", "application/json")

    def headers(self, key: str | None) -> dict[str, str]:
        """
        The headers of a call; without *key* where a proxy adds it.

        Raises:
            InvalidValueError: no header can carry *key*.
        """
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["x-goog-api-key"] = reading.usable_key(key)
        return headers

    def build_request(
        self,
        *,
        model: str,
        messages: list[dict[str, Any]],
        system: str | None,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, Any]:
        """A request, with the model and whether to stream beside what is sent."""
        body: dict[str, Any] = {
            "model": model,
            "contents": [
                {
                    "role": "model" if message["role"] == "assistant" else "user",
                    "parts": [{"text": message["content"]}],
                }
                for message in messages
            ],
        }
        if system is not None:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if temperature is not None:
            body["generationConfig"] = {"temperature": temperature}
        if stream:
            body["stream"] = True
        return body

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        return read_request(body)

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* whose `maxOutputTokens`, thoughts included, is at most *tokens* for each candidate.

        Raises:
            InvalidValueError: *tokens* is below 1, leaves no room beside the thinking budget, or the limit
                that is there is no number.
        """
        if embeds(body):
            return dict(body)
        reading.check_limit(tokens)
        name = key_in(body, "generationConfig")
        config = reading.object_at(body, name)
        limit = key_in(config, "maxOutputTokens")
        own = reading.whole_number_at(config, limit, least=1, field=f"{name}.{limit}")
        lowered = tokens if own is None else min(own, tokens)
        budget = thinking_budget(config, name)
        # As it was asked for it may be; that no room for an answer is left is nothing that we bring about.
        if budget is not None and lowered <= budget and (own is None or own > budget):
            raise reading.wrong(
                "thinkingBudget",
                f"is {budget}, which does not fit into an answer of {lowered} tokens",
                "think in fewer tokens, or allow a longer answer",
            )
        return {**body, name: {**config, limit: lowered}}

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """The model and the way of answering go into the address."""
        model = reading.name_of_model(body)
        address = reading.escaped(model if "/" in model else f"models/{model}")
        if embeds(body):
            method = "batchEmbedContents" if "requests" in body else "embedContent"
        elif reading.flag_at(body, "stream"):
            method = "streamGenerateContent?alt=sse"
        else:
            method = "generateContent"
        inner = {key: value for key, value in body.items() if key not in ("model", "stream")}
        return Sent(f"/{address}:{method}", inner)

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is, the model taken from there."""
        found = _ADDRESS.search(reading.unescaped(path.partition("?")[0]))
        if found is None:
            return None
        request = {**body, "model": found[1]}
        if found[2] == "streamGenerateContent":
            request["stream"] = True
        return request

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: streams carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a plain reply reports. A prompt that was blocked has no answer, and the tokens that were read.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        written = _Written()
        written.add(body)
        return _reported(body, body.get("usageMetadata"), written, finished=True)

    def read_stream(self) -> GeminiStream:
        """A reader for one stream."""
        return GeminiStream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


class GeminiStream:
    """
    Reads one stream, as events or as one JSON array: each piece is a reply of its own.

    Counts grow from piece to piece, so each field is as it was said last.
    """

    def __init__(self) -> None:
        self._events = SseSplitter()
        self._array = ArraySplitter()
        self._as_array: bool | None = None
        self._last: dict[str, Any] = {}
        self._usage: Any = None
        self._written = _Written()
        # Candidate -> whether it has ended.
        self._candidates: dict[int, bool] = {}
        self._finished = False
        self._broken = False

    def feed(self, piece: bytes) -> str:
        """Take the next bytes; give back the answer text that they complete."""
        if self._as_array is None:
            begin = piece.lstrip()[:1]
            if not begin:
                return ""
            self._as_array = begin in b"[{"
        if self._as_array:
            found: list[bytes | str] = [*self._array.feed(piece)]
        else:
            found = [event.data for event in self._events.feed(piece)]
        return "".join(self._take(data) for data in found)

    def _take(self, data: bytes | str) -> str:
        reply = reading.parse_object(data)
        if reply is None:
            self._broken = True
            return ""
        usage = reply.get("usageMetadata")
        if isinstance(usage, Mapping) and isinstance(self._usage, Mapping | None):
            self._usage = {**(self._usage or {}), **usage}
        elif usage is not None:
            # What was no usage block once stays to be told.
            self._usage = usage
        for name in ("modelVersion", "responseId"):
            if reply.get(name) is not None:
                self._last[name] = reply[name]
        for candidate in reading.objects_in(reply.get("candidates")):
            if type(index := candidate.get("index", 0)) is int:
                ended = candidate.get("finishReason") is not None
                self._candidates[index] = ended or self._candidates.get(index, False)
        self._finished = self._finished or _ended(reply)
        return self._written.add(reply)

    def reported(self) -> Reported:
        """
        What the stream has said so far.

        Raises:
            UnreadableReplyError: a usage block came and cannot be trusted, or none came and part of the
                stream is not JSON.
        """
        if self._broken and self._usage is None:
            raise reading.unreadable("stream", "has a piece that is not JSON, and no usage")
        return _reported(self._last, self._usage, self._written, finished=self._finished)

    def cut_here(self, output_tokens: int) -> list[Event] | None:  # noqa: ARG002 - its own figures stand
        """One more piece, in which every candidate that is open ends at `MAX_TOKENS`."""
        running = [index for index, ended in sorted(self._candidates.items()) if not ended]
        if self._finished and not running:
            return None
        piece = {
            "candidates": [
                {
                    "content": {"parts": [{"text": ""}], "role": "model"},
                    "finishReason": "MAX_TOKENS",
                    "index": index,
                }
                for index in running or [0]
            ],
            **({"usageMetadata": self._usage} if isinstance(self._usage, Mapping) else {}),
            **self._last,
        }
        return [Event("message", reading.compact_json(piece))]


def _ended(reply: Mapping[str, Any]) -> bool:
    feedback = reply.get("promptFeedback")
    return (isinstance(feedback, Mapping) and feedback.get("blockReason") is not None) or any(
        candidate.get("finishReason") is not None for candidate in reading.objects_in(reply.get("candidates"))
    )


class _Written:
    """The texts of an answer, apart from what was written beside it, and what was searched for it."""

    def __init__(self) -> None:
        self.answer: list[str] = []
        self.aside: list[str] = []
        self.searches: set[str] = set()

    def add(self, reply: Mapping[str, Any]) -> str:
        """Take a reply or a piece of one; give back its answer text."""
        said = []
        for candidate in reading.objects_in(reply.get("candidates")):
            content = candidate.get("content")
            for part in reading.objects_in(content.get("parts") if isinstance(content, Mapping) else None):
                text = reading.text_or_none(part.get("text"))
                if text and not part.get("thought"):
                    said.append(text)
                elif text:
                    self.aside.append(text)
                for key in ("functionCall", "executableCode"):
                    if part.get(key) is not None:
                        self.aside.append(reading.compact_json(part[key]))
            grounding = candidate.get("groundingMetadata")
            queries = grounding.get("webSearchQueries") if isinstance(grounding, Mapping) else None
            if isinstance(queries, list):
                self.searches |= {query for query in queries if isinstance(query, str)}
        self.answer += said
        return "".join(said)


def _reported(reply: Mapping[str, Any], block: Any, written: _Written, *, finished: bool) -> Reported:
    usage = None
    tier = None
    model = reading.text_or_none(reply.get("modelVersion"))
    if block is not None:
        if not isinstance(block, Mapping):
            raise reading.unreadable("usageMetadata", "is not an object")
        tier = reading.text_or_none(block.get("serviceTier"))
        if traffic := reading.text_or_none(block.get("trafficType")):
            tier = _TRAFFIC.get(traffic, traffic.lower())
        usage = _read_usage(block, _billed_searches(model, written.searches))
    return Reported(
        model=model,
        usage=usage,
        reply_id=reading.text_or_none(reply.get("responseId")),
        service_tier=tier,
        finished=finished,
        text="".join(written.answer),
        aside="".join(written.aside),
    )


def _billed_searches(model: str | None, queries: set[str]) -> int:
    """
    How many searches are billed: Gemini 3 each query, earlier ones each prompt that was searched for.

    https://ai.google.dev/gemini-api/docs/google-search#pricing
    """
    if model is not None and re.match(r"gemini-[12](?![0-9])", model):
        return min(1, len(queries))
    return len(queries)


def _read_usage(block: Mapping[str, Any], searches: int) -> Usage | None:
    """
    A usage block as disjoint counts.

    Cached tokens stand inside `promptTokenCount`; what tools read stands beside it, and thoughts beside
    `candidatesTokenCount`.
    https://ai.google.dev/api/generate-content#UsageMetadata
    """
    names = (
        "promptTokenCount",
        "toolUsePromptTokenCount",
        "cachedContentTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "totalTokenCount",
    )
    found = {name: reading.count_at(block, name, f"usageMetadata.{name}") for name in names}
    if all(count is None for count in found.values()):
        return None
    prompt, by_tools, cached, answer, thoughts, total = (found[name] or 0 for name in names)
    counts = _read_input(block, prompt + by_tools, cached)
    parts = _modalities(block, "candidatesTokensDetails")
    seen, heard = sum(parts.get(kind, 0) for kind in _SEEN), parts.get("AUDIO", 0)
    reading.must_fit("usageMetadata.candidatesTokensDetails", seen + heard, answer)
    # A total above its parts has output in it that nobody named; a total below says nothing.
    unnamed = max(0, total - prompt - by_tools - answer - thoughts)
    counts |= {
        "output": answer - seen - heard,
        "output_image": seen,
        "output_audio": heard,
        "reasoning": thoughts + unnamed,
        "web_searches": searches,
    }
    return reading.usage_of(counts)


def _read_input(block: Mapping[str, Any], read: int, cached: int) -> dict[str, int]:
    # Embeddings leave out the plural.
    details = ("promptTokensDetails", "promptTokenDetails", "toolUsePromptTokensDetails")
    parts = [_modalities(block, key) for key in details]
    heard = sum(part.get("AUDIO", 0) for part in parts)
    seen = sum(part.get(kind, 0) for part in parts for kind in _SEEN)
    reading.must_fit("usageMetadata.promptTokensDetails", heard + seen, read)
    text = read - heard - seen
    reading.must_fit("usageMetadata.cachedContentTokenCount", cached, read)
    kept = _modalities(block, "cacheTokensDetails")
    cached_heard = kept.get("AUDIO", 0)
    cached_seen = sum(kept.get(kind, 0) for kind in _SEEN)
    for part, whole in ((cached_heard, heard), (cached_seen, seen), (cached_heard + cached_seen, cached)):
        reading.must_fit("usageMetadata.cacheTokensDetails", part, whole)
    # What is not told apart is text as far as that reaches, then what was seen.
    over = max(0, cached - cached_heard - cached_seen - text)
    cached_seen += min(over, seen - cached_seen)
    cached_heard = max(cached_heard, cached - cached_seen - text)
    cached_text = cached - cached_seen - cached_heard
    return {
        "input": text - cached_text,
        "cached_input": cached_text + cached_seen,
        "input_audio": heard - cached_heard,
        "cached_input_audio": cached_heard,
        "input_image": seen - cached_seen,
    }


def _modalities(block: Mapping[str, Any], key: str) -> dict[str, int]:
    field = f"usageMetadata.{key}"
    details = block.get(key)
    if details is None:
        return {}
    if not isinstance(details, list):
        raise reading.unreadable(field, "is not a list")
    counts: dict[str, int] = {}
    for number, each in enumerate(details):
        if not isinstance(each, Mapping):
            raise reading.unreadable(f"{field}[{number}]", "is not an object")
        kind = str(each.get("modality"))
        count = reading.count_at(each, "tokenCount", f"{field}[{number}].tokenCount") or 0
        counts[kind] = counts.get(kind, 0) + count
    return counts
