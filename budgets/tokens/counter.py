"""How many tokens a request's input is: text, framing and tools, for the vendor that will read it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from budgets.asks import Ask, Count
from budgets.tokens.bound import most_tokens
from budgets.tokens.counting import count_text
from budgets.tokens.families import CALIBRATED, family_of
from budgets.tokens.family import Family
from budgets.tokens.openai_view import schema_seen, tools_seen
from budgets.tokens.span import NOTHING, Span, total

_OPENAI_CHAT = "openai-chat"


class TiktokenCounter:
    """
    Counts with OpenAI's vocabularies, and for other vendors with a factor on them.

    Exact for OpenAI's text; framing, tools and other vendors' text are estimates, and `Count.most` is what
    they are taken not to exceed. Holds no state, so one serves every thread; the vocabulary is read on
    first use and kept for the process. Texts are neither kept nor shown.
    """

    def count(self, ask: Ask, *, provider: str | None) -> Count:
        """
        The input tokens of *ask*, framing and tools included.

        Args:
            ask: What the request asks for.
            provider: Who will be called (`openai`, `anthropic` ...); `None` where nobody knows.

        Raises:
            InvalidValueError: the model has no name.
            ConfigError: the installed rank data cannot be used.
        """
        family = family_of(provider, ask.model)
        texts = _texts(family, ask.texts, family.percent)
        parts = [
            texts,
            _framing(family, ask),
            _tools(family, ask),
            _schemas(family, ask),
            _earlier(family, ask),
        ]
        uncounted: tuple[str, ...] = ()
        if ask.images and family.images is None:
            uncounted = ("an image",)
        elif family.images is not None:
            parts += map(family.images.tokens, ask.images)
        parts.append(Span(ask.token_ids, ask.token_ids))
        likely, most = total(parts)
        return Count(
            likely=likely,
            most=most,
            how=f"{_how(family)} +{family.message.likely}/message",
            most_how=f"{_most_how(family)} +{family.message.most}/message",
            uncounted=uncounted,
        )

    def count_text(self, text: str, *, provider: str | None, model: str) -> Count:
        """
        The tokens of *text* alone, without framing: an answer, or a file.

        Args:
            text: Any text; the empty one is 0 tokens.
            provider: Who made or will read it; `None` where nobody knows.
            model: Whose tokens to count.

        Raises:
            InvalidValueError: the model has no name.
            ConfigError: the installed rank data cannot be used.
        """
        family = family_of(provider, model)
        tokens = _texts(family, (text,), family.percent)
        return Count(
            likely=tokens.likely,
            most=tokens.most,
            how=_how(family),
            most_how=_most_how(family),
        )


def _how(family: Family) -> str:
    if family.exact:
        return f"tiktoken:{family.encoding}"
    return (
        f"calibrated:{family.name} {CALIBRATED} x{_factor(family.percent.likely)} ±{family.error_percent} %"
    )


def _most_how(family: Family) -> str:
    return _how(family) if family.exact else f"bound:{family.name} x{_factor(family.percent.most)}"


def _factor(percent: int) -> str:
    whole, hundredths = divmod(percent, 100)
    return f"{whole}.{hundredths:02d}"


def _texts(family: Family, texts: Iterable[str], percent: Span) -> Span:
    counted = 0
    most = 0
    for text in texts:
        tokens = count_text(text, family.encoding)
        counted += tokens
        most += tokens if family.exact else _most_of_stranger(text, tokens, percent.most)
    # Rounded once over all texts. Short texts reach the bound by bytes, which a factor may pass.
    return Span(min((counted * percent.likely + 50) // 100, most), most)


def _most_of_stranger(text: str, o200k_tokens: int, percent: int) -> int:
    other_tokens = count_text(text, "cl100k_base")
    return most_tokens(text, counted=max(o200k_tokens, other_tokens), percent=percent)


def _framing(family: Family, ask: Ask) -> Span:
    if ask.output_limit == 0:
        # What is embedded stands alone.
        return Span(0, family.text_most * len(ask.texts))
    parts = [
        family.call,
        family.message.times(ask.messages),
        family.tool_call.times(ask.calls),
        Span(0, family.text_most * (len(ask.texts) + len(ask.thoughts))),
        Span(family.reasoning.likely * ask.reasoning, family.reasoning.most),
    ]
    if ask.together:
        parts += [family.together, _escaped(family, ask.together)]
    return total(parts)


def _escaped(family: Family, texts: Iterable[str]) -> Span:
    """
    What texts are more when written as JSON in ASCII, as OpenAI does with results of calls made at once.

    https://community.openai.com/t/massive-token-overestimation-in-multiple-tool-calls-due-to-internal-unicode-escaping/1375117
    """
    if not family.together.most:
        return NOTHING
    more = 0
    for text in texts:
        escaped = json.dumps(text)[1:-1]
        more += max(count_text(escaped, family.encoding) - count_text(text, family.encoding), 0)
    return Span(more, more)


def _tools(family: Family, ask: Ask) -> Span:
    if not ask.tools:
        return Span(ask.hidden, ask.hidden)
    once = family.tools
    if ask.dialect == _OPENAI_CHAT and family.chat_tools is not None:
        once = family.chat_tools
    texts = _texts(family, ask.tools, family.tools_percent)
    if family.namespace:
        seen = _texts(family, [tools_seen(ask.tools)], family.percent)
        texts = Span(seen.likely, max(texts.most, seen.most))
    each = family.tool.times(len(ask.tools))
    must_call = family.must_call if ask.must_call else NOTHING
    likely, most = total([once, texts, each, must_call, Span(ask.hidden, ask.hidden)])
    # A definition shorter than what its vendor leaves out would come to less than nothing.
    return Span(max(likely, 0), most)


def _schemas(family: Family, ask: Ask) -> Span:
    if not ask.schemas:
        return NOTHING
    texts = _texts(family, ask.schemas, family.tools_percent)
    if family.namespace:
        texts = Span(_texts(family, map(schema_seen, ask.schemas), family.percent).likely, texts.most)
    likely, most = total([texts, family.schema.times(len(ask.schemas))])
    return Span(likely if family.reads_schemas else 0, most)


def _earlier(family: Family, ask: Ask) -> Span:
    """What was thought before: of this turn, and of earlier ones where the model keeps it."""
    thoughts = _texts(family, ask.thoughts, family.percent)
    percent = family.sealed_percent
    characters = ask.sealed + (ask.sealed_earlier if family.keeps_thoughts else 0)
    likely = max(0, characters - family.sealed_envelope) * percent.likely // 100
    most = -(-(ask.sealed + ask.sealed_earlier) * percent.most // 100)
    return Span(min(likely, most) + (thoughts.likely if family.keeps_thoughts else 0), thoughts.most + most)
