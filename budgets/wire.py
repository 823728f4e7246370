"""
How records cross to a server and back: JSON, exactly, as the records' own annotations say.

An amount (`Nanos`) is decimal text, in a field whose name ends in `usd` where the record's ends in `nanos`.
A moment is ISO 8601 in UTC, to the microsecond; an anchor, which is a wall time, is the same without a zone.
A fraction is text, `3/4`. The rest is what JSON has.
One codec is made from each type when it is first needed, so a record that gets a field has it here as well;
what a store keeps is written out by hand instead, for that must not change with a record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from fractions import Fraction
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Any, Final, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from budgets.clock import aware_utc, iso
from budgets.errors import InvalidValueError
from budgets.money import format_usd, written_usd
from budgets.usage import Usage

# A larger number is none that this program has written.
_LONGEST_NUMBER: Final = 80
_TOO_LARGE: Final = 2**63


class Money:
    """Stands for `Nanos` where annotations are read: the alias itself cannot be told from `int`."""


class Codec(NamedTuple):
    """Both directions for one type, and what its JSON looks like."""

    encode: Callable[[Any], Any]
    # With `True`: a field that is not known is a mistake, for it asks for something.
    decode: Callable[[Any, bool], Any]
    # As JSON Schema has it; records are referred to by name.
    schema: Mapping[str, Any]


def hints(of: Any) -> dict[str, Any]:
    """The annotations of a record or a function, with amounts told from other numbers."""
    return get_type_hints(of, localns={"Nanos": Money})


@cache
def codec(kind: Any, /) -> Codec:
    """
    The codec for values annotated with *kind*.

    Decoding raises a `ValueError` that says where and what is wrong.
    """
    if kind in _PLAIN:
        return _plain(kind)
    if kind in _SPECIAL:
        return _SPECIAL[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return _literal(args)
    if origin in (Union, UnionType):
        return _union(args)
    if origin is tuple and args[-1] is not Ellipsis:
        return _fixed(args)
    if origin in (tuple, list, Sequence, Iterator):
        return _sequence(args[0], tuple if origin is tuple else list)
    if origin in (dict, Mapping):
        return _mapping(args[1])
    assert _is_record(kind), f"{kind} has no JSON form"
    record = _Record.of(kind)
    return Codec(record.encode, record.decode, {"$ref": f"#/components/schemas/{record.name}"})


def encode(kind: Any, value: Any) -> Any:
    """*value*, annotated with *kind*, ready for JSON."""
    return codec(kind).encode(value)


def decode(kind: Any, value: Any, *, strict: bool = False) -> Any:
    """
    The value that `encode` was given.

    Args:
        strict: A field that is not known is a mistake; else it is passed over, for a newer server may
            tell more.

    Raises:
        ValueError: it is something else, or out of its range; the message says where.
    """
    return codec(kind).decode(value, strict)


def _is_record(kind: Any) -> bool:
    return is_dataclass(kind)


def _same(value: Any) -> Any:
    return value


_PLAIN: Final[Mapping[Any, Mapping[str, Any]]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    str: {"type": "string"},
    NoneType: {"type": "null"},
}


def _plain(kind: type[Any]) -> Codec:
    def decoded(value: Any, strict: bool) -> Any:
        # A truth value is no number, though Python has it for one. More than 64 bits no store can keep.
        if type(value) is not kind or (kind is int and not -_TOO_LARGE < value < _TOO_LARGE):
            raise _wrong(value)
        if strict and kind is str and not value.isascii():
            # Half a character cannot be stored as UTF-8.
            value.encode("utf-8")
        return value

    return Codec(_same, decoded, _PLAIN[kind])


def _anything(value: Any, strict: bool) -> Any:
    if strict and value:
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
    return value


def _money(value: Any, _strict: bool) -> int:
    if type(value) is not str:
        raise _wrong(value)
    # Programs write 4, 4.5, and 4.50.
    whole, point, part = value.partition(".")
    return written_usd(value if point and not part else f"{whole}.{part.ljust(2, '0')}")


def _moment(value: Any, _: bool) -> datetime:
    if type(value) is not str:
        raise _wrong(value)
    return aware_utc(datetime.fromisoformat(value))


def _wall(value: Any, _: bool) -> datetime | None:
    if value is not None and type(value) is not str:
        raise _wrong(value)
    return None if value is None else datetime.fromisoformat(value)


def _fraction_text(number: Fraction | int) -> str:
    return f"{number.numerator}/{number.denominator}" if isinstance(number, Fraction) else str(number)


def _fraction(value: Any, _: bool) -> Fraction | int:
    if type(value) is not str or len(value) > _LONGEST_NUMBER:
        raise _wrong(value)
    over, slash, under = value.partition("/")
    if not all(part.removeprefix("-").isdecimal() and part.isascii() for part in (over, under or "1")):
        raise _wrong(value)
    if not slash:
        return int(over)
    if int(under or "0") == 0:
        raise _wrong(value)
    return Fraction(int(over), int(under))


def _usage(value: Any, _: bool) -> Usage:
    if not isinstance(value, dict) or type(value.get("how")) is not str:
        raise _wrong(value)
    return Usage.of(**value)


_FRACTION = Codec(_fraction_text, _fraction, {"type": "string", "examples": ["3/4"]})
_SPECIAL: Final[Mapping[Any, Codec]] = {
    Any: Codec(_same, _anything, {}),
    Money: Codec(format_usd, _money, {"type": "string", "format": "decimal", "examples": ["12.50"]}),
    datetime: Codec(iso, _moment, {"type": "string", "format": "date-time"}),
    Fraction: _FRACTION,
    Fraction | int: _FRACTION,
    Usage: Codec(
        Usage.as_dict,
        _usage,
        {
            "type": "object",
            "properties": {"how": {"type": "string"}},
            "additionalProperties": {"type": "integer"},
            "required": ["how"],
        },
    ),
}

# A rule's anchor is the one moment without a zone.
_ANCHOR: Final = Codec(
    lambda value: None if value is None else value.isoformat(),
    _wall,
    {"type": ["string", "null"], "examples": ["2026-01-31T09:00:00"]},
)


def _literal(choices: tuple[Any, ...]) -> Codec:
    def decoded(value: Any, _: bool) -> Any:
        if value not in choices or type(value) is not str:
            raise _wrong(value)
        return value

    return Codec(_same, decoded, {"enum": list(choices)})


def _union(kinds: tuple[Any, ...]) -> Codec:
    """A record or an amount, a thing or nothing: told apart by what JSON has; records by their names."""
    others = [kind for kind in kinds if kind is not NoneType]
    if Fraction in others:
        # A whole number is written as a fraction is.
        others = [kind for kind in others if kind is not int]
    records = [kind for kind in others if _is_record(kind)]
    rest = [codec(kind) for kind in others if not _is_record(kind)]
    record = _named(records) if len(records) > 1 else codec(records[0]) if records else None
    assert len(rest) <= 1, f"{kinds} cannot be told apart"
    optional = len(others) < len(kinds)
    schemas: list[Mapping[str, Any]] = [each.schema for each in (*([record] if record else []), *rest)]

    def encoded(value: Any) -> Any:
        if value is None:
            return None
        return (record if record is not None and _is_record(value) else rest[0]).encode(value)

    def decoded(value: Any, strict: bool) -> Any:
        if value is None and optional:
            return None
        found = record if record is not None and (isinstance(value, dict) or not rest) else rest[0]
        return found.decode(value, strict)

    return Codec(encoded, decoded, {"anyOf": [*schemas, *([{"type": "null"}] if optional else [])]})


def _named(kinds: list[Any]) -> Codec:
    """One of several records: an object with one field, the record's name."""
    known = {kind.__name__: kind for kind in kinds}

    def decoded(value: Any, strict: bool) -> Any:
        if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= known.keys():
            raise _wrong(value)
        ((name, found),) = value.items()
        return codec(known[name]).decode(found, strict)

    return Codec(
        lambda value: {type(value).__name__: codec(known[type(value).__name__]).encode(value)},
        decoded,
        {
            "type": "object",
            "properties": {name: codec(kind).schema for name, kind in known.items()},
            "minProperties": 1,
            "maxProperties": 1,
        },
    )


