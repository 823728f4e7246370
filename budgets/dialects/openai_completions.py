"""
OpenAI's first API, text in and text on, and those that copy it.

https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.bearer import BearerDialect, asked_for
from budgets.dialects.inputs import is_token
from budgets.dialects.openai_chat import OpenAIChatStream
from budgets.dialects.openai_usage import read_bill, read_usage

# Without a limit an answer ends here. https://platform.openai.com/docs/api-reference/completions/create
_DEFAULT_OUTPUT = 16
# A chat's path ends alike, and so does Mistral's filling-in, which answers like a chat.
_ADDRESS = re.compile(r"(?<!/chat)(?<!/fim)/completions$")


class OpenAICompletions(BearerDialect):
    """The dialect `openai-completions`."""

    name = "openai-completions"

    def build_request(
        self,
        *,
        model: str,
        messages: list[dict[str, Any]],
        system: str | None,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, Any]:
        """A request body: all that is said, one under the other, is the text to go on with."""
        said = [] if system is None else [system]
        prompt = "\n\n".join([*said, *(message["content"] for message in messages)])
        return {"model": model, "prompt": prompt, **asked_for(temperature, stream=stream)}

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for: each prompt is read once, and `best_of` answers to it are written and billed.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        texts, ids, prompts = _prompts(body.get("prompt"))
        suffix = reading.text_at(body, "suffix")
        own = _own_limit(body)
        shown = reading.whole_number_at(body, "n", least=1) or 1
        written = reading.whole_number_at(body, "best_of", least=1) or 1
        return Ask(
            dialect=self.name,
            model=reading.name_of_model(body),
            texts=tuple(text for text in (*texts, suffix) if text),
            token_ids=ids,
            output_limit=_DEFAULT_OUTPUT if own is None else own,
            answers=prompts * max(shown, written),
            stream=reading.flag_at(body, "stream"),
        )

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* with at most *tokens* tokens for each answer.

        Raises:
            InvalidValueError: *tokens* is below 1, or the limit that is there is no number.
        """
        reading.check_limit(tokens)
        own = _own_limit(body)
        return {**body, "max_tokens": min(tokens, _DEFAULT_OUTPUT if own is None else own)}

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """*body* as it goes out."""
        return Sent("/completions", body)

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is."""
        return dict(body) if _ADDRESS.search(path.partition("?")[0]) else None

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """
        A copy of *body* whose stream ends with its usage.

        https://platform.openai.com/docs/api-reference/completions/create#completions-create-stream_options
        """
        if not reading.flag_at(body, "stream"):
            return dict(body)
        options = reading.object_at(body, "stream_options")
        return {**body, "stream_options": {**options, "include_usage": True}}

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a plain reply reports.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        choices = reading.objects_in(body.get("choices"))
        return Reported(
            model=reading.text_or_none(body.get("model")),
            usage=read_usage(body.get("usage")),
            billed_picos=read_bill(body.get("usage")),
            reply_id=reading.text_or_none(body.get("id")),
            text="".join(reading.text_or_none(choice.get("text")) or "" for choice in choices),
        )

    def read_stream(self) -> OpenAICompletionsStream:
        """A reader for one stream."""
        return OpenAICompletionsStream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


class OpenAICompletionsStream(OpenAIChatStream):
    """Reads one stream of `text_completion` chunks, which are a chat's but for where the text is."""

    object_name = "text_completion"
    nothing_more: ClassVar[Mapping[str, Any]] = {"text": ""}

    def written_in(self, choice: Mapping[str, Any]) -> Any:
        """See `OpenAIChatStream.written_in`."""
        return {"content": choice.get("text")}


def _own_limit(body: Mapping[str, Any]) -> int | None:
    """The caller's own limit; 0 asks for the prompt back (`echo`), -1 is the copies' word for none."""
    own = reading.whole_number_at(body, "max_tokens", least=-1)
    return None if own == -1 else own


def _prompts(given: Any) -> tuple[list[str], int, int]:
    """The texts to go on with, how many token ids beside them, and how many prompts that is."""
    if given is None:
        # It begins with one token that says so.
        return [], 1, 1
    if isinstance(given, str):
        return [given], 0, 1
    if not isinstance(given, list) or not given:
        raise reading.wrong("prompt", "is neither text nor a list with something in it")
    if all(is_token(each) for each in given):
        return [], len(given), 1
    texts = [each for each in given if isinstance(each, str)]
    ids = [each for each in given if isinstance(each, list) and all(is_token(token) for token in each)]
    if len(texts) + len(ids) != len(given):
        raise reading.wrong("prompt", "has something else than texts and token ids in it")
    return texts, sum(map(len, ids)), len(given)
