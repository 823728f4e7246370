"""Whoever charges tells those whom the settings name of a threshold: a program, and a server."""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import budgets
from tests.support.servers import serving

# Takes a notice down.
TAKES = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where notices are taken down, as the configuration file says."""
    file = tmp_path / "told.json"
    command = json.dumps([sys.executable, "-c", TAKES, str(file)])
    (tmp_path / "config.toml").write_text(f"on_threshold = {command}\n", "utf-8")
    monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "config.toml"))
    return file


def spend(engine: budgets.MeteringEngine) -> None:
    engine.create("ann", budgets.LimitTerms(budgets.parse_usd("10")))
    engine.change("ann", budgets.Change(warn_at=(80,)))
    engine.charge("ann", budgets.Charge(budgets.parse_usd("8.30")))


def said(file: Path) -> Any:
    deadline = time.monotonic() + 30
    while not (file.exists() and file.read_text("utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    found = json.loads(file.read_text("utf-8"))
    return found["project"], found["user"], found["percent"], found["spent_usd"]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_program_tells_them_and_waits_for_it(told: Path, tmp_path: Path, grouped: bool) -> None:
    engine = budgets.open_engine(tmp_path / "budgets.sqlite", grouped=grouped, project="shop")
    spend(engine)
    engine.close()
    del engine
    gc.collect()
    # Whoever lets the engine go waits for it.
    assert told.exists()
    assert said(told) == ("shop", "ann", 80, "8.30")


def test_a_server_tells_them_of_its_clients_charges(
    told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path) as server:
        # The client itself tells nobody.
        monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "none.toml"))
        with budgets.open_engine(server.address, project="shop") as engine:
            spend(engine)
        assert said(told) == ("shop", "ann", 80, "8.30")
        assert server.stop() == 0
