"""
Which client a request comes from, so that what one has said is told from what another has.

A client is told apart by its `X-Client-Id`; without one by its key, or by whatever else it sends as
`Authorization`. One that sends neither is told apart as well as can be: whoever asks for a project's book
is a new client on that connection, and a connection that never asked belongs to the latest who did from the
same address.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from weakref import WeakKeyDictionary

from aiohttp import web

from budgets.server.requests import principal

_MOST_ADDRESSES = 10_000


class Visitors:
    """The clients that say nothing about themselves, for as long as this process lives."""

    def __init__(self) -> None:
        self._by_connection: WeakKeyDictionary[object, str] = WeakKeyDictionary()
        self._latest: OrderedDict[str, str] = OrderedDict()

    def came(self, connection: object, address: str, *, asks: bool) -> str:
        """
        The name of a visitor.

        Args:
            asks: It asks for the book, so it begins anew.
        """
        found = None if asks else self._by_connection.get(connection) or self._latest.get(address)
        if found is None:
            found = f"visitor_{os.urandom(8).hex()}"
            self._latest[address] = found
            self._latest.move_to_end(address)
            if len(self._latest) > _MOST_ADDRESSES:
                self._latest.popitem(last=False)
        self._by_connection[connection] = found
        return found


VISITORS = web.AppKey("visitors", Visitors)


def client_of(request: web.Request, *, asks: bool = False) -> str:
    """The name under which a client's marks are kept; what it sends about itself is hashed."""
    said = request.headers.get("X-Client-Id")
    key = principal(request).id
    shown = key or request.headers.get("Authorization", "")
    if said is None and not shown:
        return request.app[VISITORS].came(request.transport, request.remote or "", asks=asks)
    # A name is a client's own only beside the same key: nobody moves another's marks.
    digest = hashlib.sha256(f"{key}\n{said if said is not None else shown}".encode()).hexdigest()
    return f"client_{digest[:32]}"
