"""Every test in this folder that asks for a `store` runs once for each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from budgets.ports import Store
from tests.support.stores import STORES, Kind

OpenStore = Callable[[], Store]


@pytest.fixture(params=STORES.values(), ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """A kind of store."""
    found: Kind = request.param
    return found


@pytest.fixture
def store(kind: Kind, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with closing(kind.open(tmp_path)) as opened:
        yield opened


@pytest.fixture
def another(kind: Kind, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens further handles on the same store; skips for kinds that live in one process."""
    if not kind.shared:
        pytest.skip(f"a {kind.name} store has one handle")
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(kind.open(tmp_path)))
