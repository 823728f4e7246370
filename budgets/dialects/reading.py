"""
Careful reading of what others wrote: a caller's request, a provider's reply.

Nothing here trusts a type.
A request that makes no sense is the caller's mistake (`InvalidValueError`, naming the field);
a count that makes no sense is the provider's (`UnreadableReplyError`, naming the field).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from budgets.errors import InvalidValueError, UnreadableReplyError
from budgets.money import PICOS_PER_USD, shown
from budgets.pricing import Picos
from budgets.usage import MOST_COUNT, Usage

_LONGEST_WORDS = 300
# What an API key looks like, whole or partly masked: some providers quote the key that they refuse.
_KEY = re.compile(r"\b(?:sk|pk|gsk|csk|xai|fw|key|tgp)[-_][\w*.-]{6,}|\bAIza[\w*-]{10,}")


def compact_json(value: Any) -> str:
    """*value* as JSON without spaces, the form in which schemas are counted."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)


def parse_object(data: bytes | str) -> dict[str, Any] | None:
    """The JSON object that *data* is, its fractions as `Decimal`, or `None` when it is something else."""
    try:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass")
        found = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _fraction(text: str) -> Decimal | float:
    try:
        return Decimal(text)
    except InvalidOperation:
        # An exponent beyond all numbers. What is infinite is refused where it is read.
        return float(text)


# Made once: `json.loads` would make one for every piece of a stream.
_DECODER = json.JSONDecoder(parse_float=_fraction)


_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_MUST_ESCAPE = re.compile(r"[^A-Za-z0-9._~/-]")


def unescaped(text: str) -> str:
    """A part of a URL without its percent signs."""
    return _ESCAPES.sub(
        lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace"), text
    )


def escaped(text: str) -> str:
    """*text*, fit for a URL's path; slashes stay."""
    return _MUST_ESCAPE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace")), text
    )


# --- requests -----------------------------------------------------------------------------------------


def wrong(field: str, problem: str, hint: str | None = None) -> InvalidValueError:
    """The error for a request whose *field* cannot be meant."""
    return InvalidValueError(f"the request's {field} {problem}", hint=hint, field=field)


def name_of_model(body: Mapping[str, Any]) -> str:
    """
    The model that a request names.

    Raises:
        InvalidValueError: it names none.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model.strip():
        raise wrong("model", "is not a name", 'give one, for instance "model": "gpt-4o-mini"')
    return model


def list_at(body: Mapping[str, Any], key: str, field: str | None = None) -> Sequence[Any]:
    """
    The list under *key*; an absent or null one is empty.

    Raises:
        InvalidValueError: it is something else.
    """
    value = body.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise wrong(field or key, "is not a list")
    return value


def objects_at(
    body: Mapping[str, Any], key: str, field: str | None = None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """
    The objects of the list under *key*, each with its name for messages: `tools[2]`.

    Raises:
        InvalidValueError: it is no list, or not all of it are objects.
    """
    name = field or key
    for number, item in enumerate(list_at(body, key, name)):
        if not isinstance(item, Mapping):
            raise wrong(f"{name}[{number}]", "is not an object")
        yield f"{name}[{number}]", item


def object_at(body: Mapping[str, Any], key: str, field: str | None = None) -> Mapping[str, Any]:
    """
    The object under *key*; an absent or null one is empty.

    Raises:
        InvalidValueError: it is something else.
    """
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise wrong(field or key, "is not an object")
    return value


def text_at(body: Mapping[str, Any], key: str, field: str | None = None) -> str | None:
    """
    The text under *key*; `None` when it is absent or null.

    Raises:
        InvalidValueError: it is something else.
    """
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise wrong(field or key, "is not text")
    return value


def flag_at(body: Mapping[str, Any], key: str) -> bool:
    """
    The true or false under *key*; an absent or null one is false.

    Raises:
        InvalidValueError: it is something else.
    """
    value = body.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong(key, "is neither true nor false")
    return value


def whole_number_at(body: Mapping[str, Any], key: str, *, least: int, field: str | None = None) -> int | None:
    """
    The whole number under *key*, from *least* to 10^12; `None` when it is absent or null.

    Raises:
        InvalidValueError: it is something else.
    """
    value = body.get(key)
    if value is None:
        return None
    # `True` is an `int` to Python, and no number to anybody else.
    if type(value) is not int or not least <= value <= MOST_COUNT:
        raise wrong(field or key, f"is not a whole number from {least} up")
    return value


def check_limit(tokens: int) -> None:
    """
    Raises:
        InvalidValueError: no answer fits into *tokens* tokens.
    """
    if type(tokens) is not int or tokens < 1:
        raise InvalidValueError(f"an answer of {tokens} tokens cannot be asked for", hint="give 1 or more")


def usable_key(key: str) -> str:
    """
    *key*, fit for a header.

    Raises:
        InvalidValueError: it has characters that no header carries. The message does not show it.
    """
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidValueError(
            "the API key has characters that a header cannot carry",
            hint="look for quotes, spaces or a line break around the key",
        )
    return key


def bearer_headers(key: str | None) -> dict[str, str]:
    """
    The headers of a call to an API that wants its key as a bearer token.

    Raises:
        InvalidValueError: no header can carry *key*.
    """
    headers = {"content-type": "application/json"}
    if key is not None:
        headers["authorization"] = f"Bearer {usable_key(key)}"
    return headers


def refuse_without_answer(**options: Any) -> None:
    """
    Raises:
        InvalidValueError: one of *options* is set, which have no meaning where no text is written.
    """
    for name, value in options.items():
        if value is not None:
            raise wrong(name, "has no meaning where no text is written")


# --- replies ------------------------------------------------------------------------------------------


def unreadable(field: str, problem: str) -> UnreadableReplyError:
    """The error for a reply whose usage *field* cannot be trusted."""
    return UnreadableReplyError(
        f"the provider's {field} {problem}", hint="charge token counts or an amount instead", field=field
    )


def _as_sent(value: Any) -> str:
    """What stands in the place of a number, for a message."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        # Python does not write out the longest numbers.
        return f"above {MOST_COUNT:,}" if value > MOST_COUNT else str(max(value, -MOST_COUNT))[:40]
    return "no number"


