"""
How many tokens an image of OpenAI's can be, by quality and size.

https://platform.openai.com/docs/guides/image-generation#cost-and-latency
"""

from __future__ import annotations

from collections.abc import Mapping

from budgets.dialects import reading
from budgets.money import shown

_Table = Mapping[str, Mapping[str, int]]

GPT_IMAGE_1: _Table = {
    "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
    "medium": {"1024x1024": 1056, "1024x1536": 1584, "1536x1024": 1568},
    "high": {"1024x1024": 4160, "1024x1536": 6240, "1536x1024": 6208},
}
# From the prices of an image, given to a tenth of a cent, and $8 for a million tokens; rounded up.
# https://developers.openai.com/api/docs/models/gpt-image-1-mini
_MINI: _Table = {
    "low": {"1024x1024": 688, "1024x1536": 813, "1536x1024": 813},
    "medium": {"1024x1024": 1438, "1024x1536": 1938, "1536x1024": 1938},
    "high": {"1024x1024": 4563, "1024x1536": 6563, "1536x1024": 6563},
}
# Later models make images of any size, and no page says how many tokens those are at most.
_KNOWN: Mapping[str, _Table] = {
    "gpt-image-1": GPT_IMAGE_1,
    "gpt-image-1.5": GPT_IMAGE_1,
    "chatgpt-image-latest": GPT_IMAGE_1,
    "gpt-image-1-mini": _MINI,
}


def most_tokens(model: str, *, quality: str | None, size: str | None) -> int:
    """
    The most tokens that one image can be; where quality or size is left to the model, the dearest.

    Raises:
        InvalidValueError: nobody knows that of *model*, or of that quality or size.
    """
    table = _KNOWN.get(model.removeprefix("openai/"))
    if table is None:
        raise reading.wrong(
            "model",
            f"is {shown(model)}, and no page says how many tokens an image of it can be",
            f"ask for one of {', '.join(_KNOWN)}",
        )
    rows = list(table.values()) if quality in (None, "auto") else [table.get(quality or "", {})]
    found = [tokens for row in rows for name, tokens in row.items() if size in (None, "auto", name)]
    if not found:
        asked = shown(f"{quality or 'auto'} {size or 'auto'}")
        raise reading.wrong("quality", f"and size are {asked}, and no page says what such an image costs")
    return max(found)
