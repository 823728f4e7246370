"""
Reads the installed `genai-prices` package: every model as a line of the data file.

What is carried over, what is left out and why stands in the README beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from budgets.prices.cleaning import Usd, text
from budgets.prices.names import ANY_MARK, DATED, MAKERS, stems
from budgets.prices.sheets import WEEKDAYS
from budgets.usage import UNITS, priced_for

# The package's price keys -> our unit.
_UNITS = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cached_input_audio",
    "input_image_mtok": "input_image",
    "cache_image_read_mtok": "cached_input_image",
    "input_video_mtok": "input_video",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
    "output_video_mtok": "output_video",
    "output_citation_mtok": "citations",
    "requests_kcount": "requests",
    "web_searches_kcount": "web_searches",
    "storage_searches_kcount": "file_searches",
    "input_text_messages_kcount": "messages",
    "input_mchars": "input_characters",
    "audio_hours": "input_seconds",
    "input_audio_hours": "input_seconds",
    "input_document_kpages": "pages",
    "input_annotated_document_kpages": "annotated_pages",
}

# What a variant of the package is asked by -> our service tier. Routes and kinds of search are not carried.
_TIERED_BY = ("processing", "service_tier", "speed")

# A price that the package borrowed from a reseller is no price of the maker's.
_BORROWED = re.compile(r"(?:Imported from|Seen on) OpenRouter(?!.*Verified against)", re.DOTALL)

# Daily windows that hold from a day on, and on weekdays only. The package can say so in a remark only.
# https://api-docs.deepseek.com/quick_start/pricing,
# https://github.com/pydantic/genai-prices/issues/582
_WEEKDAY_HOURS = {
    ("deepseek", "01:00-04:00"): "2026-08-17",
    ("deepseek", "06:00-10:00"): "2026-08-17",
}

# Shapes of the package's patterns. All are a model's name and something like a date behind it, so they are
# carried as a stem. A new shape stops the build, for somebody to look at it.
_REGEX = re.compile(r"\^(?P<stem>[a-z0-9./\\-]+?)(?:-|\[-@\])\\d(?:\{8\}\$|\{4\}-\\d\{2\}-\\d\{2\}\$)?")
_LITERAL = re.compile(r"\^(?P<name>(?:[a-z0-9./-]|\\[.\[\]]|=)+)\$")
_OPTIONAL = re.compile(r"\^\((?P<prefix>[a-z]+/)\)\?(?P<stem>[a-z0-9.\\-]+)\(-\\d\{8\}\)\?\$")
_NOT_SPEECH = "^(?!.*-[tT][tT][sS](?:$|-))"
# Prefixes that end inside a revision or a date: what is before it, and what may follow.
_CUT = {
    "ft:gpt-4-0": ANY_MARK + "ft:gpt-4",
    "gemini-2.0-flash-0": ANY_MARK + "gemini-2.0-flash",
    "gpt-4o-mini-2024-07-18.ft-": "gpt-4o-mini-2024-07-18.ft-",
}


# How the package begins an id of AWS that stands for all regions, and how names there begin.
# https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
_REGIONAL = "regional."
_REGIONS = ("", "us.", "eu.", "apac.", "us-gov.")


def _names(clause: Any) -> Iterator[str]:
    """A match rule as exact names and stems. Never wider, save for which date follows."""
    kind = type(clause).__name__
    if kind == "ClauseOr":
        for each in clause.or_:
            yield from _names(each)
    elif kind == "ClauseAnd":
        # A prefix, but not for speech models: no snapshot mark is "tts", so the stem suffices.
        positive = [each for each in clause.and_ if getattr(each, "regex", None) != _NOT_SPEECH]
        if len(positive) != 1:
            raise ValueError(f"a match rule of a new shape: {clause!r}")
        yield from _names(positive[0])
    elif kind == "ClauseEquals":
        yield clause.equals.lower()
    elif kind == "ClauseEndsWith":
        yield clause.ends_with.lower()
    elif kind in ("ClauseStartsWith", "ClauseContains"):
        # "Contains" would also find names with words in front: it is carried as the beginning of a name.
        yield from _stem(next(iter(vars(clause).values())).lower())
    elif kind == "ClauseRegex":
        yield from _pattern(clause.regex)
    else:
        raise ValueError(f"a match rule of a new kind: {clause!r}")


def _pattern(regex: str) -> Iterator[str]:
    if (found := _REGEX.fullmatch(regex)) is not None:
        yield DATED + found["stem"].replace("\\", "").lower()
    elif (found := _LITERAL.fullmatch(regex)) is not None:
        yield found["name"].replace("\\", "")
    elif (found := _OPTIONAL.fullmatch(regex)) is not None:
        for name in (found["stem"], found["prefix"] + found["stem"]):
            plain = name.replace("\\", "")
            yield from (plain, DATED + plain)
    else:
        raise ValueError(f"a pattern of a new shape: {regex}")


def _stem(prefix: str) -> Iterator[str]:
    if prefix in _CUT:
        yield _CUT[prefix]
    elif (year := re.search(r"-20[0-9]{2}-?$", prefix)) is not None:
        yield DATED + prefix[: year.start()]
    elif prefix.endswith("@"):
        yield DATED + prefix[:-1]
    elif prefix.endswith("-"):
        yield ANY_MARK + prefix[:-1]
    else:
        yield prefix
        yield ANY_MARK + prefix


def _all_names(provider: str, model: Any) -> list[str]:
    names = set(_names(model.match))
    if provider in MAKERS:
        names.add(model.id.lower())
    if provider == "aws":
        names |= {name for name in _at_bedrock(model) if names.isdisjoint((name, *stems(name)))}
    # The provider's own prefix is understood in front of every name, so it is not carried. OpenRouter's are
    # names of its own.
    if provider != "openrouter":
        marks = f"^[{re.escape(ANY_MARK + DATED)}]?{re.escape(provider)}[/:]"
        names = {name for name in names if name == model.id.lower() or not re.match(marks, name)}
    # A rule for the end of a name may begin with the slash before it.
    return sorted({name.removeprefix("/") for name in names})


def _at_bedrock(model: Any) -> Iterator[str]:
    """
    The names that requests have for a model of AWS.

    The package's id is one, but for the word `regional` in it; then a rule that "contains" the model's name
    means it behind any region.
    """
    name = model.id.lower().removeprefix(_REGIONAL)
    if name == model.id.lower():
        yield name
    elif type(model.match).__name__ == "ClauseContains":
        yield from (region + name for region in _REGIONS)


def _usd(prices: Any) -> Usd:
    """One set of the package's prices. It prices a thousand of what we price each."""
    usd: Usd = {}
    for key, price in vars(prices).items():
        if price is None or key.startswith("_"):
            continue
        if key not in _UNITS:
            raise ValueError(f"a price of a new kind: {key}")
        unit = _UNITS[key]
        divisor = 1000 if priced_for(unit) == 1 else 1
        usd[unit] = (
            text(price / divisor)
            if isinstance(price, Decimal)
            else {"0": text(price.base / divisor)}
            | {str(step.start): text(step.price / divisor) for step in price.tiers}
        )
    return {unit: usd[unit] for unit in UNITS if unit in usd}


