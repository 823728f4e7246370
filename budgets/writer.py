"""
One thread, one queue: the operations of many threads in one commit.

A commit waits for the disk; what else has arrived meanwhile goes into the next one together. An answer is
given only after its commit. Operations may be run twice (nothing of the first run is kept), so they do
nothing but use their transaction.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar, cast

from budgets.ports import Clock, Store, Transaction

T = TypeVar("T")
Operation = Callable[[Transaction, datetime], T]

# More in one commit would make the first of them wait longer than a commit costs.
MOST_IN_ONE_COMMIT = 128

# About a commit's own time: nobody waits longer for company. A lone caller does not wait at all.
LONGEST_GATHERING_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What came of one operation: its value, or what it raised."""

    value: T | None = None
    failure: BaseException | None = None

    def result(self) -> T:
        """The value; raises what the operation raised."""
        if self.failure is not None:
            raise self.failure
        return cast("T", self.value)


class _Job(NamedTuple):
    operation: Operation[Any]
    durable: bool
    # Called in the writer's thread, after the commit; must be quick.
    answer: Callable[[Answered[Any]], None]


class Writer:
    """
    Runs operations for an engine, grouped. Safe to use from any thread.

    Args:
        store: Where to.
        project: Which namespace of users.
        clock: Asked for the time of each operation.
    """

    def __init__(self, store: Store, project: str, clock: Clock) -> None:
        self._store = store
        self._project = project
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="budgets-writer", daemon=True)
        self._thread.start()

    def run(self, operation: Operation[T], *, durable: bool = True) -> T:
        """What *operation* gave back, once the commit that it was part of is done."""
        # A bare lock, for a future's condition costs more than the operation.
        done = threading.Lock()
        done.acquire()
        answers: list[Answered[T]] = []

        def answer(given: Answered[T]) -> None:
            answers.append(given)
            done.release()

        self.submit(operation, answer, durable=durable)
        done.acquire()
        return answers[0].result()

    def submit(
        self, operation: Operation[T], answer: Callable[[Answered[T]], None], *, durable: bool = True
    ) -> None:
        """The same without waiting: *answer* is called in the writer's thread, and must be quick."""
        if self._closed:
            raise RuntimeError("the writer was closed")
        self._jobs.put(_Job(operation, durable, answer))

    def close(self) -> None:
        """Finish what was handed in, then stop. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._thread.join()

    def _work(self) -> None:
        size = 1
        while True:
            job = self._jobs.get()
            if job is None:
                return
            group, last = self._gather(job, size)
            self._commit(group)
            if last:
                return
            size = len(group)

    def _gather(self, first: _Job, expected: int) -> tuple[list[_Job], bool]:
        """What is there, and for a moment what is expected: those who were answered last come again."""
        group = [first]
        deadline = time.monotonic() + LONGEST_GATHERING_SECONDS
        while len(group) < MOST_IN_ONE_COMMIT:
            try:
                wait = deadline - time.monotonic() if len(group) < expected else 0
                job = self._jobs.get(timeout=wait) if wait > 0 else self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return group, True
            group.append(job)
        return group, False

    def _commit(self, group: list[_Job]) -> None:
        answers: list[Answered[Any]]
        try:
            try:
                answers = self._together(group)
            except Exception:  # noqa: BLE001 - whatever it was, it is found again and raised to its owner
                # Refusals are values, so this is rare. Each gets a savepoint of its own.
                answers = self._apart(group)
        except BaseException as error:  # noqa: BLE001 - it belongs to those who wait for an answer
            answers = [Answered(failure=error)] * len(group)
        for job, given in zip(group, answers, strict=True):
            job.answer(given)

    def _together(self, group: list[_Job]) -> list[Answered[Any]]:
        with self._store.transaction(self._project, durable=any(job.durable for job in group)) as txn:
            return [Answered(job.operation(txn, self._clock())) for job in group]

    def _apart(self, group: list[_Job]) -> list[Answered[Any]]:
        answers: list[Answered[Any]] = []
        with self._store.transaction(self._project, durable=any(job.durable for job in group)) as txn:
            for job in group:
                try:
                    with txn.savepoint():
                        answers.append(Answered(job.operation(txn, self._clock())))
                except Exception as error:  # noqa: BLE001 - raised to the one who asked
                    answers.append(Answered(failure=error))
        return answers
