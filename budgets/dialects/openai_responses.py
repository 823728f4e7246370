"""
OpenAI's Responses API, and those that copy it.

https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import openai_usage, reading
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.bearer import BearerDialect, asked_for
from budgets.dialects.image_tokens import GPT_IMAGE_1
from budgets.dialects.openai_responses_cut import OpenItems
from budgets.dialects.openai_responses_request import LEAST_OUTPUT, read_request
from budgets.dialects.sse import Event, SseSplitter
from budgets.usage import Usage

# A response in one of these states will not change any more.
# https://platform.openai.com/docs/api-reference/responses/object#responses/object-status
_FINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})

# The events that end a stream, each with the whole response.
# https://platform.openai.com/docs/api-reference/responses-streaming
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})

# Deltas of what is written beside the answer.
_ASIDE = frozenset(
    {
        "response.refusal.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
        "response.code_interpreter_call_code.delta",
    }
)

# https://platform.openai.com/docs/guides/tools-image-generation
_IMAGE_TOOL = "image_generation"
_IMAGE_MODEL = "gpt-image-1"


class OpenAIResponses(BearerDialect):
    """The dialect `openai-responses`."""

    name = "openai-responses"

    def build_request(
        self,
        *,
        model: str,
        messages: list[dict[str, Any]],
        system: str | None,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, Any]:
        """A request body that leaves nothing stored, the system prompt as its instructions."""
        told = {} if system is None else {"instructions": system}
        body = {"model": model, "input": list(messages), "store": False, **told}
        return {**body, **asked_for(temperature, stream=stream)}

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        return read_request(body)

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* whose `max_output_tokens`, reasoning included, is at most *tokens*.

        Raises:
            InvalidValueError: *tokens* is below the 16 that the API takes at least.
        """
        reading.check_limit(tokens)
        own = reading.whole_number_at(body, "max_output_tokens", least=1)
        limit = tokens if own is None else min(own, tokens)
        if limit < LEAST_OUTPUT and own != limit:
            raise reading.wrong("max_output_tokens", f"cannot be below {LEAST_OUTPUT}")
        return {**body, "max_output_tokens": limit}

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """*body* as it goes out."""
        return Sent("/responses", body)

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is."""
        return dict(body) if path.partition("?")[0].endswith("/responses") else None

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: streams carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a plain reply reports; one that is still worked on in the background is not finished.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        return _reported(body, finished=str(body.get("status", "completed")) in _FINAL)

    def read_stream(self) -> OpenAIResponsesStream:
        """A reader for one stream."""
        return OpenAIResponsesStream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


class OpenAIResponsesStream:
    """Reads one stream of typed events; its last one carries the whole response."""

    def __init__(self) -> None:
        self._events = SseSplitter()
        self._response: Mapping[str, Any] = {}
        self._answer: list[str] = []
        self._aside: list[str] = []
        self._items = OpenItems()
        self._finished = False
        self._broken = False

    def feed(self, piece: bytes) -> str:
        """Take the next bytes; give back the answer text that they complete."""
        return "".join(self._take(event.data) for event in self._events.feed(piece))

    def _take(self, data: str) -> str:
        if data.strip() == "[DONE]":
            # Some copies end like a chat does.
            return ""
        event = reading.parse_object(data)
        if event is None:
            self._broken = True
            return ""
        kind = str(event.get("type"))
        self._items.note(kind, event)
        delta = reading.text_or_none(event.get("delta")) or ""
        if kind == "response.output_text.delta":
            self._answer.append(delta)
            return delta
        if kind in _ASIDE:
            self._aside.append(delta)
        response = event.get("response")
        if isinstance(response, Mapping) and not self._finished:
            self._response = response
            self._finished = kind in _ENDS
        return ""

    def reported(self) -> Reported:
        """
        What the stream has said so far.

        Raises:
            UnreadableReplyError: a usage block came and cannot be trusted, or none came and part of the
                stream is not JSON.
        """
        if self._broken and self._response.get("usage") is None:
            raise reading.unreadable("stream", "has a piece that is not JSON, and no usage")
        return _reported(self._response, finished=self._finished, answer=self._answer, aside=self._aside)

    def cut_here(self, output_tokens: int) -> list[Event] | None:  # noqa: ARG002 - no usage is said of ours
        """Open parts and items are ended, then the response is, as incomplete."""
        return None if self._finished else self._items.cut_here(self._response)


def _reported(
    response: Mapping[str, Any],
    *,
    finished: bool,
    answer: list[str] | None = None,
    aside: list[str] | None = None,
) -> Reported:
    if answer is None or aside is None:
        answer, aside = _written(response)
    block = response.get("usage")
    usage = openai_usage.read_usage(block, openai_usage.RESPONSES)
    if usage is not None:
        usage = Usage.of(how=usage.how, **dict(usage.counts), **_tool_calls(response))
    return Reported(
        model=reading.text_or_none(response.get("model")),
        usage=usage,
        reply_id=reading.text_or_none(response.get("id")),
        service_tier=reading.text_or_none(response.get("service_tier")),
        billed_picos=openai_usage.read_bill(block),
        finished=finished,
        text="".join(answer),
        aside="".join(aside),
        others=_images(response),
    )


def _written(response: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The texts of a whole response: its answer, and what stands beside it."""
    answer: list[str] = []
    aside: list[str] = []
    for item in reading.objects_in(response.get("output")):
        for part in reading.objects_in(item.get("content")):
            text = reading.text_or_none(part.get("text") or part.get("refusal")) or ""
            (answer if part.get("type") == "output_text" else aside).append(text)
        for part in reading.objects_in(item.get("summary")):
            aside.append(reading.text_or_none(part.get("text")) or "")
        written = (item.get(key) for key in ("name", "arguments", "input", "code"))
        aside += [text for text in written if isinstance(text, str)]
    return answer, aside


