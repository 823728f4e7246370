"""
Makes `prices.jsonl` from the installed `genai-prices` package and the hand-kept `limits.jsonl` beside it.

    python -m budgets.prices.build

The same input gives the same bytes. `genai-prices` is a development dependency: nothing here runs in use.
What is carried over, what is left out and why stands in the README beside this file.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from budgets.prices.names import ANY_MARK, DATED, HOSTS, MAKERS
from budgets.usage import UNITS

_HERE = Path(__file__).parent

# The package's price keys -> our unit, and what its number is divided by to become "per million", or "each".
_UNITS = {
    "input_mtok": ("input", 1),
    "cache_read_mtok": ("cached_input", 1),
    "cache_write_mtok": ("cache_write", 1),
    "cache_write_1h_mtok": ("cache_write_1h", 1),
    "input_audio_mtok": ("input_audio", 1),
    "cache_audio_read_mtok": ("cached_input_audio", 1),
    "input_image_mtok": ("input_image", 1),
    "output_mtok": ("output", 1),
    "output_reasoning_mtok": ("reasoning", 1),
    "output_audio_mtok": ("output_audio", 1),
    "output_image_mtok": ("output_image", 1),
    "requests_kcount": ("requests", 1000),
    "web_searches_kcount": ("web_searches", 1000),
}

# What is known of a model besides its prices, in the order of the file.
_FACTS = ("context_window", "max_output_tokens", "reasoning")

# A price that the package borrowed from a reseller is no price of the maker's.
_BORROWED = re.compile(r"(?:Imported from|Seen on) OpenRouter(?!.*Verified against)", re.DOTALL)

# Shapes of the package's patterns. All are a model's name and something like a date behind it, so they are
# carried as a stem. A new shape stops the build, for somebody to look at it.
_REGEX = re.compile(r"\^(?P<stem>[a-z0-9./\\-]+?)(?:-|\[-@\])\\d(?:\{8\}\$|\{4\}-\\d\{2\}-\\d\{2\}\$)?")
_NOT_SPEECH = "^(?!.*-[tT][tT][sS](?:$|-))"
# Prefixes that end inside a revision or a date: what is before it, and what may follow.
_CUT = {
    "ft:gpt-4-0": ANY_MARK + "ft:gpt-4",
    "gemini-2.0-flash-0": ANY_MARK + "gemini-2.0-flash",
    "gpt-4o-mini-2024-07-18.ft-": "gpt-4o-mini-2024-07-18.ft-",
}


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
        found = _REGEX.fullmatch(clause.regex)
        if found is None:
            raise ValueError(f"a pattern of a new shape: {clause.regex}")
        yield DATED + found["stem"].replace("\\", "").lower()
    else:
        raise ValueError(f"a match rule of a new kind: {clause!r}")


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
    # The provider's own prefix is understood in front of every name, so it is not carried. OpenRouter's are
    # names of its own.
    if provider != "openrouter":
        marks = f"^[{re.escape(ANY_MARK + DATED)}]?{re.escape(provider)}[/:]"
        names = {name for name in names if name == model.id.lower() or not re.match(marks, name)}
    return sorted(names)


def _text(price: Decimal, divisor: int) -> str:
    text = format(price / divisor, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _sheet(prices: Any, constraint: Any) -> dict[str, Any]:
    sheet: dict[str, Any] = {}
    if hasattr(constraint, "start_date"):
        sheet["from"] = constraint.start_date.isoformat()
    elif constraint is not None:
        if any(each.utcoffset() for each in (constraint.start_time, constraint.end_time)):
            raise ValueError(f"hours that are not in UTC: {constraint!r}")
        sheet["hours"] = f"{constraint.start_time:%H:%M}-{constraint.end_time:%H:%M}"
    usd: dict[str, Any] = {}
    for key, price in vars(prices).items():
        if price is None or key not in _UNITS:
            continue
        unit, divisor = _UNITS[key]
        usd[unit] = (
            _text(price, divisor)
            if isinstance(price, Decimal)
            else {"0": _text(price.base, divisor)}
            | {str(tier.start): _text(tier.price, divisor) for tier in price.tiers}
        )
    return {**sheet, "usd": {unit: usd[unit] for unit in UNITS if unit in usd}}


def _models(limits: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    from genai_prices.data import providers

    for provider in providers:
        if provider.id not in (*MAKERS, *HOSTS):
            continue
        for model in provider.models:
            if _BORROWED.match(model.price_comments or ""):
                continue
            conditional = model.prices if isinstance(model.prices, list) else None
            sheets = (
                [_sheet(each.prices, each.constraint) for each in conditional]
                if conditional is not None
                else [_sheet(model.prices, None)]
            )
            if not any(sheet["usd"] for sheet in sheets):
                continue
            key = f"{provider.id}/{model.id}"
            # OpenRouter sells a maker's model under <maker>/<model>, with points for dashes in Claude's.
            aliases = (key, model.id, model.id.replace(".", "-")) if provider.id == "openrouter" else (key,)
            known = next((limits[each] for each in aliases if each in limits), {})
            facts = {"context_window": model.context_window, **known}
            yield {
                "id": key,
                "names": _all_names(provider.id, model),
                **{each: facts[each] for each in _FACTS if facts.get(each)},
                "sheets": sheets,
            }


def _refuse_twins(models: list[dict[str, Any]]) -> None:
    """A name or stem that two models of one provider claim would be found by the order of lines."""
    seen: dict[tuple[str, str], str] = {}
    for line in models:
        for name in line["names"]:
            other = seen.setdefault((line["id"].partition("/")[0], name), line["id"])
            if other != line["id"]:
                raise ValueError(f"{name} is claimed by {other} and {line['id']}")


def build() -> str:
    """
    The text of `prices.jsonl`.

    Raises:
        ValueError: the package holds something that the rules here do not know, or `limits.jsonl` names a
            model that the package does not have.
    """
    import importlib.metadata

    from genai_prices.data import providers

    limits = {
        each["id"]: each for each in map(json.loads, (_HERE / "limits.jsonl").read_text("utf-8").splitlines())
    }
    models = sorted(_models(limits), key=lambda line: str(line["id"]))
    if missing := limits.keys() - {line["id"] for line in models}:
        raise ValueError(f"limits.jsonl names models that are not there: {', '.join(sorted(missing))}")
    _refuse_twins(models)
    lines = "".join(json.dumps(line) + "\n" for line in models)
    header = {
        "source": "genai-prices",
        "version": importlib.metadata.version("genai-prices"),
        "licence": "MIT",
        "digest": hashlib.sha256(lines.encode()).hexdigest()[:8],
        "pages": {
            each.id: (each.pricing_urls or [""])[0] for each in providers if each.id in (*MAKERS, *HOSTS)
        },
    }
    return json.dumps(header) + "\n" + lines


if __name__ == "__main__":
    (_HERE / "prices.jsonl").write_text(build(), "utf-8")
    sys.stdout.write(f"{_HERE / 'prices.jsonl'}: written\n")
