"""
Counters in Prometheus' text form: https://prometheus.io/docs/instrumenting/exposition_formats/

No label names a user, a model, or a key: there would be as many series as users, and they would be told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from budgets.money import Nanos, format_usd
from budgets.records import Held, Receipt
from budgets.server.documents import ChargeDocument, HoldDocument

# Upper bounds in seconds: from a hold on a fast disk to a store that others keep locked.
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """What this process has done since it began. Used in one thread."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: Counter[float] = Counter()
        self._seconds = 0.0
        self._holds = 0
        self._refusals = 0
        self._charged_nanos: Nanos = 0

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request."""
        self._requests[method, route, status] += 1
        self._seconds += seconds
        self._buckets[next((bound for bound in _BOUNDS if seconds <= bound), float("inf"))] += 1
        if status in (402, 429):
            self._refusals += 1

    def booked(self, found: object) -> None:
        """
        What an operation gave back: a hold or a charge counts, all else does not.

        Corrections are left out, for a counter only rises.
        """
        match found:
            case Held() | HoldDocument():
                self._holds += 1
            case Receipt(repeated=False) if found.entry.kind == "charge":
                self._charged_nanos += found.nanos
            case ChargeDocument(repeated=False):
                self._charged_nanos += found.cost_nanos

    def called(self, receipt: Receipt | None) -> None:
        """A call through the gateway that was held, and what was charged for it."""
        self._holds += 1
        if receipt is not None:
            self.booked(receipt)

    def lines(self) -> Iterator[str]:
        """All of it, one sample a line."""
        yield from _head("budget_requests_total", "counter", "Requests by route and status.")
        for (method, route, status), count in sorted(self._requests.items()):
            labels = f'method="{method}",route="{_escaped(route)}",status="{status}"'
            yield f"budget_requests_total{{{labels}}} {count}"
        yield from _head("budget_request_seconds", "histogram", "How long answers took.")
        so_far = 0
        for bound in _BOUNDS:
            so_far += self._buckets[bound]
            yield f'budget_request_seconds_bucket{{le="{bound:g}"}} {so_far}'
        total = self._requests.total()
        yield f'budget_request_seconds_bucket{{le="+Inf"}} {total}'
        yield f"budget_request_seconds_sum {self._seconds:.6f}"
        yield f"budget_request_seconds_count {total}"
        yield from _head("budget_holds_total", "counter", "Holds that were made.")
        yield f"budget_holds_total {self._holds}"
        yield from _head("budget_refusals_total", "counter", "Calls that did not fit, or not now.")
        yield f"budget_refusals_total {self._refusals}"
        yield from _head("budget_charges_usd_total", "counter", "US dollars that were charged.")
        yield f"budget_charges_usd_total {format_usd(self._charged_nanos)}"


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
