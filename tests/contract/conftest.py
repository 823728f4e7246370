"""
Every test in this folder that asks for a `store` runs once for each kind.

In a module that uses `door` it runs for engines on a server as well, unless it is marked `local`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from budgets.ports import Store
from tests.support.serving import remotes
from tests.support.stores import STORES, Kind

OpenStore = Callable[[], Store]


# An engine on a store of this machine, or on a server that keeps it.
DOORS = [
    *(("local", kind) for kind in STORES.values()),
    ("remote", STORES["memory"]),
    ("remote", STORES["sqlite"]),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "door" in metafunc.fixturenames:
        local = metafunc.definition.get_closest_marker("local") is not None
        doors = [each for each in DOORS if not (local and each[0] == "remote")]
        metafunc.parametrize(
            ("reached", "kind"), doors, ids=[f"{reached}-{kind.name}" for reached, kind in doors]
        )
    elif "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", STORES.values(), ids=lambda kind: kind.name)


@pytest.fixture
def door(
    request: pytest.FixtureRequest, reached: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Where the engines of a module's tests are on a server, `open_engine` there opens such engines."""
    if reached == "local":
        yield
        return
    with remotes(store) as opened:
        monkeypatch.setattr(request.module, "open_engine", opened.open)
        yield


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
