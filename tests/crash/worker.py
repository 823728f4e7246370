"""
The process that `test_crash.py` kills: all kinds of work in a loop, in an order that its number decides.

After each command has returned, and not before, a line says what must be kept from then on.
"""

from __future__ import annotations

import random
import sys
from datetime import datetime, timedelta
from pathlib import Path

from budgets.clock import iso, utc_now
from budgets.engine import Change, Engine, LimitTerms
from budgets.errors import BudgetExceededError
from budgets.periods import PeriodRule
from budgets.processes import SystemProcesses
from budgets.records import ROOT, Charge
from budgets.wiring import open_store_at

USERS = ("ann", "bob", "team")


def say(*words: object) -> None:
    """One whole line: a line that was cut by the end of the process says nothing."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def worker_time(number: int, days: int = 0) -> datetime:
    """Days pass between commands, so that there is something to roll, and years between processes."""
    return utc_now() + timedelta(days=number * 1_000 + days)


def work(path: Path, number: int) -> None:
    """Hold, settle, release, charge, correct, change, reset and roll until killed."""
    chance = random.Random(number)
    days = 0
    engine = Engine(open_store_at(path), clock=lambda: worker_time(number, days), processes=SystemProcesses())
    engine.create("team", LimitTerms(2_000, PeriodRule(1, "month")), if_missing=True)
    engine.create("ann", LimitTerms(500, PeriodRule(1, "week")), parent="team", if_missing=True)
    engine.create("bob", parent="team", if_missing=True)
    say("ready")
    held: list[str] = []
    turn = 0
    while True:
        turn += 1
        call_id = f"{number}-{turn}"
        user = chance.choice(USERS)
        deed = chance.randrange(10)
        if deed < 4:
            try:
                engine.hold(user, chance.randrange(100), hold_id=call_id, model="m")
            except BudgetExceededError:
                say("refused", call_id)
            else:
                held.append(call_id)
                say("held", call_id)
        elif deed < 6 and held:
            settled = held.pop(chance.randrange(len(held)))
            engine.settle(settled, Charge(chance.randrange(100), "m"))
            say("charged", settled)
        elif deed == 6 and held:
            released = held.pop(chance.randrange(len(held)))
            engine.release(released, reason="chance")
            say("released", released)
        elif deed == 7:
            engine.charge(user, Charge(chance.randrange(20)), charge_id=call_id)
            say("charged", call_id)
            engine.correct(call_id, 1, note="one more", correction_id=f"{call_id}-fix")
            say("entered", f"{call_id}-fix")
        elif deed == 8:
            total = chance.randrange(100, 1_000)
            rule = PeriodRule(1, chance.choice(("day", "week", "month")))
            whose = chance.choice((*USERS, ROOT))
            engine.change(whose, Change(total_nanos=total, rule=rule))
            say("changed", whose or "project", total)
        elif deed == 9:
            days += chance.randrange(3)
            for rolled in engine.reset(user) if chance.random() < 0.3 else engine.reset_due():
                say("opened", rolled.limit.id, iso(rolled.after.start))


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
