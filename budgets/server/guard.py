"""Lets in whoever shows a key, or, on a server that listens on this machine only and has no keys, anybody."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection, Mapping

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from budgets.engine import keys
from budgets.errors import AccessDeniedError, UnauthenticatedError
from budgets.ports import Clock, Store
from budgets.records import Key
from budgets.server.doors import call
from budgets.server.principals import ANYBODY, Principal
from budgets.server.problems import PROBLEMS_PATH
from budgets.server.requests import PRINCIPAL

# What monitors ask, and what the program would say to anybody who has it.
OPEN = frozenset(("/healthz", "/readyz", "/openapi.json"))

# A key that was revoked by another process is refused after so long.
_KNOWN_FOR_SECONDS = 1.0

_KEY_HINT = "send it as `Authorization: Bearer bk_...`; make one with `budget key create`"


class Guard:
    """
    Knows the keys of a store, read anew every second.

    Args:
        clock: What "now" is, for keys that expire.
        local: The server can be reached from this machine only.
    """

    def __init__(self, store: Store, clock: Clock, *, local: bool) -> None:
        self._store = store
        self._clock = clock
        self._local = local
        self._keys: Mapping[str, tuple[str, Key]] | None = None
        self._read_at = 0.0

    async def principal(self, request: web.Request) -> Principal:
        """
        Who asks.

        Raises:
            UnauthenticatedError: there is no key, a wrong one, or one that is refused.
            AccessDeniedError: a web page asks, on a server without keys.
        """
        known = await self._known()
        if not known and self._local:
            _refuse_web_pages(request)
            return ANYBODY
        return await self.holder(_shown(request))

    async def holder(self, text: str) -> Principal:
        """
        Whose key that is.

        Raises:
            UnauthenticatedError: it is none, a wrong one, or one that is refused.
        """
        key_id, secret = keys.parse(text)
        known = await self._known()
        found = known.get(key_id) or (await self._known(anew=True)).get(key_id)
        key = keys.verify(found[1] if found else None, secret, self._clock())
        return Principal.of(found[0] if found else "", key)

    async def _known(self, *, anew: bool = False) -> Mapping[str, tuple[str, Key]]:
        now = asyncio.get_running_loop().time()
        if self._keys is None or anew or now - self._read_at >= _KNOWN_FOR_SECONDS:
            found = await call(self._store.keys)
            self._keys = {key.id: (project, key) for project, key in found}
            self._read_at = now
        return self._keys


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(PROBLEMS_PATH)


def guarded(guard: Guard, *, but: Collection[str] = ()) -> Middleware:
    """
    Gives every request its principal before its route sees it.

    Args:
        but: The names of routes that look at keys themselves.
    """

    @web.middleware
    async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_open(request.path) and request.match_info.route.name not in but:
            request[PRINCIPAL] = await guard.principal(request)
        return await handler(request)

    return identified


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Another name may stand for any address.
        return False


def _shown(request: web.Request) -> str:
    scheme, _, text = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise UnauthenticatedError("this server wants a key", hint=_KEY_HINT)
    return text.strip()


def _refuse_web_pages(request: web.Request) -> None:
    """A page in a browser on this machine reaches its loopback addresses too; it is nobody who was let in."""
    host = request.headers.get(hdrs.HOST, "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if hdrs.ORIGIN in request.headers or not is_loopback(name.strip("[]") or "localhost"):
        raise AccessDeniedError("a web page may not ask a server without keys", hint=_KEY_HINT)
