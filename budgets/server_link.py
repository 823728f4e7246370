"""
Asks a server over HTTP, and asks again where an answer was lost: every request is safe to repeat.

The standard library's client, because most command lines ask once, and loading another takes longer than the
asking. A few connections stay open between requests; threads share them.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import quote, urlsplit

from budgets.errors import AccessDeniedError, BudgetError, ConfigError, ServerError, by_code

# Errors come as problem details, with the error's own values beside: https://www.rfc-editor.org/rfc/rfc9457
PROBLEM: Final = "application/problem+json"
_OWN_MEMBERS: Final = ("type", "title", "status", "detail", "instance", "code", "hint", "retry")

# To reach the server, and to wait for an answer. What reads a whole project may take longer.
_CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 30
_LONG_ANSWER_SECONDS: Final = 600

# How long to go on asking a server that is not there, or hangs up: a restart takes a second or two.
PATIENCE_SECONDS: Final = 5.0

# No answer of ours is as long.
_MOST_BYTES: Final = 256 * 1024 * 1024
_MOST_IDLE: Final = 32

# As http.client writes it.
_HTTP_1_0: Final = 10


class Link:
    """
    The way to one server. Safe to share between threads, and to use in a child after a fork.

    Args:
        address: `https://host`, with a port or a path where it has one; `http://` on this machine only.
        key: What the server knows us by.
        headers: What every request carries besides.
        patience_seconds: How long to go on asking where the server is not reached.

    Raises:
        ConfigError: it is no address, or the key would travel unprotected.
    """

    def __init__(
        self,
        address: str,
        key: str | None,
        *,
        headers: Mapping[str, str] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._idle: list[HTTPConnection] = []
        self._lock = threading.Lock()
        self.address, self._secure, self._host, self._port, self._path = _parts(address)
        self._key = key
        self._given = dict(headers or {})
        self._patience_seconds = patience_seconds
        self._pid = os.getpid()

    def ask(self, path: str, document: Any, *, project: str, long: bool = False) -> Any:
        """
        What the server answers to a document, as JSON.

        Raises:
            ServerError: it was not reached, hung up, or answered what it should not.
            BudgetError: the error that it answered with.
        """
        body = json.dumps(document, ensure_ascii=False).encode("utf-8")
        seconds = _LONG_ANSWER_SECONDS if long else ANSWER_SECONDS
        return self._read(*self.exchange("POST", f"{path}?project={quote(project, safe='')}", body, seconds))

    def exchange(
        self, method: str, target: str, body: bytes | None = None, seconds: float = ANSWER_SECONDS
    ) -> tuple[int, str, bytes]:
        """
        Send a request that is safe to repeat; gives the answer's status, type, and body, whatever they are.

        Args:
            target: The path below the address, with its query.
            seconds: How long to wait for an answer.

        Raises:
            ServerError: it was not reached, hung up, or did not answer in time.
        """
        deadline = time.monotonic() + self._patience_seconds
        nap = 0.05
        while True:
            try:
                return self._once(method, self._path + target, body, seconds)
            except TimeoutError as error:
                raise self._not_reached(f"did not answer within {seconds:g} seconds") from error
            except (OSError, HTTPException) as error:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    raise self._not_reached(f"is not reached: {_words(error)}") from error
            # Chance keeps those who wait from asking at the same moment; it is no secret.
            time.sleep(min(rest, nap * (0.5 + random.random())))  # noqa: S311
            nap = min(nap * 2, 1.0)

    def close(self) -> None:
        """Hang up. Asking again opens connections again."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __del__(self) -> None:
        # A manager of old is never closed.
        self.close()

    def _once(self, method: str, target: str, body: bytes | None, seconds: float) -> tuple[int, str, bytes]:
        connection = self._taken()
        try:
            if connection.sock is None:
                connection.timeout = _CONNECT_SECONDS
                connection.connect()
            connection.sock.settimeout(seconds)
            connection.request(method, target, body, self._headers())
            response: HTTPResponse = connection.getresponse()
            unsaid = response.length is None and not response.chunked
            if response.status == 200 and unsaid and response.version > _HTTP_1_0:
                # Since 1.1 answers say how long they are: this one was cut in its headers.
                raise HTTPException
            answer = response.read(_MOST_BYTES + 1)
            found = response.status, response.headers.get_content_type(), answer
        except BaseException:
            connection.close()
            raise
        with self._lock:
            keep = not response.will_close and len(answer) <= _MOST_BYTES and len(self._idle) < _MOST_IDLE
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()
        return found

    def _taken(self) -> HTTPConnection:
        if self._pid != os.getpid():
            # They are the parent's; two processes cannot speak on one of them.
            self._pid, self._lock = os.getpid(), threading.Lock()
            self.close()
        with self._lock:
            if self._idle:
                return self._idle.pop()
        kind = HTTPSConnection if self._secure else HTTPConnection
        return kind(self._host, self._port)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": f"application/json, {PROBLEM}"}
        headers |= self._given
        return headers if self._key is None else {**headers, "Authorization": f"Bearer {self._key}"}

    def _read(self, status: int, kind: str, answer: bytes) -> Any:
        try:
            document = json.loads(answer) if kind in ("application/json", PROBLEM) else None
        except ValueError:
            document = None
        if status == 200 and document is not None:
            return document
        problem = document if isinstance(document, dict) else {}
        known = error_of(problem)
        if known is not None:
            raise known
        if status in (401, 403):
            raise AccessDeniedError(
                str(problem.get("detail") or f"{self.address} does not let us in"),
                hint=problem.get("hint") or "put a key into BUDGET_KEY; `budget key create` makes one",
            )
        if status == 404:
            raise ServerError(
                f"{self.address} does not know this request",
                hint="is that a budget server, and as new as this program?",
                address=self.address,
            )
        raise ServerError(
            f"{self.address} answered {status}, not as a budget server does",
            hint="is the address right? else look at the server's own messages",
            address=self.address,
        )

    def _not_reached(self, why: str) -> ServerError:
        return ServerError(
            f"{self.address} {why}",
            hint="is the server running? `budget serve` starts one; it is safe to try again",
            address=self.address,
        )


