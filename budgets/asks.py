"""What a request asks of a provider, and how many tokens that is, whatever the wire format."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that is to be read. How many tokens it is follows from its size, by its vendor's rule."""

    # In pixels, as its own header says; `None` where it is given by reference or its header cannot be read.
    width: int | None = None
    height: int | None = None
    # How closely it is to be looked at, in the vendor's word and lower case: `low`, `high`, `ultra_high` ...
    detail: str | None = None


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
    # Input that is given as token ids, which need no counting.
    token_ids: int = 0
    # Tool definitions, each as compact JSON.
    tools: tuple[str, ...] = field(default=(), repr=False)
    # The model has to call one of them.
    must_call: bool = False
    # Schemas that the answer has to fit, each as compact JSON.
    schemas: tuple[str, ...] = field(default=(), repr=False)
    images: tuple[Image, ...] = ()
    # What may be read, and what may be written, besides text and the pictures above, where it has prices of
    # its own: `audio`, `image`, `video`.
    media: tuple[str, ...] = ()
    answer_media: tuple[str, ...] = ()
    # Tool calls of earlier turns, each with its result. Their texts are among `texts`.
    calls: int = 0
    # Results of calls that were made at once, which some vendors write anew as JSON. Also among `texts`.
    together: tuple[str, ...] = field(default=(), repr=False)
    # Earlier thinking that the provider may read again or leave out, in the clear.
    thoughts: tuple[str, ...] = field(default=(), repr=False)
    # The same sealed, in characters of base64: of this turn, and of earlier ones.
    sealed: int = 0
    sealed_earlier: int = 0
    # What the documentation says that the vendor's own tools bring along, in tokens.
    hidden: int = 0
    # How many messages there are, the system prompt among them: each has framing tokens of its own.
    messages: int = 0
    # The caller's own limit on output tokens for one answer; `None`: the caller set none; 0: nothing is
    # written, as when text is embedded.
    output_limit: int | None = None
    # How many answers are asked for (`n`).
    answers: int = 1
    stream: bool = False
    # The request turns reasoning on, so a small output limit buys an empty answer.
    reasoning: bool = False
    # Web searches that the model makes in any case, each billed as a call is.
    searches: int = 0
    # The dearest caching that is asked for: `None`, `5m` or `1h`.
    cache_write: str | None = None
    service_tier: str | None = None
    # Where it is to be processed, when that has a price of its own: `us`.
    region: str | None = None
    # What is billed beside tokens, as far as the request says it: units, and the most of each.
    fees: tuple[tuple[str, int], ...] = ()
    # What is read and written is billed; else the fees are all.
    by_tokens: bool = True
    # Why the request does not bound what the provider reads, in words; empty when it does.
    unbounded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """A number of tokens made here, before or without the provider's own figure."""

    # What it most probably is.
    likely: int
    # What it cannot be above.
    most: int
    # How it was made: `tiktoken:o200k_base +4/message`, `calibrated:google ...`.
    how: str
    # How the most was made: `bound:...`; `None`: as the likely one.
    most_how: str | None = None
    # What nobody has a rule for, in words: the count is of the rest alone.
    uncounted: tuple[str, ...] = ()
