"""
Fetches a price book from the address that its owner names: the one place here that goes out.

Only over https, or from this machine; so much and so long at most, with nothing of the owner's in the request
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from budgets.addresses import protected
from budgets.errors import PriceSourceError

if TYPE_CHECKING:
    import aiohttp

# The book is 1.5 MB and the public map 2 MB; what is twenty times as large is something else.
MOST_BYTES = 32 * 2**20

# All of it: finding the host, the answer, and where it leads.
MOST_SECONDS = 60.0

_MOST_REDIRECTS = 5


def fetch(address: str, *, most_seconds: float = MOST_SECONDS, most_bytes: int = MOST_BYTES) -> bytes:
    """
    What stands at *address*. Proxies are taken from the usual variables.

    Raises:
        InvalidValueError: the address is none, or plain http of another machine.
        PriceSourceError: nothing came, too much, or not in time. Messages name the host alone, for the rest
            of an address may be a secret.
    """
    protected(address)
    return asyncio.run(_fetch(address, most_seconds, most_bytes))


async def _fetch(address: str, most_seconds: float, most_bytes: int) -> bytes:
    import aiohttp

    host = urlsplit(address).hostname
    try:
        async with (
            asyncio.timeout(most_seconds),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        ):
            return await _followed(session, address, most_bytes)
    except TimeoutError:
        raise _failed(f"{host} did not send the prices within {most_seconds:g} s") from None
    # `from None`: the library's errors quote addresses.
    except (aiohttp.ClientError, OSError) as error:
        from budgets.upstream import reason

        raise _failed(f"{host} did not send the prices: {reason(error)}") from None


async def _followed(session: aiohttp.ClientSession, address: str, most_bytes: int) -> bytes:
    from budgets.upstream import proxy_for

    for _ in range(_MOST_REDIRECTS + 1):
        # Packed, a little could become very much.
        headers = {"accept-encoding": "identity", "user-agent": "budget"}
        async with session.get(
            address, headers=headers, allow_redirects=False, proxy=proxy_for(address)
        ) as answer:
            host = urlsplit(address).hostname
            if answer.status in (301, 302, 303, 307, 308):
                address = _next(address, answer.headers.get("location", ""))
                continue
            if answer.status != 200:
                raise _failed(f"{host} answered {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > most_bytes:
                    raise _failed(f"{host} sends more than {most_bytes:,} bytes")
            return bytes(body)
    raise _failed(f"{urlsplit(address).hostname} leads from one address to another")


def _next(address: str, location: str) -> str:
    """Where a redirect leads: only to what may be asked in the first place, see `budgets.addresses`."""
    try:
        return protected(urljoin(address, location))
    except ValueError:
        raise _failed(f"{urlsplit(address).hostname} leads to an address that is not protected") from None


def _failed(message: str) -> PriceSourceError:
    return PriceSourceError(message, hint="try again later, or give another address with --from")