def count_at(block: Mapping[str, Any], key: str, field: str) -> int | None:
    """
    The count under *key* of a usage block; `None` when it is absent or null.

    Raises:
        UnreadableReplyError: it is no whole number from 0 to 10^12.
    """
    value = block.get(key)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= MOST_COUNT:
        raise unreadable(field, f"is {_as_sent(value)}, not a count")
    return value


# No call costs a million dollars, and no amount is given finer than this.
_MOST_USD = 10**6
_MOST_DECIMALS = 40


def picos_at(block: Mapping[str, Any], key: str, field: str) -> Picos | None:
    """
    The dollars under *key* as exact pico-dollars; `None` where it is absent or null.

    Raises:
        UnreadableReplyError: it is no plain amount from 0 to a million dollars.
    """
    value = block.get(key)
    if value is None:
        return None
    if isinstance(value, float):
        # From an SDK's object: the shortest text that is this float is the text that was sent.
        value = Decimal(repr(value))
    if type(value) is int:
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value <= _MOST_USD:
        raise unreadable(field, f"is {_as_sent(block[key])}, not an amount")
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_MOST_DECIMALS:
        raise unreadable(field, "is an amount with more decimals than money has")
    picos = Fraction(value) * PICOS_PER_USD
    return picos.numerator if picos.denominator == 1 else picos


def must_fit(field: str, count: int, whole: int) -> None:
    """
    Raises:
        UnreadableReplyError: a part is more than its whole.
    """
    if count > whole:
        raise unreadable(field, f"does not fit into its total ({count} > {whole})")


def block_at(block: Mapping[str, Any], key: str, field: str) -> Mapping[str, Any]:
    """
    The object under *key* of a reply; an absent or null one is empty.

    Raises:
        UnreadableReplyError: it is something else.
    """
    value = block.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise unreadable(field, "is not an object")
    return value


def usage_of(counts: Mapping[str, int]) -> Usage:
    """
    The usage that a provider reported.

    Raises:
        UnreadableReplyError: a sum of its counts is above 10^12.
    """
    for unit, count in counts.items():
        if count > MOST_COUNT:
            raise unreadable("usage", f"adds up to {count} of {unit}")
    return Usage.of(how="reported", **counts)


def text_or_none(value: Any) -> str | None:
    """*value* if it is text. For names in replies, which inform and decide nothing about money."""
    return value if isinstance(value, str) else None


def objects_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a list in a reply, whatever else is in it."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def words_of_error(body: bytes) -> str:
    """
    A provider's own words from an error body, one line, at most 300 characters, keys masked.

    Every provider here says `{"error": {"message": ...}}`, `{"error": "..."}`, `{"message": ...}` or
    `{"detail": ...}`; anything else is shown as it came.
    """
    found = parse_object(body)
    words: Any = None
    if found is not None:
        error = found.get("error")
        words = error.get("message") if isinstance(error, Mapping) else error
        words = words or found.get("message") or found.get("detail")
        if words is not None and not isinstance(words, str):
            words = compact_json(words)
    if not words:
        words = body[: 4 * _LONGEST_WORDS].decode("utf-8", "replace")
    line = "".join(c if c.isprintable() else "?" for c in " ".join(words.split()))
    line = _KEY.sub("[key]", line)
    return line if len(line) <= _LONGEST_WORDS else line[: _LONGEST_WORDS - 3] + "..."
