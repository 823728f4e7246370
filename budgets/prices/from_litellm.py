"""
Reads the public price map that the `litellm` package carries: one JSON object, a model's name to its prices.

It is read from the package's wheel or from the map itself; the package is never imported.
What is carried over, what is left out and why stands in the README beside this file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from budgets.errors import InvalidValueError
from budgets.money import shown
from budgets.prices.cleaning import Usd, text
from budgets.prices.names import provider_id
from budgets.pricing import STANDARD
from budgets.usage import UNITS, priced_for

_IN_WHEEL = "litellm/model_prices_and_context_window_backup.json"

# The map's keys -> our unit. It prices one of everything.
_UNITS = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "cache_read_input_audio_token_cost": "cached_input_audio",
    "input_cost_per_image_token": "input_image",
    "cache_read_input_image_token_cost": "cached_input_image",
    "input_cost_per_video_token": "input_video",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "output_cost_per_audio_token": "output_audio",
    "output_cost_per_image_token": "output_image",
    "output_cost_per_video_token": "output_video",
    "citation_cost_per_token": "citations",
    "input_cost_per_request": "requests",
    "google_maps_grounding_cost_per_query": "map_searches",
    "code_interpreter_cost_per_session": "code_sessions",
    "input_cost_per_query": "queries",
    "input_cost_per_text_message": "messages",
    "input_cost_per_image": "input_images",
    "output_cost_per_image": "images",
    # Both name the pixels of the image that is made.
    "input_cost_per_pixel": "pixels",
    "output_cost_per_pixel": "pixels",
    "input_cost_per_character": "input_characters",
    "output_cost_per_character": "output_characters",
    "input_cost_per_second": "input_seconds",
    "input_cost_per_audio_per_second": "input_seconds",
    "input_cost_per_video_per_second": "input_video_seconds",
    "output_cost_per_second": "output_seconds",
    "output_cost_per_video_per_second": "output_seconds",
    "ocr_cost_per_page": "pages",
    "annotation_cost_per_page": "annotated_pages",
    "ocr_cost_per_credit": "credits",
}
_KEY = re.compile(
    rf"(?P<key>{'|'.join(sorted(_UNITS, key=len, reverse=True))})"
    r"(?:_above_(?P<above>[0-9]+)k_tokens)?"
    r"(?:_(?P<tier>batches|flex|priority|ultrafast|balanced))?"
)
_SIZED = re.compile(r"(?P<key>output_cost_per_(?:second|image))_(?P<size>[0-9][0-9.]*[kKp]?)")

# The map's own names of sellers -> ours, where that is another. Behind a name stands its rank: of two entries
# for one model the first seller's counts.
_SELLERS = {
    "text-completion-openai": "openai",
    "azure_text": "azure",
    "bedrock_mantle": "aws",
    "text-completion-codestral": "mistral",
    "fireworks_ai-embedding-models": "fireworks",
    "text-completion-inception": "inception",
}

# Where an answer of nothing is meant: these give back numbers, not text.
_WRITES_NOTHING = frozenset({"embedding", "rerank", "moderation"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the map, in our words."""

    # Its key in the map, with the size where one key has prices for several.
    key: str
    provider: str
    model: str
    # Service tier -> prices.
    tiers: Mapping[str, Usd]
    # Region -> what every token price is multiplied with there.
    uplift: Mapping[str, str]
    context_window: int | None
    max_output_tokens: int | None
    reasoning: bool
    page: str | None = field(default=None)

    @property
    def usd(self) -> Usd:
        """The standard prices."""
        return self.tiers[STANDARD]


def read(path: Path) -> bytes:
    """
    The map's bytes: out of the package's wheel, or as they are.

    Raises:
        InvalidValueError: the file is a wheel without the map.
    """
    import zipfile

    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as wheel:
        if _IN_WHEEL not in wheel.namelist():
            raise InvalidValueError(
                f"{path} has no price map", hint="give litellm's wheel, or the map's JSON"
            )
        return wheel.read(_IN_WHEEL)


def entries(raw: bytes) -> Iterator[Entry]:
    """
    Every model of the map that has a price, in the map's order.

    Raises:
        InvalidValueError: it is no such map.
    """
    try:
        document = json.loads(raw, parse_float=Decimal, parse_int=Decimal)
    except ValueError as error:
        raise InvalidValueError(f"the price map is not JSON: {error}", hint="give the map's JSON") from error
    if not isinstance(document, dict):
        raise InvalidValueError("the price map is no JSON object", hint="give the map's JSON")
    for key, fields in document.items():
        if key == "sample_spec" or not isinstance(fields, dict) or not fields.get("litellm_provider"):
            continue
        try:
            yield from _entries(key, fields)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidValueError(
                f"{shown(key)} in the price map is not understood: {error}",
                hint="give the map as it is published",
            ) from error


