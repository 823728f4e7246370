"""From what a request asks for to the most it can cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from budgets.asks import Ask, Count
from budgets.engine.estimating import Lessons, sharpened
from budgets.errors import InvalidValueError
from budgets.lessons import Estimate
from budgets.ports import TokenCounter
from budgets.pricing import ModelPrices, Price, PriceBook, cost, dearest_input, dearest_output, pinned
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
    count, estimate = _counted(ask, counter, prices, lessons)
    unbounded = (*ask.unbounded, *(each for each in count.uncounted if each not in ask.unbounded))
    most_input = _context_window(prices, unbounded, count.most) if unbounded else count.most
    most_how = "bound:context window" if unbounded else count.most_how
    fixed: dict[Price, int] = {}
    if ask.by_tokens:
        media = (*ask.media, "image") if ask.images else ask.media
        fixed[dearest_input(prices, most_input, ask.cache_write, media=media)] = most_input
    fixed |= {prices.row(unit, most_input): number for unit, number in (("requests", 1), *ask.fees)}
    if ask.images and prices.bills_itself("input_images"):
        fixed[prices.row("input_images", most_input)] = len(ask.images)
    if ask.searches:
        fixed[prices.row("web_searches", most_input)] = ask.searches
    limit, limited_by = _output_limit(ask, prices, default_output_tokens)
    writing = dearest_output(prices, most_input, media=ask.answer_media) if limit else None
    reasons = ask.reasoning or prices.reasoning
    return Quote(
        model=prices.model,
        provider=prices.provider,
        input_tokens=count.likely,
        input_tokens_most=most_input,
        counted=count.how,
        counted_most=most_how,
        prompt_nanos=cost(Usage.of(input=count.likely, how=count.how), prices).nanos if ask.by_tokens else 0,
        fixed_picos=sum(row.picos * number for row, number in fixed.items()),
        # A model that writes nothing has no price for it.
        output_picos=writing.picos * ask.answers if writing is not None else 0,
        output_limit=limit,
        limited_by=limited_by,
        floor=min(limit, REASONING_FLOOR_TOKENS if reasons else FLOOR_TOKENS),
        book_version=prices.book_version,
        unbounded=unbounded,
        estimate=estimate,
        pins=_pins(
            prices,
            fixed=fixed,
            answers={} if writing is None else {writing: ask.answers},
            how=most_how or count.how,
        ),
    )


def _counted(
    ask: Ask, counter: TokenCounter, prices: ModelPrices, lessons: Lessons
) -> tuple[Count, Estimate | None]:
    """How much there is to read, and the estimate of it; nothing where only fees are billed."""
    if not ask.by_tokens:
        return Count(0, 0, "not billed"), None
    return sharpened(
        ask,
        counter.count(ask, provider=prices.provider),
        model=f"{prices.provider}/{prices.model}",
        context_window=prices.context_window,
        lessons=lessons,
    )


def _pins(
    prices: ModelPrices, *, fixed: Mapping[Price, int], answers: Mapping[Price, int], how: str
) -> dict[str, Any]:
    """How the most adds up, as `Quote.pins` keeps it. What costs nothing for a call is left out."""
    rows = {row.unit: row for row in (*fixed, *answers) if row.picos or row.unit != "requests"}
    return {
        **pinned(prices, rows),
        "how": how,
        "fixed": {row.unit: count for row, count in fixed.items() if row.unit in rows},
        "answers": {row.unit: count for row, count in answers.items()},
    }


def _output_limit(
    ask: Ask, prices: ModelPrices, default: int
) -> tuple[int, Literal["caller", "model", "default"]]:
    most = prices.max_output_tokens
    if ask.output_limit is not None:
        return ask.output_limit, "caller"
    if most is not None and most <= default:
        return most, "model"
    return default, "default"


def _context_window(prices: ModelPrices, unbounded: Sequence[str], counted: int) -> int:
    if prices.context_window is None:
        raise InvalidValueError(
            f"the request has {', '.join(unbounded)}, and the context window of {prices.model} is not known",
            hint=f"say how much it can read with `budget prices set {prices.model} --context-window TOKENS`",
        )
    return max(prices.context_window, counted)
