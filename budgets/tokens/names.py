"""A model's name as catalogues and requests write it, and the shorter names that it begins with."""

from __future__ import annotations

from collections.abc import Iterator

# What stands before a model's name in catalogues that serve several owners' models; taken off in turn.
_OWNERS = (
    "models/",
    "publishers/google/models/",
    "accounts/fireworks/models/",
    "us.",
    "eu.",
    "apac.",
    "jp.",
    "au.",
    "ca.",
    "global.",
    "ft:",
    "openai/",
    "openai.",
    "azure/",
    "anthropic/",
    "anthropic.",
    "google/",
    "meta-llama/",
    "meta.",
    "meta/",
    "mistralai/",
    "mistral/",
    "mistral.",
    "qwen/",
    "qwen.",
    "deepseek/",
    "deepseek-ai/",
    "deepseek.",
    "x-ai/",
    "xai/",
    "z-ai/",
    "zai-org/",
    "moonshotai/",
    "amazon/",
    "amazon.",
)

_WORD_ENDS = "-.:@"


def short_names(model: str) -> Iterator[str]:
    """
    The names that *model* begins with, without its owner's: itself, then cut at one word end after the other.

    `openai/gpt-4o-mini` is `gpt-4o-mini`, `gpt-4o`, and `gpt`. Upper and lower case are the same.
    """
    name = _without_owners(model.strip().lower())
    yield name
    for end in range(len(name) - 1, 0, -1):
        if name[end] in _WORD_ENDS:
            yield name[:end]


def _without_owners(name: str) -> str:
    while True:
        for owner in _OWNERS:
            if name.startswith(owner):
                name = name.removeprefix(owner)
                break
        else:
            return name
