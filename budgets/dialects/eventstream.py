"""
Amazon's binary event stream, cut out of bytes that come in pieces of any size.

https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
A frame is its length, the length of its headers, a checksum of these two, headers, payload, and a checksum
of everything before it; all numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_LEAST_FRAME = _PRELUDE.size + _CHECKSUM.size
# The format's own bounds.
_MOST_FRAME = 24 * 1024 * 1024
_MOST_HEADERS = 128 * 1024

# Header values by type: how long the fixed ones are, and the ones that say it themselves.
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _TEXT = 6, 7


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a stream: the headers that are text, and the payload, which `repr` does not show."""

    headers: Mapping[str, str]
    payload: bytes

    def __repr__(self) -> str:
        return f"Frame(headers={dict(self.headers)!r}, payload=<{len(self.payload)} bytes>)"


class FrameSplitter:
    """
    Collects bytes and gives back the frames that they complete.

    A frame whose checksum or lengths are wrong ends it: where the next one begins cannot be known, so
    `damage` says what is wrong and everything after is left alone.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        # What is wrong with the stream, in words; `None`: nothing so far.
        self.damage: str | None = None

    def feed(self, piece: bytes) -> list[Frame]:
        """Take the next bytes; give back the frames that they complete, often none."""
        frames: list[Frame] = []
        if self.damage is not None:
            return frames
        self._bytes += piece
        start = 0
        try:
            while (found := self._frame(start)) is not None:
                frame, start = found
                frames.append(frame)
        except _DamagedError as error:
            self.damage = str(error)
            start = len(self._bytes)
        del self._bytes[:start]
        return frames

    def _frame(self, start: int) -> tuple[Frame, int] | None:
        """The frame at *start* and where it ends; `None` when it is not all there yet."""
        if len(self._bytes) - start < _PRELUDE.size:
            return None
        length, headers_length, checksum = _PRELUDE.unpack_from(self._bytes, start)
        if crc32(self._bytes[start : start + _PRELUDE.size - _CHECKSUM.size]) != checksum:
            raise _DamagedError("has a frame whose lengths do not match their checksum")
        if not _LEAST_FRAME + headers_length <= length <= _MOST_FRAME or headers_length > _MOST_HEADERS:
            raise _DamagedError(f"has a frame of {length} bytes with {headers_length} of headers")
        end = start + length
        if len(self._bytes) < end:
            return None
        (checksum,) = _CHECKSUM.unpack_from(self._bytes, end - _CHECKSUM.size)
        if crc32(self._bytes[start : end - _CHECKSUM.size]) != checksum:
            raise _DamagedError("has a frame that does not match its checksum")
        body = start + _PRELUDE.size
        headers = _headers(bytes(self._bytes[body : body + headers_length]))
        return Frame(headers, bytes(self._bytes[body + headers_length : end - _CHECKSUM.size])), end


class _DamagedError(Exception):
    """Never leaves this file: it becomes `damage`."""


def _headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name = _taken(data, at + 1, data[at])
            at += 1 + len(name)
            kind = data[at]
            at += 1
            if kind in (_BYTES, _TEXT):
                value = _taken(data, at + 2, int.from_bytes(_taken(data, at, 2), "big"))
                at += 2 + len(value)
                if kind == _TEXT:
                    headers[name.decode()] = value.decode()
            else:
                at += len(_taken(data, at, _FIXED[kind]))
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise _DamagedError("has a frame whose headers cannot be read") from error
    return headers


def _taken(data: bytes, at: int, length: int) -> bytes:
    found = data[at : at + length]
    if len(found) < length:
        raise IndexError(at)
    return found
