"""What can be asked of a project: where it stands, and what was written. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from fractions import Fraction
from functools import partial
from typing import TypeVar

from budgets.engine import explaining, holding, reading, reporting
from budgets.engine.paths import budgets_on_path
from budgets.lessons import Learned
from budgets.ports import Clock, Reading, Store
from budgets.records import ROOT, Budget, BudgetStatus, Entry, Hold, Key, Path, Quote, StoreInfo

T = TypeVar("T")


class Questions:
    """
    The half of an engine that only reads.

    Args:
        store: Where it all lives.
        project: The namespace of users.
        clock: What "now" is, for periods that have ended.
    """

    def __init__(self, store: Store, project: str, clock: Clock) -> None:
        self.store = store
        self.project = project
        self.clock = clock

    # Budgets and holds

    def budget(self, user: str) -> Budget | None:
        """That user's budget as it was made (`ROOT`: the project's own); `None` where there is none."""
        return self._read(lambda view, _: view.budget(user))

    def path(self, user: str) -> Path:
        """
        A user's path today: the name itself, the parent's, and so on up to the project's.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return self._read(lambda view, _: tuple(each.user for each in budgets_on_path(view, user)))

    def status(self, user: str) -> BudgetStatus:
        """
        One budget in full (`ROOT`: the project's own).

        Raises:
            UnknownUserError: the user has no budget.
        """
        return self._read(lambda view, now: reading.status(view, now, user=user))

    def statuses(
        self,
        *,
        with_project: bool = False,
        archived: bool = False,
        watch: Callable[[int], None] | None = None,
    ) -> list[BudgetStatus]:
        """
        Every user's budget by name.

        Args:
            with_project: The project's own first, where it says something.
            archived: Those that are archived as well.
            watch: Is told how many were looked at.
        """

        def question(view: Reading, now: datetime) -> list[BudgetStatus]:
            found = []
            for status in reading.statuses(view, now, with_project=with_project, archived=archived):
                found.append(status)
                if watch is not None:
                    watch(len(found))
            return found

        return self._read(question)

    def outlook(self, user: str, quote: Quote) -> reading.Outlook:
        """
        Whether a call would be let through now, and what it would buy. Nothing is held.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return self._read(lambda view, now: reading.outlook(view, now, user=user, quote=quote))

    def users(self, *, archived: bool = False) -> list[str]:
        """Every user's name, sorted; *archived*: those of archived budgets as well."""
        return self._read(
            lambda view, _: [
                each.user for each in view.budgets() if each.user != ROOT and (archived or not each.archived)
            ]
        )

    def holds(self, user: str | None = None) -> list[Hold]:
        """Open and unconfirmed holds, oldest first; with *user*, those below that budget as well."""
        return self._read(
            lambda view, _: [each for each in view.holds() if user is None or user in each.path]
        )

    def find_hold(self, hold_id: str) -> Hold:
        """
        An open or unconfirmed hold.

        Raises:
            UnknownHoldError: there is none of that id.
        """
        found = self._read(lambda view, _: view.hold(hold_id))
        if found is None:
            raise holding.unknown_hold(hold_id)
        return found

    def path_of(self, call_id: str) -> Path:
        """
        The path of a call that is held, or was charged or released, or of any other entry.

        Raises:
            UnknownHoldError: nothing has that id.
        """

        def question(view: Reading, _: datetime) -> Path:
            found = view.hold(call_id) or view.entry(call_id) or holding.unsettled_end(view, call_id)
            if found is None:
                raise holding.unknown_hold(call_id)
            return found.path

        return self._read(question)

    def entries(self, user: str | None = None) -> list[Entry]:
        """Every entry in the order of writing; with *user*, those on whose path the name is."""
        return self._read(lambda view, _: list(view.entries(user=user)))

    def stream(self, user: str | None = None) -> Iterator[Entry]:
        """
        The same one after another, a page of them in memory; no view is kept open between pages.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return self._paged(partial(reporting.oldest, user=user))

    def stream_page(self, user: str | None = None, *, after: str | None = None) -> list[Entry]:
        """
        A page of `stream`, for those who keep no iterator between two of them; empty after the last.

        Args:
            after: Only those that were written after the entry of this id.

        Raises:
            UnknownUserError: the user has no budget.
            UnknownEntryError: there is no entry of the id *after*.
        """
        return self._page(partial(reporting.oldest, user=user), after)

    def history(self, user: str | None = None, *, before: str | None = None, count: int) -> list[Entry]:
        """
        A page of entries, the latest written first; with *user*, those on whose path the name is.

        Args:
            before: Only those that were written before the entry of this id.

        Raises:
            UnknownUserError: the user has no budget.
            UnknownEntryError: there is no entry of the id *before*.
        """
        return self._read(lambda view, _: reporting.history(view, user=user, before=before, count=count))

    def learned(self) -> tuple[Learned, datetime | None]:
        """What was learned about our estimates, and when the last entry that was read for it was written."""

        def question(view: Reading, _: datetime) -> tuple[Learned, datetime | None]:
            found = view.learned()
            last = None if found.through is None else view.entry(found.through)
            return found, last.recorded_at if last is not None else None

        return self._read(question)

    def explain(self, record_id: str) -> explaining.Explained:
        """
        How an entry or a hold adds up, from what was kept with it; a call's id means its charge or its hold.

        Raises:
            UnknownEntryError: there is none of that id.
        """
        return self._read(lambda view, _: explaining.explain(view, record_id))

    def keys(self) -> list[Key]:
        """The project's keys, oldest first, those that are refused among them."""
        return self._read(lambda view, _: view.keys())

    # Reports

    def timezone(self, user: str = ROOT) -> str:
        """
        In whose days a budget counts: the zone of its primary limit, UTC where there is none.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return self._read(lambda view, _: reporting.timezone_of(reporting.primary_limit(view, user)))

    def spending(
        self,
        user: str = ROOT,
        *,
        by: reporting.By = "model",
        which: reporting.Which = "current",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> reporting.Spending:
        """
        What was spent below *user* (`ROOT`: in the project): in a period of its primary limit, or in a
        half-open stretch of time.

        Raises:
            UnknownUserError: the user has no budget.
            InvalidValueError: the stretch is empty, or there is no period before.
        """
        return self._read(
            lambda view, now: reporting.spending(
                view, now, user=user, by=by, which=which, since=since, until=until
            )
        )

    def charges(
        self, user: str = ROOT, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Entry]:
        """
        Charges and corrections below *user* by the moment of their call, a page of them in memory.

        No view is kept open between pages.

        Args:
            since, until: Half-open; `None`: from the first, to the last.

        Raises:
            UnknownUserError: the user has no budget.
            InvalidValueError: the stretch of time is empty.
        """
        return self._paged(partial(reporting.charges, user=user, period=reporting.stretch(since, until)))

    def charges_page(
        self,
        user: str = ROOT,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
    ) -> list[Entry]:
        """
        A page of `charges`, for those who keep no iterator between two of them; empty after the last.

        Args:
            after: Only those that come after the entry of this id.

        Raises:
            UnknownUserError: the user has no budget.
            UnknownEntryError: there is no entry of the id *after*.
            InvalidValueError: the stretch of time is empty.
        """
        period = reporting.stretch(since, until)
        return self._page(partial(reporting.charges, user=user, period=period), after)

    def members(self, above: str) -> list[str]:
        """
        The users who stand below *above*, however deep, by name.

        Raises:
            UnknownUserError: there is no such budget.
        """
        return self._read(lambda view, _: reporting.members(view, above))

    def used_most(self, least: Fraction) -> list[str]:
        """The users of whose tightest limit at least the part *least* is used, by name."""
        return self._read(lambda view, now: reporting.used_most(view, now, least))

    def tree(self, top: str = ROOT, *, depth: int | None = None) -> reporting.Branch | None:
        """
        A budget (`ROOT`: the project's own) and those that stand below it; `None` in an empty project.

        Args:
            depth: How many levels below the top are looked at; the others are counted. `None`: all.

        Raises:
            UnknownUserError: there is no such budget.
        """

        def question(view: Reading, now: datetime) -> reporting.Branch | None:
            if top == ROOT and view.budget(ROOT) is None:
                return None
            return reporting.tree(view, now, top=top, depth=depth)

        return self._read(question)

    def project_names(self) -> list[str]:
        """Every project of the store that has a budget, by name."""
        return self.store.projects()

    def info(self) -> StoreInfo:
        """What the store is, and how much it keeps."""
        return self.store.info()

    def projects(self) -> list[reporting.ProjectReport]:
        """Every project of the store, by name. Takes time in proportion to its entries."""
        found = []
        for project in self.store.projects():
            with self.store.reading(project) as view:
                found.append(reporting.project_report(view, project))
        return found

    def _paged(self, question: Callable[[Reading, Entry | None], list[Entry]]) -> Iterator[Entry]:
        after = None
        while True:
            with self.store.reading(self.project) as view:
                page = question(view, after)
            if not page:
                return
            yield from page
            after = page[-1]

    def _page(
        self, question: Callable[[Reading, Entry | None], list[Entry]], after: str | None
    ) -> list[Entry]:
        return self._read(
            lambda view, _: question(view, None if after is None else reporting.place_of(view, after))
        )

    def _read(self, question: Callable[[Reading, datetime], T]) -> T:
        with self.store.reading(self.project) as view:
            return question(view, self.clock())
