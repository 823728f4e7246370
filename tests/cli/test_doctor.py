"""`budget doctor`: each thing that it looks at, well and unwell."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from budgets_cli.commands.doctor import file_system

from budgets.records import Lease, Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Budget

MOUNTS = """\
sysfs /sys sysfs rw 0 0
/dev/sda1 / ext4 rw 0 0
server:/net /net nfs4 rw 0 0
//nas/team /mnt/our\\040team cifs rw 0 0
/dev/sdb1 /net/ann/local xfs rw 0 0
"""


def _findings(budget: Budget, *, code: int = 0, **environ: str) -> dict[str, dict[str, Any]]:
    ended = budget("doctor", "--json", **environ)
    assert ended.code == code, ended
    return {each["name"]: each for each in ended.document["findings"]}


def _state(finding: dict[str, Any]) -> tuple[str, bool]:
    return finding["state"], finding["hint"] is not None


def test_all_is_well(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("charge", "--user", "ann", "--amount", "1")
    found = _findings(budget, OPENAI_API_KEY="sk-secret")
    assert list(found) == [
        "program",
        "settings",
        "store",
        "journal",
        "file system",
        "writing",
        "clock",
        "leases",
        "unconfirmed",
        "sums",
        "prices",
        "own prices",
        "keys",
        "base URLs",
    ]
    assert {_state(each) for each in found.values()} == {("ok", False)}
    assert "users 1, entries " in found["store"]["what"]


def test_each_finding_is_a_line_that_begins_with_its_state(budget: Budget) -> None:
    ended = budget.done("doctor")
    lines = ended.out.splitlines()
    assert all(line.startswith(("ok    ", "warn  ", " " * 18)) for line in lines)
    assert ended.err == ""


def test_without_a_store_none_is_made(budget: Budget) -> None:
    found = _findings(budget)
    assert _state(found["store"]) == ("warn", True)
    assert "sums" not in found
    assert list(budget.folder.iterdir()) == []


def test_no_key_is_shown_and_no_password_of_an_address(budget: Budget) -> None:
    variables = {
        "OPENAI_API_KEY": "sk-secret",
        "ANTHROPIC_API_KEY": " ",
        "OPENAI_BASE_URL": "https://me:word@proxy.example.com:8443/v1/token",
    }
    text = budget.done("doctor", **variables).out
    assert "set: OPENAI_API_KEY\n" in text
    assert "openai at proxy.example.com\n" in text
    for secret in ("sk-secret", "word", "token"):
        assert secret not in text


def test_an_address_that_is_none_is_broken(budget: Budget) -> None:
    found = _findings(budget, code=1, OPENAI_BASE_URL="proxy.example.com")
    assert _state(found["base URLs"]) == ("fail", True)


def test_settings_that_cannot_be_used_end_only_what_needs_them(budget: Budget) -> None:
    (budget.folder / "config.toml").write_text("stoer = 1")
    found = _findings(budget, code=1)
    assert _state(found["settings"]) == ("fail", True)
    assert list(found) == ["program", "settings", "keys", "base URLs"]


def test_own_prices_that_cannot_be_read_are_broken(budget: Budget) -> None:
    (budget.folder / "prices.toml").write_text("[[price]]\nmodel = 5\n")
    found = _findings(budget, code=1)
    assert "prices.toml" in found["own prices"]["what"]
    assert found["own prices"]["state"] == "fail"
    assert found["prices"]["state"] == "ok"


def test_own_prices_are_counted(budget: Budget) -> None:
    budget.done("prices", "set", "my-model", "--free")
    assert _findings(budget)["own prices"]["what"].startswith("1 in ")


def test_old_prices_are_said(budget: Budget) -> None:
    budget.clock.advance(days=3_650)
    assert _state(_findings(budget)["prices"]) == ("warn", True)
    budget.clock.advance(days=-36_500)
    assert _state(_findings(budget)["prices"]) == ("warn", True)


def test_a_store_that_is_damaged_is_broken(budget: Budget) -> None:
    file = budget.folder / "store" / "budgets.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"no store at all" * 100)
    found = _findings(budget, code=1)
    assert _state(found["store"]) == ("fail", True)
    assert found["prices"]["state"] == "ok"


def test_a_sum_that_differs_is_broken(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    with sqlite3.connect(budget.environ["BUDGET_STORE"]) as connection:
        connection.execute("UPDATE periods SET spent = 5")
    connection.close()
    found = _findings(budget, code=1)
    assert _state(found["sums"]) == ("fail", True)
    assert "$0.000000005" in found["sums"]["what"]


def test_a_journal_that_somebody_changed_is_said(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    connection = sqlite3.connect(budget.environ["BUDGET_STORE"])
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    assert _state(_findings(budget)["journal"]) == ("warn", True)


@pytest.mark.parametrize(
    ("hours", "state"),
    [pytest.param(-2, ("warn", True), id="set back"), pytest.param(2, ("ok", False), id="gone on")],
)
def test_a_clock_behind_the_ledger_is_said(budget: Budget, hours: int, state: tuple[str, bool]) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("charge", "--user", "ann", "--amount", "1")
    budget.clock.advance(hours=hours)
    assert _state(_findings(budget)["clock"]) == state


def test_processes_that_are_gone_are_counted(budget: Budget, held: Callable[..., None]) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    held("ann", 1)
    engine = budget.engine()
    with engine.store.transaction("default") as txn:
        gone = Process("another-host", 1, "")
        txn.put_lease(Lease("lease-gone", gone, budget.clock() - timedelta(seconds=1)))
    engine.store.close()
    found = _findings(budget)["leases"]
    assert (found["what"], _state(found)) == ("1 alive, 1 of processes that are gone", ("warn", True))


def test_unconfirmed_money_is_said_with_the_commands(budget: Budget, held: Callable[..., None]) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    held("ann", 2)
    engine = budget.engine()
    engine.doubt("call-1", reason="cut off")
    engine.store.close()
    found = _findings(budget)["unconfirmed"]
    assert found["what"] == "$2.00, holds 1, of ann"
    assert "budget holds settle ID --amount USD" in found["hint"]


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        pytest.param("/var/lib/s.sqlite", "ext4", id="the root"),
        pytest.param("/net/ann/s.sqlite", "nfs4", id="a network"),
        pytest.param("/net/ann/local/s.sqlite", "xfs", id="a disk within a network's folder"),
        pytest.param("/network/s.sqlite", "ext4", id="a folder that only begins alike"),
        pytest.param("/mnt/our team/s.sqlite", "cifs", id="a blank"),
    ],
)
def test_the_kind_of_file_system_is_that_of_the_nearest_mount(place: str, kind: str) -> None:
    assert file_system(Path(place), MOUNTS) == kind


def test_a_store_on_a_network_is_broken(budget: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    monkeypatch.setattr("budgets_cli.commands.doctor.file_system", lambda place, mounts: "nfs4")
    assert _state(_findings(budget, code=1)["file system"]) == ("fail", True)
