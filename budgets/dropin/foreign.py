"""
Budgets on a server that is not ours: LiteLLM's two endpoints, and one dictionary for each project.

    POST /get_budget {"project_name": "p"}                    -> {"status": "success", "data": {user: record}}
                                                                 {"status": "error"}: no such project yet
    POST /set_budget {"project_name": "p", "user_dict": ...}  -> {"status": "success"}

A record is as in `user_cost.json` (litellm 1.106.2, `litellm/budget_manager.py`). Such a server keeps sums,
as JSON numbers: no holds, no entries, and nothing in one step. Of what two programs save at once one part is
lost; so that this is rare, the dictionary is loaded right before each change, and saved right after.
"""

from __future__ import annotations

import difflib
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from budgets.dropin.user_cost import record_of, user_of
from budgets.dropin.user_cost_import import take_over
from budgets.engine import Change, Engine, LimitTerms
from budgets.engine.desk import AtDesk
from budgets.errors import AccessDeniedError, InvalidValueError, ServerError, UnknownUserError
from budgets.money import shown
from budgets.records import Budget, BudgetStatus, Charge
from budgets.server_link import PROBLEM, Link
from budgets.wiring import open_unbooked

# How long to wait for the answer that says whose server it is.
_PROBE_SECONDS: Final = 5

# Questions in a row are answered from one reading.
_FRESH_SECONDS: Final = 1.0

# What a charge and a new period change of a record, and what its limit does. Other fields stay as they are.
_COSTS: Final = ("current_cost", "model_cost", "last_updated_at")
_TERMS: Final = ("total_budget", "duration", "created_at")


def is_ours(address: str) -> bool:
    """
    Whether a `budget` server is there. Nothing is written, and no key is shown.

    An operation is named, and not asked for: ours refuses that with a problem document, or wants a key.

    Raises:
        ServerError: nobody answers, or whoever does is in trouble.
        ConfigError: it is no address, or not one that may be asked without encryption.
    """
    link = Link(address, None)
    try:
        status, kind, answer = link.exchange("GET", "/v1/engine/info", seconds=_PROBE_SECONDS)
    finally:
        link.close()
    said = _object(answer) if kind == PROBLEM else None
    if said is not None and {"code", "detail", "hint"} <= said.keys():
        return True
    if status >= 500 and status != 501:
        raise ServerError(
            f"{link.address} answered {status}",
            hint="look at the server's own messages; it is safe to try again",
            address=link.address,
        )
    return False


