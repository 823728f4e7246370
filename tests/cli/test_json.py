"""The shape of every JSON document: scripts rely on these names, and a new one is added, never renamed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Budget

BUDGET = {
    "user": str,
    "parent": None,
    "state": str,
    "spent_usd": str,
    "held_usd": str,
    "unconfirmed_usd": str,
    "left_usd": str,
    "left_by": {"user": str, "limit": str},
    "limits": [
        {
            "id": str,
            "total_usd": str,
            "boost_usd": str,
            "every": str,
            "timezone": str,
            "period_start": str,
            "period_end": str,
            "spent_usd": str,
            "held_usd": str,
            "unconfirmed_usd": str,
            "left_usd": str,
            "warn_at": [],
        }
    ],
}
HOLD = {"id": str, "user": str, "model": str, "held_usd": str, "at": str, "state": str}
LEFT = {"left_usd": str, "left_by": {"user": str, "limit": str}}
TERMS = [{"units": [str], "source": str}]
CHARGE = {
    "id": str,
    "user": str,
    "model": str,
    "cost_usd": str,
    "at": str,
    "how": str,
    "usage": {"input": int, "how": str},
    "prices": {"book": str, "book_day": str, "model": str, "rows": {"input": str}, "terms": TERMS},
    "note": None,
    "repeated": bool,
    "overruns": [],
    "thresholds": [],
    **LEFT,
}
RESETS = {
    "dry_run": bool,
    "resets": [{"user": str, "limit_id": str, "spent_usd": str, "period_start": str, "period_end": str}],
    "failed": [],
}


def shape(value: Any) -> Any:
    """Names and types of a document; of a list, its first."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return None if value is None else type(value)


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        pytest.param(
            ("create", "--user", "ben", "--total", "1", "--every", "day"),
            {"created": bool, "budget": BUDGET},
            id="create",
        ),
        pytest.param(("set", "--user", "ann", "--total", "9"), {"budget": BUDGET}, id="set"),
        pytest.param(
            ("status",), {"project": str, "projects": [str], "budgets": [BUDGET], "more": int}, id="status"
        ),
        pytest.param(
            ("status", "--user", "ann"),
            {
                "project": str,
                "budgets": [{**BUDGET, "path": [str], "models": {"gpt-4o-mini": str}, "holds": [HOLD]}],
            },
            id="status of one",
        ),
        pytest.param(
            ("cost", "--user", "ann"),
            {
                "user": str,
                "spent_usd": str,
                "models": {"gpt-4o-mini": str},
                "period_start": str,
                "period_end": str,
                "timezone": str,
                "by": str,
                "rows": [{"model": str, "spent_usd": str}],
            },
            id="cost",
        ),
        pytest.param(
            ("tree",),
            {
                "project": str,
                "tree": {
                    "user": None,
                    "parent": None,
                    "state": str,
                    "spent_usd": None,
                    "held_usd": None,
                    "unconfirmed_usd": None,
                    "left_usd": None,
                    "left_by": None,
                    "limits": [],
                    "below": int,
                    "children": [{**BUDGET, "below": int, "children": []}],
                },
            },
            id="tree",
        ),
        pytest.param(
            ("projects",),
            {"projects": [{"project": str, "users": int, "spent_usd": str, "written_at": str}]},
            id="projects",
        ),
        pytest.param(
            ("history", "--limit", "1"),
            {
                "entries": [
                    {
                        "id": str,
                        "kind": str,
                        "what": str,
                        "user": str,
                        "path": [str],
                        "model": str,
                        "amount_usd": str,
                        "at": str,
                        "recorded_at": str,
                        "detail": {
                            "how": str,
                            "usage": {"output": int, "how": str},
                            "prices": {
                                "book": str,
                                "book_day": str,
                                "model": str,
                                "rows": {"output": str},
                                "terms": TERMS,
                            },
                        },
                    }
                ],
                "next_before": str,
            },
            id="history",
        ),
        pytest.param(
            ("export",),
            {
                "format": str,
                "file": None,
                "count": int,
                "rows": [
                    {
                        "id": str,
                        "kind": str,
                        "corrects": None,
                        "project": str,
                        "user": str,
                        "path": [str],
                        "at": str,
                        "recorded_at": str,
                        "provider": str,
                        "model": str,
                        "amount_usd": str,
                        "input_tokens": int,
                        "output_tokens": int,
                        "usage": {"output": int},
                        "counted": str,
                        "price_book": str,
                        "note": None,
                    }
                ],
            },
            id="export",
        ),
        pytest.param(("list-users",), {"project": str, "users": [str]}, id="list-users"),
        pytest.param(
            ("projected", "--user", "ann", "--model", "gpt-4o-mini", "--prompt", "hello"),
            {
                "user": str,
                "model": str,
                "provider": str,
                "input_tokens": int,
                "input_tokens_most": int,
                "counted": str,
                "counted_most": str,
                "prompt_cost_usd": str,
                "projected_usd": str,
                "most_usd": str,
                "output_limit": int,
                "output_limited_by": str,
                "fits": bool,
                "affordable_output_tokens": int,
                "bounded": bool,
                "unbounded_by": [],
                **LEFT,
                "refusal": None,
                "explanation": None,
            },
            id="projected",
        ),
        pytest.param(
            ("charge", "--user", "ann", "--model", "gpt-4o-mini", "--input-tokens", "1"), CHARGE, id="charge"
        ),
        pytest.param(
            ("correct", "call-9", "--amount", "+0.25", "--note", "a slip"),
            {
                "id": str,
                "corrects": str,
                "user": str,
                "model": str,
                "amount_usd": str,
                "at": str,
                "note": str,
                "repeated": bool,
                "overruns": [],
                "thresholds": [],
                **LEFT,
            },
            id="correct",
        ),
        pytest.param(("archive", "--user", "ann", "--yes"), {"budget": BUDGET}, id="archive"),
        pytest.param(("unarchive", "--user", "ann"), {"budget": BUDGET}, id="unarchive"),
        pytest.param(("reset", "--user", "ann"), {**RESETS}, id="reset"),
        pytest.param(("reset-due",), {**RESETS, "resets": []}, id="reset-due"),
        pytest.param(("holds",), {"holds": [HOLD]}, id="holds"),
        pytest.param(
            ("holds", "release", "call-1"),
            {"id": str, "user": str, "model": str, "released_usd": str, **LEFT},
            id="holds release",
        ),
        pytest.param(
            ("holds", "settle", "call-1", "--amount", "1"),
            {**CHARGE, "usage": None, "prices": None},
            id="holds settle",
        ),
        pytest.param(
            ("check",),
            {"budgets": int, "periods": int, "entries": int, "holds": int, "faults": []},
            id="check",
        ),
        pytest.param(
            ("store", "info"),
            {
                "kind": str,
                "path": str,
                "size_bytes": int,
                "store_schema": int,
                "projects": int,
                "users": int,
                "entries": int,
                "holds": int,
            },
            id="store info",
        ),
        pytest.param(
            ("prices", "set", "m", "--free"),
            {"model": str, "provider": None, "free": bool, "from": None, "file": str},
            id="prices set",
        ),
        pytest.param(
            ("prices", "show", "gpt-4o-mini"),
            {
                "model": str,
                "provider": str,
                "book": str,
                "free": bool,
                "context_window": int,
                "max_output_tokens": int,
                "uplift": {},
                "discount": None,
                "prices": [
                    {
                        "unit": str,
                        "price_usd": str,
                        "per": int,
                        "above_input_tokens": int,
                        "source": str,
                        "tier": str,
                        "from": None,
                        "to": None,
                        "hours_utc": None,
                        "checked": None,
                        "you_pay_usd": str,
                    }
                ],
                "other_times": [],
            },
            id="prices show",
        ),
        pytest.param(
            ("prices", "list", "--search", "gpt-4o-mini"),
            {
                "book": str,
                "total": int,
                "page": int,
                "pages": int,
                "models": [
                    {
                        "model": str,
                        "input_usd": str,
                        "output_usd": str,
                        "units": [str],
                        "tiers": [str],
                        "context_window": int,
                        "free": bool,
                    }
                ],
            },
            id="prices list",
        ),
        pytest.param(
            ("prices", "diff", "--bundled"),
            {"old": str, "new": str, "written": None, "added": [], "gone": [], "changed": []},
            id="prices diff",
        ),
        pytest.param(
            ("prices", "import", "--bundled", "--yes"),
            {"old": str, "new": str, "written": str, "added": [], "gone": [], "changed": []},
            id="prices import",
        ),
        pytest.param(
            ("prices", "check"),
            {"book": str, "made": str, "age_days": int, "models_in_use": int, "unpriced": []},
            id="prices check",
        ),
    ],
)
def test_a_document_has_these_names(
    budget: Budget, held: Callable[..., None], argv: tuple[str, ...], wanted: dict[str, Any]
) -> None:
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month")
    budget.done("charge", "--user", "ann", "--model", "gpt-4o-mini", "--output-tokens", "1", "--id", "call-9")
    held("ann", 2)
    ended = budget.done(*argv, "--json")
    assert ended.err == ""
    document = ended.document
    assert document.pop("schema") == 1
    assert document.pop("command") == " ".join(word for word in argv[:2] if word.isalpha() or word == argv[0])
    assert shape(document) == wanted
    assert list(document) == list(wanted)


def test_what_nothing_limits_is_null(budget: Budget) -> None:
    budget.done("create", "--user", "ann")
    found = budget.done("status", "--json").document["budgets"][0]
    assert (found["left_usd"], found["left_by"], found["limits"]) == (None, None, [])
    assert found["spent_usd"] == "0.00"


def test_money_is_text_and_exact(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "1000000000")
    budget.done("charge", "--amount", "0.000000001")
    text = budget.done("status", "--json").out
    found = json.loads(text)["budgets"][0]
    assert (found["spent_usd"], found["left_usd"]) == ("0.000000001", "999999999.999999999")


def test_moments_end_with_z(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "1", "--every", "day", "--timezone", "Asia/Tokyo")
    limit = budget.done("status", "--json").document["budgets"][0]["limits"][0]
    assert (limit["period_start"], limit["period_end"]) == ("2026-11-21T15:00:00Z", "2026-11-22T15:00:00Z")
