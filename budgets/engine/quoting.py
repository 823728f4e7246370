"""From what a request asks for to the most it can cost."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Literal

from budgets.asks import Ask
from budgets.engine.estimating import Lessons, sharpened
from budgets.errors import InvalidValueError
from budgets.ports import TokenCounter
from budgets.pricing import ModelPrices, PriceBook, cost, most_input_picos, most_output_picos, unit_picos
from budgets.records import DEFAULT_OUTPUT_TOKENS, Quote
from budgets.usage import Usage

# Below these an answer is cut before it says anything; a reasoning model thinks first.
FLOOR_TOKENS = 256
REASONING_FLOOR_TOKENS = 4_096


def quote(
    ask: Ask,
    *,
    book: PriceBook,
    counter: TokenCounter,
    provider: str | None,
    at: datetime,
    default_output_tokens: int = DEFAULT_OUTPUT_TOKENS,
    lessons: Lessons = MappingProxyType({}),
) -> Quote:
    """
    The most *ask* can cost, and what its prompt probably costs.

    The most is the upper token count at the dearest input rate that the request permits, in the service
    tier and region that it asks for, plus every answer at its output limit. Where the request does not bound
    what the provider reads, it is the model's whole context window.

    Args:
        default_output_tokens: The output limit for a request that has none and a model that has more.
        lessons: What earlier calls say about our counts.

    Raises:
        UnknownPriceError: the model, or a service tier that is asked for, has no price.
    """
    # `auto` is the standard tier: no book knows what an account has bought beyond it. Where a provider serves
    # a cheaper call than was asked for, it bills no more than the tier that was.
    prices = book.find(ask.model, provider=provider, at=at).for_call(ask.service_tier, ask.region)
    count, estimate = sharpened(
        ask,
        counter.count(ask, provider=prices.provider),
        model=f"{prices.provider}/{prices.model}",
        context_window=prices.context_window,
        lessons=lessons,
    )
    most_input = count.most if not ask.unbounded else _context_window(prices, ask, count.most)
    fixed = most_input * most_input_picos(prices, most_input, ask.cache_write)
    fixed += unit_picos(prices, "requests", most_input)
    limit, limited_by = _output_limit(ask, prices, default_output_tokens)
    reasons = ask.reasoning or prices.reasoning
    return Quote(
        model=prices.model,
        provider=prices.provider,
        input_tokens=count.likely,
        input_tokens_most=most_input,
        counted=count.how,
        prompt_nanos=cost(Usage.of(input=count.likely, how=count.how), prices).nanos,
        fixed_picos=fixed,
        # A model that writes nothing has no price for it.
        output_picos=most_output_picos(prices, most_input) * ask.answers if limit else 0,
        output_limit=limit,
        limited_by=limited_by,
        floor=min(limit, REASONING_FLOOR_TOKENS if reasons else FLOOR_TOKENS),
        book_version=prices.book_version,
        unbounded=ask.unbounded,
        estimate=estimate,
    )


def _output_limit(
    ask: Ask, prices: ModelPrices, default: int
) -> tuple[int, Literal["caller", "model", "default"]]:
    most = prices.max_output_tokens
    if ask.output_limit is not None:
        return ask.output_limit, "caller"
    if most is not None and most <= default:
        return most, "model"
    return default, "default"


def _context_window(prices: ModelPrices, ask: Ask, counted: int) -> int:
    if prices.context_window is None:
        raise InvalidValueError(
            f"the request has {', '.join(ask.unbounded)},"
            f" and the context window of {prices.model} is not known",
            hint=f"say how much it can read with `budget prices set {prices.model} --context-window TOKENS`",
        )
    return max(prices.context_window, counted)
