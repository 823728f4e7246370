"""An engine whose calls must fit the cap of this process as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from budgets import process_cap
from budgets.engine.api import EngineApi
from budgets.engine.desk import AtDesk
from budgets.process_cap import CapHold
from budgets.records import Charge, Entry, Held, Hold, Quote, Receipt


class CappedEngine(AtDesk[EngineApi]):
    """
    An engine whose calls must fit the cap as well. It is what `budgets.calls` asks of one, and no more.

    Args:
        engine: Where calls are quoted, held, and charged.
    """

    def __init__(self, engine: EngineApi) -> None:
        super().__init__(engine)
        self._holds: dict[str, CapHold] = {}

    def renew_lease(self) -> None:
        """See `Engine.renew_lease`."""
        self._desk.renew_lease()

    def hold(
        self,
        user: str,
        needed: Quote,
        *,
        terms: Mapping[str, Any] | None = None,
    ) -> Held:
        """See `Engine.hold`. The cap comes first: it costs no writing."""
        capped = process_cap.hold(needed, user=user)
        try:
            found = self._desk.hold(user, capped.quote or needed, terms=terms)
        except BaseException:
            capped.release()
            raise
        capped.shrink(found.hold.nanos)
        self._holds[found.hold.id] = capped
        return found

    def settle(self, hold_id: str, cost: Charge) -> Receipt:
        """See `Engine.settle`."""
        receipt = self._desk.settle(hold_id, cost)
        self._holds.pop(hold_id).settle(receipt.nanos)
        return receipt

    def release(self, hold_id: str, *, reason: str) -> Entry:
        """See `Engine.release`."""
        entry = self._desk.release(hold_id, reason=reason)
        self._holds.pop(hold_id).release()
        return entry

    def doubt(self, hold_id: str, *, reason: str) -> Hold:
        """See `Engine.doubt`."""
        doubted = self._desk.doubt(hold_id, reason=reason)
        self._holds.pop(hold_id).doubt()
        return doubted