def _fixed(kinds: tuple[Any, ...]) -> Codec:
    parts = [codec(kind) for kind in kinds]

    def decoded(value: Any, strict: bool) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(parts):
            raise _wrong(value)
        return tuple(part.decode(each, strict) for part, each in zip(parts, value, strict=True))

    return Codec(
        lambda value: [part.encode(each) for part, each in zip(parts, value, strict=True)],
        decoded,
        {"type": "array", "prefixItems": [part.schema for part in parts], "items": False},
    )


def _sequence(kind: Any, make: Callable[[Iterator[Any]], Any]) -> Codec:
    part = codec(kind)

    def decoded(value: Any, strict: bool) -> Any:
        if not isinstance(value, list):
            raise _wrong(value)
        return make(part.decode(each, strict) for each in value)

    return Codec(
        lambda value: [part.encode(each) for each in value],
        decoded,
        {"type": "array", "items": part.schema},
    )


def _mapping(kind: Any) -> Codec:
    part = codec(kind)

    def decoded(value: Any, strict: bool) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(value)
        return {name: part.decode(each, strict) for name, each in value.items()}

    return Codec(
        lambda value: {name: part.encode(each) for name, each in value.items()},
        decoded,
        {"type": "object", "additionalProperties": part.schema},
    )


class Field(NamedTuple):
    """One field of a record, or one argument of an operation."""

    name: str
    # As JSON has it.
    key: str
    codec: Codec
    needed: bool


