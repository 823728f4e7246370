"""`budget reset`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from budgets.errors import BudgetError

from ..booked import Resets
from ..exits import UsageError
from ..options import User, Yes
from ..session import Session

if TYPE_CHECKING:
    from budgets.records import Rolled

EXAMPLES = """
budget reset --user ann
budget reset --all --yes
"""


def reset(
    session: Session,
    user: User = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every user of the project.")] = False,
    yes: Yes = False,
) -> Resets:
    """
    Open a new period now.

    What was spent in the old one no longer counts against the limit. Nothing is deleted. Open holds, and
    what they will cost, stay in the period in which they were made.
    """
    from ..progress import Progress

    if not everyone:
        names = [session.user(user)]
    elif user is not None:
        raise UsageError("--user and --all exclude each other", hint="give one of them")
    else:
        names = session.engine.users()
        if names and not yes:
            session.agree(
                f"open a new period for {len(names)} users of project {session.settings.project}?",
                needs="--all gives money back to every user",
            )
    rolled: list[Rolled] = []
    failed: list[tuple[str, BudgetError]] = []
    with Progress(session.env, "resetting users") as progress:
        for number, name in enumerate(names, 1):
            try:
                rolled += session.engine.reset(name)
            except BudgetError as error:
                if not everyone:
                    raise
                failed.append((name, error))
            progress.reached(number)
    return Resets(tuple(rolled), session.env.clock(), failed=tuple(failed))
