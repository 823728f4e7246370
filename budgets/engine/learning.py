"""
From settled calls to lessons.

What is learned follows from the entries. It is kept in the store so that nobody has to read them all again,
and whoever loses it learns the same once more. No call writes it: `reset-due` does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from budgets.lessons import Estimate, Learned, Lesson, Topic, percent_of
from budgets.ports import Store, Transaction
from budgets.records import Entry
from budgets.usage import INPUT_UNITS

# Entries that one view reads, and that one run reads in all: a large store that nobody learned from yet is
# learned from in several runs, and none of them takes long.
_PAGE = 2_000
MOST_ENTRIES = 100_000


def learn(store: Store, project: str, *, most_entries: int = MOST_ENTRIES) -> tuple[Learned, Learned]:
    """
    What is known of a project, and what is with the entries that came since. Nothing is written.

    Args:
        most_entries: No more of them are read; the next run goes on behind them.
    """
    with store.reading(project) as view:
        before = view.learned()
        after = None if before.through is None else view.entry(before.through)
    # Without the entry that it was read up to, nobody knows what it is made of.
    learned = before if after is not None else Learned()
    read = 0
    while read < most_entries:
        # No view stays open for longer than a page: entries do not change meanwhile.
        with store.reading(project) as view:
            page = view.written(after=after, count=min(_PAGE, most_entries - read))
        if not page:
            break
        after = page[-1]
        learned = added(learned, page)
        read += len(page)
    return before, learned


def keep(txn: Transaction, before: Learned, learned: Learned) -> bool:
    """Write down what was learned, unless somebody else has meanwhile; gives whether it was written."""
    if learned == before or txn.learned() != before:
        return False
    txn.put_learned(learned)
    return True


def added(learned: Learned, entries: Iterable[Entry]) -> Learned:
    """The same with what later entries say."""
    through = learned.through
    percents: dict[Topic, Counter[int]] = defaultdict(Counter)
    covered: Counter[Topic] = Counter()
    for entry in entries:
        through = entry.id
        kept = entry.detail.get("estimate")
        if kept is None:
            continue
        estimate = Estimate.from_dict(kept)
        usage = entry.detail["usage"]
        reported = sum(usage.get(unit, 0) for unit in INPUT_UNITS)
        # Nothing to compare with, or a provider that does not count what it reads.
        if estimate.likely > 0 and reported > 0:
            topic = estimate.topic
            percents[topic][percent_of(reported, estimated=estimate.likely)] += 1
            covered[topic] += entry.nanos <= entry.detail["held_nanos"]
    lessons = {lesson.topic: lesson for lesson in learned.lessons}
    for topic, calls in percents.items():
        lesson = lessons.get(topic) or Lesson(topic)
        lessons[topic] = lesson.with_calls(calls, covered=covered[topic])
    return Learned(through, tuple(lessons[topic] for topic in sorted(lessons)))
