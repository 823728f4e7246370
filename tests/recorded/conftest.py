from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.recording import Replay


@pytest.fixture(scope="session")
def replay() -> Iterator[Replay]:
    served = Replay()
    yield served
    served.close()
