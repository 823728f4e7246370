"""
How many tokens a picture is: each vendor's own rule, by the size that its header says.

A rule gives the likely number and the most. A picture of unknown size is likely one of 1,024 by 1,024, and at
most the largest that the rule allows: the provider scales down what is larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from budgets.asks import Image
from budgets.tokens.span import Span

# The sides of a picture that nobody knows, in pixels.
_USUAL = 1_024


class ImageRule(Protocol):
    """What pictures cost with some models."""

    def tokens(self, image: Image) -> Span:
        """The tokens of one picture."""
        ...


@dataclass(frozen=True, slots=True)
class Tiles:
    """
    OpenAI's older way: a base, and so much for each tile of 512 by 512 pixels.

    The picture is first made to fit into 2048 by 2048, then its short side into 768; nothing is enlarged.
    https://platform.openai.com/docs/guides/images-vision#calculating-costs
    """

    base: int
    tile: int

    def tokens(self, image: Image) -> Span:
        """The tokens of one picture; of one with `low` detail the base alone."""
        if image.detail == "low":
            return Span(self.base, self.base)
        likely, most = (self.base + self.tile * tiles for tiles in _tiles(image))
        return Span(likely, most)


def _tiles(image: Image) -> tuple[int, int]:
    if image.width is None or image.height is None:
        # Of 768 by 768, and of 768 by 2,048.
        return 4, 8
    scale = min(1.0, 2048 / max(image.width, image.height))
    scale = min(scale, 768 / min(image.width, image.height))
    tiles = _cells(image.width * scale, image.height * scale, 512)
    return tiles, tiles


@dataclass(frozen=True, slots=True)
class Patches:
    """
    Patches of so many pixels, so many at most, times a factor.

    OpenAI's newer models: 32 pixels, https://platform.openai.com/docs/guides/images-vision#calculating-costs.
    Claude: 28 pixels, https://platform.claude.com/docs/en/build-with-claude/vision.
    """

    pixels: int
    # The most patches of one picture: larger ones are scaled down until they have no more.
    limit: int
    # Tokens for each hundred patches: likely, and at most.
    percent: Span
    # The longest side in pixels, where there is one.
    side: int | None = None
    # The most patches where the picture is asked for in its `original` detail.
    original: int | None = None

    def tokens(self, image: Image) -> Span:
        """The tokens of one picture; `low` and `high` detail make no difference that is known."""
        limit = self.original if self.original and image.detail == "original" else self.limit
        likely, most = min(limit, _cells(_USUAL, _USUAL, self.pixels)), limit
        if image.width is not None and image.height is not None:
            scale = min(1.0, self.side / max(image.width, image.height)) if self.side else 1.0
            width, height = image.width * scale, image.height * scale
            patches = _cells(width, height, self.pixels)
            most = min(patches, limit)
            likely = most if patches <= limit else _shrunk(width, height, self.pixels, limit)
        return Span(-(-likely * self.percent.likely // 100), -(-most * self.percent.most // 100))


def _shrunk(width: float, height: float, pixels: int, limit: int) -> int:
    """How many patches are left of a picture that had more than *limit*, as OpenAI's page computes it."""
    scale = math.sqrt(limit * pixels**2 / (width * height))
    across, down = width * scale / pixels, height * scale / pixels
    # A picture narrower than a patch still has one row of them.
    if across < 1 or down < 1:
        return limit
    scale = min(math.floor(across) / across, math.floor(down) / down)
    return min(limit, _cells(across * scale, down * scale, 1))


def _cells(width: float, height: float, pixels: int) -> int:
    # What was scaled to a whole number of cells may have come out a hair above it.
    return max(1, math.ceil(width / pixels - 1e-9)) * max(1, math.ceil(height / pixels - 1e-9))


@dataclass(frozen=True, slots=True)
class Crops:
    """
    Gemini to 2.5: 258 tokens, and as much for each crop of a picture that has a side above 384 pixels.

    https://ai.google.dev/gemini-api/docs/tokens#multimodal-tokens has the crops; recorded calls were billed
    for none, so they are the most and not the likely figure.
    """

    tokens_each: int = 258
    # More cannot be cut from 3072 by 3072, into which the picture is first made to fit.
    limit: int = 24

    def tokens(self, image: Image) -> Span:
        """The tokens of one picture."""
        crops = self.limit
        if image.width is not None and image.height is not None:
            crops = 1
            if max(image.width, image.height) > 384:
                unit = min(768, max(256, min(image.width, image.height) // 3 * 2))
                scale = min(1.0, 3072 / max(image.width, image.height))
                crops = _cells(image.width * scale, image.height * scale, unit)
        return Span(self.tokens_each, self.tokens_each * crops)


# https://ai.google.dev/gemini-api/docs/media-resolution; a picture that does not say is looked at closely.
_RESOLUTIONS = {"low": 280, "medium": 560, "high": 1_120, "ultra_high": 2_240}


@dataclass(frozen=True, slots=True)
class Resolutions:
    """Gemini 3: so many tokens for each resolution, whatever the size; recorded, up to 3 % fewer."""

    def tokens(self, image: Image) -> Span:
        """The tokens of one picture."""
        word = (image.detail or "").removeprefix("media_resolution_")
        tokens = _RESOLUTIONS.get(word, _RESOLUTIONS["high"])
        return Span(tokens * 98 // 100, tokens)