def seller(name: str) -> str:
    """Our name for a seller of the map."""
    if name.startswith("vertex_ai"):
        return "google"
    return _SELLERS.get(name) or provider_id(name)


def _entries(key: str, fields: Mapping[str, Any]) -> Iterator[Entry]:
    provider = seller(fields["litellm_provider"])
    tiers = _tiers(fields)
    sized = {found["size"]: found["key"] for each in fields if (found := _SIZED.fullmatch(each))}
    model = _model(key, provider)
    for size, price_key in sized.items():
        unit = _UNITS[price_key]
        price = _per(unit, fields[f"{price_key}_{size}"])
        if price != "0":
            yield _entry(f"{size}/{key}", provider, f"{size}/{model}", {STANDARD: {unit: price}}, fields)
    if tiers.get(STANDARD):
        yield _entry(key, provider, model, tiers, fields)


def _entry(key: str, provider: str, model: str, tiers: Mapping[str, Usd], fields: Mapping[str, Any]) -> Entry:
    page = fields.get("source")
    return Entry(
        key=key,
        provider=provider,
        model=model,
        tiers=tiers,
        uplift=_uplift(fields),
        context_window=_count(fields.get("max_input_tokens")),
        max_output_tokens=_count(fields.get("max_output_tokens")),
        reasoning=bool(fields.get("thinking_always_on")),
        page=page if isinstance(page, str) and page.startswith("https://") else None,
    )


def _model(key: str, provider: str) -> str:
    """The name without its seller, which is understood in front of every name."""
    prefix, slash, rest = key.partition("/")
    return rest if slash and rest and seller(prefix) == provider else key


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, Decimal) and value > 0 and value == int(value) else None


def _per(unit: str, price: Any) -> str:
    if not isinstance(price, Decimal):
        price = Decimal(price)
    return text(price * priced_for(unit))


def _uplift(fields: Mapping[str, Any]) -> dict[str, str]:
    own = fields.get("provider_specific_entry") or {}
    found = {
        "eu": fields.get("regional_processing_uplift_multiplier_eu"),
        "us": fields.get("regional_processing_uplift_multiplier_us") or own.get("us"),
        # Any place that is not the global endpoint.
        "regional": fields.get("regional_endpoint_uplift_multiplier"),
    }
    return {region: text(Decimal(factor)) for region, factor in found.items() if factor}


def _tiers(fields: Mapping[str, Any]) -> dict[str, Usd]:
    found: dict[tuple[str, str], dict[int, str]] = {}

    def put(tier: str, unit: str, above: int, price: Any) -> None:
        plain = _per(unit, price)
        # The map writes nothing where it does not know; only an answer that is no text may cost nothing.
        if plain == "0" and not (unit == "output" and fields.get("mode") in _WRITES_NOTHING):
            return
        found.setdefault((tier, unit), {}).setdefault(above, plain)

    for key, price in fields.items():
        if (match := _KEY.fullmatch(key)) is not None and price is not None:
            tier = {None: STANDARD, "batches": "batch"}.get(match["tier"], match["tier"])
            put(tier, _UNITS[match["key"]], int(match["above"] or 0) * 1000, price)
    # Steps of its own, each billing the whole call: from its first number on, that one not included.
    for step in fields.get("tiered_pricing") or ():
        if "range" in step:
            for key, price in step.items():
                if key in _UNITS:
                    put(STANDARD, _UNITS[key], int(Decimal(step["range"][0])), price)
    # What one search costs may depend on how much is read; a reply does not say, so the dearest counts.
    if searches := fields.get("search_context_cost_per_query"):
        put(STANDARD, "web_searches", 0, max(Decimal(each) for each in searches.values()))
    tiers: dict[str, Usd] = {}
    for unit in UNITS:
        for (tier, priced), steps in found.items():
            # A step without what holds below it says nothing about most calls.
            if priced == unit and 0 in steps:
                tiers.setdefault(tier, {})[unit] = (
                    steps[0] if len(steps) == 1 else {str(above): steps[above] for above in sorted(steps)}
                )
    return tiers
