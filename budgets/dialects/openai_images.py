"""
OpenAI's images from a text (`/images/generations`), and those that copy it.

https://platform.openai.com/docs/api-reference/images/create
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from budgets.asks import Ask
from budgets.dialects import reading
from budgets.dialects.base import NO_HEADERS, Reported, Sent
from budgets.dialects.bearer import BearerDialect
from budgets.dialects.image_tokens import most_tokens
from budgets.dialects.openai_chat import OpenAIChatStream
from budgets.usage import Usage

# These are billed by the token, all others by the image.
_BY_TOKENS = re.compile(r"(?:openai/)?(?:gpt-image-|chatgpt-image-)")


class OpenAIImages(BearerDialect):
    """The dialect `openai-images`."""

    name = "openai-images"
    # Streams are refused where they are asked for.
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
        A request body for one image of all that is said.

        Raises:
            InvalidValueError: *system*, *temperature* or *stream*, which no image has.
        """
        reading.refuse_without_answer(system=system, temperature=temperature, stream=stream or None)
        return {"model": model, "prompt": "\n\n".join(message["content"] for message in messages)}

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for: a prompt to read, and images by the token or by the piece.

        Raises:
            InvalidValueError: it is no request of this dialect, it wants a stream, or nobody knows how many
                tokens an image of its model can be; the message names the field.
        """
        model = reading.name_of_model(body)
        prompt = reading.text_at(body, "prompt")
        if not prompt:
            raise reading.wrong("prompt", "is missing or empty")
        if reading.flag_at(body, "stream"):
            # Each partial image of it is billed beside the whole one, by a rule of its own.
            raise reading.wrong("stream", "is not metered for images", "leave it out: the image comes whole")
        images = reading.whole_number_at(body, "n", least=1) or 1
        if _BY_TOKENS.match(model) is None:
            fees = (("images", images),)
            return Ask(dialect=self.name, model=model, output_limit=0, fees=fees, by_tokens=False)
        quality, size = reading.text_at(body, "quality"), reading.text_at(body, "size")
        each = most_tokens(model, quality=quality, size=size)
        return Ask(
            dialect=self.name,
            model=model,
            texts=(prompt,),
            messages=1,
            output_limit=0,
            fees=(("output_image", each * images),),
        )

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:  # noqa: ARG002 - images have a size
        """A copy of *body*: how large an image is, its size and quality say."""
        return dict(body)

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """*body* as it goes out."""
        return Sent("/images/generations", body)

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* at *path* is."""
        return dict(body) if path.partition("?")[0].endswith("/images/generations") else None

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body*: replies carry their usage without being asked."""
        return dict(body)

    def read_reply(self, body: Mapping[str, Any], _headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a reply reports: its tokens, or without them how many images it has.

        Raises:
            UnreadableReplyError: it has usage that cannot be trusted; the message names the field.
        """
        usage = _read_usage(body.get("usage"))
        made = sum(1 for _ in reading.objects_in(body.get("data")))
        if usage is None and made:
            usage = Usage.of(images=made)
        return Reported(model=reading.text_or_none(body.get("model")), usage=usage)

    def read_stream(self) -> OpenAIChatStream:
        """A reader for a stream, which is never asked for: one that comes all the same is read as chat."""
        return OpenAIChatStream()

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line."""
        return reading.words_of_error(body)


def _read_usage(block: Any) -> Usage | None:
    """
    The tokens of the prompt, and of the images.

    https://platform.openai.com/docs/api-reference/images/object#images/object-usage
    """
    if block is None:
        return None
    if not isinstance(block, Mapping):
        raise reading.unreadable("usage", "is not an object")
    read = reading.count_at(block, "input_tokens", "usage.input_tokens")
    written = reading.count_at(block, "output_tokens", "usage.output_tokens")
    if read is None or written is None:
        return None
    shown = _part(block, "input_tokens_details", "image_tokens", read)
    said = _part(block, "output_tokens_details", "text_tokens", written)
    counts = {"input": read - shown, "input_image": shown, "output": said, "output_image": written - said}
    return reading.usage_of(counts)


def _part(block: Mapping[str, Any], key: str, name: str, whole: int) -> int:
    details = reading.block_at(block, key, f"usage.{key}")
    part = reading.count_at(details, name, f"usage.{key}.{name}") or 0
    reading.must_fit(f"usage.{key}.{name}", part, whole)
    return part
