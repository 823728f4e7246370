"""
`RemoteEngine`: an engine whose store is kept by a server.

Requests are counted and priced here, so that prompts stay here; what is decided, is decided by the server, in
one transaction for each operation. Every operation has an id that is made here, before it is sent: an answer
that was lost is asked for again, and nothing is done twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

from budgets.engine.desk import AtDesk
from budgets.engine.explaining import Explained
from budgets.engine.reading import Outlook
from budgets.engine.reporting import PAGE, Branch, By, ProjectReport, Spending, Which
from budgets.engine.shaping import Change, LimitTerms
from budgets.errors import ServerError
from budgets.lessons import Learned
from budgets.money import Nanos
from budgets.operations import Holder, operation
from budgets.ports import Processes
from budgets.records import (
    ROOT,
    Budget,
    BudgetStatus,
    Charge,
    CheckReport,
    Entry,
    Held,
    Hold,
    Quote,
    Receipt,
    Rolled,
    StoreInfo,
    Threshold,
)
from budgets.server_link import Link

if TYPE_CHECKING:
    from budgets.engine import Engine


class RemoteEngine(AtDesk["Engine"]):
    """
    One project's budgets, on a server. Safe to share between threads.

    What each method does, `budgets.Engine` says; any may raise `ServerError` and `AccessDeniedError` as well.

    Args:
        link: The way to the server.
        project: The namespace of users.
        desk: An engine of this process that counts and prices; nothing is kept in it.
        processes: Who we are.
        on_threshold: Is told of each threshold that a charge of ours reaches; must be quick.
    """

    def __init__(
        self,
        link: Link,
        *,
        project: str,
        desk: Engine,
        processes: Processes,
        on_threshold: Callable[[Threshold], None] | None = None,
    ) -> None:
        super().__init__(desk)
        self._link = link
        self.project = project
        self._processes = processes
        self._on_threshold = on_threshold
        self._holder: Holder | None = None
        self._holder_lock = threading.Lock()

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._link.address

    def close(self) -> None:
        """Give the lease back where no hold is open, and hang up. Closing twice is fine."""
        try:
            self.end_lease()
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Let go of the server, and leave the lease to itself."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What the server's project has learned about our counts is not in a quote from here.

    def new_id(self, kind: str) -> str:
        """A new id."""
        return self._desk.new_id(kind)

    # Money in motion

    def hold(
        self,
        user: str,
        needed: Quote | Nanos,
        *,
        model: str | None = None,
        hold_id: str | None = None,
        terms: Mapping[str, Any] | None = None,
        sharers: int = 1,
    ) -> Held:
        """See `Engine.hold`."""
        held: Held = self._ask(
            "hold",
            user=user,
            needed=needed,
            model=model,
            hold_id=hold_id or self.new_id("call"),
            terms=terms,
            sharers=sharers,
            holder=self._own(),
        )
        return held

    def settle(self, hold_id: str, cost: Charge) -> Receipt:
        """See `Engine.settle`."""
        return self._told(self._ask("settle", hold_id=hold_id, cost=cost))

    def settle_amount(self, hold_id: str, nanos: Nanos, *, note: str | None = None) -> Receipt:
        """See `Engine.settle_amount`."""
        return self._told(self._ask("settle_amount", hold_id=hold_id, nanos=nanos, note=note))

    def release(self, hold_id: str, *, reason: str) -> Entry:
        """See `Engine.release`."""
        entry: Entry = self._ask("release", hold_id=hold_id, reason=reason)
        return entry

    def doubt(self, hold_id: str, *, reason: str) -> Hold:
        """See `Engine.doubt`."""
        hold: Hold = self._ask("doubt", hold_id=hold_id, reason=reason)
        return hold

    def charge(
        self, user: str, cost: Charge, *, charge_id: str | None = None, at: datetime | None = None
    ) -> Receipt:
        """See `Engine.charge`."""
        chosen = charge_id or self.new_id("call")
        return self._told(self._ask("charge", user=user, cost=cost, charge_id=chosen, at=at))

    def correct(
        self, charge_id: str, nanos: Nanos, *, note: str, correction_id: str | None = None
    ) -> Receipt:
        """See `Engine.correct`."""
        chosen = correction_id or self.new_id("fix")
        return self._told(
            self._ask("correct", charge_id=charge_id, nanos=nanos, note=note, correction_id=chosen)
        )

    def _told(self, receipt: Receipt) -> Receipt:
        if self._on_threshold is not None:
            for each in receipt.thresholds:
                self._on_threshold(each)
        return receipt

    # Leases: the server keeps one for this process, and it lasts as long as we renew it

    def renew_lease(self) -> None:
        """See `Engine.renew_lease`."""
        self._ask("renew_lease", holder=self._own())

    def end_lease(self) -> None:
        """See `Engine.end_lease`."""
        holder = self._holder
        if holder is not None and holder.process == self._processes.own():
            self._ask("end_lease", holder=holder)

    def expire(self) -> list[Hold]:
        """See `Engine.expire`."""
        found: list[Hold] = self._ask("expire")
        return found

    def _own(self) -> Holder:
        """This process and its lease; after a fork the child has another."""
        own = self._processes.own()
        with self._holder_lock:
            if self._holder is None or self._holder.process != own:
                self._holder = Holder(self.new_id("lease"), own)
            return self._holder

    # The shape of things

    def create(
        self,
        user: str,
        *limits: LimitTerms,
        parent: str = ROOT,
        if_missing: bool = False,
        change_id: str | None = None,
    ) -> tuple[Budget, bool]:
        """See `Engine.create`."""
        made: tuple[Budget, bool] = self._ask(
            "create",
            user=user,
            limits=limits,
            parent=parent,
            if_missing=if_missing,
            change_id=change_id or self.new_id("set"),
        )
        return made

    def change(self, user: str, wanted: Change, *, change_id: str | None = None) -> Budget:
        """See `Engine.change`."""
        chosen = change_id or self.new_id("set")
        budget: Budget = self._ask("change", user=user, wanted=wanted, change_id=chosen)
        return budget

    def archive(self, user: str) -> Budget:
        """See `Engine.archive`."""
        budget: Budget = self._ask("archive", user=user)
        return budget

    def unarchive(self, user: str) -> Budget:
        """See `Engine.unarchive`."""
        budget: Budget = self._ask("unarchive", user=user)
        return budget

    def reset(self, user: str, *, change_id: str | None = None) -> list[Rolled]:
        """See `Engine.reset`."""
        rolled: list[Rolled] = self._ask("reset", user=user, change_id=change_id or self.new_id("reset"))
        return rolled

    def reset_due(self, *, dry_run: bool = False, watch: Callable[[int], None] | None = None) -> list[Rolled]:
        """See `Engine.reset_due`; *watch* is told at the end."""
        rolled: list[Rolled] = self._ask("reset_due", dry_run=dry_run)
        if watch is not None:
            watch(len({each.user for each in rolled}))
        return rolled

    # Questions

    def budget(self, user: str) -> Budget | None:
        """See `Engine.budget`."""
        budget: Budget | None = self._ask("budget", user=user)
        return budget

    def status(self, user: str) -> BudgetStatus:
        """See `Engine.status`."""
        status: BudgetStatus = self._ask("status", user=user)
        return status

    def statuses(
        self,
        *,
        with_project: bool = False,
        archived: bool = False,
        watch: Callable[[int], None] | None = None,
    ) -> list[BudgetStatus]:
        """See `Engine.statuses`; *watch* is told at the end."""
        found: list[BudgetStatus] = self._ask("statuses", with_project=with_project, archived=archived)
        if watch is not None:
            watch(len(found))
        return found

    def outlook(self, user: str, quote: Quote) -> Outlook:
        """See `Engine.outlook`."""
        outlook: Outlook = self._ask("outlook", user=user, quote=quote)
        return outlook

    def users(self, *, archived: bool = False) -> list[str]:
        """See `Engine.users`."""
        names: list[str] = self._ask("users", archived=archived)
        return names

    def members(self, above: str) -> list[str]:
        """See `Engine.members`."""
        names: list[str] = self._ask("members", above=above)
        return names

    def used_most(self, least: Fraction) -> list[str]:
        """See `Engine.used_most`."""
        names: list[str] = self._ask("used_most", least=least)
        return names

    def tree(self, top: str = ROOT, *, depth: int | None = None) -> Branch | None:
        """See `Engine.tree`."""
        branch: Branch | None = self._ask("tree", top=top, depth=depth)
        return branch

    def holds(self, user: str | None = None) -> list[Hold]:
        """See `Engine.holds`."""
        found: list[Hold] = self._ask("holds", user=user)
        return found

    def find_hold(self, hold_id: str) -> Hold:
        """See `Engine.find_hold`."""
        hold: Hold = self._ask("find_hold", hold_id=hold_id)
        return hold

    def entries(self, user: str | None = None) -> list[Entry]:
        """See `Engine.entries`; they are read a page at a time."""
        return list(self.stream(user))

    def stream(self, user: str | None = None) -> Iterator[Entry]:
        """See `Engine.stream`."""
        return self._paged("stream_page", user=user)

    def charges(
        self, user: str = ROOT, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Entry]:
        """See `Engine.charges`."""
        return self._paged("charges_page", user=user, since=since, until=until)

    def history(self, user: str | None = None, *, before: str | None = None, count: int) -> list[Entry]:
        """See `Engine.history`."""
        found: list[Entry] = []
        while len(found) < count:
            wanted = min(PAGE, count - len(found))
            page: list[Entry] = self._ask("history", user=user, before=before, count=wanted)
            found += page
            if len(page) < wanted:
                break
            before = page[-1].id
        return found

    def explain(self, record_id: str) -> Explained:
        """See `Engine.explain`."""
        found: Explained = self._ask("explain", record_id=record_id)
        return found

    def learned(self) -> tuple[Learned, datetime | None]:
        """See `Engine.learned`."""
        found: tuple[Learned, datetime | None] = self._ask("learned")
        return found

    def timezone(self, user: str = ROOT) -> str:
        """See `Engine.timezone`."""
        name: str = self._ask("timezone", user=user)
        return name

    def spending(
        self,
        user: str = ROOT,
        *,
        by: By = "model",
        which: Which = "current",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Spending:
        """See `Engine.spending`."""
        found: Spending = self._ask("spending", user=user, by=by, which=which, since=since, until=until)
        return found

    def projects(self) -> list[ProjectReport]:
        """See `Engine.projects`."""
        found: list[ProjectReport] = self._ask("projects")
        return found

    def project_names(self) -> list[str]:
        """See `Engine.project_names`."""
        names: list[str] = self._ask("project_names")
        return names

    def info(self) -> StoreInfo:
        """See `Engine.info`."""
        info: StoreInfo = self._ask("info")
        return info

    def check(self, *, watch: Callable[[int], None] | None = None) -> CheckReport:
        """See `Engine.check`; *watch* is told at the end."""
        report: CheckReport = self._ask("check")
        if watch is not None:
            watch(report.entries)
        return report

    def _paged(self, name: str, **arguments: Any) -> Iterator[Entry]:
        after = None
        while page := self._ask(name, **arguments, after=after):
            yield from page
            after = page[-1].id

    def _ask(self, name: str, **arguments: Any) -> Any:
        asked = operation(name)
        answer = self._link.ask(
            f"/v1/engine/{name}", asked.written(arguments), project=self.project, long=asked.long
        )
        try:
            return asked.result.decode(answer["result"], False)
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(
                f"{self.address} answered {name} in a way that is not understood: {error}",
                hint="is it as new as this program?",
                address=self.address,
            ) from error


__all__ = ["RemoteEngine"]