class ForeignBudgets(AtDesk[Engine]):
    """
    What `BudgetManager` asks of an engine, on such a server. Safe to share between threads.

    Args:
        link: The way to the server.
        project: The namespace of users.
        desk: Counts and prices; nothing is kept in it.
        fresh_seconds: How long what was read answers questions; changes always read anew.
    """

    def __init__(
        self, link: Link, *, project: str, desk: Engine, fresh_seconds: float = _FRESH_SECONDS
    ) -> None:
        super().__init__(desk)
        self._link = link
        self.project = project
        self._fresh_seconds = fresh_seconds
        self._lock = threading.RLock()
        self._records: dict[str, Any] = {}
        # On the monotonic clock; `None`: never.
        self._read_at: float | None = None
        # Once it was there, an error is no empty project any more.
        self._exists = False

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._link.address

    # Questions

    def users(self, *, archived: bool = False) -> list[str]:
        """Every user's name, sorted. Nobody can be archived there."""
        del archived
        return sorted(self._read())

    def budget(self, user: str) -> Budget | None:
        """See `Engine.budget`."""
        record = self._read().get(user)
        return None if record is None else self._budget(user, record)

    def status(self, user: str) -> BudgetStatus:
        """See `Engine.status`. The period is that of the clock, whatever was saved last."""
        return self._opened(self._read(), user).status(user)

    # Changes

    def create(self, user: str, terms: LimitTerms, *, if_missing: bool) -> tuple[Budget, bool]:
        """See `Engine.create`."""
        with self._lock:
            records = self._read(anew=True)
            if if_missing and user in records:
                return self._budget(user, records[user]), False
            engine = open_unbooked(self._desk)
            made, new = engine.create(user, terms)
            self._save({**records, user: record_of(engine.status(user))})
            return made, new

    def change(self, user: str, wanted: Change) -> None:
        """See `Engine.change`. Of what was spent the server knows the current period's sum alone."""
        self._changed(user, lambda engine: engine.change(user, wanted), (*_TERMS, *_COSTS))

    def charge(self, user: str, cost: Charge, *, charge_id: str | None = None) -> None:
        """See `Engine.charge`. The server keeps no ids: the same charge counts each time."""
        self._changed(user, lambda engine: engine.charge(user, cost, charge_id=charge_id), _COSTS)

    def reset(self, user: str) -> None:
        """Nothing was spent from now on; the period ends when it would have."""
        self._changed(user, None, _COSTS, spent=False)

    def reset_due(self) -> None:
        """Save the periods that the clock has opened."""
        with self._lock:
            records = self._read(anew=True)
            rolled = {user: self._rolled(records, user) for user in records}
            if rolled != records:
                self._save(rolled)

    def _changed(
        self,
        user: str,
        act: Callable[[Engine], object] | None,
        fields: Iterable[str],
        *,
        spent: bool = True,
    ) -> None:
        """Read the project, carry *act* out on an engine that knows the user, and save *fields* of it."""
        with self._lock:
            records = self._read(anew=True)
            engine = self._opened(records, user)
            if act is not None:
                act(engine)
            fresh = record_of(engine.status(user))
            if not spent:
                fresh |= {"current_cost": 0.0, "model_cost": {}}
            self._save({**records, user: _mended(records[user], fresh, fields)})

    def _rolled(self, records: Mapping[str, Any], user: str) -> dict[str, Any]:
        fresh = record_of(self._opened(records, user).status(user))
        if fresh.get("last_updated_at") == records[user].get("last_updated_at"):
            return dict(records[user])
        return _mended(records[user], fresh, _COSTS)

    def _opened(self, records: Mapping[str, Any], user: str) -> Engine:
        """An engine in memory that knows what the record of *user* says."""
        if user not in records:
            near = difflib.get_close_matches(user, records, n=3)
            raise UnknownUserError(
                f"{user} has no budget in this project",
                hint=f"did you mean {' or '.join(near)}?" if near else "make one with create_budget",
                user=user,
                nearest=near,
            )
        engine = open_unbooked(self._desk)
        try:
            for _ in take_over(engine, [user_of(user, records[user])]):
                pass
        except InvalidValueError as error:
            raise ServerError(
                f"{self.address}: {error.message}", hint="mend it on the server", address=self.address
            ) from error
        return engine

    def _budget(self, user: str, record: Mapping[str, Any]) -> Budget:
        """Its budget, made when the record says; else at the start of the period that was saved last."""
        found = self._opened({user: record}, user).budget(user)
        assert found is not None, "it was just made"
        said = user_of(user, record)
        return replace(found, created_at=said.created_at or said.since or found.created_at)

    # The two endpoints

    def _read(self, *, anew: bool = False) -> dict[str, Any]:
        with self._lock:
            now = time.monotonic()
            if anew or self._read_at is None or now - self._read_at >= self._fresh_seconds:
                said = self._ask("/get_budget", {"project_name": self.project})
                data = said.get("data")
                if said["status"] == "success" and isinstance(data, dict):
                    self._records, self._exists = data, True
                elif said["status"] != "error" or self._exists:
                    raise self._misunderstood("/get_budget", said)
                self._read_at = now
            return self._records

    def _save(self, records: dict[str, Any]) -> None:
        # Should this fail, nobody knows what is there now.
        self._read_at = None
        said = self._ask("/set_budget", {"project_name": self.project, "user_dict": records})
        if said["status"] != "success":
            raise self._misunderstood("/set_budget", said)
        self._records, self._exists, self._read_at = records, True, time.monotonic()

    def _ask(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        status, _, answer = self._link.exchange("POST", path, json.dumps(document).encode())
        if status in (401, 403):
            raise AccessDeniedError(
                f"{self.address} does not let us in",
                hint='give what it wants with headers, for instance {"Authorization": "Bearer ..."}',
            )
        said = _object(answer)
        if status != 200 or said is None or not isinstance(said.get("status"), str):
            raise ServerError(
                f"{self.address} answered {path} with {status}, not as LiteLLM's budget server does",
                hint="is the address right? `budget serve` starts a server of ours",
                address=self.address,
            )
        return said

    def _misunderstood(self, path: str, said: Mapping[str, Any]) -> ServerError:
        words = shown(str(said.get("message", said["status"])))
        return ServerError(
            f"{self.address} answered {path} with {words}",
            hint="nothing was changed; look at the server's own messages",
            address=self.address,
        )


def _mended(record: Mapping[str, Any], fresh: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """*record* with *fields* as they are in *fresh*; those that are missing there are gone."""
    kept = {name: value for name, value in record.items() if name not in fields}
    return kept | {name: fresh[name] for name in fields if name in fresh}


def _object(answer: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
