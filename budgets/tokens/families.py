"""
Which tokenizer and which framing a model has: facts as data, each with its source.

A *family* is a set of models that are counted alike. Its figures come in pairs: what is likely, and the
most, which holds are made of. Where a source is `recorded`, the figure was read off reported usage of
recorded calls; where it is `measured`, off the tokenizers themselves (prose in nine languages, code,
JSON, against o200k).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from budgets.errors import InvalidValueError


@dataclass(frozen=True, slots=True)
class Span:
    """A figure twice: what it most probably is, and the most that it is taken to be."""

    likely: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How the input of some models is counted. Figures in tokens, but for the percentages."""

    name: str
    encoding: str
    # The tokenizer is that encoding itself, so its count is the count and not an estimate.
    exact: bool = False
    # The vendor's tokens per 100 of the encoding's, for text.
    percent: Span
    # The same for tool definitions, which vendors write anew before the model reads them.
    tools_percent: Span
    # For each message, for each call, for each tool.
    message: Span
    call: Span
    tool: Span
    # For each text, at most: several tool calls and results share one message, each with framing.
    text_most: int = 5
    # Once, where there are tools: the vendor's own prompt that explains tools to the model.
    tools: Span
    # The same where the request is in OpenAI's older chat format; `None`: the same as `tools`.
    chat_tools: Span | None = None
    # Once, where the model reasons. The most is always counted: a model's name can turn reasoning on.
    reasoning: Span = Span(0, 0)


# OpenAI: 3 per message, 1 for its role, 3 that prime the reply, 1 per name, from
# https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
# Recorded: 7 for one message, 11 for two, 19 for five; o1-mini 18 for two. The model sees tools as
# TypeScript, which has none of the JSON's fixed keys: recorded, 0.39 (trivial tools) to 0.75 of the JSON.
_OPENAI = Family(
    name="openai",
    encoding="o200k_base",
    exact=True,
    percent=Span(100, 100),
    tools_percent=Span(75, 100),
    message=Span(4, 5),
    call=Span(3, 12),
    tool=Span(-12, 8),
    tools=Span(9, 20),
)
_OPENAI_OLDER = replace(_OPENAI, encoding="cl100k_base")
# Recorded with gpt-5, o3 and later: one less for the reply; tools cost 83 to 88 more in the chat format.
_OPENAI_REASONING = replace(_OPENAI, call=Span(2, 12), tools=Span(9, 120), chat_tools=Span(94, 120))
# Azure names deployments as their owner likes, so an unknown name may be of either encoding; measured,
# cl100k is 0.99 to 1.27 of o200k.
_OPENAI_UNNAMED = replace(_OPENAI_REASONING, name="openai-unnamed", exact=False, percent=Span(100, 130))
# The prompt format of gpt-oss has a system message of its own. Recorded: 71 for one message, 74 for two.
_OPENAI_OPEN = replace(_OPENAI, name="gpt-oss", call=Span(67, 90), tools=Span(9, 120))

# Claude 3 to 4.6, measured: 1.10 (English) to 1.29 (Chinese); recorded: 1.00 to 1.05 in long English, 1.52
# in capitals (`bound.py`), 7 for one message, 22 for three, 29 more with thinking, 12 for each tool.
# The prompt that enables tools, from
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
# is 496 (auto) or 588 (any) for 4.5 and 497 or 589 for 4.6; recorded earlier as 334 to 362.
_CLAUDE = Family(
    name="anthropic",
    encoding="o200k_base",
    percent=Span(115, 130),
    tools_percent=Span(125, 130),
    message=Span(3, 7),
    call=Span(4, 12),
    tool=Span(12, 30),
    # Recorded: about 40 for a call and its result, which are three to five texts.
    text_most=12,
    tools=Span(480, 600),
    reasoning=Span(29, 45),
)
# The same page: 313 and 315 for Opus 4 and 4.1 and Sonnet 4, 264 and 355 for Haiku 3.5; an earlier state
# of it: 346 and 313 for 3.5 and 3.7, 530 and 281 for Opus 3.
_CLAUDE_OLDER = replace(_CLAUDE, tools=Span(330, 540))
# Opus 4.7 and later, Sonnet 5, Fable 5, Mythos, measured: 1.43 (Japanese) to 1.62 (Python). Tools, the
# same page: 290 and 410 for Opus 4.8, 354 and 474 for Sonnet 5, 675 and 804 for Opus 4.7.
_CLAUDE_NEWER = replace(
    _CLAUDE,
    name="anthropic-newer",
    percent=Span(150, 165),
    tools_percent=Span(150, 165),
    message=Span(2, 7),
    tools=Span(354, 820),
)
_CLAUDE_OPUS_4_7 = replace(_CLAUDE_NEWER, tools=Span(675, 820))

