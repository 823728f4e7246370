"""What must be true after calls, whoever made them."""

from __future__ import annotations

import budgets
from tests.gateway.running import KEY, Running
from tests.gateway.wire import WireProvider


def charged_as_billed(gateway: Running, provider: WireProvider, calls: int = 1) -> None:
    """So many calls were charged what the upstream bills for them, and nothing else is left behind."""
    assert [report.outcome for report in gateway.told(calls)] == ["charged"] * calls
    assert gateway.spent_nanos == provider.billed_nanos > 0
    assert len(provider.bills) == calls
    charges = [entry for entry in gateway.engine.entries("ann") if entry.kind == "charge"]
    assert sorted(entry.nanos for entry in charges) == sorted(bill.nanos for bill in provider.bills)
    assert {entry.detail["how"] for entry in charges} == {"reported"}
    assert gateway.engine.holds() == []
    assert gateway.engine.check().faults == ()
    assert KEY not in str(provider.calls), "the key of the gateway is no business of the provider's"


def refused_once(gateway: Running, provider: WireProvider) -> None:
    """One call was refused, nobody tried again, and nothing was sent."""
    assert gateway.outcomes == ["refused"]
    assert provider.calls == []
    assert (gateway.spent_nanos, gateway.engine.holds()) == (0, [])


def make_poor(gateway: Running) -> None:
    """From now on no call fits."""
    gateway.engine.change("ann", budgets.Change(total_nanos=10))
