"""How many tokens a request's input is: text, framing and tools, for the vendor that will read it."""

from __future__ import annotations

from collections.abc import Iterable

from budgets.asks import Ask, Count
from budgets.tokens.bound import most_tokens
from budgets.tokens.counting import count_text
from budgets.tokens.families import Family, Span, family_of

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
        parts = [_framing(family, ask), _texts(family, ask.texts, family.percent)]
        if ask.tools:
            parts.append(_tools(family, ask))
        return Count(
            likely=ask.token_ids + sum(part.likely for part in parts),
            most=ask.token_ids + sum(part.most for part in parts),
            how=f"{_how(family)} +{family.message.likely}/message",
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
        return Count(likely=tokens.likely, most=tokens.most, how=_how(family))


def _how(family: Family) -> str:
    tokenizer = f"tiktoken:{family.encoding}"
    if family.exact:
        return tokenizer
    whole, hundredths = divmod(family.percent.likely, 100)
    return f"calibrated:{family.name} {tokenizer} x{whole}.{hundredths:02d}"


def _texts(family: Family, texts: Iterable[str], percent: Span) -> Span:
    counted = 0
    most = 0
    for text in texts:
        tokens = count_text(text, family.encoding)
        counted += tokens
        most += tokens if family.exact else _most_of_stranger(text, tokens, percent.most)
    # Rounded once over all texts. Short texts reach the bound by bytes, which a factor may pass.
    return Span(min(-(-counted * percent.likely // 100), most), most)


def _most_of_stranger(text: str, o200k_tokens: int, percent: int) -> int:
    other_tokens = count_text(text, "cl100k_base")
    return most_tokens(text, counted=max(o200k_tokens, other_tokens), percent=percent)


def _framing(family: Family, ask: Ask) -> Span:
    likely = family.call.likely + family.message.likely * ask.messages
    most = family.call.most + family.message.most * ask.messages + family.text_most * len(ask.texts)
    return Span(likely + family.reasoning.likely * ask.reasoning, most + family.reasoning.most)


def _tools(family: Family, ask: Ask) -> Span:
    once = family.tools
    if ask.dialect == _OPENAI_CHAT and family.chat_tools is not None:
        once = family.chat_tools
    texts = _texts(family, ask.tools, family.tools_percent)
    likely = texts.likely + family.tool.likely * len(ask.tools) + once.likely
    # A definition shorter than the keys that its vendor leaves out would come to less than nothing.
    return Span(max(likely, 0), texts.most + family.tool.most * len(ask.tools) + once.most)
