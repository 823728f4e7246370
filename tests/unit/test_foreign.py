"""`BudgetManager(client_type="hosted")` on a server that has LiteLLM's two endpoints, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from budgets.clock import FixedClock
from budgets.completing import litellm_upstream
from budgets.config import load_settings
from budgets.dropin.foreign import ForeignBudgets, is_ours
from budgets.errors import AccessDeniedError, InvalidValueError, ServerError, UnknownUserError
from budgets.manager import BudgetManager
from budgets.server.engines import Engines
from budgets.server_link import Link
from budgets.wiring import open_desk
from tests.support.dictionary_server import DictionaryServer, dictionary_server
from tests.support.serving import served

NOW = datetime(2026, 1, 31, 10, 0, 0, 250_000, tzinfo=UTC)
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Well."}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}
# Of that reply, in nanos.
COST = 4_500


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET_STORE", str(tmp_path / "budgets.sqlite"))
    monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("BUDGET_KEY", "bk_secret")


@pytest.fixture
def server() -> Iterator[DictionaryServer]:
    with dictionary_server() as found:
        yield found


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


def on(server: DictionaryServer, clock: FixedClock) -> BudgetManager:
    """A manager at a moment of its own, that reads anew for each question."""
    desk = open_desk(load_settings({}), clock=clock)
    return BudgetManager.on(ForeignBudgets(Link(server.url, None), project="p", desk=desk, fresh_seconds=0))


@pytest.fixture
def manager(server: DictionaryServer, clock: FixedClock) -> BudgetManager:
    return on(server, clock)


def hosted(server: DictionaryServer, **how: Any) -> BudgetManager:
    with pytest.warns(UserWarning, match="no budget server"):
        return BudgetManager("p", client_type="hosted", api_base=server.url, **how)


def test_whose_server_it_is_is_asked_once_and_without_a_key(server: DictionaryServer) -> None:
    manager = hosted(server, headers={"X-Client-Id": "mine"})
    ((probe, headers, body),) = server.asked
    assert (probe, body) == ("GET /v1/engine/info", b"")
    assert not {"authorization", "x-client-id"} & headers.keys()
    manager.create_budget(10, "ann")
    assert server.paths[1:] == ["POST /get_budget", "POST /set_budget"]
    assert all(headers["x-client-id"] == "mine" for _, headers, _ in server.asked[1:])
    # The key to a server of ours is nobody else's.
    assert all("bk_secret" not in str(asked) for asked in server.asked)


def test_the_warning_names_the_line_that_makes_the_manager(server: DictionaryServer) -> None:
    with pytest.warns(UserWarning, match="keeps sums") as caught:
        BudgetManager("p", client_type="hosted", api_base=server.url)
    assert [each.filename for each in caught] == [__file__]


def test_a_server_of_ours_is_found_and_not_warned_of(tmp_path: Path) -> None:
    settings = load_settings({}, store=str(tmp_path / "served.sqlite"))
    with served(Engines(settings)) as address, warnings.catch_warnings():
        warnings.simplefilter("error")
        manager = BudgetManager("p", client_type="hosted", api_base=address)
        manager.create_budget(10, "ann")
        assert manager.engine.status("ann").left.nanos == 10_000_000_000
        manager.engine.let_go()


@pytest.mark.parametrize("status", [200, 307, 401, 403, 404, 405, 429, 501])
def test_whoever_answers_otherwise_is_not_ours(server: DictionaryServer, status: int) -> None:
    server.instead = [(status, "text/html", "<p>What?")]
    assert not is_ours(server.url)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_in_trouble_is_not_taken_for_another(server: DictionaryServer, status: int) -> None:
    server.instead = [(status, "text/html", "<p>Oh.")]
    with pytest.raises(ServerError, match=str(status)):
        BudgetManager("p", client_type="hosted", api_base=server.url)
    assert server.paths == ["GET /v1/engine/info"]


def test_a_users_story(server: DictionaryServer, manager: BudgetManager) -> None:
    assert manager.get_users() == []
    record = manager.create_budget(10, "ann", duration="monthly")
    assert record == {
        "total_budget": 10,
        "duration": 28,
        "created_at": NOW.timestamp(),
        "last_updated_at": NOW.timestamp(),
        "current_cost": 0,
        "model_cost": {},
    }
    assert server.projects == {"p": {"ann": record}}
    updated = manager.update_cost("ann", completion_obj=REPLY)
    assert updated == {"user": server.projects["p"]["ann"]} == {"user": manager.user_dict["ann"]}
    assert updated["user"]["model_cost"] == {"gpt-4o-mini": 4.5e-06}
    assert manager.get_current_cost("ann").nanos == COST
    assert manager.get_model_cost("ann")["gpt-4o-mini"].exact == "0.0000045"
    assert manager.get_total_budget("ann") == 10
    assert manager.is_valid_user("ann")
    assert not manager.is_valid_user("anne")
    assert manager.projected_cost("gpt-4o-mini", [{"role": "user", "content": "Hey"}], "ann").nanos > COST
    manager.update_cost("ann", model="gpt-4o-mini", input_text="Hey", output_text="")
    assert manager.get_current_cost("ann").nanos > COST
    manager.reset_cost("ann")
    assert server.projects["p"]["ann"] == record


def test_what_is_written_is_what_litellm_reads(server: DictionaryServer, manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    manager.update_cost("ann", completion_obj=REPLY)
    saved = [body for path, _, body in server.asked if path == "POST /set_budget"]
    assert saved[-1] == (
        b'{"project_name": "p", "user_dict": {"ann": {"total_budget": 10.0, "current_cost": 4.5e-06,'
        b' "model_cost": {"gpt-4o-mini": 4.5e-06}}}}'
    )


def test_a_budget_without_a_duration_is_there_for_the_next_manager(
    server: DictionaryServer, manager: BudgetManager, clock: FixedClock
) -> None:
    manager.create_budget(2.5, "ann")
    assert on(server, clock).get_total_budget("ann") == 2.5


def test_what_others_have_written_stays(server: DictionaryServer, manager: BudgetManager) -> None:
    others = {"total_budget": 3, "current_cost": 0.1 + 0.2, "model_cost": {"x": 0.3}, "note": [1.5, None]}
    server.projects["p"] = {"ben": others, "ann": {"total_budget": 10, "team": "red"}}
    manager.update_cost("ann", completion_obj=REPLY)
    assert server.projects["p"]["ben"] == others
    assert server.projects["p"]["ann"]["team"] == "red"
    assert server.projects["p"]["ann"]["total_budget"] == 10
    manager.create_budget(5, "ben")
    assert server.projects["p"]["ben"] == {**others, "total_budget": 5, "current_cost": 0.3}
    assert manager.get_users() == ["ann", "ben"]


def test_costs_of_no_model_are_kept(server: DictionaryServer, manager: BudgetManager) -> None:
    server.projects["p"] = {"ann": {"total_budget": 10, "current_cost": 1.5, "model_cost": {"x": 1}}}
    assert manager.get_current_cost("ann") == 1.5
    manager.update_cost("ann", completion_obj=REPLY)
    assert manager.get_current_cost("ann").nanos == 1_500_000_000 + COST
    assert manager.get_model_cost("ann")["x"] == 1


def test_periods_do_not_drift(server: DictionaryServer, manager: BudgetManager, clock: FixedClock) -> None:
    manager.create_budget(10, "ann", duration="monthly")
    manager.update_cost("ann", completion_obj=REPLY)
    starts = []
    for _ in range(3):
        clock.advance(days=30)
        manager.update_cost("ann", completion_obj=REPLY)
        record = server.projects["p"]["ann"]
        starts.append(datetime.fromtimestamp(record["last_updated_at"], UTC).date().isoformat())
        assert record["created_at"] == NOW.timestamp()
    # From the 31st, and each charge begins a period that has nothing of the last one.
    assert starts == ["2026-02-28", "2026-03-31", "2026-04-30"]
    assert manager.get_current_cost("ann").nanos == COST


def test_a_period_that_has_ended_costs_nothing_and_is_written_when_asked(
    server: DictionaryServer, manager: BudgetManager, clock: FixedClock
) -> None:
    manager.create_budget(10, "ann", duration="daily")
    manager.create_budget(10, "ben")
    for user in ("ann", "ben"):
        manager.update_cost(user, completion_obj=REPLY)
    before = json.dumps(server.projects["p"])
    clock.advance(days=1)
    assert manager.get_current_cost("ann") == 0
    assert manager.get_current_cost("ben").nanos == COST
    assert json.dumps(server.projects["p"]) == before
    manager.reset_on_duration("ann")
    assert server.projects["p"]["ann"]["current_cost"] == 0
    assert server.projects["p"]["ben"]["current_cost"] == 4.5e-06
    sets = server.paths.count("POST /set_budget")
    manager.update_budget_all_users()
    assert server.paths.count("POST /set_budget") == sets


def test_another_duration_gives_no_money_back(
    server: DictionaryServer, manager: BudgetManager, clock: FixedClock
) -> None:
    manager.create_budget(10, "ann", duration="monthly")
    manager.update_cost("ann", completion_obj=REPLY)
    clock.advance(days=3)
    record = manager.create_budget(20, "ann", duration="yearly")
    assert (record["total_budget"], record["duration"]) == (20, 365)
    assert record["created_at"] == NOW.timestamp()
    assert manager.get_current_cost("ann").nanos == COST
    assert manager.create_budget(20, "ann").keys() == {"total_budget", "current_cost", "model_cost"}
    assert manager.get_current_cost("ann").nanos == COST


def test_threads_of_one_manager_lose_nothing(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: manager.update_cost("ann", completion_obj=REPLY), range(40)))
    assert manager.get_current_cost("ann").nanos == 40 * COST


def test_two_managers_in_turn_lose_nothing(
    server: DictionaryServer, manager: BudgetManager, clock: FixedClock
) -> None:
    other = on(server, clock)
    manager.create_budget(10, "ann")
    for each in (manager, other, manager, other):
        each.update_cost("ann", completion_obj=REPLY)
    assert manager.get_current_cost("ann").nanos == 4 * COST


def test_questions_in_a_row_are_one_reading(server: DictionaryServer) -> None:
    server.projects["p"] = {f"user{n}": {"total_budget": n} for n in range(20)}
    manager = hosted(server)
    assert len(manager.user_dict) == 20
    assert server.paths.count("POST /get_budget") == 1
    manager.update_cost("user3", completion_obj=REPLY)
    assert server.paths.count("POST /get_budget") == 2


def test_there_is_no_engine_below(server: DictionaryServer) -> None:
    with pytest.raises(ServerError, match="no holds") as caught:
        _ = hosted(server).engine
    assert "budget serve" in (caught.value.hint or "")


def test_an_unknown_user_is_told_who_is_near(server: DictionaryServer, manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    with pytest.raises(UnknownUserError) as caught:
        manager.update_cost("anne", completion_obj=REPLY)
    assert caught.value.hint == "did you mean ann?"
    with pytest.raises(KeyError):
        manager.reset_cost("zoe")
    with pytest.raises(InvalidValueError):
        manager.create_budget(-1, "ben")
    assert server.projects["p"].keys() == {"ann"}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        pytest.param(404, "not found", id="no such page"),
        pytest.param(200, "<p>Hi", id="html"),
        pytest.param(200, "[]", id="a list"),
        pytest.param(200, '{"data": {}}', id="no status"),
        pytest.param(200, '{"status": "success"}', id="no data"),
        pytest.param(200, '{"status": "success", "data": null}', id="null"),
        pytest.param(500, '{"status": "success", "data": {}}', id="an error of the server"),
    ],
)
def test_what_is_not_understood_changes_nothing(
    server: DictionaryServer, manager: BudgetManager, status: int, text: str
) -> None:
    server.projects["p"] = {"ann": {"total_budget": 1}}
    server.instead = [(status, "application/json", text)]
    with pytest.raises(ServerError, match="/get_budget"):
        manager.create_budget(10, "ben")
    assert server.paths == ["POST /get_budget"]


def test_a_project_that_was_there_is_not_taken_for_a_new_one(
    server: DictionaryServer, manager: BudgetManager
) -> None:
    manager.create_budget(10, "ann")
    server.instead = [(200, "application/json", '{"status": "error", "message": "the database is down"}')]
    with pytest.raises(ServerError, match="the database is down"):
        manager.create_budget(10, "ben")
    assert server.projects["p"].keys() == {"ann"}


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_a_key_says_how(
    server: DictionaryServer, manager: BudgetManager, status: int
) -> None:
    server.instead = [(status, "application/json", "{}")]
    with pytest.raises(AccessDeniedError) as caught:
        manager.get_users()
    assert "headers" in (caught.value.hint or "")


def test_a_save_that_is_refused_is_not_believed(server: DictionaryServer, manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    get = json.dumps({"status": "success", "data": server.projects["p"]})
    refused = '{"status": "error", "message": "read-only"}'
    server.instead = [(200, "application/json", text) for text in (get, get, refused)]
    with pytest.raises(ServerError, match="read-only"):
        manager.update_cost("ann", completion_obj=REPLY)
    assert manager.get_current_cost("ann") == 0


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(7, id="a number"),
        pytest.param({}, id="no total"),
        pytest.param({"total_budget": "much"}, id="no amount"),
        pytest.param({"total_budget": 1, "duration": 7, "created_at": "then"}, id="no moment"),
    ],
)
def test_a_damaged_record_is_named_and_left_alone(
    server: DictionaryServer, manager: BudgetManager, record: Any
) -> None:
    server.projects["p"] = {"ann": record, "ben": {"total_budget": 1}}
    with pytest.raises(ServerError, match='the record of "ann"'):
        manager.update_cost("ann", completion_obj=REPLY)
    manager.update_cost("ben", completion_obj=REPLY)
    assert server.projects["p"]["ann"] == record


LITELLM = """
import os, sys, threading
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from litellm import BudgetManager
manager = BudgetManager("p", client_type="hosted", api_base=sys.argv[1])
assert manager.get_users() == ["ann"], manager.user_dict
assert manager.get_current_cost("ann") == 4.5e-06
manager.create_budget(5, "ben", duration="weekly")
manager.update_cost("ben", model="gpt-4o-mini", input_text="Hey", output_text="Well.")
for thread in threading.enumerate():
    if "save_data" in thread.name:
        thread.join()
print(manager.get_current_cost("ben"))
"""


def test_litellms_own_client_and_this_one_read_each_other(
    server: DictionaryServer, manager: BudgetManager
) -> None:
    if not litellm_upstream.installed():
        pytest.skip("litellm is not installed")
    manager.create_budget(10, "ann", duration="monthly")
    manager.update_cost("ann", completion_obj=REPLY)
    ended = subprocess.run(
        [sys.executable, "-c", LITELLM, server.url], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    record = server.projects["p"]["ben"]
    assert manager.get_total_budget("ben") == 5
    # It is the clock of this manager that has moved back, before the period that LiteLLM began.
    assert record["current_cost"] == float(ended.stdout.split()[-1]) > 0
    assert manager.user_dict["ann"]["current_cost"] == 4.5e-06
