"""The engine's operations over HTTP: what a key may do, and what is refused before it is tried."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.clock import FixedClock
from budgets.engine import Change, Engine, LimitTerms
from budgets.errors import AccessDeniedError, ConflictError
from budgets.operations import NAMES
from budgets.records import ROOT, Charge
from budgets.remote import RemoteEngine
from budgets.server.principals import Principal
from budgets.server_link import Link
from budgets.stores.memory import MemoryStore
from tests.support.engines import START, FakeProcesses, open_engine
from tests.support.serving import Fixed, served


@pytest.fixture
def engine() -> Engine:
    """A team with two members, and somebody outside of it."""
    made = open_engine(MemoryStore())
    made.create("team", LimitTerms(1_000))
    made.create("ann", LimitTerms(100), parent="team")
    made.create("bob", parent="team")
    made.create("eve", LimitTerms(100))
    made.hold("ann", 10, hold_id="ann-1")
    made.hold("eve", 10, hold_id="eve-1")
    return made


@contextmanager
def reached(engine: Engine, principal: Principal | None = None, *, pid: int = 7) -> Iterator[RemoteEngine]:
    with served(Fixed(lambda _: engine, engine.store), principal) as address:
        remote = RemoteEngine(
            Link(address, None),
            project="default",
            desk=open_engine(MemoryStore()),
            processes=FakeProcesses(pid),
        )
        yield remote
        remote.let_go()


def test_who_may_read_may_not_spend_and_who_may_spend_may_not_change(engine: Engine) -> None:
    with reached(engine, Principal("read")) as remote:
        assert remote.status("ann").left.nanos == 90
        with pytest.raises(AccessDeniedError, match="of role read, may not make calls or charges for ann"):
            remote.hold("ann", 1)
    with reached(engine, Principal("meter")) as remote:
        remote.charge("ann", Charge(5))
        for attempt in (
            lambda: remote.change("ann", Change(total_nanos=10**9)),
            lambda: remote.create("mal", LimitTerms(10**9)),
            lambda: remote.reset("ann"),
            lambda: remote.correct("ann-1", -1, note="back"),
        ):
            with pytest.raises(AccessDeniedError, match="may not change"):
                attempt()
    assert engine.status("ann").left.nanos == 85


@pytest.mark.parametrize(
    ("principal", "sees"),
    [
        (Principal("admin", user="ann"), {"ann"}),
        (Principal("admin", under="team"), {"ann", "bob", "team"}),
    ],
    ids=["one user", "a subtree"],
)
def test_a_key_sees_and_changes_its_own_and_nothing_else(
    engine: Engine, principal: Principal, sees: set[str]
) -> None:
    with reached(engine, principal) as remote:
        assert set(remote.users()) == sees
        assert {each.budget.user for each in remote.statuses()} == sees
        assert [each.id for each in remote.holds()] == ["ann-1"]
        assert remote.settle("ann-1", Charge(3)).nanos == 3
        for attempt in (
            lambda: remote.status("eve"),
            lambda: remote.hold("eve", 1),
            lambda: remote.settle("eve-1", Charge(0)),
            lambda: remote.release("eve-1", reason="mine now"),
            lambda: remote.find_hold("eve-1"),
            lambda: remote.history(count=9),
            lambda: remote.entries(),
            lambda: remote.tree(),
            lambda: remote.status(ROOT),
            lambda: remote.change(ROOT, Change(total_nanos=1)),
            lambda: remote.change("ann", Change(parent="eve")),
            lambda: remote.create("new", parent=ROOT),
            lambda: remote.projects(),
            lambda: remote.info(),
            lambda: remote.reset_due(),
        ):
            with pytest.raises(AccessDeniedError):
                attempt()
    assert engine.find_hold("eve-1").nanos == 10


def test_a_key_of_one_project_has_no_other(engine: Engine) -> None:
    with (
        reached(engine, Principal("admin", project="elsewhere")) as remote,
        pytest.raises(AccessDeniedError, match="not for the project default"),
    ):
        remote.users()


def test_the_holds_of_a_client_that_is_gone_turn_unconfirmed_and_those_of_the_others_do_not() -> None:
    """Each client has a lease of its own; the server's being alive does not keep it."""
    clock = FixedClock(START)
    engine = open_engine(MemoryStore(), clock=clock)
    engine.create("ann", LimitTerms(100))
    with reached(engine, pid=7) as gone, reached(engine, pid=8) as alive:
        gone.hold("ann", 10, hold_id="gone-1")
        alive.hold("ann", 10, hold_id="alive-1")
        engine.hold("ann", 10, hold_id="own-1")
        for _ in range(5):
            clock.advance(seconds=30)
            alive.renew_lease()
            engine.renew_lease()
        assert [each.id for each in engine.expire()] == ["gone-1"]
        # It was only slow; what it cost is charged all the same.
        assert gone.settle("gone-1", Charge(4)).nanos == 4
    assert engine.check().faults == ()


