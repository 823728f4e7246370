"""What a client does when the server is not there, hangs up, or says something else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from budgets.errors import (
    AccessDeniedError,
    BudgetBusyError,
    ConfigError,
    ConflictError,
    ServerError,
)
from budgets.server_link import Link, checked_address, error_of


@contextmanager
def answering(*answers: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one answer to each connection, or hangs up; and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    asked.append(connection.recv(65_536))
                    while b"}" not in asked[-1]:
                        asked[-1] += connection.recv(65_536)
                    if answer is not None:
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        thread.join()


def http(status: int, body: str, kind: str = "application/json") -> bytes:
    head = (
        f"HTTP/1.1 {status} Word\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close"
    )
    return f"{head}\r\n\r\n{body}".encode()


def ask(address: str, key: str | None = None) -> object:
    link = Link(address, key, patience_seconds=10)
    try:
        return link.ask("/v1/engine/status", {"user": "ann"}, project="a b")
    finally:
        link.close()


def test_an_answer_that_was_lost_is_asked_for_again() -> None:
    with answering(None, http(200, "")[:20], http(200, '{"result": 5}')) as (address, asked):
        assert ask(address, "bk_1") == {"result": 5}
    assert len(asked) == 3
    assert asked[0] == asked[2]
    assert asked[0].startswith(b"POST /v1/engine/status?project=a%20b HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer bk_1\r\n" in asked[0]


def test_a_refusal_is_the_error_that_it_was() -> None:
    problem = (
        '{"type": "about:blank", "title": "busy", "status": 429, "code": "busy", "detail": "x is busy",'
        ' "hint": "wait", "retry": true, "left_usd": "1.00", "user": "x"}'
    )
    with (
        answering(http(429, problem, "application/problem+json")) as (address, _),
        pytest.raises(BudgetBusyError) as refused,
    ):
        ask(address)
    error = refused.value
    assert (str(error), error.hint, error.values) == ("x is busy", "wait", {"left_usd": "1.00", "user": "x"})


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (http(401, "{}"), AccessDeniedError, "does not let us in"),
        (http(403, '{"detail": "not yours"}'), AccessDeniedError, "not yours"),
        (http(404, "Not Found", "text/plain"), ServerError, "does not know this request"),
        (http(502, "<html>", "text/html"), ServerError, "answered 502"),
        (http(200, "<html>", "text/html"), ServerError, "answered 200"),
        (http(200, "{", "application/json"), ServerError, "answered 200"),
        (http(301, ""), ServerError, "answered 301"),
        (http(500, '{"code": "tomorrow", "detail": "x"}'), ServerError, "answered 500"),
    ],
)
def test_what_is_no_answer_is_a_clear_error(answer: bytes, kind: type[Exception], words: str) -> None:
    with answering(answer) as (address, _), pytest.raises(kind, match=words):
        ask(address)


def test_a_server_that_is_not_there_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    link = Link(f"http://127.0.0.1:{port}", None, patience_seconds=0.1)
    with pytest.raises(ServerError, match="connection refused") as failed:
        link.ask("/", {}, project="p")
    assert failed.value.values == {"address": f"http://127.0.0.1:{port}"}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://example.com", "is not this machine"),
        ("http://10.0.0.1:80", "is not this machine"),
        ("https://ann:secret@example.com", "a name or a password"),
        ("https://", "no server's address"),
        ("https://example.com?x=1", "no server's address"),
        ("https://example.com:99999", "no server's address"),
        ("ftp://example.com", "no server's address"),
    ],
)
def test_an_address_that_cannot_be_used(address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        checked_address(address)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.com/", "https://example.com"),
        ("HTTPS://Example.com:8443/budget/", "https://Example.com:8443/budget"),
        ("http://localhost:80", "http://localhost:80"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_address_that_can(address: str, shown: str) -> None:
    assert checked_address(address) == shown


def test_an_error_of_a_newer_server_is_none_of_ours() -> None:
    assert error_of({"code": "tomorrow", "detail": "x"}) is None
    assert error_of({"code": "conflict", "detail": 5}) is None
    assert isinstance(error_of({"code": "conflict", "detail": "x"}), ConflictError)
