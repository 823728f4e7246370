"""
Who serves models, where, in which dialect.

Adding a provider that copies a known dialect is one row here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from budgets.compatible import COMPATIBLE
from budgets.errors import InvalidValueError, MissingKeyError
from budgets.money import shown


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider. `id` is also the provider's name in the price data, where that knows it."""

    id: str
    # Its wire format, see `dialects.by_name`.
    dialect: str
    # Where its API is when the environment names no other place; the dialect's path comes after it.
    base_url: str
    # The page that this row was taken from.
    documentation: str
    # Environment variables that may hold the key, the first one set wins.
    key_variables: tuple[str, ...] = ()
    # Environment variables with which programs of this provider are pointed elsewhere, in the form that
    # `base_url` has; the first one set wins.
    url_variables: tuple[str, ...] = ()
    # Other names that people know it by.
    aliases: tuple[str, ...] = ()
    # It runs on the caller's machine and wants no key.
    local: bool = False
    # A stream carries its usage only when `stream_options` asks for it. False: it does so anyway, and some
    # refuse the question.
    stream_usage_on_request: bool = True
    # Its replies say what it bills (`usage.cost`), so that no price of ours is needed.
    bills_in_reply: bool = False
    # Where it speaks other dialects as well: the dialect's name, and its base URL.
    other_base_urls: Mapping[str, str] = field(default_factory=dict, hash=False)


PROVIDERS: tuple[Provider, ...] = (
    Provider(
        id="openai",
        dialect="openai-chat",
        base_url="https://api.openai.com/v1",
        documentation="https://platform.openai.com/docs/api-reference/chat",
        key_variables=("OPENAI_API_KEY",),
        url_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ),
    Provider(
        id="anthropic",
        dialect="anthropic-messages",
        base_url="https://api.anthropic.com",
        documentation="https://platform.claude.com/docs/en/api/messages",
        key_variables=("ANTHROPIC_API_KEY",),
        url_variables=("ANTHROPIC_BASE_URL",),
        stream_usage_on_request=False,
    ),
    Provider(
        id="google",
        dialect="openai-chat",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        documentation="https://ai.google.dev/gemini-api/docs/openai",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        aliases=("gemini",),
        # https://ai.google.dev/api/generate-content
        other_base_urls={"gemini": "https://generativelanguage.googleapis.com/v1beta"},
    ),
    Provider(
        id="mistral",
        dialect="openai-chat",
        base_url="https://api.mistral.ai/v1",
        documentation="https://docs.mistral.ai/api/endpoint/chat",
        key_variables=("MISTRAL_API_KEY",),
        # It answers 422 to `stream_options.include_usage` and sends the usage anyway.
        stream_usage_on_request=False,
    ),
    Provider(
        id="deepseek",
        dialect="openai-chat",
        base_url="https://api.deepseek.com",
        documentation="https://api-docs.deepseek.com/api/create-chat-completion",
        key_variables=("DEEPSEEK_API_KEY",),
    ),
    Provider(
        id="groq",
        dialect="openai-chat",
        base_url="https://api.groq.com/openai/v1",
        documentation="https://console.groq.com/docs/api-reference#chat-create",
        key_variables=("GROQ_API_KEY",),
    ),
    Provider(
        id="x-ai",
        dialect="openai-chat",
        base_url="https://api.x.ai/v1",
        documentation="https://docs.x.ai/docs/api-reference#chat-completions",
        key_variables=("XAI_API_KEY",),
        aliases=("xai",),
    ),
    Provider(
        id="openrouter",
        dialect="openai-chat",
        base_url="https://openrouter.ai/api/v1",
        documentation="https://openrouter.ai/docs/api-reference/chat-completion",
        key_variables=("OPENROUTER_API_KEY",),
        bills_in_reply=True,
    ),
    Provider(
        id="cohere",
        dialect="cohere-v2",
        base_url="https://api.cohere.com",
        documentation="https://docs.cohere.com/reference/chat",
        key_variables=("COHERE_API_KEY", "CO_API_KEY"),
        stream_usage_on_request=False,
    ),
    Provider(
        id="together",
        dialect="openai-chat",
        base_url="https://api.together.xyz/v1",
        documentation="https://docs.together.ai/reference/chat-completions-1",
        key_variables=("TOGETHER_API_KEY",),
        url_variables=("TOGETHER_BASE_URL",),
        aliases=("together_ai",),
    ),
    Provider(
        id="fireworks",
        dialect="openai-chat",
        base_url="https://api.fireworks.ai/inference/v1",
        documentation="https://docs.fireworks.ai/api-reference/post-chatcompletions",
        key_variables=("FIREWORKS_API_KEY",),
        aliases=("fireworks_ai",),
    ),
    Provider(
        id="cerebras",
        dialect="openai-chat",
        base_url="https://api.cerebras.ai/v1",
        documentation="https://inference-docs.cerebras.ai/api-reference/chat-completions",
        key_variables=("CEREBRAS_API_KEY",),
    ),
    Provider(
        id="moonshotai",
        dialect="openai-chat",
        base_url="https://api.moonshot.ai/v1",
        documentation="https://platform.moonshot.ai/docs/api/chat",
        key_variables=("MOONSHOT_API_KEY",),
        aliases=("moonshot",),
    ),
    Provider(
        id="zai",
        dialect="openai-chat",
        base_url="https://api.z.ai/api/paas/v4",
        documentation="https://docs.z.ai/api-reference/llm/chat-completion",
        key_variables=("ZAI_API_KEY",),
    ),
    *(
        Provider(
            id=each.id,
            dialect="openai-chat",
            base_url=each.base_url,
            documentation=each.documentation,
            key_variables=each.key_variables,
            aliases=each.aliases,
        )
        for each in COMPATIBLE
    ),
    Provider(
        id="ollama",
        dialect="openai-chat",
        base_url="http://localhost:11434/v1",
        documentation="https://docs.ollama.com/api/openai-compatibility",
        local=True,
    ),
    Provider(
        id="llamacpp",
        dialect="openai-chat",
        base_url="http://localhost:8080/v1",
        documentation="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        aliases=("llama.cpp",),
        local=True,
    ),
    Provider(
        id="vllm",
        dialect="openai-chat",
        base_url="http://localhost:8000/v1",
        documentation="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        key_variables=("VLLM_API_KEY",),
        aliases=("hosted_vllm",),
        local=True,
    ),
    Provider(
        id="lmstudio",
        dialect="openai-chat",
        base_url="http://localhost:1234/v1",
        documentation="https://lmstudio.ai/docs/developer/openai-compat",
        aliases=("lm_studio",),
        local=True,
    ),
    # Whatever a base URL points to: no key goes there unless its provider is named.
    Provider(
        id="compatible",
        dialect="openai-chat",
        base_url="http://localhost:8000/v1",
        documentation="https://platform.openai.com/docs/api-reference/chat",
        local=True,
    ),
)

