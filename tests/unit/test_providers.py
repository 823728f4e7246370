from __future__ import annotations

from datetime import UTC, datetime

import pytest

from budgets.compatible import COMPATIBLE
from budgets.dialects import NAMES, by_name
from budgets.errors import InvalidValueError, MissingKeyError
from budgets.prices import open_book
from budgets.prices.names import provider_id
from budgets.providers import PROVIDERS, base_url, find_provider, key, named


@pytest.mark.parametrize(
    ("model", "explicit", "provider", "sent"),
    [
        ("gpt-4o-mini", None, "openai", "gpt-4o-mini"),
        ("o3", None, "openai", "o3"),
        ("o4-mini", None, "openai", "o4-mini"),
        ("chatgpt-4o-latest", None, "openai", "chatgpt-4o-latest"),
        ("ft:gpt-4o:acme", None, "openai", "ft:gpt-4o:acme"),
        ("claude-sonnet-4-5", None, "anthropic", "claude-sonnet-4-5"),
        ("gemini-2.5-flash", None, "google", "gemini-2.5-flash"),
        ("codestral-latest", None, "mistral", "codestral-latest"),
        ("deepseek-chat", None, "deepseek", "deepseek-chat"),
        ("grok-4", None, "x-ai", "grok-4"),
        ("groq/llama-3.3-70b-versatile", None, "groq", "llama-3.3-70b-versatile"),
        ("openrouter/meta-llama/llama-3.3-70b", None, "openrouter", "meta-llama/llama-3.3-70b"),
        ("gemini/gemini-2.5-pro", None, "google", "gemini-2.5-pro"),
        ("ollama/llama3:8b", None, "ollama", "llama3:8b"),
        ("groq/compound", "groq", "groq", "groq/compound"),
        ("gpt-4o", "openrouter", "openrouter", "gpt-4o"),
        ("my-model", "LMStudio", "lmstudio", "my-model"),
    ],
)
def test_who_serves_a_model(model: str, explicit: str | None, provider: str, sent: str) -> None:
    found, name = find_provider(model, explicit)
    assert (found.id, name) == (provider, sent)


@pytest.mark.parametrize(
    "model", ["llama3", "gpt-oss-120b", "o5000", "olmo-2", "acme/gpt-4o", "my-gpt-4o", "groq/", "", "/gpt-4o"]
)
def test_a_name_that_does_not_say_is_never_guessed(model: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        find_provider(model, None)
    assert refused.value.hint is not None
    for way in ("--provider", "--base-url", "groq/", "openai"):
        assert way in refused.value.hint


def test_an_unknown_provider_is_refused_with_the_known_names() -> None:
    with pytest.raises(InvalidValueError, match="acme") as refused:
        find_provider("gpt-4o", "acme")
    assert "openrouter" in str(refused.value.hint)


def test_the_table_is_sound() -> None:
    names = [name for provider in PROVIDERS for name in (provider.id, *provider.aliases)]
    assert len(names) == len(set(names))
    for provider in PROVIDERS:
        assert provider.dialect in NAMES
        assert provider.base_url.startswith("http://localhost:" if provider.local else "https://")
        assert not provider.base_url.endswith("/")
        # What comes after the base must not repeat its end.
        assert "/v1/v1" not in provider.base_url + by_name(provider.dialect).sent({"model": "m"}).path
        assert provider.documentation.startswith("https://")
        assert provider.local or provider.key_variables


def test_every_compatible_provider_is_one_that_the_price_book_knows() -> None:
    sold = {found.provider for found in open_book().current(datetime(2026, 11, 22, tzinfo=UTC))}
    ids = [each.id for each in COMPATIBLE]
    assert ids == sorted(ids)
    assert [name for name in ids if provider_id(name) not in sold] == []


def test_mistral_is_not_asked_for_what_it_refuses() -> None:
    asked = {provider.id for provider in PROVIDERS if provider.stream_usage_on_request}
    assert "openai" in asked
    assert asked.isdisjoint({"mistral", "anthropic"})


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "https://api.openai.com/v1"),
        ({"OPENAI_BASE_URL": " "}, "https://api.openai.com/v1"),
        ({"OPENAI_API_BASE": "http://b/v1/"}, "http://b/v1"),
        ({"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_BASE": "http://b/v1"}, "http://a/v1"),
    ],
)
def test_where_calls_go(environment: dict[str, str], url: str) -> None:
    assert base_url(named("openai"), environment) == url


def test_a_place_that_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="ANTHROPIC_BASE_URL"):
        base_url(named("anthropic"), {"ANTHROPIC_BASE_URL": "localhost:80"})


def test_the_first_key_that_is_set_is_taken() -> None:
    google = named("google")
    assert key(google, {"GOOGLE_API_KEY": "b\n", "GEMINI_API_KEY": ""}) == "b"
    assert key(google, {"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": "a"}) == "a"
    with pytest.raises(MissingKeyError, match="google") as refused:
        key(google, {"OPENAI_API_KEY": "x"})
    assert refused.value.hint == "set GEMINI_API_KEY or GOOGLE_API_KEY"


def test_a_local_server_needs_no_key_and_may_have_one() -> None:
    assert key(named("ollama"), {}) is None
    assert key(named("vllm"), {"VLLM_API_KEY": "x"}) == "x"
