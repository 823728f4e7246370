"""
Usage as OpenAI writes it, in the words of either of its APIs, and as the copies vary it.

https://platform.openai.com/docs/api-reference/chat/object#chat-object-usage
https://platform.openai.com/docs/api-reference/responses/object#responses/object-usage
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from budgets.dialects import reading
from budgets.pricing import Picos
from budgets.usage import Usage


class Words(NamedTuple):
    """What the totals are called; the parts of each stand in `<total>_details`."""

    read: str
    written: str


CHAT = Words("prompt_tokens", "completion_tokens")
RESPONSES = Words("input_tokens", "output_tokens")


def read_usage(block: Any, words: Words = CHAT) -> Usage | None:
    """
    A usage block as disjoint counts; `None` where there is none.

    Raises:
        UnreadableReplyError: it cannot be trusted; the message names the field.
    """
    if block is None:
        return None
    if not isinstance(block, Mapping):
        raise reading.unreadable("usage", "is not an object")
    prompt = reading.count_at(block, words.read, f"usage.{words.read}")
    completion = reading.count_at(block, words.written, f"usage.{words.written}")
    if prompt is None and completion is None:
        # Some copies send an empty block where they have nothing to say.
        return None
    if prompt is None:
        raise reading.unreadable(f"usage.{words.read}", "is missing")
    return reading.usage_of(
        {**_read_input(block, words, prompt), **_read_output(block, words, prompt, completion or 0)}
    )


def _details_of(total: str) -> str:
    return f"{total}_details"


def _read_input(block: Mapping[str, Any], words: Words, prompt: int) -> dict[str, int]:
    key = _details_of(words.read)
    field = f"usage.{key}"
    details = reading.block_at(block, key, field)
    cached = _cached(block, details, field)
    # OpenAI and OpenRouter have writes inside `prompt_tokens`.
    # https://openrouter.ai/docs/use-cases/usage-accounting
    written = reading.count_at(details, "cache_write_tokens", f"{field}.cache_write_tokens") or 0
    audio = reading.count_at(details, "audio_tokens", f"{field}.audio_tokens") or 0
    reading.must_fit(f"{field}.audio_tokens", audio, prompt)
    reading.must_fit(f"{field}.cached_tokens", cached + written, prompt)
    # Nothing says how much of the cached part is audio, so it is text as far as the text reaches.
    cached_audio = max(0, cached + written + audio - prompt)
    reading.must_fit(f"{field}.audio_tokens", cached_audio, cached)
    return {
        "input": prompt - written - audio - (cached - cached_audio),
        "cached_input": cached - cached_audio,
        "cache_write": written,
        "input_audio": audio - cached_audio,
        "cached_input_audio": cached_audio,
    }


def _cached(block: Mapping[str, Any], details: Mapping[str, Any], field: str) -> int:
    places = (
        (details, "cached_tokens", f"{field}.cached_tokens"),
        # https://api-docs.deepseek.com/guides/kv_cache
        (block, "prompt_cache_hit_tokens", "usage.prompt_cache_hit_tokens"),
        # Mistral: https://docs.mistral.ai/api/endpoint/chat
        (block, "num_cached_tokens", "usage.num_cached_tokens"),
        # Moonshot: https://platform.moonshot.ai/docs/api/chat
        (block, "cached_tokens", "usage.cached_tokens"),
    )
    for place, key, name in places:
        count = reading.count_at(place, key, name)
        if count is not None:
            return count
    return 0


def _read_output(block: Mapping[str, Any], words: Words, prompt: int, completion: int) -> dict[str, int]:
    key = _details_of(words.written)
    field = f"usage.{key}"
    details = reading.block_at(block, key, field)
    reasoning = reading.count_at(details, "reasoning_tokens", f"{field}.reasoning_tokens") or 0
    audio = reading.count_at(details, "audio_tokens", f"{field}.audio_tokens") or 0
    image = reading.count_at(details, "image_tokens", f"{field}.image_tokens") or 0
    total = reading.count_at(block, "total_tokens", "usage.total_tokens") or 0
    # OpenAI has reasoning inside the output. Where the total is more than prompt and completion,
    # the rest was thought outside of it: xAI says so beside it, Gemini's compatible endpoint does not.
    # https://docs.x.ai/docs/guides/reasoning
    # A total below its parts says nothing: the parts are what is billed.
    outside = max(0, total - prompt - completion)
    inside = max(0, reasoning - outside)
    reading.must_fit(f"{field}.reasoning_tokens", inside, completion)
    reading.must_fit(f"{field}.audio_tokens", inside + audio, completion)
    reading.must_fit(f"{field}.image_tokens", inside + audio + image, completion)
    return {
        "output": completion - inside - audio - image,
        "reasoning": inside + outside,
        "output_audio": audio,
        "output_image": image,
    }


def read_bill(block: Any) -> Picos | None:
    """
    What OpenRouter says that the call costs, in pico-dollars; `None` where that is not the whole bill.

    With a key of one's own at the vendor `cost` is OpenRouter's fee alone, and the vendor bills its part
    apart. Of the rest, the vendor's part is what OpenRouter pays, and is not added.
    https://openrouter.ai/docs/use-cases/usage-accounting
    https://openrouter.ai/docs/use-cases/byok

    Raises:
        UnreadableReplyError: an amount is there and cannot be trusted.
    """
    if not isinstance(block, Mapping):
        return None
    cost = reading.picos_at(block, "cost", "usage.cost")
    if cost is None:
        return None
    if block.get("is_byok") is True:
        details = reading.block_at(block, "cost_details", "usage.cost_details")
        field = "usage.cost_details.upstream_inference_cost"
        vendor = reading.picos_at(details, "upstream_inference_cost", field)
        # A vendor's part of nothing is one that nobody told.
        return cost + vendor if vendor else None
    # Without a word on whose key it was, nothing may mean that somebody else bills it.
    return cost if cost or block.get("is_byok") is False else None