_BY_NAME: Mapping[str, Provider] = {
    name: provider for provider in PROVIDERS for name in (provider.id, *provider.aliases)
}

# Names that only one vendor gives to its models. `gpt-oss` is open and served by many, so it is not here.
_BARE_NAMES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:ft:)?(?:gpt-(?!oss)|o[134](?:-|$)|chatgpt-|text-embedding-(?:3|ada)-)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "google"),
    (re.compile(r"(?:mistral|ministral|codestral|magistral)-"), "mistral"),
    (re.compile(r"deepseek-"), "deepseek"),
    (re.compile(r"grok-"), "x-ai"),
    (re.compile(r"command-"), "cohere"),
)


def find_provider(model: str, explicit: str | None) -> tuple[Provider, str]:
    """
    Who serves *model*, and the name to send there.

    A provider that was named takes the model's name as it stands.
    Otherwise a prefix says it and is cut off (`groq/llama-3.3-70b-versatile`; of
    `openrouter/meta-llama/llama-3.3-70b` the rest stays), or the bare name does (`gpt-4o`, `claude-...`).

    Raises:
        InvalidValueError: nobody is known by that name, or the model's name does not say who.
    """
    if explicit is not None:
        return named(explicit), model
    prefix, slash, rest = model.partition("/")
    if slash and rest and prefix in _BY_NAME:
        return _BY_NAME[prefix], rest
    if not slash:
        for pattern, provider_id in _BARE_NAMES:
            if pattern.match(model):
                return _BY_NAME[provider_id], model
    raise InvalidValueError(
        f"{shown(model)} does not say who serves it",
        hint=f"add --provider NAME, --base-url URL or a prefix such as groq/{model}; names: {_names()}",
        model=model,
    )


def named(name: str) -> Provider:
    """
    The provider of that id or alias.

    Raises:
        InvalidValueError: there is none.
    """
    provider = _BY_NAME.get(name.strip().lower())
    if provider is None:
        raise InvalidValueError(f"{shown(name)} is not a provider", hint=f"one of {_names()}; or --base-url")
    return provider


def at_url(url: str) -> Provider | None:
    """Whose API is at *url*, the one with the longest address that it begins with; `None`: nobody's known."""
    regionless = _REGION.sub("https://api.openai.com/", url)
    found = [each for each in PROVIDERS if not each.local and f"{regionless}/".startswith(f"{_root(each)}/")]
    return max(found, key=lambda each: len(each.base_url), default=None)


def _root(provider: Provider) -> str:
    # Google's compatible endpoint stands below the address of all its others, and what a version is called
    # does not decide who answers.
    return re.sub(r"/v\d[^/]*(?:/openai)?$", "", provider.base_url)


def bills_in_reply(name: str | None) -> bool:
    """Whether the provider of that id or alias says in its replies what it bills. Any name may be asked."""
    provider = _BY_NAME.get((name or "").strip().lower())
    return provider is not None and provider.bills_in_reply


# https://platform.openai.com/docs/guides/your-data#data-residency-controls
_REGION = re.compile(r"https://([a-z]{2})\.api\.openai\.com(?:[:/]|$)")


def region_of(url: str) -> str | None:
    """The region whose processing has a price of its own, where the address of an API names one: `eu`."""
    found = _REGION.match(url)
    return found[1] if found else None


def base_url(provider: Provider, environment: Mapping[str, str]) -> str:
    """
    Where calls to *provider* go, without a slash at the end.

    Raises:
        InvalidValueError: the environment names a place that is no HTTP address.
    """
    for variable in provider.url_variables:
        if url := environment.get(variable, "").strip():
            if not re.match(r"https?://[^/\s]", url):
                raise InvalidValueError(
                    f"{variable} is {shown(url)}, not an HTTP address",
                    hint=f"unset it, or give it in full: {provider.base_url}",
                )
            return url.rstrip("/")
    return provider.base_url


def key(provider: Provider, environment: Mapping[str, str]) -> str | None:
    """
    The key for *provider*; `None` where it runs locally and none is set.

    Raises:
        MissingKeyError: none is set and the provider wants one.
    """
    for variable in provider.key_variables:
        if found := environment.get(variable, "").strip():
            return found
    if provider.local:
        return None
    raise MissingKeyError(
        f"there is no key for {provider.id}",
        hint=f"set {' or '.join(provider.key_variables)}",
        provider=provider.id,
        status=None,
    )


def _names() -> str:
    return ", ".join(provider.id for provider in PROVIDERS)
