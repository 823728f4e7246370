"""`budget reset-due`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..booked import Resets
from ..session import Session

EXAMPLES = """
budget reset-due
budget reset-due --dry-run
"""


def reset_due(
    session: Session,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
) -> Resets:
    """
    Write down the periods that have ended, for cron.

    Limits are right without it: the clock decides which period it is. Running it twice changes nothing.
    It also learns from settled calls how far our counts are off, which `budget status --estimates` shows.
    """
    from ..progress import Progress

    with Progress(session.env, "rolling users") as progress:
        rolled = session.engine.reset_due(dry_run=dry_run, watch=progress.reached)
    return Resets(tuple(rolled), session.env.clock(), "reset-due", dry_run=dry_run)
