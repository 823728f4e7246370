"""`budget check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..exits import DONE, FAILED
from ..results import Result
from ..session import Session

if TYPE_CHECKING:
    from budgets.records import CheckReport

EXAMPLES = """
budget check
budget check --json
"""


@dataclass(frozen=True)
class Checked(Result):
    """What the check looked at, and what it found."""

    report: CheckReport
    command = "check"

    @property
    def exit_code(self) -> int:
        """Failed when anything is wrong."""
        return FAILED if self.report.faults else DONE

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        report = self.report
        return {
            "budgets": report.budgets,
            "periods": report.periods,
            "entries": report.entries,
            "holds": report.holds,
            "faults": [{"where": each.where, "what": each.what} for each in report.faults],
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        report = self.report
        looked_at = (
            f"budgets {report.budgets:,}, periods {report.periods:,}, entries {report.entries:,}, "
            f"holds {report.holds:,}"
        )
        yield f"{f'FAULTS {len(report.faults):,}' if report.faults else 'all sums add up'}: {looked_at}"
        for fault in report.faults:
            yield f"{fault.where}: {fault.what}"


def check(session: Session) -> Checked:
    """
    Add up every sum again, from the entries.

    Says where a sum differs, and then ends with exit code 1. It takes time in proportion to the entries.
    """
    from ..progress import Progress

    with Progress(session.env, "adding up entries") as progress:
        return Checked(session.engine.check(watch=progress.reached))
