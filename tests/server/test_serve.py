"""The server as a process: whom it lets in, what it tells, how it ends, and that a kill loses nothing."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.config import load_settings
from budgets.engine import Engine, LimitTerms
from budgets.periods import PeriodRule
from budgets.wiring import open_engine
from tests.support.engines import FULL
from tests.support.servers import Answer, Server, serving

KILLS = 20 if FULL else 3


def engine_of(folder: Path, project: str = "default") -> Engine:
    environ = {"BUDGET_CONFIG": str(folder / "config.toml")}
    return open_engine(load_settings(environ, store=str(folder / "budgets.sqlite"), project=project))


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def get_budget(server: Server, project: str = "default", **headers: str) -> Answer:
    return server.ask("POST", "/get_budget", {"project_name": project}, headers)


def set_budget(server: Server, users: Any, project: str = "default", **headers: str) -> Answer:
    return server.ask("POST", "/set_budget", {"project_name": project, "user_dict": users}, headers)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An open one, for tests that leave nothing behind."""
    with serving(tmp_path_factory.mktemp("server"), "--quiet") as started:
        yield started


# Who is let in


def test_without_keys_it_refuses_to_be_reached_from_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="open to everybody"), serving(tmp_path, "--host", "0.0.0.0"):
        pass


def test_with_a_key_it_may_be_reached_from_elsewhere_and_is_never_open(tmp_path: Path) -> None:
    with closing(engine_of(tmp_path)) as engine:
        made = engine.create_key("admin")
        with serving(tmp_path, "--host", "0.0.0.0") as server:
            assert get_budget(server).status == 401
            assert get_budget(server, **bearer(made.text)).status == 200
            engine.revoke_key(made.key.id)
            time_out = time.monotonic() + 30
            while get_budget(server, **bearer(made.text)).status != 401:
                assert time.monotonic() < time_out, "a revoked key is let in"
                time.sleep(0.05)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with budgets and a key of each kind, by a word for it."""
    folder = tmp_path_factory.mktemp("guarded")
    with closing(engine_of(folder)) as engine:
        engine.create("team", LimitTerms(10**10))
        engine.create("ann", LimitTerms(10**9), parent="team")
        engine.create("bob", LimitTerms(10**9))
        texts = {
            "admin": engine.create_key("admin").text,
            "read": engine.create_key("read").text,
            "read team": engine.create_key("read", under="team").text,
            "meter": engine.create_key("meter").text,
            "meter ann": engine.create_key("meter", user="ann").text,
            "meter team": engine.create_key("meter", under="team").text,
        }
        revoked = engine.create_key("admin")
        engine.revoke_key(revoked.key.id)
        texts["revoked"] = revoked.text
    with closing(engine_of(folder, "other")) as engine:
        texts["elsewhere"] = engine.create_key("admin").text
    with serving(folder) as started:
        yield started, texts


@pytest.mark.parametrize(
    ("whose", "users"),
    [
        ("admin", {"team", "ann", "bob"}),
        ("read", {"team", "ann", "bob"}),
        ("read team", {"team", "ann"}),
        ("meter ann", {"ann"}),
    ],
)
def test_a_key_sees_what_it_is_bound_to(
    guarded: tuple[Server, dict[str, str]], whose: str, users: set[str]
) -> None:
    server, texts = guarded
    assert get_budget(server, **bearer(texts[whose])).document["data"].keys() == users


@pytest.mark.parametrize(
    ("whose", "users", "status"),
    [
        ("admin", {"new": {"total_budget": 1}}, 200),
        ("read", {"ann": {"current_cost": 0.1}}, 403),
        ("meter", {"newer": {"total_budget": 1}}, 403),
        ("meter", {"bob": {"current_cost": 0.1, "model_cost": {"m": 0.1}}}, 200),
        ("meter ann", {"ann": {"current_cost": 0.1, "model_cost": {"m": 0.1}}}, 200),
        ("meter ann", {"bob": {"current_cost": 9, "model_cost": {"m": 9}}}, 403),
        ("meter team", {"ann": {"current_cost": 0.2, "model_cost": {"m": 0.2}}}, 200),
        ("meter team", {"bob": {"current_cost": 9, "model_cost": {"m": 9}}}, 403),
    ],
)
def test_a_key_does_what_its_role_and_its_bounds_allow(
    guarded: tuple[Server, dict[str, str]], whose: str, users: Any, status: int
) -> None:
    server, texts = guarded
    assert set_budget(server, users, **bearer(texts[whose])).status == status


def test_a_meters_reset_gives_nothing_back_and_its_spend_goes_on_counting(
    guarded: tuple[Server, dict[str, str]],
) -> None:
    server, texts = guarded
    mine = bearer(texts["meter"])
    before = get_budget(server, **mine).document["data"]["team"].get("current_cost", 0)
    for cost, status in ((before + 1, 200), (0, 403), (0.5, 200)):
        users = {"team": {"current_cost": cost, "model_cost": {"m": cost} if cost else {}}}
        assert set_budget(server, users, **mine).status == status
    after = get_budget(server, **bearer(texts["read"])).document["data"]["team"]["current_cost"]
    assert after == pytest.approx(before + 1.5)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param({}, 401, "unauthenticated", id="none"),
        pytest.param(bearer("bk_abc_def"), 401, "unauthenticated", id="unknown"),
        pytest.param(bearer("sk-a-provider's"), 401, "unauthenticated", id="another program's"),
        pytest.param({"Authorization": "Basic YTpi"}, 401, "unauthenticated", id="another scheme"),
        pytest.param("revoked", 401, "unauthenticated", id="revoked"),
        pytest.param("elsewhere", 403, "access_denied", id="another project's"),
    ],
)
def test_who_is_not_let_in_gets_a_problem_document(
    guarded: tuple[Server, dict[str, str]], headers: Any, status: int, code: str
) -> None:
    server, texts = guarded
    answer = get_budget(server, **(bearer(texts[headers]) if isinstance(headers, str) else headers))
    assert (answer.status, answer.document["code"]) == (status, code)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert ("WWW-Authenticate" in answer.headers) is (status == 401)


def test_monitors_need_no_key_and_figures_about_all_need_one_for_all(
    guarded: tuple[Server, dict[str, str]],
) -> None:
    server, texts = guarded
    assert [server.ask("GET", path).status for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 401]
    bound = server.ask("GET", "/metrics", headers=bearer(texts["read team"]))
    assert bound.status == 403
    text = server.ask("GET", "/metrics", headers=bearer(texts["read"])).body.decode()
    assert 'budget_requests_total{method="GET",route="/healthz",status="200"} 1' in text
    assert not any(name in text for name in ("ann", "bob", "team"))


@pytest.mark.parametrize("headers", [{"Origin": "http://example.com"}, {"Host": "example.com"}])
def test_a_web_page_is_not_let_in_where_there_are_no_keys(server: Server, headers: dict[str, str]) -> None:
    assert get_budget(server, **headers).status == 403


# What it tells


def test_metrics_count_requests_and_dollars(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        set_budget(server, {"ann": {"total_budget": 1, "current_cost": 0.25, "model_cost": {"m": 0.25}}})
        server.ask("GET", "/nowhere/ann")
        lines = server.ask("GET", "/metrics").body.decode().splitlines()
    assert "budget_charges_usd_total 0.25" in lines
    assert 'budget_requests_total{method="POST",route="/set_budget",status="200"} 1' in lines
    assert 'budget_requests_total{method="GET",route="unknown",status="404"} 1' in lines
    assert 'budget_request_seconds_bucket{le="+Inf"} 2' in lines


def test_it_rolls_what_is_due_by_itself(tmp_path: Path) -> None:
    from budgets.clock import FixedClock, utc_now

    with closing(engine_of(tmp_path)) as engine:
        engine.clock = FixedClock(utc_now())
        engine.runner._clock = lambda: utc_now().replace(year=2025)
        engine.create("ann", LimitTerms(10**9, PeriodRule(1, "day")))
    with serving(tmp_path), closing(engine_of(tmp_path)) as engine:
        deadline = time.monotonic() + 30
        while len([each for each in engine.entries() if each.kind == "opened"]) < 2:
            assert time.monotonic() < deadline, "nothing was rolled"
            time.sleep(0.05)


# How it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as server:
        assert set_budget(server, {"ann": {"total_budget": 1}}).status == 200
        assert server.stop(number) == 0
    assert server.lines[-1] == "stopped after 1 requests\n"


def test_what_runs_is_finished(tmp_path: Path) -> None:
    """A request that waits for the store when the end is asked for is answered."""
    body = json.dumps({"project_name": "default", "user_dict": {"ann": {"total_budget": 1}}}).encode()
    head = b"POST /set_budget HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(tmp_path) as server:
        assert set_budget(server, {}).status == 200
        file = sqlite3.connect(tmp_path / "budgets.sqlite", isolation_level=None)
        with closing(file), socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            file.execute("BEGIN IMMEDIATE")
            connection.sendall(head + body)
            # Once later ones are answered, the server has read that one.
            for _ in range(3):
                assert server.ask("GET", "/healthz").status == 200
            server.process.terminate()
            # It no longer takes others in.
            deadline = time.monotonic() + 30
            while _reachable(server.port):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            file.execute("ROLLBACK")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        # Another signal could find Python on its way out, where nobody listens to it.
        assert server.process.wait(60) == 0
    with closing(engine_of(tmp_path)) as engine:
        assert engine.users() == ["ann"]


def _reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_port_that_is_taken_is_said(server: Server, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="cannot listen"),
        serving(tmp_path, "--port", str(server.port)),
    ):
        pass


# Kills


def test_killed_at_any_point_it_has_booked_everything_once(tmp_path: Path) -> None:
    """Four clients that send their figures until they are answered, over servers that are killed."""
    figures = [0] * 4
    done = threading.Event()
    current: list[Server] = []

    def spend(number: int) -> None:
        while not done.is_set():
            figures[number] += 1
            cost = figures[number] / 1_000
            users = {"ann": {"total_budget": 10**6, "current_cost": cost, "model_cost": {"m": cost}}}
            while True:
                try:
                    if set_budget(current[-1], users, **{"X-Client-Id": str(number)}).status == 200:
                        break
                except OSError:
                    if done.is_set():
                        return

    with serving(tmp_path) as first:
        set_budget(first, {"ann": {"total_budget": 10**6}})
        for number in range(4):
            # Each is told what there is before it begins.
            get_budget(first, **{"X-Client-Id": str(number)})
        current.append(first)
        threads = [threading.Thread(target=spend, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(KILLS):
                time.sleep(0.2)
                current[-1].process.kill()
                with serving(tmp_path) as again:
                    current.append(again)
                    time.sleep(0.1)
                    answered = [each / 1_000 for each in figures]
                    assert sum(answered) > 0
        finally:
            done.set()
            for thread in threads:
                thread.join()
    with serving(tmp_path) as last, closing(engine_of(tmp_path)) as engine:
        for number, figure in enumerate(figures):
            cost = figure / 1_000
            users = {"ann": {"total_budget": 10**6, "current_cost": cost, "model_cost": {"m": cost}}}
            assert set_budget(last, users, **{"X-Client-Id": str(number)}).status == 200
        assert engine.status("ann").limits[0].totals.spent_nanos == sum(figures) * 10**6
        assert engine.check().faults == ()


# Whatever is sent

_numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.sampled_from([0, 1e300, -0.0]),
)
_names = st.text(max_size=8)
_record = st.dictionaries(
    st.sampled_from(
        ["total_budget", "duration", "created_at", "last_updated_at", "current_cost", "model_cost", "x"]
    ),
    st.one_of(_numbers, st.dictionaries(_names, _numbers, max_size=2), st.lists(_numbers, max_size=2)),
)
_bodies = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda project, users: json.dumps({"project_name": project, "user_dict": users}).encode(),
        st.one_of(st.just("fuzz"), _numbers, _names),
        st.one_of(_numbers, st.dictionaries(_names, st.one_of(_record, _numbers), max_size=3)),
    ),
)


@settings(max_examples=400 if FULL else 100, deadline=None)
@given(path=st.sampled_from(["/get_budget", "/set_budget", "//set_budget", "/metrics"]), body=_bodies)
def test_whatever_is_sent_is_answered_and_never_with_500(server: Server, path: str, body: bytes) -> None:
    answer = server.ask("POST", path, body)
    assert answer.status < 500, (path, body, answer.body)
    assert isinstance(answer.document, dict)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", id="a header without end"),
        pytest.param(b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", id="a path without end"),
        pytest.param(b"\x16\x03\x01 not HTTP\r\n\r\n", id="another protocol"),
    ],
)
def test_what_is_no_request_is_refused(server: Server, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        assert connection.recv(65_536).startswith(b"HTTP/1.0 400 ")
    # What was sent may have a key in it.
    assert server.lines == []


def test_a_body_that_is_too_long_is_refused(server: Server) -> None:
    answer = server.ask("POST", "/set_budget", b" " * (17 * 1024 * 1024))
    assert (answer.status, answer.document["code"]) == (413, "too_large")
