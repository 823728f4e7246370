"""What `budget explain` prints of every recorded reply is added up again by hand, to the last digit."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from budgets_cli.app import run
from budgets_cli.env import Env

from budgets.dialects import at_path
from tests.support.readding import readd_document, readd_text
from tests.support.recorded import COUNTS_ONLY, PROVIDERS, exchanges, needs_recorded

pytestmark = needs_recorded

CALLS = [pytest.param(call, id=name) for name, call in exchanges()]

# How many of the replies say what they used, of a model whose price is known.
LEAST_EXPLAINED = 325


def _explain(folder: Path, call: dict[str, Any], *more: str) -> tuple[int, str]:
    reply = folder / "reply"
    reply.write_text(call.get("text") or json.dumps(call["json"]), "utf-8")
    argv = ["explain", "--reply", str(reply), *more]
    if call["host"] in PROVIDERS:
        argv += ["--provider", PROVIDERS[call["host"]]]
    found = at_path(call["path"], call["request"])
    if found is not None:
        argv += ["--model", found[1]["model"]]
    environ = {"BUDGET_STORE": str(folder / "b.sqlite"), "BUDGET_CONFIG": str(folder / "config.toml")}
    out = io.StringIO()
    return run(Env(tuple(argv), io.StringIO(), out, io.StringIO(), environ)), out.getvalue()


@pytest.mark.parametrize("call", CALLS)
def test_a_recorded_reply_adds_up_by_hand(tmp_path: Path, call: dict[str, Any]) -> None:
    code, out = _explain(tmp_path, call, "--json")
    document = json.loads(out)
    if code != 0:
        # An error, a count that is free, a stream that broke off, or a price that nobody knows.
        assert document["error"]["hint"]
        return
    assert call["status"] == 200
    assert document["basis"] in ("prices", "bill")
    assert document["adds_up"]
    by_hand = readd_document(document)
    code, text = _explain(tmp_path, call)
    assert code == 0
    assert readd_text(text) == by_hand


def test_most_recorded_replies_are_explained(tmp_path: Path) -> None:
    """So that the test above cannot be content with errors."""
    calls = [each.values[0] for each in CALLS if not each.values[0]["path"].endswith(COUNTS_ONLY)]
    explained = sum(_explain(tmp_path, call, "--json")[0] == 0 for call in calls)
    assert explained >= LEAST_EXPLAINED
