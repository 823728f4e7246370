"""Keys and marks on every kind of store, and what the engine makes of keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from budgets.clock import FixedClock
from budgets.engine import keys
from budgets.errors import (
    ConflictError,
    InvalidValueError,
    UnauthenticatedError,
    UnknownKeyError,
    UnknownUserError,
)
from budgets.ports import Store, Transaction
from budgets.records import Key, Mark
from tests.support.engines import START, open_engine

FINE = datetime(2026, 1, 15, 23, 59, 59, 999_999, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def test_a_key_comes_back_as_it_was_put(store: Store) -> None:
    plain = Key("a", "admin", "00" * 32, FINE)
    full = Key("b", "meter", "ff" * 32, FINE - TICK, "日本", "", FINE + TICK, FINE, "a “note”")
    below = Key("c", "read", "11" * 32, FINE, None, "team")
    for project in ("p", "q"):
        with store.transaction(project) as txn:
            for key in (plain, full, below) if project == "p" else (plain,):
                txn.put_key(key)
            assert txn.key("a") == plain
    with store.reading("p") as view:
        assert view.keys() == [full, plain, below]
        assert (view.key("b"), view.key("x")) == (full, None)
    assert store.keys() == [("p", full), ("p", plain), ("p", below), ("q", plain)]


def test_a_key_is_replaced_by_the_one_of_its_id(store: Store) -> None:
    key = Key("a", "admin", "00" * 32, FINE)
    for each in (key, replace(key, revoked_at=FINE)):
        with store.transaction("p") as txn:
            txn.put_key(each)
    assert store.keys() == [("p", replace(key, revoked_at=FINE))]


def test_marks_come_back_by_client_and_go_when_they_are_old(store: Store) -> None:
    old = Mark("a", "ann", FINE, {"total_usd": "1.00", "periods": [[0, {"m": "0.10"}]]})
    new = Mark("a", "bob", FINE + TICK, {})
    other = Mark("b", "ann", FINE + TICK, {"days": None})
    with store.transaction("p") as txn:
        for mark in (other, new, replace(old, said={}), old):
            txn.put_mark(mark)
    with store.transaction("q") as txn:
        txn.put_mark(old)
    with store.reading("p") as view:
        assert view.marks() == [old, new, other]
        assert view.marks("a") == [old, new]
        assert view.marks("nobody") == []
    with store.transaction("p") as txn:
        assert txn.remove_marks(FINE + TICK) == 1
        assert txn.marks() == [new, other]
    with store.reading("q") as view:
        assert view.marks() == [old]


def test_what_is_undone_leaves_no_key_and_no_mark(store: Store) -> None:
    def fail(txn: Transaction) -> None:
        with txn.savepoint():
            txn.put_key(Key("a", "admin", "", FINE))
            txn.put_mark(Mark("a", "ann", FINE, {}))
            raise RuntimeError

    with store.transaction("p") as txn:
        with pytest.raises(RuntimeError):
            fail(txn)
        assert (txn.keys(), txn.marks()) == ([], [])


def test_only_the_text_that_was_shown_opens(store: Store) -> None:
    made = open_engine(store).create_key("admin", key_id="ops")
    key_id, secret = keys.parse(made.text)
    assert (key_id, keys.verify(made.key, secret, START)) == ("ops", made.key)
    assert secret not in repr(made) + repr(store.keys())
    for wrong in ("", "x", secret[:-1], secret + "x", made.key.secret_hash):
        with pytest.raises(UnauthenticatedError, match="there is no such key"):
            keys.verify(made.key, wrong, START)
    with pytest.raises(UnauthenticatedError, match="there is no such key"):
        keys.verify(None, "", START)


@pytest.mark.parametrize("text", ["", "bk", "bk_", "bk_a", "bk_a_", "sk_a_b", "bk_ä_b"])
def test_what_is_no_key_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UnauthenticatedError, match="that is no key"):
        keys.parse(text)


def test_a_key_is_refused_when_it_has_expired_or_was_revoked_and_not_before(store: Store) -> None:
    clock = FixedClock(START)
    engine = open_engine(store, clock=clock)
    made = engine.create_key("read", expires_at=START + TICK)
    _, secret = keys.parse(made.text)
    assert keys.verify(made.key, secret, START) == made.key
    with pytest.raises(UnauthenticatedError, match="has expired"):
        keys.verify(made.key, secret, START + TICK)
    clock.advance(seconds=1)
    revoked = engine.revoke_key(made.key.id)
    clock.advance(seconds=1)
    assert engine.revoke_key(made.key.id) == revoked
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        keys.verify(revoked, secret, START)
    with pytest.raises(InvalidValueError, match="was revoked"):
        engine.rotate_key(made.key.id)


def test_a_rotated_key_has_another_secret_and_the_same_bounds(store: Store) -> None:
    engine = open_engine(store)
    engine.create("ann")
    made = engine.create_key("meter", user="ann", note="x")
    again = engine.rotate_key(made.key.id)
    assert replace(again.key, secret_hash=made.key.secret_hash) == made.key
    with pytest.raises(UnauthenticatedError):
        keys.verify(again.key, keys.parse(made.text)[1], START)
    assert engine.keys() == [again.key]


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        pytest.param({"role": "admin", "user": "ann"}, InvalidValueError, id="an admin of one user"),
        pytest.param({"role": "admin", "under": "ann"}, InvalidValueError, id="an admin of a subtree"),
        pytest.param({"role": "read", "user": "ann", "under": "ann"}, InvalidValueError, id="two bounds"),
        pytest.param({"role": "read", "user": "nobody"}, UnknownUserError, id="a user that is not there"),
        pytest.param({"role": "read", "expires_at": START}, InvalidValueError, id="it has expired already"),
        pytest.param({"role": "read", "note": "x" * 201}, InvalidValueError, id="a long note"),
        pytest.param({"role": "read", "key_id": "A_b"}, InvalidValueError, id="an id that cannot be parted"),
        pytest.param({"role": "read", "key_id": "there"}, ConflictError, id="an id that is taken"),
    ],
)
def test_a_key_that_cannot_be_meant_is_not_made(store: Store, wanted: dict, error: type[Exception]) -> None:
    engine = open_engine(store)
    engine.create("ann")
    engine.create_key("read", key_id="there")
    with pytest.raises(error):
        engine.create_key(**wanted)
    assert engine.keys()[0].id == "there"
    assert len(engine.keys()) == 1


def test_a_key_that_is_not_there_is_said(store: Store) -> None:
    engine = open_engine(store)
    for deed in (engine.revoke_key, engine.rotate_key):
        with pytest.raises(UnknownKeyError, match="there is no key x"):
            deed("x")