_NAMED: Final[dict[str, _Record]] = {}


class _Record:
    """The codec of a record. Its fields are looked at late, for a record may hold others of its kind."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self.name: str = kind.__name__

    @classmethod
    @cache
    def of(cls, kind: Any) -> _Record:
        """The only one for a kind."""
        made = cls(kind)
        assert made.name not in _NAMED, f"there are two records {made.name}"
        _NAMED[made.name] = made
        return made

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields in their order."""
        annotated = hints(self._kind)
        return tuple(
            Field(
                each.name,
                key_for(each.name, annotated[each.name]),
                _ANCHOR if each.name == "anchor" else codec(annotated[each.name]),
                each.default is MISSING and each.default_factory is MISSING,
            )
            for each in fields(self._kind)
        )

    @property
    def schema(self) -> Mapping[str, Any]:
        """Its JSON Schema."""
        return {
            "type": "object",
            "description": (self._kind.__doc__ or "").strip().partition("\n")[0],
            "properties": {each.key: each.codec.schema for each in self.fields},
            "required": [each.key for each in self.fields if each.needed],
        }

    def encode(self, value: Any) -> dict[str, Any]:
        """The record as an object."""
        return {each.key: each.codec.encode(getattr(value, each.name)) for each in self.fields}

    def decode(self, value: Any, strict: bool) -> Any:
        """The record that an object stands for; what is missing has its default."""
        return self._kind(**taken(value, self.fields, self.name, strict))


def taken(value: Any, known: Sequence[Field], where: str, strict: bool) -> dict[str, Any]:
    """The fields of an object by their own names."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: {_cut(value)} is no object")  # noqa: TRY004 - JSON is wrong, not a caller
    found = {}
    for each in known:
        if each.key not in value:
            if each.needed:
                raise ValueError(f"{where}: there is no {each.key}")
            continue
        try:
            found[each.name] = each.codec.decode(value[each.key], strict)
        except InvalidValueError:
            raise
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{where}.{each.key}: {error}") from error
    if strict and len(found) < len(value):
        unknown = next(key for key in value if all(key != each.key for each in known))
        raise ValueError(f"{where}: {_cut(unknown)} is not a field that is known here")
    return found


def field_of(name: str, kind: Any, *, needed: bool) -> Field:
    """A field that stands outside of a record, such as an argument."""
    return Field(name, key_for(name, kind), codec(kind), needed)


def key_for(name: str, kind: Any) -> str:
    """A field's name in JSON: an amount says in which money it is."""
    holds_money = kind is Money or Money in get_args(kind)
    return f"{name.removesuffix('nanos')}usd" if holds_money and name.endswith("nanos") else name


def schema_named(name: str) -> Mapping[str, Any]:
    """The JSON Schema of a record, by the name by which schemas of others refer to it."""
    return _NAMED[name].schema


def _wrong(value: Any) -> ValueError:
    return ValueError(f"{_cut(value)} cannot be meant")


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