def test_a_lease_goes_on_when_the_server_is_started_again(engine: Engine) -> None:
    processes, opened = FakeProcesses(7), []
    store = engine.store
    for number in range(2):
        again = open_engine(store, processes=FakeProcesses(100 + number))
        with served(Fixed(lambda _, again=again: again, store)) as address:
            if not opened:
                desk = open_engine(MemoryStore())
                opened.append(
                    RemoteEngine(Link(address, None), project="default", desk=desk, processes=processes)
                )
            remote = opened[0]
            remote._link._port = int(address.rpartition(":")[2])
            remote.let_go()
            remote.hold("ann", 1, hold_id=f"c{number}")
            remote.let_go()
    assert len({each.lease_id for each in engine.holds("ann") if each.id in ("c0", "c1")}) == 1


def test_an_operation_that_is_asked_for_again_is_done_once(engine: Engine) -> None:
    with reached(engine) as remote:
        for _ in range(2):
            remote.create("new", LimitTerms(50), change_id="set-1")
            remote.change("new", Change(boost_nanos=7), change_id="set-2")
            remote.change("new", Change(total_nanos=60), change_id="set-3")
            remote.charge("new", Charge(5), charge_id="c-1")
        first, second = (remote.reset("new", change_id="reset-1") for _ in range(2))
        assert first == second
        status = remote.status("new").limits[0]
        assert (status.limit.total_nanos, status.totals.spent_nanos) == (60, 0)
        assert [each.nanos for each in remote.entries("new") if each.kind == "boosted"] == [7]
        with pytest.raises(ConflictError):
            remote.change("ann", Change(total_nanos=1), change_id="set-3")
        with pytest.raises(ConflictError):
            remote.reset("ann", change_id="c-1")
    assert engine.check().faults == ()


def asked(connection: HTTPConnection, name: str, body: bytes, query: str = "") -> tuple[int, Any]:
    connection.request("POST", f"/v1/engine/{name}{query}", body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@pytest.fixture
def connection(engine: Engine) -> Iterator[HTTPConnection]:
    with served(Fixed(lambda _: engine, engine.store)) as address:
        opened = HTTPConnection(address.removeprefix("http://"))
        yield opened
        opened.close()


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("status", b'{"user": "ann"}', 200),
        ("status", b'{"user": "nobody"}', 404),
        ("status", b"{}", 422),
        ("status", b"[]", 422),
        ("status", b"\xff", 422),
        ("status", b'{"user": "ann", "more": 1}', 422),
        ("history", b'{"count": 2001}', 422),
        ("history", b'{"count": -1}', 422),
        ("hold", b'{"user": "ann", "needed": "1000.00", "holder": 1}', 422),
        ("nonsense", b"{}", 404),
        ("__init__", b"{}", 404),
        ("status", b'{"user": "' + b"a" * 2_000_000 + b'"}', 413),
    ],
)
def test_the_status_says_what_came_of_it(
    connection: HTTPConnection, name: str, body: bytes, status: int
) -> None:
    assert asked(connection, name, body)[0] == status


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["ann", "1.00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_whatever_is_sent_the_server_is_not_at_fault(connection: HTTPConnection) -> None:
    keys = [
        "user",
        "needed",
        "holder",
        "hold_id",
        "cost",
        "usd",
        "limits",
        "wanted",
        "at",
        "since",
        "quote",
        "count",
    ]

    @settings(max_examples=150)
    @given(
        st.sampled_from(NAMES),
        st.dictionaries(st.sampled_from(keys), json_values, max_size=4),
        st.sampled_from(["", "?project=", "?project=%00", "?project=x&project=y"]),
    )
    def fuzzed(name: str, document: dict[str, Any], query: str) -> None:
        status, answer = asked(connection, name, json.dumps(document).encode(), query)
        assert status < 500, answer

    fuzzed()
