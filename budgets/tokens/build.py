"""
Make the compact rank files from the published ones: `python -m budgets.tokens.build FOLDER`.

*FOLDER* holds `o200k_base.tiktoken` and `cl100k_base.tiktoken`; the compact files are written beside
this module. Nothing is written unless the published file is, by its SHA-256, the one tiktoken expects.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

from budgets.errors import BudgetError, InvalidValueError
from budgets.tokens.ranks import ENCODINGS, EncodingFacts, pack, unpack


def compact_form(published: bytes, facts: EncodingFacts) -> bytes:
    """
    The compact form of a published `.tiktoken` text.

    Raises:
        InvalidValueError: *published* is not the text whose hash tiktoken's source names, or its ranks
            have gaps.
    """
    if (found := hashlib.sha256(published).hexdigest()) != facts.text_sha256:
        raise InvalidValueError(
            f"{facts.name}.tiktoken has SHA-256 {found}",
            hint=f"the published file has {facts.text_sha256}",
        )
    tokens = [base64.b64decode(line.split()[0]) for line in published.splitlines()]
    compact = pack(tokens)
    # The compact form keeps no ranks, and has one byte for a length.
    if len(tokens) != facts.tokens or published_form(compact, facts) != published:
        raise InvalidValueError(
            f"{facts.name}.tiktoken does not come back from the compact form",
            hint=f"its ranks must run from 0 to {facts.tokens - 1} without gaps",
        )
    return compact


def published_form(compact: bytes, facts: EncodingFacts) -> bytes:
    """The published `.tiktoken` text again, byte for byte, from the compact form."""
    tokens = unpack(compact, facts.tokens)
    return b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))


def main(arguments: list[str]) -> str | None:
    """Build all encodings; the answer is for `sys.exit`: `None`, or what went wrong."""
    if len(arguments) != 1:
        return "usage: python -m budgets.tokens.build FOLDER"
    for facts in ENCODINGS.values():
        try:
            compact = compact_form((Path(arguments[0]) / f"{facts.name}.tiktoken").read_bytes(), facts)
        except (OSError, BudgetError) as error:
            return f"error: {error}"
        facts.path.write_bytes(compact)
        if (found := hashlib.sha256(compact).hexdigest()) != facts.compact_sha256:
            return f"error: write compact_sha256={found} into ranks.py for {facts.name}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
