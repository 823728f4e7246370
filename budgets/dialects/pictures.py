"""
The size of a picture, read from the first bytes of its data: PNG, JPEG, GIF, and WebP.

Only headers are read, no pixel is decoded, and whatever cannot be read is `None`: a picture of unknown size,
which is then counted as the largest one that its vendor's rule allows.
"""

from __future__ import annotations

import binascii
import re
from typing import Any

from budgets.asks import Image

# A JPEG's size may stand behind metadata, so many bytes of it are looked at. The others say it at once.
_HEADER_BYTES = 256 * 1024
_HEADER_CHARACTERS = _HEADER_BYTES // 3 * 4

_DATA_URL = re.compile(r"data:(?:image/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,", re.ASCII | re.IGNORECASE)
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]+", re.ASCII)
_URL_SAFE = str.maketrans("-_", "+/")

# Frames of a JPEG, which begin with its size: C0 to CF, but for tables and the arithmetic ones' conditions.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that stand alone: filling, restarts, the beginning.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def image_at(reference: Any, detail: Any = None) -> Image:
    """
    The picture that a request refers to: by a `data:` URL, whose header is read, or by any other.

    Args:
        reference: The URL; what is no text has no known size.
        detail: How closely it is to be looked at, as the request says.
    """
    if isinstance(reference, str) and (found := _DATA_URL.match(reference)):
        # The data may be large: no more of it is copied than can be its header.
        return image_of(reference[found.end() : found.end() + _HEADER_CHARACTERS], detail)
    return Image(detail=_word(detail))


def image_of(data: Any, detail: Any = None) -> Image:
    """
    The picture that *data* is, in base64 of either alphabet.

    Args:
        data: The base64; what is no text has no known size.
        detail: How closely it is to be looked at, as the request says.
    """
    size = size_of(_decoded(data)) if isinstance(data, str) else None
    width, height = size or (None, None)
    return Image(width, height, _word(detail))


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a picture that begins with *data*; `None`: it does not say."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        size = _number(data, 16, 4), _number(data, 20, 4)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        size = _number(data, 6, 2, "little"), _number(data, 8, 2, "little")
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        size = _webp(data)
    elif data.startswith(b"\xff\xd8"):
        size = _jpeg(data)
    else:
        return None
    # A header that is cut off reads as 0 here, and nothing is 0 pixels wide.
    return size if all(size) else None


def _word(detail: Any) -> str | None:
    return detail.lower() if isinstance(detail, str) else None


def _decoded(data: str) -> bytes:
    text = _NO_BASE64.sub("", data[:_HEADER_CHARACTERS].translate(_URL_SAFE))
    # One left over is no whole byte.
    text = text[: len(text) - (len(text) % 4 == 1)]
    return binascii.a2b_base64(text + "=" * (-len(text) % 4))


def _number(data: bytes, start: int, length: int, order: Any = "big") -> int:
    part = data[start : start + length]
    return int.from_bytes(part, order) if len(part) == length else 0


def _webp(data: bytes) -> tuple[int, int]:
    """https://developers.google.com/speed/webp/docs/riff_container"""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = _number(data, 24, 3, "little"), _number(data, 27, 3, "little")
        return (width + 1, height + 1) if len(data) >= 30 else (0, 0)
    if kind == b"VP8L" and data[20:21] == b"\x2f":
        bits = _number(data, 21, 4, "little")
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1) if len(data) >= 25 else (0, 0)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return _number(data, 26, 2, "little") & 0x3FFF, _number(data, 28, 2, "little") & 0x3FFF
    return 0, 0


def _jpeg(data: bytes) -> tuple[int, int]:
    """https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B"""
    at = 2
    while at + 1 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in _FRAMES:
            return _number(data, at + 7, 2), _number(data, at + 5, 2)
        else:
            # A length counts its own two bytes; 0 and 1 are none, and every turn gets on by two at least.
            at += 2 + _number(data, at + 2, 2)
    return 0, 0
