"""LiteLLM's own client, and what it may send: nobody's spend is lost, and nothing is booked twice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import Server, serving

CLIENT = Path(__file__).with_name("litellm_client.py")


def run_client(server: Server, story: str, *words: str, base: str = "") -> Any:
    """What one of the stories in `litellm_client.py` found, told by a process of its own."""
    ended = subprocess.run(
        [sys.executable, str(CLIENT), base or server.address, story, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    # The library greets on stdout.
    return json.loads(ended.stdout.splitlines()[-1])


def put(server: Server, users: dict[str, Any], client: str = "one") -> None:
    answer = server.ask(
        "POST", "/set_budget", {"project_name": "p", "user_dict": users}, {"X-Client-Id": client}
    )
    assert (answer.status, answer.document) == (200, {"status": "success"})


def got(server: Server, client: str = "one") -> Any:
    answer = server.ask("POST", "/get_budget", {"project_name": "p"}, {"X-Client-Id": client})
    assert answer.status == 200
    return answer.document["data"]


def record(cost: float, *, total: float = 10, model: str = "m", **more: Any) -> dict[str, Any]:
    return {"total_budget": total, "current_cost": cost, "model_cost": {model: cost} if cost else {}, **more}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server
        assert server.stop() == 0
        assert server.lines[-1].startswith("stopped after ")


@pytest.fixture
def server(shared: Server):
    """A server whose project `p` is empty: each test has a project of its own."""
    return shared


@pytest.fixture(autouse=True)
def _own_project(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    name = request.node.name
    original = Server.ask

    def ask(self: Server, method: str, path: str, body: Any = None, headers: Any = None) -> Any:
        if isinstance(body, dict) and body.get("project_name") == "p":
            body = {**body, "project_name": name}
        return original(self, method, path, body, headers)

    monkeypatch.setattr(Server, "ask", ask)


def test_an_unknown_project_is_an_error_with_status_200(server: Server) -> None:
    answer = server.ask("POST", "/get_budget", {"project_name": "nobody's"})
    assert (answer.status, answer.document["status"]) == (200, "error")


@pytest.mark.parametrize("base", ["", "/"], ids=["plain", "with a slash at the end"])
def test_the_example_of_litellms_own_documentation_runs(server: Server, base: str) -> None:
    found = run_client(server, "documentation", f"docs{len(base)}", base=server.address + base)
    assert found["first"] == {"valid": False, "cost": 0, "total": 10}
    assert found["spent"] > 0
    # A new process is told what is in the store: the whole of it.
    assert found["again"] == {
        "valid": True,
        "cost": found["spent"],
        "models": found["models"],
        "duration": 28,
    }


def test_four_clients_that_charge_at_once_lose_nothing(server: Server) -> None:
    run_client(server, "create", "four")
    spent: list[float] = []
    threads = [
        threading.Thread(
            target=lambda name: spent.append(run_client(server, "charge", "four", name, "25")),
            args=(f"client {number}",),
        )
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = run_client(server, "cost", "four")
    assert len(spent) == 4
    assert found == pytest.approx(sum(spent), abs=1e-9)


def test_a_snapshot_that_comes_again_or_late_books_nothing(server: Server) -> None:
    for cost in (1, 3, 2, 3, 1, 3.5):
        put(server, {"ann": record(cost)})
    assert got(server, "two") == {"ann": record(3.5)}


def test_what_clients_spent_is_added_up(server: Server) -> None:
    put(server, {"ann": {"total_budget": 10}})
    assert got(server, "one") == got(server, "two") == {"ann": {"total_budget": 10}}
    put(server, {"ann": record(1)}, "one")
    put(server, {"ann": record(2)}, "two")
    put(server, {"ann": record(1.5)}, "one")
    assert got(server, "three")["ann"]["current_cost"] == 3.5
    # Whoever asks is told the sum, and counts on from there.
    assert got(server, "one")["ann"]["current_cost"] == 3.5
    put(server, {"ann": record(4)}, "one")
    assert got(server, "three")["ann"]["current_cost"] == 4


def test_a_reset_gives_money_back_once(server: Server) -> None:
    put(server, {"ann": record(5)})
    put(server, {"ann": record(0)})
    assert got(server, "two") == {"ann": {"total_budget": 10}}
    put(server, {"ann": record(0.5)})
    put(server, {"ann": record(0.75)}, "two")
    # Its dictionary still has the reset of another user, which is no reset again.
    put(server, {"ann": record(0.5), "bob": record(0)})
    assert got(server, "three")["ann"]["current_cost"] == 1.25


def test_what_is_late_from_before_a_reset_is_booked_once(server: Server) -> None:
    terms = {"duration": 1, "created_at": 1_700_000_000.5}
    put(server, {"ann": record(5, last_updated_at=1_700_000_000.5, **terms)})
    put(server, {"ann": record(0, last_updated_at=1_700_000_100.25, **terms)})
    put(server, {"ann": record(6, last_updated_at=1_700_000_000.5, **terms)})
    put(server, {"ann": record(0.5, last_updated_at=1_700_000_100.25, **terms)})
    assert got(server, "two")["ann"]["current_cost"] == 1.5


def test_a_client_whose_own_month_is_over_does_not_end_the_calendars(server: Server) -> None:
    """28 days are no month: what it makes of it itself gives no money back."""
    import time

    began = float(int(time.time()) - 28 * 86_400 - 1)
    terms = {"duration": 28, "created_at": began}
    put(server, {"ann": record(5, last_updated_at=began, **terms)})
    before = got(server, "two")["ann"]
    put(server, {"ann": record(0, last_updated_at=began + 28 * 86_400 + 1, **terms)})
    put(server, {"ann": record(0.5, last_updated_at=began + 28 * 86_400 + 1, **terms)})
    after = got(server, "two")["ann"]
    assert (before["current_cost"], after["current_cost"]) == (5, 5.5)
    assert after["last_updated_at"] == before["last_updated_at"]


def test_missing_fields_change_nothing(server: Server) -> None:
    put(server, {"ann": record(2, duration=7, created_at=1_700_000_000)})
    before = got(server)
    for nothing in ({}, {"total_budget": 10}, {"model_cost": {}}, {"current_cost": 0}):
        put(server, {"ann": nothing})
    put(server, {})
    assert got(server) == before


@pytest.mark.parametrize("days", [1, 7, 28, 365, 3, 90])
def test_a_duration_comes_back_as_it_was_said(server: Server, days: int) -> None:
    user = f"every {days}"
    put(server, {user: {"total_budget": 2.5, "duration": days, "created_at": 1_700_000_000.25}})
    found = got(server)[user]
    assert (found["total_budget"], found["duration"]) == (2.5, days)
    assert found["last_updated_at"] > 1_700_000_000


def test_a_total_that_one_client_changed_is_not_undone_by_another(server: Server) -> None:
    put(server, {"ann": {"total_budget": 10}})
    got(server, "two")
    put(server, {"ann": {"total_budget": 20}})
    put(server, {"ann": record(1)}, "two")
    assert got(server, "three")["ann"] == record(1, total=20)


def test_floats_that_were_added_up_are_booked_to_the_nano(server: Server) -> None:
    cost = 0.0
    for _ in range(10):
        cost += 0.1
        put(server, {"ann": record(cost)})
    assert cost != 1
    assert got(server)["ann"]["current_cost"] == 1


def test_a_client_without_a_name_is_told_apart_by_its_connection(server: Server) -> None:
    body = {"project_name": "p", "user_dict": {"ann": record(1)}}
    for cost in (1, 2, 2):
        body["user_dict"] = {"ann": record(cost)}
        assert server.ask("POST", "/set_budget", body).status == 200
    assert server.ask("POST", "/get_budget", {"project_name": "p"}).document["data"]["ann"] == record(2)


def test_one_bad_record_does_not_keep_the_others_from_being_booked(server: Server) -> None:
    body = {"project_name": "p", "user_dict": {"bad": {"total_budget": -1}, "ann": record(1)}}
    answer = server.ask("POST", "/set_budget", body, {"X-Client-Id": "one"})
    assert (answer.status, list(answer.document["refused"])) == (422, ["bad"])
    assert got(server) == {"ann": record(1)}


def test_the_log_names_nobody(server: Server) -> None:
    put(server, {"secret-name": record(1)}, "secret-client")
    server.ask("GET", "/secret-path", headers={"Authorization": "Bearer secret-token"})
    assert any(line.startswith("POST /set_budget 200 ") for line in server.lines)
    assert not any("secret" in line for line in server.lines)