# Gemini, measured: 0.88 (Japanese) to 1.33 (JSON). Recorded: no framing at all, up to 3 in all; tools
# from a third of their JSON to a fifth more than it.
_GEMINI = Family(
    name="google",
    encoding="o200k_base",
    percent=Span(105, 135),
    tools_percent=Span(75, 135),
    message=Span(0, 5),
    call=Span(0, 10),
    tool=Span(3, 25),
    tools=Span(0, 60),
)

# Open models served by anyone, measured (Llama 3, DeepSeek V3, Qwen 3, Mistral v3, GLM-4, Kimi K2): 0.90
# to 1.14. Their chat templates are known, what a host puts before them is not. Recorded: 5 to 12 for one
# message, 35 with Llama 3's dated system line; 241 for tools with Qwen 3 Coder.
_OPEN = Family(
    name="open",
    encoding="o200k_base",
    percent=Span(105, 115),
    tools_percent=Span(105, 115),
    message=Span(5, 10),
    call=Span(5, 60),
    tool=Span(10, 40),
    tools=Span(200, 500),
)
# Recorded with Llama 4: 525 and 663 for the first tools.
_LLAMA_4 = replace(_OPEN, name="llama-4", call=Span(10, 60), tools=Span(580, 900))
# Llama 2 and the first Mistral vocabularies, measured: 1.15 (English) to 1.61 (Chinese).
_LLAMA_2 = replace(_OPEN, name="older-open", percent=Span(125, 165), tools_percent=Span(140, 165))
# Recorded: 83 for a call of one message, 310 with a tool.
_DEEPSEEK_4 = replace(_OPEN, name="deepseek-4", call=Span(78, 120), tools=Span(210, 400))
# Recorded: a tool's JSON and 12 more, 24 and 74 with Pixtral.
_MISTRAL = replace(_OPEN, name="mistral", message=Span(3, 10), call=Span(2, 60), tools=Span(2, 150))
# Recorded: no framing (Nova Micro); 858 for the first tool and 445 more for its round trip (Nova 2 Lite).
_NOVA = replace(_OPEN, name="nova", message=Span(0, 10), call=Span(0, 60))
_NOVA_2 = replace(_NOVA, name="nova-2", message=Span(0, 250), tools=Span(840, 1200))
# xAI adds tokens of its own to each call: https://docs.x.ai/docs/key-information/consumption-and-rate-limits
# About 680 with Grok 4, measured by npm `ai-tokenizer` 1.0.6 (MIT) against reported usage.
_GROK = replace(_OPEN, name="grok", call=Span(5, 800))
_GROK_4 = replace(_GROK, call=Span(680, 800))

# A model nobody wrote down, anywhere: likely as most models are, at most as the worst one measured.
_UNKNOWN = replace(
    _OPEN,
    name="unknown",
    percent=Span(105, 165),
    tools_percent=Span(105, 165),
    call=Span(5, 120),
    tools=Span(200, 900),
)

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

