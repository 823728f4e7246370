"""Amazon's binary event stream, written from the documented format and not with our reader."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any


def frame(payload: bytes, **headers: str) -> bytes:
    """One message; underscores in a header's name become dashes, and it begins with a colon."""
    packed = b""
    for name, value in headers.items():
        key = f":{name.replace('_', '-')}".encode()
        packed += struct.pack(">B", len(key)) + key + struct.pack(">BH", 7, len(value)) + value.encode()
    return sealed(packed, payload)


def sealed(headers: bytes, payload: bytes) -> bytes:
    """Lengths, checksum of the lengths, headers, payload, checksum of it all."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(kind: str, body: dict[str, Any]) -> bytes:
    """An event of a converse stream."""
    return frame(json.dumps(body).encode(), event_type=kind, message_type="event")


def chunk(body: dict[str, Any]) -> bytes:
    """A piece of an invoke stream: the vendor's own JSON, in base64."""
    inner = base64.b64encode(json.dumps(body).encode()).decode()
    return event("chunk", {"bytes": inner})
