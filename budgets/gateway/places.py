"""What a path at the gateway is: a call that is metered, one that is free, one that is refused, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from budgets.dialects import reading

Kind = Literal["metered", "free", "owned", "refused"]


@dataclass(frozen=True, slots=True)
class Place:
    """What is done with the calls of one path."""

    kind: Kind
    # In whose dialect errors are written.
    dialect: str
    # For `refused`: why; for `owned`: the id of the reply that is asked about.
    words: str = ""


_CHAT = "openai-chat"

# A segment of an address that is itself and nothing else: no escapes, so that no server reads a slash in it.
_NAME = r"[A-Za-z0-9._~@:-]+"
# A model's may have them: some sellers have the maker in a name, and SDKs escape the slash.
_MODEL = r"(?:[A-Za-z0-9._~@:-]|%2[Ff]|%3[Aa])+"

# Anything else that is sent by POST may be a call that costs money, so it has to be one that we can read.
_METERED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"/chat/completions$"), _CHAT),
    (re.compile(r"(?<!/chat)(?<!/fim)/completions$"), "openai-completions"),
    (re.compile(r"/responses$"), "openai-responses"),
    (re.compile(r"/embeddings$"), "openai-embeddings"),
    (re.compile(r"/v1/messages$"), "anthropic-messages"),
    (re.compile(r"/models/[^/]+:(?:streamGenerateContent|generateContent)$"), "gemini"),
    (re.compile(r"/models/[^/]+:(?:embedContent|batchEmbedContents)$"), "gemini"),
    (re.compile(r"/model/[^/]+/converse(?:-stream)?$"), "bedrock-converse"),
    (re.compile(r"/model/[^/]+/invoke(?:-with-response-stream)?$"), "bedrock-invoke"),
    (re.compile(r"/v2/(?:chat|embed)$"), "cohere-v2"),
    (re.compile(r"/rerank$"), "cohere-rerank"),
    (re.compile(r"/images/generations$"), "openai-images"),
)

# Not billed, by their providers' pages.
_FREE: tuple[tuple[str, re.Pattern[str], str], ...] = (
    # https://platform.openai.com/docs/api-reference/models and https://platform.claude.com/docs/en/api/models-list
    ("GET", re.compile(rf"/v1beta/models(?:/{_NAME})?$"), "gemini"),
    ("GET", re.compile(rf"/models(?:/{_MODEL}){{0,3}}$"), _CHAT),
    # https://platform.claude.com/docs/en/build-with-claude/token-counting
    ("POST", re.compile(r"/v1/messages/count_tokens$"), "anthropic-messages"),
    # https://ai.google.dev/api/tokens
    ("POST", re.compile(rf"/models/{_NAME}:countTokens$"), "gemini"),
    # https://platform.openai.com/docs/api-reference/responses/input-tokens
    ("POST", re.compile(r"/responses/input_tokens$"), "openai-responses"),
)

# A reply that was stored: only who asked for it may see it, cancel it, or delete it.
_OWNED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("GET", re.compile(rf"/responses/({_NAME})(?:/input_items)?$")),
    ("POST", re.compile(rf"/responses/({_NAME})/cancel$")),
    ("DELETE", re.compile(rf"/responses/({_NAME})$")),
)

_LATER = "what it costs is known only hours later, in no reply that passes here"
_KEPT = "they are kept, and billed by time"
_GROWS = "what is read again each time is not in the call"
# Before anything else, because the rest of the address is that of a call which is metered elsewhere.
_SIGNED_IN: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"/projects/[^/]+/locations/|/publishers/[^/]+/models/"),
        "Vertex: a call carries a sign-in that ends within the hour, and no key here can stand for it",
    ),
)
_REFUSED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"/batches(?:/|$)|/messages/batches|:batchGenerateContent$"), f"batches: {_LATER}"),
    (re.compile(r"/fine_tuning(?:/|$)"), f"fine-tuning: {_LATER}"),
    (
        re.compile(r"/(?:files|uploads|vector_stores|containers)(?:/|$)"),
        f"files: {_KEPT}",
    ),
    (
        re.compile(r"/(?:assistants|threads|conversations)(?:/|$)"),
        f"assistants: {_GROWS}",
    ),
    (re.compile(r"/realtime(?:/|$)|/live(?:/|$)"), "realtime: a session has no end that could be held for"),
    (re.compile(r"/audio/"), "audio: its length is not in the call"),
    (re.compile(r"/images/(?:edits|variations)$|/videos(?:/|$)"), "images and videos that are sent along"),
    (re.compile(r"/models/[^/]+:[A-Za-z]+$"), "this method"),
)


def is_plain(path: str) -> bool:
    """
    Whether *path* means to every server what it says.

    Servers differ in how they read `..`, an empty segment, or an escape within an escape: what is metered
    here could be something else there.
    """
    if not path.startswith("/") or "\\" in path or "%25" in path:
        return False
    segments = reading.unescaped(path).replace("\\", "/").split("/")[1:]
    return all(segment not in ("", ".", "..") and segment.isprintable() for segment in segments)


def place_of(method: str, path: str) -> Place | None:
    """
    What *path*, without its query, is; `None`: no path of any provider's that we know.

    Args:
        method: In capitals.
        path: Without the gateway's own segment.
    """
    for pattern, words in _SIGNED_IN:
        if pattern.search(path):
            return Place("refused", _CHAT, words)
    if method == "POST":
        for pattern, dialect in _METERED:
            if pattern.search(path):
                return Place("metered", dialect)
    for wanted, pattern, dialect in _FREE:
        if method == wanted and pattern.search(path):
            return Place("free", dialect)
    for wanted, pattern in _OWNED:
        found = pattern.search(path) if method == wanted else None
        if found:
            return Place("owned", "openai-responses", found[1])
    for pattern, words in _REFUSED:
        if pattern.search(path):
            return Place("refused", _CHAT, words)
    return None
