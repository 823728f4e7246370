"""
The most tokens a text can be for a tokenizer that we do not have.

Two bounds, and the lower one counts.

*Bytes.* A byte-level vocabulary never makes more tokens than the text has UTF-8 bytes; a SentencePiece
vocabulary with byte fallback adds at most the space that it puts in front.
This bound holds for every text, and is about four times too high for prose.

*Two witnesses.* The vendor's factor (`families.py`) times the higher of two counts. o200k alone is a poor
witness: it was made for many languages, and vocabularies that were not need 1.5 times as much for Dutch
or Swahili and 4 times for Hindi, where they need no more than o200k for English. The older cl100k needs
more for the same texts as they do, so whatever a text is written in, one of the two is close.
What neither can know, because both join more than other vendors, is added on top:

- digits: both join three, Gemini, Mistral and Llama 2 none: one token each;
- a run of one character: both have tokens of 64 dashes and 80 spaces, others join 16 or 31: one each, and
  from the second on for line ends and tabs;
- words in CAPITALS: Claude makes half as many again of them (recorded calls): one for two letters;
- symbols and emoji: one for each byte.

Held against 13 vocabularies that are not ours (Llama 2 and 3, Mistral v1 to v3, Qwen 3, DeepSeek V3, GLM-4,
Kimi K2, Phi-4, Gemma 2 to 4; splintr-rs 0.22.0) on 49 samples, languages from Arabic to Zulu, code, JSON,
digits, hex, base64, emoji and random letters among them, it was never short.
"""

from __future__ import annotations

import re

# What a text may take for having a beginning: SentencePiece's leading space, a split first word.
_START_TOKENS = 3

_ONE_EACH = re.compile(r"[0-9]+|[\t\n\r]{2,}|(.)\1{16,}", re.DOTALL)
_ONE_FOR_TWO = re.compile(r"[A-Z]{2,}")
# The zero-width joiner, arrows to dingbats, variation selectors, and all that has four bytes.
_BYTES_EACH = re.compile(r"[\u200d\u2190-\u2bff\ufe00-\ufe0f\U00010000-\U0010ffff]+")


def utf8_bytes(text: str) -> int:
    """The length of *text* in UTF-8, half a surrogate pair counted as three bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def most_tokens(text: str, *, counted: int, percent: int) -> int:
    """
    The most tokens of *text*.

    Args:
        text: Any text; the empty one is 0 tokens.
        counted: The higher of its o200k and cl100k counts.
        percent: The vendor's tokens for each 100 of those, at most.
    """
    by_count = -(-counted * percent // 100) + _uneven_tokens(text) + _START_TOKENS
    return min(by_count, utf8_bytes(text) + 1) if text else 0


def _uneven_tokens(text: str) -> int:
    single = sum(found.end() - found.start() for found in _ONE_EACH.finditer(text))
    capitals = sum(map(len, _ONE_FOR_TWO.findall(text)))
    spelled = 0 if text.isascii() else utf8_bytes("".join(_BYTES_EACH.findall(text)))
    return single + (capitals + 1) // 2 + spelled
