"""How many tokens a request gives to read, sharpened by what calls like it have turned out to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeAlias

from budgets.asks import Ask, Count
from budgets.lessons import Estimate, Lesson, Topic, hundredths
from budgets.ports import Clock, Store

Lessons: TypeAlias = Mapping[Topic, Lesson]

# Lessons change slowly, and another process may have learned: read again when they are so old.
_REFRESH = timedelta(minutes=10)


class Memory:
    """The lessons of a project, read on first use and now and then after. Safe to share between threads."""

    def __init__(self, store: Store, project: str, clock: Clock) -> None:
        self._store = store
        self._project = project
        self._clock = clock
        self._kept: tuple[Lessons, datetime] | None = None

    def lessons(self) -> Lessons:
        """Topic -> what was learned of it."""
        kept, now = self._kept, self._clock()
        if kept is None or not kept[1] <= now < kept[1] + _REFRESH:
            with self._store.reading(self._project) as view:
                kept = {lesson.topic: lesson for lesson in view.learned().lessons}, now
            self._kept = kept
        return kept[0]

    def forget(self) -> None:
        """They have changed."""
        self._kept = None


def sharpened(
    ask: Ask, count: Count, *, model: str, context_window: int | None, lessons: Lessons
) -> tuple[Count, Estimate]:
    """
    *count* as the calls before have it, and the estimate that this one will be compared with.

    The likely figure follows the median of what was reported. The most is raised where calls went above it,
    never lowered: not above ten times the likely count, nor above what the model can read.

    Args:
        model: The seller and the model, as the price book has them.
        context_window: In tokens; `None`: not known.
    """
    estimate = Estimate(model, _kind(ask), count.likely, count.how)
    lesson = lessons.get(estimate.topic)
    if lesson is None or not lesson.counts:
        return count, estimate
    raised = lesson.most(count.likely)
    most = max(count.most, raised if context_window is None else min(raised, context_window))
    learned = f"learned:{model} n={lesson.calls}"
    most_how = count.most_how
    if most > count.most:
        most_how = f"{learned} p99 {hundredths(lesson.high_percent)} of {count.how}"
    how = f"{learned} p50 {hundredths(lesson.median_percent)} of {count.how}"
    likely = min(lesson.likely(count.likely), most)
    return replace(count, likely=likely, most=most, how=how, most_how=most_how), estimate


def _kind(ask: Ask) -> str:
    """What a request is made of, as far as that bears on its count."""
    parts = {
        "text": ask.texts,
        "tools": ask.tools or ask.schemas,
        "images": ask.images,
        "thoughts": ask.thoughts or ask.sealed or ask.sealed_earlier,
        "ids": ask.token_ids,
    }
    return "+".join(name for name, there in parts.items() if there) or "text"
