"""Addresses of the web that money may depend on."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from budgets.errors import InvalidValueError


def protected(text: str) -> str:
    """
    The address as it is, where nobody in between can change what comes: https, or http on this machine.

    Raises:
        InvalidValueError: it is none.
    """
    hint = "give https://..., or http://... on this machine"
    # As HTTP has it: a space or a line end would be part of the request.
    if any(character <= " " or character == "\x7f" for character in text):
        raise InvalidValueError("an address has no spaces", hint=hint)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidValueError("this is not an address", hint=hint) from error
    if not host or parts.scheme not in ("https", "http"):
        raise InvalidValueError("this is not an address of the web", hint=hint)
    if parts.scheme == "http" and not on_this_machine(host):
        # Whoever sits in between could say what everything costs.
        raise InvalidValueError(f"prices from {host} would come unprotected", hint=hint)
    return text


def on_this_machine(host: str) -> bool:
    """Whether that is a name or an address of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