def error_of(problem: Mapping[str, Any]) -> BudgetError | None:
    """The error that a problem was made from; `None`: it is none of ours, or one that is not known yet."""
    kind = by_code().get(str(problem.get("code")))
    message, hint = problem.get("detail"), problem.get("hint")
    if kind is None or not isinstance(message, str) or not (hint is None or isinstance(hint, str)):
        return None
    return kind(
        message, hint=hint, **{name: value for name, value in problem.items() if name not in _OWN_MEMBERS}
    )


def checked_address(address: str) -> str:
    """
    The address of a server, as it is shown.

    Raises:
        ConfigError: it is none, or the key would travel unprotected.
    """
    return _parts(address)[0]


def _parts(address: str) -> tuple[str, bool, str, int, str]:
    """The address as it is shown, whether it is secure, its host, port, and path."""
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = 0
    host = parts.hostname
    if not host or port == 0 or parts.query or parts.fragment or parts.scheme not in ("http", "https"):
        raise ConfigError("the store is no server's address", hint="for instance https://budget.example.com")
    if parts.username is not None:
        raise ConfigError(
            "the server's address has a name or a password in it",
            hint="leave them out, and put the key into BUDGET_KEY",
        )
    secure = parts.scheme == "https"
    if not secure and not _is_here(host):
        raise ConfigError(
            f"http://{host} is not this machine, and the key would cross the network unprotected",
            hint=f"use https://{host}",
        )
    shown = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return shown, secure, host, port or (443 if secure else 80), parts.path.rstrip("/")


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "it hung up" if isinstance(error, HTTPException | OSError) else type(error).__name__
