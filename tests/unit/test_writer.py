"""Many threads, one commit: every answer is its own, after its commit, whatever happens to the others."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from budgets.clock import utc_now
from budgets.engine import Engine, LimitTerms
from budgets.errors import BudgetExceededError, StoreError, UnknownUserError
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.sqlite import SqliteStore
from budgets.writer import Answered, Writer


@pytest.fixture
def store(tmp_path: Path):
    opened = SqliteStore(tmp_path / "budgets.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def writer(store: SqliteStore):
    made = Writer(store, "default", utc_now)
    yield made
    made.close()


@pytest.fixture
def engine(store: SqliteStore, writer: Writer) -> Engine:
    return Engine(store, clock=utc_now, processes=SystemProcesses(), runner=writer)


def test_what_threads_hold_together_is_exactly_what_fits(engine: Engine) -> None:
    engine.create("ann", LimitTerms(100))
    outcomes: list[str] = []

    def work() -> None:
        for _ in range(10):
            try:
                held = engine.hold("ann", 3, model="m")
            except BudgetExceededError as refusal:
                outcomes.append(refusal.code)
            else:
                engine.settle(held.hold.id, Charge(3, "m"))
                outcomes.append("charged")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("charged") == 33
    assert engine.status("ann").limits[0].totals.spent_nanos == 99
    assert engine.check().faults == ()


def test_operations_that_wait_together_share_one_commit(store: SqliteStore, writer: Writer) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow(txn: object, now: object) -> int:
        inside.set()
        assert go.wait(10)
        return id(txn)

    commits: dict[str, int] = {}
    all_done = threading.Semaphore(0)

    def note(name: str):
        def answer(given: Answered[int]) -> None:
            commits[name] = given.result()
            all_done.release()

        return answer

    writer.submit(slow, note("first"))
    assert inside.wait(10)
    # The writer is busy with the first, so these three wait together.
    for name in ("second", "third", "fourth"):
        writer.submit(lambda txn, now: id(txn), note(name))
    go.set()
    for _ in range(4):
        assert all_done.acquire(timeout=10)
    assert commits["second"] == commits["third"] == commits["fourth"]


def test_one_that_fails_undoes_itself_alone(engine: Engine, writer: Writer) -> None:
    engine.create("ann", LimitTerms(1_000))
    inside, go = threading.Event(), threading.Event()

    def slow(txn: object, now: object) -> None:
        inside.set()
        assert go.wait(10)

    results: dict[str, object] = {}

    def charge(name: str) -> None:
        try:
            results[name] = engine.charge(name, Charge(1, "m"))
        except UnknownUserError as error:
            results[name] = error

    blocker = threading.Thread(target=writer.run, args=(slow,))
    blocker.start()
    assert inside.wait(10)
    threads = [threading.Thread(target=charge, args=(name,)) for name in ("ann", "nobody")]
    for thread in threads:
        thread.start()
    go.set()
    for thread in (blocker, *threads):
        thread.join()
    assert isinstance(results["nobody"], UnknownUserError)
    assert engine.status("ann").limits[0].totals.spent_nanos == 1
    assert engine.check().faults == ()


def test_a_commit_that_fails_is_told_to_all_who_waited(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    writer = Writer(SqliteStore(tmp_path / "file" / "x.sqlite"), "default", utc_now)
    with pytest.raises(StoreError):
        writer.run(lambda txn, now: None)
    writer.close()


def test_a_closed_writer_finishes_first_and_takes_no_more(store: SqliteStore) -> None:
    writer = Writer(store, "default", utc_now)
    answers: list[int] = []
    for number in range(20):
        writer.submit(lambda txn, now, number=number: number, lambda given: answers.append(given.result()))
    writer.close()
    writer.close()
    assert answers == list(range(20))
    with pytest.raises(RuntimeError, match="closed"):
        writer.run(lambda txn, now: None)
