"""Pictures' sizes, read from their headers, whatever the data is."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.asks import Image
from budgets.dialects.pictures import image_at, image_of, size_of


def png(width: int, height: int) -> bytes:
    head = struct.pack(">II", width, height) + bytes((8, 2, 0, 0, 0))
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def jpeg(width: int, height: int, *, before: bytes = b"", marker: int = 0xC0) -> bytes:
    frame = bytes((0xFF, marker)) + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes(3)
    return b"\xff\xd8" + before + frame + b"\xff\xda"


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def webp(kind: bytes, content: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def extended(width: int, height: int) -> bytes:
    return webp(b"VP8X", bytes(4) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3])


THUMBNAIL = segment(0xE1, b"Exif\0\0" + jpeg(160, 120))
PICTURES = {
    "PNG": png(400, 301),
    "GIF": b"GIF89a" + struct.pack("<HH", 400, 301),
    "JPEG": jpeg(400, 301),
    "a progressive JPEG": jpeg(400, 301, marker=0xC2),
    "a JPEG behind tables and its thumbnail": jpeg(
        400, 301, before=segment(0xE0, b"JFIF\0") + THUMBNAIL + segment(0xC4, bytes(30))
    ),
    "a JPEG with filling": jpeg(400, 301, before=b"\xff\xff\xff\x01"),
    "a lossy WebP": webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 400, 301)),
    "a lossless WebP": webp(b"VP8L", b"\x2f" + struct.pack("<I", 399 | 300 << 14)),
    "an extended WebP": extended(400, 301),
}


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)
def test_a_header_says_the_size(data: bytes) -> None:
    assert size_of(data) == (400, 301)


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)
def test_a_header_that_is_cut_off_says_nothing_wrong(data: bytes) -> None:
    assert {size_of(data[:length]) for length in range(len(data))} <= {None, (400, 301)}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        png(0, 0),
        png(400, 0),
        b"GIF89a" + bytes(4),
        jpeg(0, 301),
        b"\xff\xd8" + b"\xff\xe0\x00\x00" * 1_000,
        b"\xff\xd8" + b"\xff" * 100_000,
        webp(b"ALPH", bytes(40)),
        b"%PDF-1.7",
    ],
)
def test_what_has_no_size_has_none(data: bytes) -> None:
    assert size_of(data) is None


def test_the_largest_sizes_are_read() -> None:
    assert size_of(png(2**32 - 1, 2**32 - 1)) == (2**32 - 1, 2**32 - 1)
    assert size_of(jpeg(65_535, 65_535)) == (65_535, 65_535)
    assert size_of(extended(2**24, 2**24)) == (2**24, 2**24)


@given(st.binary())
def test_any_bytes_are_looked_at_and_none_fails(data: bytes) -> None:
    for begin in (b"", b"\xff\xd8\xff", b"RIFF1234WEBPVP8 ", b"\x89PNG\r\n\x1a\n1234IHDR", b"GIF89a"):
        size = size_of(begin + data)
        assert size is None or min(size) > 0


@given(st.text())
def test_any_text_is_taken_for_base64_and_none_fails(text: str) -> None:
    assert image_of(text).detail is None
    assert image_at(f"data:image/png;base64,{text}").detail is None


@pytest.mark.parametrize(
    "data",
    [
        base64.b64encode(PICTURES["JPEG"]).decode(),
        base64.urlsafe_b64encode(PICTURES["JPEG"]).decode(),
        base64.b64encode(PICTURES["JPEG"]).decode().rstrip("="),
        base64.encodebytes(PICTURES["JPEG"]).decode(),
        base64.b64encode(PICTURES["JPEG"] + bytes(10_000_000)).decode(),
    ],
    ids=["standard", "for URLs", "without padding", "in lines", "large"],
)
def test_base64_of_either_alphabet_is_read(data: str) -> None:
    assert image_of(data) == Image(400, 301)
    assert image_at(f"data:image/jpeg;base64,{data}", "HIGH") == Image(400, 301, "high")


@pytest.mark.parametrize(
    "reference", ["https://example.com/a.png", "data:image/png,%89PNG", "", None, {"url": 1}, 7]
)
def test_a_picture_elsewhere_has_no_known_size(reference: object) -> None:
    assert image_at(reference, "low") == Image(None, None, "low")
    assert image_of(None if isinstance(reference, str) else reference) == Image()
