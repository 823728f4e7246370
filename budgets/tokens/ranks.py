"""
The two vocabularies of OpenAI's tokenizers, read from files that are shipped with the package.

`tiktoken.get_encoding` downloads its ranks on first use, without a time-out; registering our own under
the same name breaks every encoding of the environment.
Building `tiktoken.Encoding` from our own files touches neither the network nor any global state.
`README.md` beside this file says where the files come from.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from budgets.errors import ConfigError, InvalidValueError

if TYPE_CHECKING:
    import tiktoken

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class EncodingFacts:
    """What makes an encoding, but for the ranks; from `tiktoken_ext/openai_public.py` of tiktoken 0.14.0."""

    name: str
    # How many ordinary tokens there are; their ranks are 0 to this, without gaps.
    tokens: int
    # SHA-256 of the published `.tiktoken` text, as tiktoken's own source expects it.
    text_sha256: str
    # SHA-256 of the compact file beside this module.
    compact_sha256: str
    # How a text is cut into words before the ranks are applied.
    pattern: str
    special_tokens: Mapping[str, int]

    @property
    def path(self) -> Path:
        """Where the compact file lies."""
        return _FOLDER / f"{self.name}.bin"


ENCODINGS: Mapping[str, EncodingFacts] = {
    facts.name: facts
    for facts in (
        EncodingFacts(
            name="o200k_base",
            tokens=199_998,
            text_sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
            compact_sha256="440741350e7cfa1c0f4869ce742d1b043550adbda5187adcac9e787edac6fba9",
            pattern="|".join(
                (
                    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                    r"\p{N}{1,3}",
                    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                    r"\s*[\r\n]+",
                    r"\s+(?!\S)",
                    r"\s+",
                )
            ),
            special_tokens={"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018},
        ),
        EncodingFacts(
            name="cl100k_base",
            tokens=100_256,
            text_sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
            compact_sha256="18288f996f452d44e0e65996176591a4b712a3eb1b42afd6f0511e735c099480",
            pattern="|".join(
                (
                    r"'(?i:[sdmt]|ll|ve|re)",
                    r"[^\r\n\p{L}\p{N}]?+\p{L}++",
                    r"\p{N}{1,3}+",
                    r" ?[^\s\p{L}\p{N}]++[\r\n]*+",
                    r"\s++$",
                    r"\s*[\r\n]",
                    r"\s+(?!\S)",
                    r"\s",
                )
            ),
            special_tokens={
                "<|endoftext|>": 100_257,
                "<|fim_prefix|>": 100_258,
                "<|fim_middle|>": 100_259,
                "<|fim_suffix|>": 100_260,
                "<|endofprompt|>": 100_276,
            },
        ),
    )
}

_loading = threading.Lock()


def load(name: str) -> tiktoken.Encoding:
    """
    The encoding of that name, built on first use (about a quarter of a second) and kept for the process.

    Safe from any thread: the first to come builds, the others wait for it.

    Raises:
        InvalidValueError: there is no such encoding.
        ConfigError: the installed rank file is missing or is not the one that was shipped.
    """
    # `cache` alone would let two threads build the same encoding side by side.
    with _loading:
        return _build(name)


@cache
def _build(name: str) -> tiktoken.Encoding:
    facts = ENCODINGS.get(name)
    if facts is None:
        raise InvalidValueError(f"{name} is not an encoding", hint=f"one of {', '.join(ENCODINGS)}")
    import tiktoken

    ranks = {token: rank for rank, token in enumerate(unpack(_read(facts), facts.tokens))}
    return tiktoken.Encoding(
        name,
        pat_str=facts.pattern,
        mergeable_ranks=ranks,
        special_tokens=dict(facts.special_tokens),
    )


def _read(facts: EncodingFacts) -> bytes:
    # A damaged file would not fail, it would count wrongly; a hash of it costs 1 to 3 ms.
    try:
        compact = facts.path.read_bytes()
    except OSError as error:
        raise _unusable(facts) from error
    if hashlib.sha256(compact).hexdigest() != facts.compact_sha256:
        raise _unusable(facts)
    return compact


def _unusable(facts: EncodingFacts) -> ConfigError:
    return ConfigError(
        f"the installed rank data {facts.path.name} is missing or damaged",
        hint="install the package again: pip install --force-reinstall llm-budgets",
        path=str(facts.path),
    )


def pack(tokens: list[bytes]) -> bytes:
    """The compact form: one length byte for each token, then all the tokens' bytes, in rank order."""
    return bytes(map(len, tokens)) + b"".join(tokens)


def unpack(compact: bytes, count: int) -> list[bytes]:
    """The *count* tokens of a compact file, in rank order."""
    tokens = []
    start = count
    for length in compact[:count]:
        tokens.append(compact[start : start + length])
        start += length
    return tokens
