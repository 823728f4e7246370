"""What pictures cost, by each vendor's documented rule and its own examples."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from budgets.asks import Ask, Image
from budgets.engine.quoting import quote
from budgets.prices import open_book
from budgets.records import Quote
from budgets.tokens.counter import TiktokenCounter
from budgets.tokens.families import family_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def tokens(model: str, image: Image) -> tuple[int, int]:
    rule = family_of(None, model).images
    assert rule is not None
    found = rule.tokens(image)
    return found.likely, found.most


@pytest.mark.parametrize(
    ("model", "image", "likely", "most"),
    [
        # The examples of https://platform.openai.com/docs/guides/images-vision#calculating-costs
        ("gpt-4o", Image(1024, 1024), 765, 765),
        ("gpt-4o", Image(2048, 4096), 1105, 1105),
        ("gpt-4o", Image(2048, 4096, "low"), 85, 85),
        ("gpt-4.1-mini", Image(1024, 1024), 1659, 1659),
        ("gpt-4.1-mini", Image(1800, 2400), 2353, 2489),
        # Measured: 12 less than https://community.openai.com/t/1262691 has for the picture and a short text.
        ("gpt-4o", Image(128, 64), 255, 255),
        ("gpt-4.1", Image(128, 64), 255, 255),
        ("gpt-4o-mini", Image(128, 64), 8_500, 8_500),
        ("o3", Image(128, 64), 225, 225),
        ("gpt-5-chat-latest", Image(128, 64), 210, 210),
        ("o4-mini", Image(128, 64), 14, 14),
        # Recorded: 316 with 128 of reasoning, a call, and its result; the page's own factor is 1.62.
        ("gpt-5-mini", Image(400, 301), 156, 211),
        ("gpt-5-nano", Image(400, 301), 195, 320),
        ("gpt-5.4", Image(3200, 3200), 3_000, 4_050),
        ("gpt-5.4", Image(3200, 3200, "original"), 12_000, 16_200),
        ("gpt-5.9", Image(32, 32), 2, 2),
        # https://platform.claude.com/docs/en/build-with-claude/vision
        ("claude-sonnet-4-5", Image(200, 200), 64, 64),
        ("claude-sonnet-4-5", Image(1000, 1000), 1_296, 1_296),
        ("claude-sonnet-4-5", Image(1092, 1092), 1_521, 1_521),
        ("claude-sonnet-4-5", Image(8000, 8000), 1_521, 1_568),
        ("claude-opus-4-8", Image(1092, 1092), 1_521, 1_521),
        ("claude-opus-4-8", Image(8000, 8000), 4_761, 4_784),
        # https://ai.google.dev/gemini-api/docs/tokens#multimodal-tokens
        ("gemini-2.5-flash", Image(384, 384), 258, 258),
        ("gemini-2.5-flash", Image(960, 540), 258, 258 * 6),
        ("gemini-2.5-flash", Image(3072, 3072), 258, 258 * 16),
        # https://ai.google.dev/gemini-api/docs/media-resolution
        ("gemini-3-flash-preview", Image(400, 301), 1_097, 1_120),
        ("gemini-3-flash-preview", Image(400, 301, "media_resolution_low"), 274, 280),
        ("gemini-3-flash-preview", Image(400, 301, "media_resolution_ultra_high"), 2_195, 2_240),
    ],
)
def test_a_picture_costs_what_its_vendor_says(model: str, image: Image, likely: int, most: int) -> None:
    assert tokens(model, image) == (likely, most)


MODELS = (
    "gpt-4o", "gpt-4o-mini", "gpt-4.1-nano", "o1", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5.2", "gpt-6",
    "claude-sonnet-4-5", "claude-opus-4-8", "gemini-2.5-pro", "gemini-3-pro-preview",
)  # fmt: skip
SIZES = (1, 2, 27, 28, 29, 32, 384, 385, 512, 767, 768, 1_568, 2_048, 2_577, 8_000, 65_535, 2**32 - 1)


@pytest.mark.parametrize("model", MODELS)
def test_no_picture_costs_more_than_one_of_unknown_size(model: str) -> None:
    """So that a picture by address, or one whose header cannot be read, is held for."""
    _, most_of_all = tokens(model, Image())
    for width in SIZES:
        for height in SIZES:
            likely, most = tokens(model, Image(width, height))
            assert 0 < likely <= most <= most_of_all


@pytest.mark.parametrize("model", MODELS)
def test_turning_a_picture_does_not_change_its_most(model: str) -> None:
    for width in SIZES:
        for height in SIZES:
            assert tokens(model, Image(width, height))[1] == tokens(model, Image(height, width))[1]


def _quote(model: str, provider: str | None, *images: Image) -> Quote:
    ask = Ask(dialect="openai-chat", model=model, texts=("Hi",), messages=1, images=images, output_limit=10)
    return quote(ask, book=open_book(), counter=TiktokenCounter(), provider=provider, at=NOON)


def test_a_picture_with_a_rule_leaves_the_call_bounded() -> None:
    made = _quote("gpt-4o", "openai", Image(1024, 1024))
    assert made.bounded
    assert made.input_tokens - _quote("gpt-4o", "openai").input_tokens == 765
    assert made.counted_most == "tiktoken:o200k_base +5/message"


def test_a_picture_without_a_rule_holds_the_context_window() -> None:
    made = _quote("mistral-medium-latest", "mistral", Image(1024, 1024))
    assert made.unbounded == ("an image",)
    assert made.counted_most == "bound:context window"
    assert made.input_tokens_most > 100_000
    assert _quote("mistral-medium-latest", "mistral").bounded
