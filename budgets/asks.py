"""What a request asks of a provider, and how many tokens that is, whatever the wire format."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ask:
    """
    What one request asks for: all that bears on the most it can cost.

    Texts are carried to be counted and are never stored, logged or shown, so `repr` leaves them out.
    """

    dialect: str
    # The model's name as the request has it.
    model: str
    # Every text that becomes input: system prompts, message contents, names, tool calls and results.
    texts: tuple[str, ...] = field(default=(), repr=False)
    # Tool definitions and answer schemas, each as compact JSON.
    tools: tuple[str, ...] = field(default=(), repr=False)
    # How many messages there are, the system prompt among them: each has framing tokens of its own.
    messages: int = 0
    # The caller's own limit on output tokens for one answer; `None`: the caller set none.
    output_limit: int | None = None
    # How many answers are asked for (`n`).
    answers: int = 1
    stream: bool = False
    # The request turns reasoning on, so a small output limit buys an empty answer.
    reasoning: bool = False
    # The dearest caching that is asked for: `None`, `5m` or `1h`.
    cache_write: str | None = None
    service_tier: str | None = None
    # Where the request wants to be worked on, as the provider names it; `None`: it does not say.
    region: str | None = None
    # Why the request does not bound what the provider reads, in words; empty when it does.
    unbounded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """A number of tokens made here, before or without the provider's own figure."""

    # What it most probably is.
    likely: int
    # What it cannot be above.
    most: int
    # How both were made: `tiktoken:o200k_base +3/message`, `calibrated:anthropic`, `bound:bytes`.
    how: str
