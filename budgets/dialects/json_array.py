"""The objects of a JSON array that arrives in pieces of any size, each as soon as it is whole."""

from __future__ import annotations

import re

# What ends a stretch of plain bytes: outside of a text a brace or a quote, inside one a quote or an escape.
_OUTSIDE = re.compile(rb'[{}"]')
_INSIDE = re.compile(rb'["\\]')


class ArraySplitter:
    """
    Collects bytes and gives back the outermost objects that they complete, as they were sent.

    Commas, brackets and white space between objects are passed over. No byte of a character outside ASCII
    looks like a quote or a brace, so pieces may end anywhere; every byte is looked at once.
    """

    def __init__(self) -> None:
        self._object = bytearray()
        self._depth = 0
        self._in_text = False
        # The last piece ended in a backslash: the next byte belongs to it.
        self._after_backslash = False

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next bytes; give back the objects that they complete, often none."""
        if not piece:
            return []
        done = []
        start = 0
        at = 1 if self._after_backslash else 0
        self._after_backslash = False
        while found := (_INSIDE if self._in_text else _OUTSIDE).search(piece, at):
            at = found.end()
            mark = found[0]
            if mark == b'"':
                self._in_text = not self._in_text
            elif mark == b"\\":
                self._after_backslash = at == len(piece)
                at += 1
            elif mark == b"{":
                if self._depth == 0:
                    start = found.start()
                self._depth += 1
            elif self._depth:
                self._depth -= 1
                if self._depth == 0:
                    done.append(bytes(self._object + piece[start:at]))
                    self._object.clear()
        if self._depth:
            self._object += piece[start:]
        return done