def _sheet(provider: str, prices: Any, constraint: Any) -> dict[str, Any]:
    sheet: dict[str, Any] = {}
    if hasattr(constraint, "start_date"):
        sheet["from"] = constraint.start_date.isoformat()
    elif constraint is not None:
        if any(each.utcoffset() for each in (constraint.start_time, constraint.end_time)):
            raise ValueError(f"hours that are not in UTC: {constraint!r}")
        hours = f"{constraint.start_time:%H:%M}-{constraint.end_time:%H:%M}"
        if (starts := _WEEKDAY_HOURS.get((provider, hours))) is not None:
            sheet = {"from": starts, "days": WEEKDAYS}
        sheet["hours"] = hours
    return {**sheet, "usd": _usd(prices)}


def _tiers(provider: str, model: Any) -> dict[str, list[dict[str, Any]]]:
    """
    The service tiers of a model, each with its dated sheets.

    Of the package's variants the first that applies counts, of our sheets the last: their order is turned.
    """
    tiers: dict[str, list[dict[str, Any]]] = {}
    for variant in reversed(model.price_variants or []):
        [(by, tier), *more] = variant.when.items()
        if by not in _TIERED_BY or tier == "default":
            continue
        if more:
            raise ValueError(f"a variant of a new shape: {variant!r}")
        sheet = _sheet(provider, variant.prices, variant.constraint)
        if not sheet["usd"]:
            # The tier is there, at the standard prices.
            if isinstance(model.prices, list):
                raise ValueError(f"{model.id}: which of its prices hold for {tier}?")
            sheet["usd"] = _usd(model.prices)
        tiers.setdefault(tier, []).append(sheet)
    for tier, sheets in tiers.items():
        if (starts := [each.get("from", "") for each in sheets]) != sorted(starts):
            raise ValueError(f"{model.id}: its prices for {tier} are not in the order of their days")
    return dict(sorted(tiers.items()))


def pages() -> dict[str, str]:
    """Each provider's own page of prices."""
    from genai_prices.data import providers

    return {each.id: (each.pricing_urls or [""])[0] for each in providers}


def models() -> Iterator[Mapping[str, Any]]:
    """
    Each model as a line of the data file, in the package's order.

    Raises:
        ValueError: the package holds something that the rules here do not know.
    """
    from genai_prices.data import providers

    for provider in providers:
        for model in provider.models:
            if provider.id in MAKERS and _BORROWED.match(model.price_comments or ""):
                continue
            sheets = (
                [_sheet(provider.id, each.prices, each.constraint) for each in model.prices]
                if isinstance(model.prices, list)
                else [_sheet(provider.id, model.prices, None)]
            )
            if not any(sheet["usd"] for sheet in sheets):
                continue
            tiers = _tiers(provider.id, model)
            yield {
                "id": f"{provider.id}/{model.id}",
                "names": _all_names(provider.id, model),
                **({"context_window": model.context_window} if model.context_window else {}),
                "sheets": sheets,
                **({"tiers": tiers} if tiers else {}),
            }
