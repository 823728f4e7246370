"""What callers hand in as objects of an SDK, as the plain data that it stands for. No SDK is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """
    *value* as dictionaries, lists, and texts: an SDK's object is read by what it can do, `model_dump()` or
    `to_dict()`. What is plain already, or cannot be read so, comes back as it is.
    """
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, type):
        return value
    if callable(dump := getattr(value, "model_dump", None)):
        # Google's objects have names of their own for Python; on the wire they are as their aliases say.
        return plain(dump(by_alias=True))
    if callable(to_dict := getattr(value, "to_dict", None)):
        return plain(to_dict())
    return value
