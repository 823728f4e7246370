"""
Which tokenizer and which framing a model has: facts as data, each with its source.

A *family* is a set of models that are counted alike. Its figures come in pairs: what is likely, and the
most, which holds are made of. Where a source is `recorded`, the figure was read off reported usage of
recorded calls; where it is `measured`, off the tokenizers themselves (prose in nine languages, code,
JSON, against o200k).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from budgets.errors import InvalidValueError
from budgets.tokens.family import Family
from budgets.tokens.images import Crops, Patches, Resolutions, Tiles
from budgets.tokens.names import short_names
from budgets.tokens.span import Span

# When the factors of other vendors were measured.
CALIBRATED = "2026-11"

# OpenAI: 3 per message, 1 for its role, 3 that prime the reply, 1 per name, from
# https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
# Recorded: 7 for one message, 11 for two, 19 for five; o1-mini 18 for two; 3 for tools beside their
# namespace; 7 or 8 for a call and its result, 31 to 35 for two that were made at once.
# Pictures: https://platform.openai.com/docs/guides/images-vision#calculating-costs
_OPENAI = Family(
    name="openai",
    encoding="o200k_base",
    exact=True,
    percent=Span(100, 100),
    tools_percent=Span(100, 100),
    message=Span(4, 5),
    call=Span(3, 12),
    tool=Span(0, 8),
    tools=Span(3, 20),
    namespace=True,
    tool_call=Span(7, 12),
    together=Span(17, 40),
    schema=Span(0, 20),
    sealed_percent=Span(21, 38),
    sealed_envelope=1_050,
    images=Tiles(85, 170),
)
_OPENAI_OLDER = replace(_OPENAI, encoding="cl100k_base")
_GPT_4O_MINI = replace(_OPENAI, images=Tiles(2_833, 5_667))
_GPT_4_1_MINI = replace(_OPENAI, images=Patches(32, 1_536, Span(162, 162)))
_GPT_4_1_NANO = replace(_OPENAI, images=Patches(32, 1_536, Span(246, 246)))
_COMPUTER_USE = replace(_OPENAI, images=Tiles(65, 129))
# Recorded with gpt-5, o3 and later: one less for the reply; tools cost 82 more in the chat format.
_OPENAI_REASONING = replace(
    _OPENAI,
    call=Span(2, 12),
    tools=Span(8, 120),
    chat_tools=Span(90, 120),
    # Nothing is said of models after these: as the dearest of them are.
    images=Patches(32, 10_000, Span(120, 162)),
)
_O1 = replace(_OPENAI_REASONING, images=Tiles(75, 150))
_O4_MINI = replace(_OPENAI_REASONING, images=Patches(32, 1_536, Span(172, 172)))
_GPT_5 = replace(_OPENAI_REASONING, images=Tiles(70, 140))
# The page says 1.62 and 2.46; recorded and by others measured, 1.2 and 1.5 are billed:
# https://community.openai.com/t/introducing-gpt-5-4-mini-and-nano-our-most-capable-small-models-yet/1377015
_GPT_5_MINI = replace(_OPENAI_REASONING, images=Patches(32, 1_536, Span(120, 162)))
_GPT_5_NANO = replace(_OPENAI_REASONING, images=Patches(32, 1_536, Span(150, 246)))
_GPT_5_2 = replace(_OPENAI_REASONING, images=Patches(32, 2_500, Span(120, 162), original=10_000))
# Azure names deployments as their owner likes, so an unknown name may be of either encoding; measured,
# cl100k is 0.99 to 1.27 of o200k.
_OPENAI_UNNAMED = replace(
    _OPENAI_REASONING,
    name="openai-unnamed",
    exact=False,
    percent=Span(100, 130),
    error_percent=27,
    images=None,
)
# The prompt format of gpt-oss has a system message of its own. Recorded: 71 for one message, 74 for two.
_OPENAI_OPEN = replace(_OPENAI, name="gpt-oss", call=Span(67, 90), tools=Span(9, 120), images=None)

# Claude 3 to 4.6, measured: 1.10 (English) to 1.29 (Chinese); recorded: 1.00 to 1.05 in long English, 1.52
# in capitals (`bound.py`), 7 for one message, 22 for three, 29 more with thinking, 12 for each tool, about
# 130 for a schema. The prompt that enables tools, from
# https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
# is 496 (auto) or 588 (any) for 4.5 and 497 or 589 for 4.6; recorded earlier as 334 to 362.
# Pictures: https://platform.claude.com/docs/en/build-with-claude/vision
_CLAUDE = Family(
    name="anthropic",
    encoding="o200k_base",
    percent=Span(110, 130),
    error_percent=17,
    tools_percent=Span(125, 130),
    message=Span(3, 7),
    call=Span(4, 12),
    tool=Span(12, 30),
    # Recorded: about 40 for a call and its result, which are three to five texts.
    text_most=12,
    tools=Span(480, 600),
    must_call=Span(92, 0),
    tool_call=Span(35, 45),
    schema=Span(132, 300),
    reasoning=Span(29, 45),
    images=Patches(28, 1_568, Span(100, 100), side=1_568),
)
# Opus from 4.5 and Sonnet from 4.6 keep what they thought.
# https://platform.claude.com/docs/en/build-with-claude/extended-thinking
_CLAUDE_KEEPING = replace(_CLAUDE, keeps_thoughts=True)
# The page on tools: 313 and 315 for Opus 4 and 4.1 and Sonnet 4, 264 and 355 for Haiku 3.5; an earlier
# state of it: 346 and 313 for 3.5 and 3.7, 530 and 281 for Opus 3.
_CLAUDE_OLDER = replace(_CLAUDE, tools=Span(330, 540), must_call=Span(0, 0))
# Opus 4.7 and later, Sonnet 5, Fable 5, Mythos, measured: 1.43 (Japanese) to 1.62 (Python). Tools, the
# same page: 290 and 410 for Opus 4.8, 354 and 474 for Sonnet 5, 675 and 804 for Opus 4.7.
_CLAUDE_NEWER = replace(
    _CLAUDE_KEEPING,
    name="anthropic-newer",
    percent=Span(150, 165),
    error_percent=8,
    tools_percent=Span(150, 165),
    message=Span(2, 7),
    tools=Span(354, 820),
    must_call=Span(120, 0),
    reasoning=Span(0, 45),
    images=Patches(28, 4_784, Span(100, 100), side=2_576),
)
_CLAUDE_OPUS_4_7 = replace(_CLAUDE_NEWER, tools=Span(675, 820))

# Gemini, measured: 0.88 (Japanese) to 1.33 (JSON). Recorded: no framing at all, up to 3 in all; tools a third
# of their JSON to 2.0 and a quarter more than it from 2.5, less 10 each; no schema is billed; what was
# thought is read again in the turn it belongs to with Gemini 3, and not at all before it.
# https://ai.google.dev/gemini-api/docs/tokens
_GEMINI_2 = Family(
    name="google",
    encoding="o200k_base",
    percent=Span(105, 135),
    error_percent=27,
    tools_percent=Span(125, 135),
    message=Span(0, 5),
    call=Span(0, 10),
    tool=Span(-10, 25),
    tools=Span(0, 60),
    reads_schemas=False,
    sealed_percent=Span(0, 38),
    images=Crops(),
)
_GEMINI_1 = replace(_GEMINI_2, tools_percent=Span(40, 135), tool=Span(2, 25))
_GEMINI = replace(_GEMINI_2, sealed_percent=Span(21, 38), sealed_envelope=150, images=Resolutions())
_GEMMA = replace(_GEMINI_2, images=None)
# What a picture is to a model that embeds is nowhere said.
_GEMINI_EMBEDDING = replace(_GEMINI_2, images=None)

# Open models served by anyone, measured (Llama 3, DeepSeek V3, Qwen 3, Mistral v3, GLM-4, Kimi K2): 0.90
# to 1.14. Their chat templates are known, what a host puts before them is not. Recorded: 5 to 12 for one
# message, 35 with Llama 3's dated system line; 241 for tools with Qwen 3 Coder.
_OPEN = Family(
    name="open",
    encoding="o200k_base",
    percent=Span(105, 115),
    error_percent=14,
    tools_percent=Span(105, 115),
    message=Span(5, 10),
    call=Span(5, 60),
    tool=Span(10, 40),
    tools=Span(200, 500),
)
# Recorded with Llama 4: 525 and 663 for the first tools.
_LLAMA_4 = replace(_OPEN, name="llama-4", call=Span(10, 60), tools=Span(580, 900))
# Llama 2 and the first Mistral vocabularies, measured: 1.15 (English) to 1.61 (Chinese).
_LLAMA_2 = replace(
    _OPEN, name="older-open", percent=Span(125, 165), error_percent=29, tools_percent=Span(140, 165)
)
# Recorded: 83 for a call of one message, 310 with a tool.
_DEEPSEEK_4 = replace(_OPEN, name="deepseek-4", call=Span(78, 120), tools=Span(210, 400))
# Recorded: a tool's JSON and 12 more, 24 and 74 with Pixtral.
_MISTRAL = replace(_OPEN, name="mistral", message=Span(3, 10), call=Span(2, 20), tools=Span(2, 90))
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
    error_percent=57,
    tools_percent=Span(105, 165),
    call=Span(5, 120),
    tools=Span(200, 900),
)

# First words of a model's name -> its family; the longest that fits wins. A prefix ends where a word ends
# (`-`, `.`, `:`, `@` or the end), so `gpt-4` is not `gpt-4o` and `o1` is no `o100`.
_PREFIXES: Mapping[str, Family] = {
    "gpt": _OPENAI_REASONING,
    "gpt-5": _GPT_5,
    "gpt-5-mini": _GPT_5_MINI,
    "gpt-5-nano": _GPT_5_NANO,
    "gpt-5.1": _GPT_5,
    "gpt-5.2": _GPT_5_2,
    "gpt-5.3": _GPT_5_2,
    "gpt-5.4": _GPT_5_2,
    **{f"gpt-5.{minor}": _OPENAI_REASONING for minor in range(5, 10)},
    "chatgpt-4o": _OPENAI,
    "gpt-4o": _OPENAI,
    "gpt-4o-mini": _GPT_4O_MINI,
    "gpt-4.1": _OPENAI,
    "gpt-4.1-mini": _GPT_4_1_MINI,
    "gpt-4.1-nano": _GPT_4_1_NANO,
    "gpt-4.5": _OPENAI,
    "gpt-4": _OPENAI_OLDER,
    "gpt-3.5": _OPENAI_OLDER,
    "gpt-35": _OPENAI_OLDER,
    "gpt-oss": _OPENAI_OPEN,
    "text-embedding": _OPENAI_OLDER,
    "davinci-002": _OPENAI_OLDER,
    "babbage-002": _OPENAI_OLDER,
    "computer-use": _COMPUTER_USE,
    "codex": _OPENAI_REASONING,
    "codex-mini": _O4_MINI,
    "o1": _O1,
    "o3": _O1,
    "o4": _O4_MINI,
    "claude": _CLAUDE_NEWER,
    "claude-opus-4-7": _CLAUDE_OPUS_4_7,
    "claude-opus-4.7": _CLAUDE_OPUS_4_7,
    "claude-opus-4-8": _CLAUDE_NEWER,
    "claude-opus-4.8": _CLAUDE_NEWER,
    "claude-opus-4-5": _CLAUDE_KEEPING,
    "claude-opus-4.5": _CLAUDE_KEEPING,
    "claude-opus-4-6": _CLAUDE_KEEPING,
    "claude-opus-4.6": _CLAUDE_KEEPING,
    "claude-sonnet-4-5": _CLAUDE,
    "claude-sonnet-4.5": _CLAUDE,
    "claude-sonnet-4-6": _CLAUDE_KEEPING,
    "claude-sonnet-4.6": _CLAUDE_KEEPING,
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
    "gemini-1": _GEMINI_1,
    "gemini-1.5": _GEMINI_1,
    "gemini-2.0": _GEMINI_1,
    "gemini-2.5": _GEMINI_2,
    "gemini-embedding": _GEMINI_EMBEDDING,
    "gemma": _GEMMA,
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
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
    for prefix in short_names(name):
        if prefix in _PREFIXES:
            return _PREFIXES[prefix]
    return _PROVIDERS.get(provider or "", _UNKNOWN)
