"""Tells every story in this folder on every store. `README.md` beside this file explains the lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from budgets.clock import FixedClock, iso
from budgets.engine import Change, LimitTerms
from budgets.engine.api import EngineApi
from budgets.errors import BudgetError
from budgets.money import format_usd, parse_usd
from budgets.periods import NEVER, PeriodRule, parse_anchor, parse_moment, parse_rule
from budgets.ports import Store
from budgets.records import ROOT, Charge, Left, Receipt
from tests.support.engines import START, FakeProcesses, open_engine
from tests.support.serving import remotes
from tests.support.stores import STORES, Kind

STORIES = sorted(Path(__file__).parent.glob("*.txt"))


@dataclass(frozen=True, slots=True)
class Line:
    """One line, taken apart."""

    words: tuple[str, ...]
    options: dict[str, str]
    # What must come of it; empty where it must succeed, whatever comes of it.
    expected: str

    @classmethod
    def read(cls, text: str) -> Line:
        told, _, expected = text.partition("->")
        words = told.split()
        return cls(
            tuple(word for word in words if "=" not in word),
            dict(word.split("=", 1) for word in words if "=" in word),
            " ".join(expected.split()),
        )


def usd(nanos: int | None) -> str:
    """As the stories have it: `4`, `3.50`, `none`."""
    return "none" if nanos is None else format_usd(nanos).removesuffix(".00")


def amount(text: str) -> int:
    return -parse_usd(text[1:]) if text.startswith("-") else parse_usd(text)


def who(text: str) -> str:
    return ROOT if text == "project" else text


class Teller:
    """Does what the lines say; each method is a command and gives back what came of it, in words."""

    def __init__(self, store: Store, opened: Callable[..., EngineApi] = open_engine) -> None:
        self._store = store
        self._open = opened
        self._clock = FixedClock(START)
        self._ended: set[int] = set()
        self._engines: dict[str, EngineApi] = {}
        self._engine = self._process("p1")

    def tell(self, line: Line) -> str:
        """Carry out one line. An error is told by its code."""
        command: Callable[..., str] = getattr(self, f"do_{line.words[0]}")
        try:
            return command(*line.words[1:], **line.options)
        except BudgetError as error:
            return error.code

    def _process(self, name: str) -> EngineApi:
        if name not in self._engines:
            processes = FakeProcesses(int(name.removeprefix("p")), self._ended)
            self._engines[name] = self._open(self._store, clock=self._clock, processes=processes)
        return self._engines[name]

    def do_clock(self, moment: str) -> str:
        self._clock.set(parse_moment(moment))
        return ""

    def do_advance(self, number: str, unit: str) -> str:
        self._clock.advance(**{unit.removesuffix("s") + "s": int(number)})
        return ""

    def do_as(self, process: str) -> str:
        self._engine = self._process(process)
        return ""

    def do_kill(self, process: str) -> str:
        self._ended.add(int(process.removeprefix("p")))
        return ""

    def do_create(
        self,
        user: str,
        total: str | None = None,
        every: str = "never",
        *,
        parent: str = "project",
        zone: str = "UTC",
        anchor: str | None = None,
    ) -> str:
        rule = parse_rule(every, timezone=zone, anchor=parse_anchor(anchor) if anchor else None)
        limits = () if total is None else (LimitTerms(amount(total), rule),)
        self._engine.create(user, *limits, parent=who(parent))
        return ""

    def do_set(
        self,
        user: str,
        *,
        total: str | None = None,
        every: str | None = None,
        zone: str | None = None,
        parent: str | None = None,
        frozen: str | None = None,
        add: str | None = None,
        archived: str | None = None,
        boost: str | None = None,
        warn: str | None = None,
    ) -> str:
        rule = PeriodRule(1, NEVER.unit) if every == "never" else parse_rule(every) if every else None
        wanted = Change(
            total_nanos=amount(total) if total else None,
            rule=rule,
            timezone=zone,
            parent=who(parent) if parent else None,
            frozen=frozen == "yes" if frozen else None,
            add=(LimitTerms(amount(add.split("/")[0]), parse_rule(add.split("/")[1])),) if add else (),
            archived=archived == "yes" if archived else None,
            boost_nanos=amount(boost) if boost else None,
            warn_at=tuple(int(each) for each in warn.split(",")) if warn else None,
        )
        self._engine.change(who(user), wanted)
        return ""

    def do_hold(self, call: str, user: str, most: str) -> str:
        return self._left(self._engine.hold(user, amount(most), hold_id=call).left)

    def do_settle(self, call: str, cost: str) -> str:
        return self._receipt(self._engine.settle(call, Charge(amount(cost))))

    def do_release(self, call: str) -> str:
        self._engine.release(call, reason="failed")
        return ""

    def do_charge(self, charge: str, user: str, cost: str, *, at: str | None = None) -> str:
        moment = parse_moment(at) if at else None
        return self._receipt(self._engine.charge(user, Charge(amount(cost)), charge_id=charge, at=moment))

    def do_correct(self, charge: str, by: str, *, id: str | None = None) -> str:  # noqa: A002
        return self._receipt(self._engine.correct(charge, amount(by), note="a slip", correction_id=id))

    def do_reset(self, user: str) -> str:
        self._engine.reset(who(user))
        return ""

    def do_due(self) -> str:
        return " ".join(sorted({rolled.user or "project" for rolled in self._engine.reset_due()})) or "nobody"

    def do_expire(self) -> str:
        return " ".join(sorted(hold.id for hold in self._engine.expire())) or "none"

    def do_status(self, user: str, **wanted: str) -> str:
        status = self._engine.status(who(user))
        assert status.primary is not None
        totals = status.primary.totals
        found = {
            "spent": usd(totals.spent_nanos),
            "held": usd(totals.held_nanos),
            "unconfirmed": usd(totals.unconfirmed_nanos),
            "boost": usd(totals.boost_nanos),
            "left": usd(status.left.nanos),
            "by": "none" if status.left.user is None else status.left.user or "project",
            "from": iso(totals.start),
            "until": iso(totals.end) if totals.end else "never",
        }
        assert {name: found[name] for name in wanted} == wanted
        return ""

    def do_check(self) -> str:
        assert self._engine.check().faults == ()
        return ""

    def _receipt(self, receipt: Receipt) -> str:
        words = [self._left(receipt.left)]
        words += ["repeated"] if receipt.repeated else []
        words += [f"overrun {user or 'project'} {usd(nanos)}" for user, nanos in receipt.overruns]
        words += [f"warns {each.user or 'project'} {each.percent}%" for each in receipt.thresholds]
        return " ".join(words)

    def _left(self, left: Left) -> str:
        return f"left {usd(left.nanos)}"


def lines(story: Path) -> Iterator[tuple[int, str]]:
    """The lines that say something, each with its number."""
    for number, text in enumerate(story.read_text("utf-8").splitlines(), 1):
        told = text.partition("#")[0].strip()
        if told:
            yield number, told


@pytest.mark.parametrize("kind", STORES.values(), ids=lambda kind: kind.name)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.stem)
def test_the_story_goes_as_it_is_told(story: Path, kind: Kind, tmp_path: Path) -> None:
    with closing(kind.open(tmp_path)) as store:
        told(story, Teller(store))


@pytest.mark.parametrize("kind", STORES.values(), ids=lambda kind: kind.name)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.stem)
def test_the_story_goes_the_same_way_on_a_server(story: Path, kind: Kind, tmp_path: Path) -> None:
    with closing(kind.open(tmp_path)) as store, remotes(store) as opened:
        told(story, Teller(store, opened.open))


def told(story: Path, teller: Teller) -> None:
    """Every line comes out as it says, and at the end all sums add up."""
    for number, text in (*lines(story), (0, "check")):
        line = Line.read(text)
        place = f"{story.name}:{number}: {text}"
        try:
            came = teller.tell(line)
        except AssertionError as error:
            error.add_note(place)
            raise
        failed = came and not came.startswith("left") and line.words[0] not in ("due", "expire")
        assert came == line.expected or (not line.expected and not failed), f"{place} (came: {came})"


def test_there_are_stories() -> None:
    """A folder that lost them would pass every test above."""
    assert len(STORIES) >= 10


def test_a_story_that_is_wrong_is_found_out(tmp_path: Path) -> None:
    with closing(STORES["memory"].open(tmp_path)) as store:
        teller = Teller(store)
        teller.tell(Line.read("create ann 10 month"))
        assert teller.tell(Line.read("hold c1 ann 4")) == "left 6"
        assert teller.tell(Line.read("hold c2 ann 7")) == "busy"
        with pytest.raises(AssertionError):
            teller.tell(Line.read("status ann left=10"))
    assert timedelta(days=31) + START == datetime(2026, 3, 3, 10, tzinfo=START.tzinfo)