def _tool_calls(response: Mapping[str, Any]) -> dict[str, int]:
    """
    What of the provider's tools is billed by the call, or by the session.

    A web search that only opens a page or looks into it has no fee. Code runs in containers: one that an
    earlier call paid for looks like a new one here, and is counted again.
    https://platform.openai.com/docs/guides/tools-web-search#output-and-citations
    https://platform.openai.com/docs/pricing#built-in-tools
    """
    used = reading.block_at(response, "tool_usage", "tool_usage")
    search = reading.block_at(used, "web_search", "tool_usage.web_search")
    counted = reading.count_at(search, "num_requests", "tool_usage.web_search.num_requests")
    items = list(reading.objects_in(response.get("output")))
    searches = sum(1 for item in items if item.get("type") == "web_search_call" and _did_search(item))
    return {
        "web_searches": searches if counted is None else counted,
        "file_searches": sum(1 for item in items if item.get("type") == "file_search_call"),
        "code_sessions": len(
            {str(item.get("container_id")) for item in items if item.get("type") == "code_interpreter_call"}
        ),
    }


def _did_search(item: Mapping[str, Any]) -> bool:
    action = item.get("action")
    return not isinstance(action, Mapping) or action.get("type", "search") == "search"


def _images(response: Mapping[str, Any]) -> tuple[tuple[str, Usage], ...]:
    """
    What the image model used: its tokens are not in `usage` and have prices of their own.

    https://platform.openai.com/docs/guides/tools-image-generation
    """
    used = reading.block_at(response, "tool_usage", "tool_usage")
    field = "tool_usage.image_gen"
    block = reading.block_at(used, "image_gen", field)
    read = reading.count_at(block, "input_tokens", f"{field}.input_tokens") or 0
    written = reading.count_at(block, "output_tokens", f"{field}.output_tokens") or 0
    tools = [each for each in reading.objects_in(response.get("tools")) if each.get("type") == _IMAGE_TOOL]
    model = next((name for tool in tools if (name := reading.text_or_none(tool.get("model")))), _IMAGE_MODEL)
    if not read and not written:
        made = sum(_image_tokens(item) for item in reading.objects_in(response.get("output")))
        return ((model, Usage.of(how="estimated:image sizes", output_image=made)),) if made else ()
    details = reading.block_at(block, "input_tokens_details", f"{field}.input_tokens_details")
    shown = reading.count_at(details, "image_tokens", f"{field}.input_tokens_details.image_tokens") or 0
    reading.must_fit(f"{field}.input_tokens_details.image_tokens", shown, read)
    details = reading.block_at(block, "output_tokens_details", f"{field}.output_tokens_details")
    said = reading.count_at(details, "text_tokens", f"{field}.output_tokens_details.text_tokens") or 0
    reading.must_fit(f"{field}.output_tokens_details.text_tokens", said, written)
    counts = {
        "input": read - shown,
        "input_image": shown,
        "output": said,
        "output_image": written - said,
    }
    return ((model, reading.usage_of(counts)),)


def _image_tokens(item: Mapping[str, Any]) -> int:
    if item.get("type") != "image_generation_call" or not item.get("result"):
        return 0
    tokens = GPT_IMAGE_1.get(str(item.get("quality")), {}).get(str(item.get("size")))
    if tokens is None:
        raise reading.unreadable("image_generation_call", "made an image of a size that has no known cost")
    return tokens
