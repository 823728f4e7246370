"""Laws of counting: cutting changes nothing, and the most is never below what it stands for."""

from __future__ import annotations

import re
from unittest import mock

from hypothesis import example, given, settings
from hypothesis import strategies as st

from budgets.asks import Ask, Image
from budgets.tokens import counting, ranks
from budgets.tokens.bound import utf8_bytes
from budgets.tokens.counter import TiktokenCounter
from budgets.tokens.counting import count_text

COUNTER = TiktokenCounter()
ENCODINGS = st.sampled_from(("o200k_base", "cl100k_base"))
STRANGERS = st.sampled_from(
    ("claude-sonnet-4-5", "claude-opus-4-8", "gemini-2.5-pro", "llama-2-70b", "kimi-k2", "nobody-knows")
)
# Pieces that words are made of and broken at, so that a cut finds every kind of neighbour.
SCRAPS = st.lists(
    st.sampled_from(
        [
            "the",
            "It's",
            "'",
            "’s",
            "123",
            "4",
            " ",
            "  ",
            "\n",
            "\r\n",
            "\n\n",
            "\t",
            "/",
            "//",
            ".",
            ", ",
            "_",
            "a_b",
            "{",
            "}",
            "://",
            "é",
            "e\u0301",
            "\u00a0",
            "\u3000",
            "\x1c",
            "\x85",
            "中文",
            "。",
            "ΑΒΓ",
            "ǅ",
            "²",
            "😀",
            "\u200d",
            "CAPS",
            "x" * 9,
        ]
    ),
    max_size=120,
).map("".join)
TEXTS = st.one_of(st.text(max_size=200), SCRAPS)


@settings(deadline=None, max_examples=300)
@given(text=TEXTS, encoding=ENCODINGS, piece=st.integers(1, 40))
# Three tokens in one piece, two where it is cut after the line end.
@example(text="--\n/**", encoding="o200k_base", piece=3)
def test_cutting_at_safe_places_changes_no_count(text: str, encoding: str, piece: int) -> None:
    whole = len(ranks.load(encoding).encode(text, disallowed_special=()))
    with mock.patch.multiple(counting, _PIECE=piece, _LONGEST_PIECE=10**6):
        assert count_text(text, encoding) == whole


@settings(deadline=None, max_examples=100)
@given(text=st.text(st.characters(exclude_categories=()), max_size=300), piece=st.integers(1, 20))
def test_any_text_at_all_is_counted(text: str, piece: int) -> None:
    with mock.patch.multiple(counting, _PIECE=piece, _LONGEST_PIECE=2 * piece):
        assert "".join(counting._pieces(text)) == text
        assert (count_text(text) > 0) == bool(text)


@settings(deadline=None, max_examples=200)
@given(text=TEXTS, model=STRANGERS)
def test_the_most_of_a_text_lies_between_every_known_count_and_its_bytes(text: str, model: str) -> None:
    count = COUNTER.count_text(text, provider=None, model=model)
    digits = len(re.findall("[0-9]", text))
    assert count.most >= max(count.likely, digits, *(count_text(text, name) for name in ranks.ENCODINGS))
    assert count.most <= (utf8_bytes(text) + 1 if text else 0)


SIZES = st.none() | st.integers(1, 2**32)
IMAGES = st.builds(Image, SIZES, SIZES, st.sampled_from((None, "low", "high", "original", "?")))


@settings(deadline=None, max_examples=100)
@given(
    texts=st.lists(TEXTS, max_size=4).map(tuple),
    tools=st.lists(st.sampled_from(('{"name":"f"}', "{}")), max_size=3).map(tuple),
    sealed=st.integers(0, 10**6),
    images=st.lists(IMAGES, max_size=2).map(tuple),
    messages=st.integers(0, 5),
    model=st.one_of(STRANGERS, st.sampled_from(("gpt-4o", "gpt-4", "gpt-5", "gpt-oss-20b", "our-model"))),
    dialect=st.sampled_from(("openai-chat", "openai-responses", "anthropic-messages")),
)
def test_a_request_is_never_less_than_its_texts(
    texts: tuple[str, ...],
    tools: tuple[str, ...],
    sealed: int,
    images: tuple[Image, ...],
    messages: int,
    model: str,
    dialect: str,
) -> None:
    ask = Ask(
        dialect=dialect,
        model=model,
        texts=texts,
        tools=tools,
        schemas=tools,
        together=texts,
        thoughts=texts,
        sealed=sealed,
        sealed_earlier=sealed,
        images=images,
        messages=messages,
    )
    count = COUNTER.count(ask, provider=None)
    alone = [COUNTER.count_text(text, provider=None, model=model) for text in texts]
    assert 0 <= count.likely <= count.most
    assert count.most >= sum(text.most for text in alone)
    # Rounded once for all texts, not once for each.
    assert count.likely >= sum(text.likely for text in alone) - len(alone)
