"""From settled calls to the next quote, for every kind of store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from budgets.asks import Ask, Count
from budgets.clock import FixedClock
from budgets.engine import Engine, LimitTerms, learning
from budgets.lessons import Learned, Lesson
from budgets.ports import Store
from budgets.prices import open_book
from budgets.pricing import PriceBook
from budgets.records import Charge, Quote
from budgets.usage import Usage
from tests.support.engines import START, FakeProcesses

TOPIC = ("openai/gpt-4o-mini", "text", 3, "by hand")
LESSONS = (
    Lesson(("a/1", "text", 2, "tiktoken:o200k_base +4/message"), ((97, 3), (104, 140)), 142),
    Lesson(("a/1", "text", 4, "tiktoken:o200k_base +4/message"), ((1_000, 1),)),
    Lesson(("日本/m", "text+tools", 3, "calibrated"), ((1, 2),), 2),
)


class ByHand:
    """Counts every request as 100 tokens, 120 at most."""

    def count(self, ask: Ask, *, provider: str | None) -> Count:
        return Count(100, 120, "by hand")

    def count_text(self, text: str, *, provider: str | None, model: str) -> Count:
        return Count(1, 1, "by hand")


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return open_book(None)


@pytest.fixture
def opened(book: PriceBook) -> Callable[..., Engine]:
    def opened(store: Store, *, clock: FixedClock | None = None, project: str = "default") -> Engine:
        engine = Engine(
            store,
            clock=clock or FixedClock(START),
            processes=FakeProcesses(),
            project=project,
            book=lambda: book,
            counter=ByHand,
        )
        engine.create("ann", LimitTerms(10**12), if_missing=True)
        return engine

    return opened


def quote(engine: Engine, *, unbounded: tuple[str, ...] = ()) -> Quote:
    return engine.quote(Ask("openai-chat", "gpt-4o-mini", texts=("x",), unbounded=unbounded))


def call(
    engine: Engine, reported: int, *, nanos: int = 5, quoted: Quote | None = None, **how: object
) -> None:
    """One call under an estimate of 100, of which the provider says that it read so many tokens."""
    held = engine.hold("ann", quoted or quote(engine))
    cost = Charge(nanos, "gpt-4o-mini", Usage.of(input=reported, output=7))
    engine.settle(held.hold.id, replace(cost, **how))


def test_what_was_learned_comes_back_and_is_replaced(store: Store) -> None:
    learned = Learned("e", LESSONS)
    with store.transaction("work") as txn:
        assert txn.learned() == Learned()
        txn.put_learned(learned)
        assert txn.learned() == learned
    with store.reading("work") as view:
        assert view.learned() == learned
    with store.reading("default") as view:
        assert view.learned() == Learned()
    with store.transaction("work") as txn:
        txn.put_learned(Learned("f", LESSONS[1:]))
    with store.reading("work") as view:
        assert view.learned() == Learned("f", LESSONS[1:])
    with store.transaction("work") as txn:
        txn.put_learned(Learned())
    with store.reading("work") as view:
        assert view.learned() == Learned()


def test_a_savepoint_that_is_undone_has_learned_nothing(store: Store) -> None:
    def broken(txn: object) -> None:
        with txn.savepoint():
            txn.put_learned(Learned("e", LESSONS))
            raise KeyError

    with store.transaction("default") as txn:
        with pytest.raises(KeyError):
            broken(txn)
        assert txn.learned() == Learned()


def test_the_next_quote_follows_what_was_reported(store: Store, opened: Callable[..., Engine]) -> None:
    engine = opened(store)
    shipped = quote(engine)
    for _ in range(20):
        call(engine, 130)
    assert engine.learned() == (Learned(), None), "no call writes what is learned"
    engine.reset_due()
    learned = quote(engine)
    assert (learned.input_tokens, learned.input_tokens_most) == (130, 137)
    assert learned.counted == "learned:openai/gpt-4o-mini n=20 p50 1.30 of by hand"
    assert learned.counted_most == "learned:openai/gpt-4o-mini n=20 p99 1.30 of by hand"
    assert learned.prompt_nanos == shipped.prompt_nanos * 130 // 100
    assert learned.most_nanos > shipped.most_nanos
    # What follows is compared with our own count as well, so that the factor stays what it is.
    for _ in range(20):
        call(engine, 130)
    engine.reset_due()
    assert quote(engine).input_tokens == 130
    assert engine.check().faults == ()


def test_later_calls_are_added_to_earlier_ones(
    store: Store, opened: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "_PAGE", 3)
    engine = opened(store)
    for reported in (90, 110, 130):
        for _ in range(7):
            call(engine, reported, nanos=10**9 if reported == 130 else 5)
        engine.reset_due()
    learned, at = engine.learned()
    assert learned.lessons == (Lesson(TOPIC, ((90, 7), (110, 7), (130, 7)), 14),)
    assert at == START
    assert learning.learn(store, "default") == (learned, learned), "nothing is left to read"


def test_who_loses_what_was_learned_learns_the_same(store: Store, opened: Callable[..., Engine]) -> None:
    engine = opened(store)
    for reported in (90, 110, 130):
        call(engine, reported)
        engine.reset_due()
    learned, _ = engine.learned()
    for lost in (Learned(), Learned("an entry that is not there", LESSONS)):
        with store.transaction("default") as txn:
            txn.put_learned(lost)
        engine.reset_due()
        assert engine.learned()[0] == learned


def test_one_run_reads_so_many_entries_and_the_next_goes_on(
    store: Store, opened: Callable[..., Engine]
) -> None:
    engine = opened(store)
    for _ in range(4):
        call(engine, 130)
    calls = []
    while True:
        before, learned = learning.learn(store, "default", most_entries=2)
        if learned == before:
            break
        with store.transaction("default") as txn:
            assert learning.keep(txn, before, learned)
        calls.append(sum(lesson.calls for lesson in learned.lessons))
    # The budget and its periods are entries as well.
    assert calls[-1] == 4
    assert len(calls) == -(-len(engine.entries()) // 2)


def test_of_two_who_learn_at_once_one_is_kept(store: Store, opened: Callable[..., Engine]) -> None:
    engine = opened(store)
    call(engine, 130)
    found = [learning.learn(store, "default") for _ in range(2)]
    with store.transaction("default") as txn:
        assert [learning.keep(txn, *each) for each in found] == [True, False]
    assert sum(lesson.calls for lesson in engine.learned()[0].lessons) == 1


def test_what_does_not_compare_teaches_nothing(store: Store, opened: Callable[..., Engine]) -> None:
    engine = opened(store)
    ours = Usage.of(input=500, how="estimated:tiktoken:o200k_base")
    call(engine, 500, usage=ours, how="estimated:tiktoken:o200k_base")
    call(engine, 500, usage=None, how="amount")
    call(engine, 500, quoted=quote(engine, unbounded=("a file by reference",)))
    call(engine, 500, prices={"others": [{"model": "openai/gpt-4o", "usage": {"input": 9}}]})
    call(engine, 0)
    engine.charge("ann", Charge(5, "gpt-4o-mini", Usage.of(input=500)))
    released = engine.hold("ann", quote(engine)).hold.id
    engine.release(released, reason="it never left")
    engine.settle(released, Charge(5, "gpt-4o-mini", Usage.of(input=500)))
    engine.reset_due()
    learned, _ = engine.learned()
    assert learned.lessons == ()
    assert learned.through is not None


def test_everything_that_was_read_counts_cached_or_not(store: Store, opened: Callable[..., Engine]) -> None:
    engine = opened(store)
    call(engine, 100, usage=Usage.of(input=30, cached_input=50, cache_write=25, output=999))
    engine.reset_due()
    assert engine.learned()[0].lessons == (Lesson(TOPIC, ((105, 1),), 1),)


def test_a_project_learns_for_itself(store: Store, opened: Callable[..., Engine]) -> None:
    one, other = opened(store), opened(store, project="other")
    for _ in range(20):
        call(one, 130)
    for engine in (one, other):
        engine.reset_due()
    assert quote(one).input_tokens == 130
    assert quote(other).input_tokens == 100


def test_a_running_engine_notices_within_minutes(store: Store, opened: Callable[..., Engine]) -> None:
    clock = FixedClock(START)
    running, cron = opened(store, clock=clock), opened(store, clock=clock)
    for _ in range(20):
        call(running, 130)
    cron.reset_due()
    assert quote(running).input_tokens == 100, "no quote reads the store again"
    clock.advance(minutes=10)
    assert quote(running).input_tokens == 130
    clock.set(START - timedelta(days=1))
    assert quote(running).input_tokens == 130


def test_a_dry_run_and_a_second_run_write_nothing(store: Store, opened: Callable[..., Engine]) -> None:
    engine = opened(store)
    call(engine, 130)
    engine.reset_due(dry_run=True)
    assert engine.learned() == (Learned(), None)
    engine.reset_due()
    learned, _ = engine.learned()
    engine.reset_due()
    assert engine.learned()[0] == learned
