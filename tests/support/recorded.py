"""What others recorded, and the judge of what it cost: `genai_prices`, which reads and prices by itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import genai_prices
import pytest

FOLDER = os.environ.get("BUDGET_RECORDED")

needs_recorded = pytest.mark.skipif(
    not FOLDER, reason="set BUDGET_RECORDED to the folder of recorded calls to check against them"
)

# Host -> the provider's id here, and the flavour of its API in the judge's words.
HOSTS = {
    "api.openai.com": ("openai", "chat"),
    "api.anthropic.com": ("anthropic", "default"),
    "api.groq.com": ("groq", "default"),
    "api.mistral.ai": ("mistral", "default"),
}

# The same of all exchanges, here and with the judge.
PROVIDERS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "generativelanguage.googleapis.com": "google",
    "aiplatform.googleapis.com": "google",
    "api.cerebras.ai": "cerebras",
    "api.deepseek.com": "deepseek",
    "openrouter.ai": "openrouter",
    "api.cohere.com": "cohere",
    "api.z.ai": "zai",
    "bedrock-runtime.us-east-1.amazonaws.com": "aws",
    "bedrock-runtime.eu-central-1.amazonaws.com": "aws",
    "pydanticai7521574644.openai.azure.com": "azure",
    "router.huggingface.co": "huggingface_together",
}

# Counting is free, and not a call that is metered.
# https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html
# https://platform.openai.com/docs/guides/token-counting
COUNTS_ONLY = ("/count-tokens", "/responses/input_tokens")


def exchanges() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every exchange that was recorded, with a name for it; its request is a dictionary."""
    for file in sorted(Path(FOLDER).glob("*.jsonl")) if FOLDER else ():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
            call = json.loads(line)
            if isinstance(call["request"], str):
                # Bedrock's clients send JSON under another content type; one was cut before its last brace.
                text = call["request"]
                call["request"] = json.loads(text + "}" * (text.count("{") - text.count("}")))
            yield f"{file.stem}-{number}", call


def recorded() -> Iterator[Any]:
    """Chat completions and messages of the hosts above, as parameters of a test."""
    for host in HOSTS if FOLDER else ():
        lines = (Path(FOLDER) / f"{host}.jsonl").read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            call = json.loads(line)
            if call["path"].endswith(("/chat/completions", "/v1/messages")):
                yield pytest.param(call, id=f"{host}-{number}")


def reply_of(call: dict[str, Any]) -> dict[str, Any]:
    """The reply in the form of a plain one: of a stream, the last word on every field of its usage."""
    if not call.get("text"):
        return call["json"]
    lines = [line[5:].strip() for line in call["text"].splitlines() if line.startswith("data:")]
    reply: dict[str, Any] = {"usage": {}}
    for event in (json.loads(line) for line in lines if line != "[DONE]"):
        inner = event.get("message", event)
        reply["model"] = inner.get("model") or reply.get("model")
        usage = inner.get("usage") or (event.get("x_groq") or {}).get("usage") or {}
        reply["usage"] |= usage
    return reply


def judged_picos(call: dict[str, Any]) -> Fraction | None:
    """What the judge says the reply cost, in pico-dollars; `None` where it does not price it."""
    provider, flavour = HOSTS[call["host"]]
    reply = reply_of(call)
    if not reply["usage"]:
        return None
    # Compaction passes are billed and not in the top-level figures, which the judge alone reads.
    # https://platform.claude.com/docs/en/build-with-claude/compaction
    passes = [each for each in reply["usage"].get("iterations") or [reply["usage"]] if "input_tokens" in each]
    try:
        return sum(
            (
                _judged_usage({**reply, "usage": usage}, provider, flavour)
                for usage in passes or [reply["usage"]]
            ),
            Fraction(0),
        )
    except LookupError:
        return None


def _judged_usage(reply: dict[str, Any], provider: str, flavour: str) -> Fraction:
    found = genai_prices.extract_usage(reply, provider_id=provider, api_flavor=flavour)
    usage = found.usage
    details = reply["usage"].get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or reply["usage"].get("num_cached_tokens")
    if cached and not usage.cache_read_tokens:
        # The judge leaves Mistral's cached tokens at the full price; Mistral bills them at a tenth.
        # https://docs.mistral.ai/capabilities/prompt_caching
        usage = genai_prices.Usage(
            input_tokens=usage.input_tokens, cache_read_tokens=cached, output_tokens=usage.output_tokens
        )
    assert found.model is not None or reply["model"]
    price = genai_prices.calc_price(usage, reply["model"], provider_id=provider)
    # The judge leaves out the search that this model makes for every answer, at $25 a thousand.
    # https://platform.openai.com/docs/guides/tools-web-search?api-mode=chat
    searches = int(provider == "openai" and reply["model"].startswith("gpt-4o-search-preview"))
    return (Fraction(price.total_price) + Fraction(25 * searches, 1000)) * 10**12
