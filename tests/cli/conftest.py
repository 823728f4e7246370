"""Runs commands in this process, with the whole world around them replaced."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from budgets_cli.app import run
from budgets_cli.env import Env

from budgets.clock import FixedClock
from budgets.config import load_settings
from budgets.engine import Engine
from budgets.wiring import open_engine
from tests.support.world import NOW, Terminal


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout; there must be exactly one."""
        return json.loads(self.out)


@dataclass
class Budget:
    """The `budget` command on a store of its own. Call it with its arguments."""

    folder: Path
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environ |= {
            "BUDGET_STORE": str(self.folder / "store" / "budgets.sqlite"),
            "BUDGET_CONFIG": str(self.folder / "config.toml"),
        }

    def __call__(
        self, *argv: str, stdin: str = "", answer: str | None = None, terminal: bool = False, **environ: str
    ) -> Ended:
        """*answer* is what a person types, at a terminal; *terminal*: somebody looks at the output."""
        person = answer is not None
        out = Terminal() if terminal or person else StringIO()
        err = Terminal() if terminal or person else StringIO()
        code = run(
            Env(
                argv=argv,
                stdin=Terminal(answer) if answer is not None else StringIO(stdin),
                stdout=out,
                stderr=err,
                environ={**self.environ, **environ},
                clock=self.clock,
            )
        )
        return Ended(code, out.getvalue(), err.getvalue())

    def done(self, *argv: str, **more: Any) -> Ended:
        """The same, where it must succeed."""
        ended = self(*argv, **more)
        assert ended.code == 0, ended
        return ended

    def engine(self) -> Engine:
        """The engine on the same store, to arrange what no command does."""
        return open_engine(load_settings(self.environ), clock=self.clock)


@pytest.fixture
def budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Budget:
    """An empty store. Files are looked for in its folder."""
    monkeypatch.chdir(tmp_path)
    return Budget(tmp_path)


@pytest.fixture
def held(budget: Budget) -> Callable[..., None]:
    """Makes a hold, as a call that is not done yet."""

    def hold(user: str, usd: int, hold_id: str = "call-1") -> None:
        engine = budget.engine()
        engine.hold(user, usd * 10**9, model="gpt-4o-mini", hold_id=hold_id)
        engine.store.close()

    return hold
