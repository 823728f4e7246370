"""The models that a caller may ask for, in the words of the dialect that asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

# Since when there is a model is not known here, and some clients want a moment.
_SINCE = "1970-01-01T00:00:00Z"


def named_in(path: str) -> str | None:
    """The model that `/v1/models/NAME` asks about; `None`: it asks for all."""
    name = path.partition("?")[0].partition("/models")[2].removeprefix("/")
    return unquote(name) or None


def list_document(names: Sequence[str], dialect: str) -> dict[str, Any]:
    """
    All of them.

    https://platform.openai.com/docs/api-reference/models/list,
    https://platform.claude.com/docs/en/api/models-list and https://ai.google.dev/api/models
    """
    each = [model_document(name, dialect) for name in names]
    if dialect == "gemini":
        return {"models": each}
    if dialect == "anthropic-messages":
        ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
        return {"data": each, "has_more": False, **ends}
    return {"object": "list", "data": each}


def model_document(name: str, dialect: str) -> dict[str, Any]:
    """One of them."""
    if dialect == "gemini":
        return {"name": f"models/{name}", "displayName": name}
    if dialect == "anthropic-messages":
        return {"type": "model", "id": name, "display_name": name, "created_at": _SINCE}
    return {"id": name, "object": "model", "created": 0, "owned_by": "budget"}
