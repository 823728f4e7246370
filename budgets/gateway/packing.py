"""Requests that come packed (`content-encoding`): read where that can be done, else refused by name."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from budgets.money import shown


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a request cannot be read, and the status that says so."""

    status: int
    words: str


def unpacked(raw: bytes, packing: str, *, at_most: int) -> bytes | Unread:
    """
    The bytes of a request whose header `content-encoding` says *packing* (empty: as they are).

    gzip and deflate are read, and zstd where the interpreter can (Python 3.14, or `backports.zstd`).

    Args:
        at_most: How many bytes it may be when it is unpacked: a small body may hold a very large one.
    """
    way = packing.strip().lower()
    found: bytes | Unread = raw
    # A server may have unpacked it on arrival; nothing that is packed begins as a JSON object does.
    if way not in ("", "identity") and raw.lstrip()[:1] != b"{":
        found = _unpacked(raw, way, at_most)
    if isinstance(found, bytes) and len(found) > at_most:
        return Unread(413, f"the request is larger than {at_most} bytes")
    return found


def _unpacked(raw: bytes, way: str, at_most: int) -> bytes | Unread:
    unpacker: Any
    broken: type[Exception]
    if way in ("gzip", "x-gzip", "deflate"):
        # 32: gzip or zlib, as its first bytes say. Some send deflate without them.
        bare = way == "deflate" and raw[:1] and raw[0] & 0xF != 8
        unpacker, broken = zlib.decompressobj(-zlib.MAX_WBITS if bare else 32 + zlib.MAX_WBITS), zlib.error
    elif way == "zstd" and (zstd := _zstd()) is not None:
        unpacker, broken = zstd.ZstdDecompressor(), zstd.ZstdError
    else:
        return Unread(
            415, f"a request that is packed as {shown(way)} is not read here: send it plain, or as gzip"
        )
    try:
        found: bytes = unpacker.decompress(raw, at_most + 1)
    except broken:
        return Unread(400, f"the request says that it is packed as {way}, and is not")
    if not unpacker.eof and len(found) <= at_most:
        return Unread(400, f"the request is packed as {way}, and its end is missing")
    return found


def _zstd() -> Any:
    """The module that reads zstd; `None`: there is none."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None
