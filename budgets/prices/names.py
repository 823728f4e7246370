"""
Model names: who sells it, and which snapshots share a model's price.

A name is looked up whole first. Only then is a snapshot mark taken off its end (a date, a revision, `latest`,
`preview`), and only a model that the data gives such a stem is found so.
Nothing is ever found by "contains", nor by the beginning of a name with anything else behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Who makes models and sells them, in the order in which a bare name is tried. Google also sells Anthropic's
# and Mistral DeepSeek's, so those stand before them.
MAKERS = (
    "anthropic",
    "openai",
    "deepseek",
    "google",
    "mistral",
    "x-ai",
    "cohere",
    "moonshotai",
    "zai",
    "minimax",
    "perplexity",
    "voyageai",
    "ai21",
)

# Other names of the same, as clients and routers write them in front of a model.
_PROVIDER_ALIASES = {
    "gemini": "google",
    "google-gla": "google",
    "google_genai": "google",
    # The Gemini API's own form: models/gemini-2.5-pro.
    "models": "google",
    "xai": "x-ai",
    "grok": "x-ai",
    "together_ai": "together",
    "togetherai": "together",
    "fireworks_ai": "fireworks",
    "fireworks-ai": "fireworks",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "amazon-bedrock": "aws",
    "azure_ai": "azure",
    "vertex_ai": "google",
    "google-vertex": "google",
    "vertex": "google",
    "moonshot": "moonshotai",
    "voyage": "voyageai",
    "github_copilot": "github-copilot",
    "meta_llama": "meta",
    "bigmodel": "zhipuai",
    "cohere_chat": "cohere",
    "codestral": "mistral",
}

_DATE = re.compile(r"[-@:](?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})$")
_MARK = re.compile(
    r"[-@:](?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{2}-[0-9]{4}|[0-9]{2}-[0-9]{2}|[0-9]{3,4}"
    r"|latest|preview|exp|v[0-9]+(?::[0-9]+k?)?)$"
)
_COMPACT_DATE = re.compile(r"-(20[0-9]{2})([01][0-9])([0-3][0-9])$")

# arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0; other
# resources have ids that do not say which model they are.
# https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
_BEDROCK_RESOURCE = re.compile(
    r"arn:aws[a-z-]*:bedrock:[a-z0-9-]+:[0-9]*:(?:inference-profile|foundation-model)$"
)
_BEDROCK_ROUTE = re.compile(r"^(?:converse|invoke)/")

# The end of the name of a variant that costs nothing, at OpenRouter.
FREE = ":free"

# How stems are marked in the data file: a date may follow, or any snapshot mark.
DATED = "@"
ANY_MARK = "^"


def provider_id(name: str) -> str:
    """The one name of a provider, whatever it is called."""
    lowered = name.strip().lower()
    return _PROVIDER_ALIASES.get(lowered, lowered)


def split_provider(name: str) -> tuple[str | None, str]:
    """
    `openai/gpt-4o` -> `("openai", "gpt-4o")`; a name without a slash has no provider in it.

    At AWS a model may be named by its resource.
    """
    prefix, slash, rest = name.partition("/")
    if not (slash and rest):
        return None, name
    if _BEDROCK_RESOURCE.match(prefix):
        return "aws", rest
    return provider_id(prefix), rest


def costs_nothing(seller: str, name: str) -> bool:
    """
    Whether the name says that it is a variant of a model that costs nothing, where a seller has such names.

    https://openrouter.ai/docs/guides/routing/model-variants/free
    """
    return seller == "openrouter" and name.endswith(FREE)


def without_route(seller: str, name: str) -> str:
    """The name without the API that routers take to AWS: `converse/amazon.nova-pro-v1:0`."""
    return _BEDROCK_ROUTE.sub("", name) if seller == "aws" else name


def whole_names(name: str) -> Iterator[str]:
    """The name, and the form with dashes of a date that routers write without them."""
    yield name
    dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
    if dashed != name:
        yield dashed


def stems(name: str) -> Iterator[str]:
    """What is left when snapshot marks are taken off the end, the longest first, as the data marks it."""
    if name.startswith("ft:"):
        # A fine-tune is billed by its base, ft:<base>:<organisation>:<name>:<id>.
        name = ":".join(name.split(":")[:2])
        yield ANY_MARK + name
    if (dated := _DATE.search(name)) is not None:
        yield DATED + name[: dated.start()]
    while (mark := _MARK.search(name)) is not None:
        name = name[: mark.start()]
        yield ANY_MARK + name
