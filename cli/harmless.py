"""Names come from anywhere; what is shown of them must not move the cursor or turn the line around."""

from __future__ import annotations

# They join letters and emoji, and do nothing else.
_JOINERS = "\u200c\u200d"


def harmless(text: str) -> str:
    """
    One line of *text* in which everything that is not seen is spelled out: `\\x1b`, `\\u202e`, `\\n`.

    Control characters, bidirectional marks, line ends and broken Unicode among it.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in _JOINERS
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shown_name(user: str) -> str:
    """A user as a person sees it; the project's own budget has the empty name."""
    return harmless(user) or "(project)"