# First words of a model's name -> its family; the longest that fits wins. A prefix ends where a word ends
# (`-`, `.`, `:`, `@` or the end), so `gpt-4` is not `gpt-4o` and `o1` is no `o100`.
_PREFIXES: Mapping[str, Family] = {
    "gpt": _OPENAI_REASONING,
    "chatgpt-4o": _OPENAI,
    "gpt-4o": _OPENAI,
    "gpt-4.1": _OPENAI,
    "gpt-4.5": _OPENAI,
    "gpt-4": _OPENAI_OLDER,
    "gpt-3.5": _OPENAI_OLDER,
    "gpt-35": _OPENAI_OLDER,
    "gpt-oss": _OPENAI_OPEN,
    "text-embedding": _OPENAI_OLDER,
    "davinci-002": _OPENAI_OLDER,
    "babbage-002": _OPENAI_OLDER,
    "o1": _OPENAI_REASONING,
    "o3": _OPENAI_REASONING,
    "o4": _OPENAI_REASONING,
    "claude": _CLAUDE_NEWER,
    "claude-opus-4-7": _CLAUDE_OPUS_4_7,
    "claude-opus-4.7": _CLAUDE_OPUS_4_7,
    "claude-opus-4-8": _CLAUDE_NEWER,
    "claude-opus-4.8": _CLAUDE_NEWER,
    "claude-opus-4-5": _CLAUDE,
    "claude-opus-4.5": _CLAUDE,
    "claude-opus-4-6": _CLAUDE,
    "claude-opus-4.6": _CLAUDE,
    "claude-sonnet-4-5": _CLAUDE,
    "claude-sonnet-4.5": _CLAUDE,
    "claude-sonnet-4-6": _CLAUDE,
    "claude-sonnet-4.6": _CLAUDE,
    "claude-haiku-4": _CLAUDE,
    "claude-opus-4": _CLAUDE_OLDER,
    "claude-sonnet-4": _CLAUDE_OLDER,
    "claude-4-opus": _CLAUDE_OLDER,
    "claude-4-sonnet": _CLAUDE_OLDER,
    "claude-3": _CLAUDE_OLDER,
    "claude-2": _CLAUDE_OLDER,
    "claude-v2": _CLAUDE_OLDER,
    "claude-instant": _CLAUDE_OLDER,
    "gemini": _GEMINI,
    "gemma": _GEMINI,
    "gemma2": _GEMINI,
    "gemma3": _GEMINI,
    "llama-2": _LLAMA_2,
    "llama2": _LLAMA_2,
    "codellama": _LLAMA_2,
    "mistral-7b": _LLAMA_2,
    "open-mistral-7b": _LLAMA_2,
    "open-mixtral": _LLAMA_2,
    "mixtral": _LLAMA_2,
    "llama-3": _OPEN,
    "llama3": _OPEN,
    "llama-4": _LLAMA_4,
    "llama4": _LLAMA_4,
    "mistral": _MISTRAL,
    "ministral": _MISTRAL,
    "magistral": _MISTRAL,
    "codestral": _MISTRAL,
    "devstral": _MISTRAL,
    "pixtral": _MISTRAL,
    "deepseek": _OPEN,
    "deepseek-v4": _DEEPSEEK_4,
    "qwen": _OPEN,
    "qwen2": _OPEN,
    "qwen3": _OPEN,
    "qwq": _OPEN,
    "glm": _OPEN,
    "kimi": _OPEN,
    "grok": _GROK,
    "grok-4": _GROK_4,
    "nova": _NOVA,
    "nova-2": _NOVA_2,
}

# A provider that serves its own models -> the family of a name that no prefix knows.
_PROVIDERS: Mapping[str, Family] = {
    "openai": _OPENAI_REASONING,
    "azure": _OPENAI_UNNAMED,
    "anthropic": _CLAUDE_NEWER,
    "google": _GEMINI,
    "mistral": _MISTRAL,
    "deepseek": _DEEPSEEK_4,
    "x-ai": _GROK_4,
}

_WORD_ENDS = "-.:@"


def family_of(provider: str | None, model: str) -> Family:
    """
    The family of *model*, as a request to *provider* names it.

    The name decides; a name that no rule knows is taken as its provider's newest, and without a known
    provider as the dearest that was measured. Upper and lower case are the same.

    Args:
        provider: `openai`, `anthropic`, `google` ..., or `None` where nobody knows.
        model: `gpt-4o`, `us.anthropic.claude-sonnet-4-5-20250929-v1:0`, `meta-llama/Llama-4-Scout`.

    Raises:
        InvalidValueError: the name is empty.
    """
    name = model.strip().lower()
    if not name:
        raise InvalidValueError("the model has no name", hint="name one, for instance gpt-4o-mini")
    bare = _without_owners(name)
    for prefix in _word_prefixes(bare):
        if prefix in _PREFIXES:
            return _PREFIXES[prefix]
    return _PROVIDERS.get(provider or "", _UNKNOWN)


def _without_owners(name: str) -> str:
    while True:
        for owner in _OWNERS:
            if name.startswith(owner):
                name = name.removeprefix(owner)
                break
        else:
            return name


def _word_prefixes(name: str) -> Iterator[str]:
    """The name itself, then cut at one word end after the other, longest first."""
    yield name
    for end in range(len(name) - 1, 0, -1):
        if name[end] in _WORD_ENDS:
            yield name[:end]
