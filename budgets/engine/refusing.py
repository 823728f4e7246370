"""Turns a refusal, which is a value, into the error that a person reads."""

from __future__ import annotations

import shlex

from budgets.clock import iso
from budgets.errors import BudgetArchivedError, BudgetBusyError, BudgetExceededError, BudgetFrozenError
from budgets.money import format_usd, money
from budgets.periods import find_zone
from budgets.records import ROOT, Refusal


def refused(refusal: Refusal) -> BudgetExceededError:
    """The error for *refusal*: who, which limit of whom, what is left, when it resets, what to do."""
    whose = refusal.limit_user
    name = "the project" if whose == ROOT else whose
    option = "" if whose == ROOT else f" --user {shlex.quote(whose)}"
    values = {
        "user": refusal.user,
        "limit_user": whose or None,
        "limit_id": refusal.limit_id,
        "total_usd": format_usd(refusal.total_nanos),
        "boost_usd": format_usd(refusal.boost_nanos),
        "spent_usd": format_usd(refusal.spent_nanos),
        "held_usd": format_usd(refusal.held_nanos),
        "unconfirmed_usd": format_usd(refusal.unconfirmed_nanos),
        "left_usd": format_usd(refusal.left_nanos),
        "needed_usd": format_usd(refusal.needed_nanos),
        "resets_at": iso(refusal.resets_at) if refusal.resets_at else None,
    }
    if refusal.reason == "frozen":
        return BudgetFrozenError(
            f"{name} is frozen{_for_whom(refusal)}",
            hint=f"unfreeze it with `budget set{option} --unfreeze`",
            **{**values, "total_usd": None, "left_usd": None},
        )
    if refusal.reason == "archived":
        return BudgetArchivedError(
            f"{name} is archived{_for_whom(refusal)}",
            hint=f"let calls through again with `budget unarchive{option}`",
            **{**values, "total_usd": None, "left_usd": None},
        )
    until = ""
    if refusal.resets_at is not None:
        wall = refusal.resets_at.astimezone(find_zone(refusal.timezone))
        until = f" until {wall:%Y-%m-%d %H:%M} {refusal.timezone}"
    cost = "costs at least" if refusal.floor is not None else "may cost"
    if refusal.reason == "busy":
        return BudgetBusyError(
            f"{name} has {money(refusal.left_nanos)} left while running calls hold"
            f" {money(refusal.held_nanos)}, this call {cost}"
            f" {money(refusal.needed_nanos)}{_for_whom(refusal)}",
            hint="try again when they have ended, or wait longer with --patience",
            **values,
        )
    hints = [f"raise the limit with `budget set{option} --total ...`"]
    if refusal.unconfirmed_nanos:
        hints.append(f"look at the {money(refusal.unconfirmed_nanos)} unconfirmed with `budget holds`")
    if refusal.floor is not None:
        hints.append("set a small limit for the answer (max_tokens, --max-output-tokens)")
    else:
        hints.append("ask for fewer output tokens")
    return BudgetExceededError(
        f"{name} has {money(refusal.left_nanos)} left{until}, this call {cost}"
        f" {money(refusal.needed_nanos)}{_for_whom(refusal)}",
        hint=", or ".join(hints),
        **values,
    )


def _for_whom(refusal: Refusal) -> str:
    return f" (asked by {refusal.user})" if refusal.user not in (refusal.limit_user, ROOT) else ""
