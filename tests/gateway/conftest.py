from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import budgets
from tests.gateway.running import Running, running
from tests.gateway.wire import WireProvider
from tests.support.recording import Replay


@pytest.fixture
def provider() -> Iterator[WireProvider]:
    opened = WireProvider()
    yield opened
    opened.close()


@pytest.fixture
def replay() -> Iterator[Replay]:
    opened = Replay()
    yield opened
    opened.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[budgets.Engine]:
    """`ann` has a hundred dollars."""
    with budgets.open_engine(tmp_path / "budgets.sqlite", grouped=True) as opened:
        opened.create("ann", budgets.LimitTerms(budgets.parse_usd("100")))
        yield opened


@pytest.fixture
def gateway(engine: budgets.Engine, provider: WireProvider) -> Iterator[Running]:
    with running(engine, provider.url) as opened:
        yield opened
