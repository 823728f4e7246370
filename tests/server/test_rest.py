"""The REST API, as `curl` speaks it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest
from budgets_cli.results import budget_document
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets import wire
from budgets.clock import FixedClock
from budgets.engine import Change, Engine, LimitTerms
from budgets.money import format_usd, parse_usd
from budgets.periods import PeriodRule
from budgets.server.documents import ChargeTerms, HoldTerms, NewLimitTerms, SettleTerms
from budgets.server.openapi import document
from budgets.server.principals import Principal, Role
from budgets.server.rest import ROUTES, Route
from budgets.stores.memory import MemoryStore
from tests.support.engines import START, open_engine
from tests.support.serving import Fixed, served


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    json: Any


class Api:
    """Speaks to a server as `curl` does."""

    def __init__(self, address: str) -> None:
        self._connection = HTTPConnection(address.removeprefix("http://"))

    def __call__(self, line: str, body: Any = None) -> Answer:
        method, path = line.split(" ")
        self._connection.request(method, path, None if body is None else json.dumps(body))
        response = self._connection.getresponse()
        text = response.read()
        return Answer(response.status, dict(response.headers), json.loads(text))

    def close(self) -> None:
        self._connection.close()


# From the one that may least to the one that may everything.
ROLES: tuple[Role, ...] = ("read", "meter", "admin")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def engine(clock: FixedClock) -> Engine:
    return open_engine(MemoryStore(), clock=clock)


@pytest.fixture
def api(engine: Engine) -> Iterator[Api]:
    with served(Fixed(lambda _: engine, engine.store)) as address:
        opened = Api(address)
        yield opened
        opened.close()


def test_a_call_from_budget_to_charge(api: Api, engine: Engine) -> None:
    made = api("PUT /v1/budgets/ann", {"total_usd": "10.00", "every": "month"})
    assert (made.status, made.json["left_usd"], made.json["limits"][0]["every"]) == (200, "10.00", "month")
    held = api("POST /v1/budgets/ann/holds", {"usd": "4.00", "id": "call-1", "model": "gpt-4o-mini"})
    assert (held.json["id"], held.json["held_usd"], held.json["left_usd"]) == ("call-1", "4.00", "6.00")
    settled = api("POST /v1/holds/call-1/settle", {"usd": "0.0000000315"[:11]})
    assert (settled.json["model"], settled.json["repeated"]) == ("gpt-4o-mini", False)
    assert api("POST /v1/holds/call-1/settle", {"usd": settled.json["cost_usd"]}).json["repeated"] is True
    kinds = [each["kind"] for each in api("GET /v1/budgets/ann/entries").json["entries"]]
    assert kinds[0] == "charge"
    assert engine.check().faults == ()


def test_a_budget_is_what_the_command_line_says_it_is(api: Api, engine: Engine) -> None:
    engine.create("team", LimitTerms(parse_usd("50"), PeriodRule(1, "month", "Europe/Berlin")))
    engine.create("ann", LimitTerms(parse_usd("9")), parent="team")
    engine.change("ann", Change(boost_nanos=5, warn_at=(50,)))
    engine.create("bob", parent="ann")
    engine.hold("bob", 7)
    for user in ("team", "ann", "bob"):
        assert api(f"GET /v1/budgets/{user}").json == budget_document(engine.status(user))


def test_putting_again_changes_nothing_and_keeps_what_is_not_named(api: Api, engine: Engine) -> None:
    rule = PeriodRule(1, "month", "Europe/Berlin", START.replace(tzinfo=None))
    engine.create("ann", LimitTerms(parse_usd("5"), rule))
    terms = {"total_usd": "7.00", "every": "month", "frozen": True}
    first = api("PUT /v1/budgets/ann", terms).json
    entries = len(engine.entries())
    assert (api("PUT /v1/budgets/ann", terms).json, len(engine.entries())) == (first, entries)
    limit = engine.status("ann").limits[0].limit
    assert (limit.total_nanos, limit.rule, first["state"]) == (parse_usd("7"), rule, "frozen")
    assert api("PUT /v1/budgets/ann", {"frozen": False, "every": "week"}).json["limits"][0]["every"] == "week"


def test_a_refusal_says_all_that_a_program_has_to_know(api: Api) -> None:
    api("PUT /v1/budgets/ann", {"total_usd": "1.00", "every": "month"})
    used_up = api("POST /v1/budgets/ann/holds", {"usd": "1.01"})
    assert (used_up.status, used_up.headers["Content-Type"].split(";")[0]) == (
        402,
        "application/problem+json",
    )
    wanted = {
        "left_usd": "1.00",
        "held_usd": "0.00",
        "needed_usd": "1.01",
        "limit_user": "ann",
        "retry": False,
    }
    assert used_up.json.items() >= wanted.items()
    assert used_up.json["resets_at"] == "2026-02-01T00:00:00Z"
    api("POST /v1/budgets/ann/holds", {"usd": "1.00", "id": "c"})
    busy = api("POST /v1/budgets/ann/holds", {"usd": "1.00"})
    assert (busy.status, busy.json["code"], busy.json["retry"], busy.headers["Retry-After"]) == (
        429,
        "busy",
        True,
        "1",
    )
    conflict = api("POST /v1/budgets/ann/holds", {"usd": "0.99", "id": "c"})
    assert (conflict.status, conflict.json["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("line", "body", "status"),
    [
        ("GET /v1/budgets/nobody", None, 404),
        ("POST /v1/holds/none/settle", {"usd": "1.00"}, 404),
        ("PUT /v1/budgets/new", {"every": "month"}, 422),
        ("PUT /v1/budgets/new", {"total_usd": 1}, 422),
        ("PUT /v1/budgets/new", {"total": "1.00"}, 422),
        ("PUT /v1/budgets/new", {"parent": "nobody"}, 404),
        ("GET /v1/budgets?count=0", None, 422),
        ("GET /v1/budgets?limit=5", None, 422),
        ("GET /v1/budgets/nobody/entries?before=x", None, 404),
        ("DELETE /v1/budgets/ann", None, 405),
        ("GET /v2", None, 404),
    ],
)
def test_what_cannot_be_done_says_so(api: Api, line: str, body: Any, status: int) -> None:
    answer = api(line, body)
    assert (answer.status, answer.json["status"]) == (status, status)


def test_pages_follow_one_another_without_gaps(api: Api, engine: Engine) -> None:
    names = sorted(f"user {number}/{number}" for number in range(7))
    for name in names:
        assert api(f"PUT /v1/budgets/{quote(name, safe='')}", {"total_usd": "1.00"}).json["user"] == name
    found, after = [], ""
    while after is not None:
        page = api(f"GET /v1/budgets?count=3&after={quote(after)}").json
        found += [each["user"] for each in page["budgets"]]
        after = page["next"]
    assert found == names
    entries, before = [], None
    path = f"/v1/budgets/{quote(names[0], safe='')}"
    for number in range(5):
        api(f"POST {path}/charges", {"usd": "0.01", "id": f"c{number}"})
    while True:
        page = api(f"GET {path}/entries?count=2" + (f"&before={quote(before)}" if before else "")).json
        entries += [each["id"] for each in page["entries"]]
        before = page["next"]
        if before is None:
            break
    assert entries == [each.id for each in reversed(engine.entries(names[0]))]


def test_a_hold_lasts_two_minutes_unless_it_is_asked_for_again(
    api: Api, engine: Engine, clock: FixedClock
) -> None:
    api("PUT /v1/budgets/ann", {"total_usd": "1.00"})
    for name in ("kept", "left"):
        api("POST /v1/budgets/ann/holds", {"usd": "0.10", "id": name})
    clock.advance(seconds=90)
    api("POST /v1/budgets/ann/holds", {"usd": "0.10", "id": "kept"})
    clock.advance(seconds=60)
    assert [each.id for each in engine.expire()] == ["left"]
    assert api("POST /v1/holds/left/release", {"reason": "gave up"}).json["kind"] == "released"
    assert api("GET /v1/budgets/ann").json["held_usd"] == "0.10"


def test_a_key_has_its_role_and_its_users(engine: Engine) -> None:
    engine.create("ann", LimitTerms(10))
    engine.create("bob", LimitTerms(10))
    engine.hold("bob", 1, hold_id="bobs")
    with served(Fixed(lambda _: engine, engine.store), Principal("meter", user="ann")) as address:
        api = Api(address)
        assert [each["user"] for each in api("GET /v1/budgets").json["budgets"]] == ["ann"]
        for line, body in (
            ("GET /v1/budgets/bob", None),
            ("GET /v1/budgets/bob/entries", None),
            ("PUT /v1/budgets/ann", {"total_usd": "9.00"}),
            ("PUT /v1/budgets/new", {"total_usd": "9.00"}),
            ("POST /v1/budgets/ann/reset", {}),
            ("POST /v1/budgets/bob/charges", {"usd": "0.00"}),
            ("POST /v1/budgets/bob/holds", {"usd": "0.00"}),
            ("POST /v1/holds/bobs/settle", {"usd": "0.00"}),
            ("POST /v1/holds/bobs/release", {}),
        ):
            assert api(line, body).status == 403, line
        assert api("POST /v1/budgets/ann/charges", {"usd": "0.00"}).status == 200
        api.close()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_needs_the_role_that_its_table_names(engine: Engine, route: Route) -> None:
    engine.create("ann", LimitTerms(10))
    engine.hold("ann", 1, hold_id="call")
    path = route.path.replace("{user}", "ann").replace("{id}", "call").replace("{limit}", "none")
    refused = []
    for role in ROLES:
        with served(Fixed(lambda _: engine, engine.store), Principal(role)) as address:
            api = Api(address)
            costs = route.takes in (ChargeTerms, HoldTerms, SettleTerms)
            body = {"usd": "0"} if costs else {"total_usd": "1"} if route.takes is NewLimitTerms else {}
            refused.append(api(f"{route.method} {path}", body if route.takes else None).status == 403)
            api.close()
    assert refused == [ROLES.index(role) < ROLES.index(route.action) for role in ROLES]


# The project's own budget, and more limits than one


def test_a_call_must_fit_the_projects_budget_too(api: Api, engine: Engine) -> None:
    engine.create("ann", LimitTerms(parse_usd("10")))
    made = api("PUT /v1/project", {"total_usd": "1", "every": "day"}).json
    assert (made["user"], made["limits"][0]["every"], made["left_usd"]) == (None, "day", "1.00")
    refused = api("POST /v1/budgets/ann/holds", {"usd": "2"})
    assert (refused.status, refused.json["limit_user"], refused.json["left_usd"]) == (402, None, "1.00")
    assert api("GET /v1/project").json == made
    assert api("GET /v1/project/entries?count=1").json["entries"][0]["kind"] == "limit_changed"
    assert api("POST /v1/project/reset", {"id": "r1"}).status == 200


def test_a_key_of_one_user_does_not_see_the_projects_budget(engine: Engine) -> None:
    engine.create("ann")
    with served(Fixed(lambda _: engine, engine.store), Principal("read", user="ann")) as address:
        api = Api(address)
        assert [api(f"GET {path}").status for path in ("/v1/budgets/ann", "/v1/project")] == [200, 403]
        api.close()


def test_a_budget_has_more_limits_than_one(api: Api, engine: Engine) -> None:
    engine.create("ann", LimitTerms(parse_usd("10")))
    terms = {"total_usd": "1", "every": "day", "timezone": "Europe/Berlin", "id": "more"}
    added = api("POST /v1/budgets/ann/limits", terms).json
    assert [each["total_usd"] for each in added["limits"]] == ["10.00", "1.00"]
    assert added["left_usd"] == "1.00"
    assert api("POST /v1/budgets/ann/limits", terms).json == added
    second = added["limits"][1]["id"]
    left = api(f"DELETE /v1/budgets/ann/limits/{second}").json
    assert [each["total_usd"] for each in left["limits"]] == ["10.00"]
    assert api(f"DELETE /v1/budgets/ann/limits/{second}").status == 422


def test_a_budget_without_limits_gets_one_with_its_period(api: Api, engine: Engine) -> None:
    engine.create("ann")
    made = api("PUT /v1/budgets/ann", {"total_usd": "5", "every": "month"}).json
    assert made["limits"][0]["every"] == "month"


def test_a_name_with_a_slash_is_a_name(api: Api, engine: Engine) -> None:
    engine.create("ann/run-1")
    assert api("GET /v1/budgets/ann%2Frun-1").json["user"] == "ann/run-1"


@pytest.mark.parametrize("text", ["4", "4.5", "4.50", "0.000000001"])
def test_an_amount_is_written_as_people_write_it(api: Api, text: str) -> None:
    assert api("PUT /v1/budgets/ann", {"total_usd": text}).json["left_usd"] == format_usd(parse_usd(text))


@pytest.mark.parametrize("amount", [4, 4.5, "", ".", "4.", ".5", "1e3", "4.0000000001", "-", "4,5", "٤"])
def test_what_is_no_amount_is_said(api: Api, amount: Any) -> None:
    answer = api("PUT /v1/budgets/ann", {"total_usd": amount})
    assert (answer.status, answer.json["code"]) == (422, "invalid_value")


# Problems


def test_the_type_of_a_problem_leads_to_what_it_means(api: Api) -> None:
    answer = api("GET /v1/budgets/nobody").json
    assert answer["type"] == "/problems/unknown_user"
    assert api(f"GET {answer['type']}").json == {
        "type": "/problems/unknown_user",
        "code": "unknown_user",
        "says": "Raised when a user has no budget in this project.",
    }


def test_a_status_that_says_it_all_has_no_type_of_its_own(api: Api) -> None:
    for path in ("/nowhere", "/problems/nothing"):
        answer = api(f"GET {path}")
        assert (answer.status, answer.json["type"]) == (404, "about:blank")
        assert "/openapi.json" in answer.json["hint"]


# OpenAPI


def test_the_document_is_served_and_names_every_route(api: Api) -> None:
    said = api("GET /openapi.json").json
    assert said == json.loads(json.dumps(document()))
    assert {(route.path, route.method.lower()) for route in ROUTES} <= {
        (path, method) for path, methods in said["paths"].items() for method in methods
    }
    ids = [each["operationId"] for methods in said["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_in_the_document_leads_somewhere() -> None:
    said = document()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                place: Any = said
                for name in value["$ref"].removeprefix("#/").split("/"):
                    place = place[name]
            for each in value.values():
                look(each)
        elif isinstance(value, (list, tuple)):
            for each in value:
                look(each)

    look(said)


def test_answers_are_what_the_document_says(api: Api, engine: Engine) -> None:
    """Every field that a schema needs is there, and no other."""
    api("PUT /v1/budgets/ann", {"total_usd": "1.00"})
    said = document()
    for line, body in (
        ("GET /v1/budgets", None),
        ("GET /v1/budgets/ann", None),
        ("GET /v1/budgets/ann/entries", None),
        ("POST /v1/budgets/ann/charges", {"usd": "0.10"}),
        ("POST /v1/budgets/ann/holds", {"usd": "0.10"}),
    ):
        method, path = line.split(" ")
        described = said["paths"][path.replace("ann", "{user}")][method.lower()]["responses"]["200"]
        reference = described["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        schema = said["components"]["schemas"][reference]
        answer = api(line, body).json
        assert set(schema["required"]) <= answer.keys() <= schema["properties"].keys()
    assert wire.schema_named("BudgetTerms")["required"] == []


values = (
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["1.00", "month", "UTC", "ann"])
)


def test_whatever_is_sent_the_server_is_not_at_fault(api: Api) -> None:
    names = st.sampled_from(["ann", "bob", "%00", "%2F", "é", "a b", "."]).map(
        lambda name: quote(name, safe="%")
    )
    fields = st.sampled_from(
        ["usd", "total_usd", "id", "every", "timezone", "parent", "at", "note", "reason", "frozen"]
    )

    @settings(max_examples=150)
    @given(st.sampled_from(ROUTES), names, st.dictionaries(fields, values, max_size=4), st.text(max_size=5))
    def fuzzed(route: Any, name: str, body: Any, text: str) -> None:
        path = re.sub(r"\{\w+\}", name, route.path)
        query = f"?{route.query[0][0]}={quote(text)}" if route.query else ""
        answer = api(f"{route.method} {path}{query}", body)
        assert answer.status < 500, answer

    fuzzed()
