"""Sound, pictures, and video cost more than text at some models: what is held must cover them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from budgets.dialects import by_name
from budgets.engine.quoting import quote
from budgets.prices import open_book
from budgets.pricing import cost
from budgets.records import Quote
from budgets.tokens.counter import TiktokenCounter
from budgets.usage import Usage

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BOOK = open_book()


def _quoted(dialect: str, body: dict[str, Any]) -> Quote:
    ask = by_name(dialect).read_request(body)
    return quote(ask, book=BOOK, counter=TiktokenCounter(), provider=None, at=NOON)


def _chat(model: str, part: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": [part]}], "max_tokens": 1000, **more}


def _gemini(model: str, part: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {
        "model": model,
        "contents": [{"role": "user", "parts": [part]}],
        "generationConfig": {"maxOutputTokens": 1000, **config},
    }


TEXT = {"type": "text", "text": "hi"}
SOUND = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}


@pytest.mark.parametrize(
    ("dialect", "body", "used"),
    [
        pytest.param("openai-chat", _chat("gpt-audio", SOUND), {"input_audio": 128_000}, id="heard"),
        pytest.param(
            "openai-chat",
            _chat("gpt-audio", TEXT, modalities=["text", "audio"], audio={"voice": "ash"}),
            {"input": 9, "output_audio": 1000},
            id="spoken",
        ),
        pytest.param(
            "gemini",
            _gemini("gemini-2.5-flash", {"inlineData": {"mimeType": "video/mp4", "data": ""}}),
            {"input_audio": 1_048_576},
            id="the sound of a video",
        ),
        pytest.param(
            "gemini",
            _gemini("gemini-2.5-flash", {"fileData": {"fileUri": "files/1"}}),
            {"input_audio": 1_048_576},
            id="a file that may be sound",
        ),
        pytest.param(
            "gemini",
            _gemini("gemini-2.5-flash-image", {"text": "a cat"}),
            {"input": 9, "output_image": 1000},
            id="a picture that comes without asking",
        ),
    ],
)
def test_the_most_covers_what_is_no_text(dialect: str, body: dict[str, Any], used: dict[str, int]) -> None:
    prices = BOOK.find(body["model"], at=NOON)
    assert _quoted(dialect, body).most_nanos >= cost(Usage.of(**used), prices).nanos


def test_text_alone_is_held_at_the_price_of_text() -> None:
    written = cost(Usage.of(output=1000), BOOK.find("gpt-audio", at=NOON)).nanos
    assert written < _quoted("openai-chat", _chat("gpt-audio", TEXT)).most_nanos < 2 * written
    asked = _gemini("gemini-2.5-flash-image", {"text": "a cat"}, responseModalities=["TEXT"])
    assert (
        _quoted("gemini", asked).most_nanos
        < _quoted("gemini", _gemini("gemini-2.5-flash-image", {"text": "a cat"})).most_nanos / 10
    )


def test_a_search_that_is_always_made_is_held() -> None:
    """It alone may cost more than all that the model can read."""
    body = _chat("gpt-5-search-api", TEXT)
    prices = BOOK.find("gpt-5-search-api", at=NOON)
    window = prices.context_window
    assert window is not None
    used = Usage.of(input=window, output=1000, web_searches=1)
    assert _quoted("openai-chat", body).most_nanos >= cost(used, prices).nanos
