"""Recorded calls through the commands: `budget wrap` makes them again, `budget charge` books them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from budgets_cli.app import run
from budgets_cli.env import Env

from budgets.money import format_usd, round_up
from tests.support.recorded import HOSTS, judged_picos, needs_recorded, recorded, reply_of
from tests.support.recording import Recording, Replay

pytestmark = needs_recorded

ANSWERED = [call for call in recorded() if call.values[0]["status"] == 200]
REFUSED = [call for call in recorded() if call.values[0]["status"] >= 400]


@dataclass
class Shell:
    """Types commands into one prepared world and reads what they answer."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def type(self, *argv: str) -> tuple[int, Any]:
        """The exit code, and the JSON document."""
        out, err = io.StringIO(), io.StringIO()
        environ = {
            "BUDGET_STORE": str(self.folder / "budgets.sqlite"),
            "BUDGET_CONFIG": str(self.folder / "config.toml"),
            **self.variables,
        }
        code = run(Env((*argv, "--json"), io.StringIO(), out, err, environ))
        return code, json.loads(out.getvalue())

    def file(self, name: str, text: str) -> str:
        """A file of that text."""
        path = self.folder / name
        path.write_text(text, "utf-8")
        return str(path)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    assert made.type("create", "--user", "ann", "--total", "1000000")[0] == 0
    return made


def _spent(shell: Shell) -> str:
    _, document = shell.type("cost", "--user", "ann")
    return document["spent_usd"]


def _adds_up(shell: Shell) -> bool:
    return shell.type("check")[0] == 0


def _wrap(shell: Shell, replay: Replay, call: dict[str, Any]) -> tuple[int, Any]:
    replay.recording = Recording.of(call)
    provider, _ = HOSTS[call["host"]]
    shell.variables |= {f"{provider.upper()}_API_KEY": "a-key"}
    request = shell.file("request.json", json.dumps(call["request"]))
    return shell.type(
        "wrap", "--user", "ann", "--provider", provider, "--base-url", replay.url, "--request", request
    )


@pytest.mark.parametrize("call", ANSWERED)
def test_wrap_charges_what_the_judge_says(shell: Shell, replay: Replay, call: dict[str, Any]) -> None:
    judged = judged_picos(call)
    code, document = _wrap(shell, replay, call)
    if code == 0:
        assert document["cost_usd"] == _spent(shell)
        if judged is not None and "others" not in document["prices"]:
            assert document["cost_usd"] == format_usd(round_up(judged))
    else:
        # A model without a price, or a stream that never said what it used.
        assert judged is None
        assert document["error"]["code"] in ("unknown_price", "unreadable_reply")
        assert _spent(shell) == "0.00"
    assert _adds_up(shell)


@pytest.mark.parametrize("call", ANSWERED)
def test_charge_books_what_the_judge_says(shell: Shell, call: dict[str, Any]) -> None:
    judged = judged_picos(call)
    reply = shell.file("reply", call["text"] if call.get("text") else json.dumps(call["json"]))
    provider, _ = HOSTS[call["host"]]
    code, document = shell.type("charge", "--user", "ann", "--provider", provider, "--reply", reply)
    if code == 0:
        assert document["how"] == "reported"
        if judged is not None and "others" not in document["prices"]:
            assert document["cost_usd"] == format_usd(round_up(judged)) == _spent(shell)
    else:
        assert judged is None or not reply_of(call)["usage"]
        assert document["error"]["hint"]
        assert _spent(shell) == "0.00"
    assert _adds_up(shell)


@pytest.mark.parametrize("call", REFUSED)
def test_a_refusal_is_shown_in_the_providers_words_and_costs_nothing(
    shell: Shell, replay: Replay, call: dict[str, Any]
) -> None:
    code, document = _wrap(shell, replay, call)
    assert code == 1
    if document["error"]["code"] != "unknown_price":
        error = (call.get("json") or {}).get("error") or {}
        assert document["error"]["status"] == call["status"]
        assert error["message"].split("\n")[0][:60] in document["error"]["message"]
    assert _spent(shell) == "0.00"
    assert shell.type("holds")[1]["holds"] == []
