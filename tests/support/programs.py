"""Engines as a program opens them: on a file, or on a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import budgets
from budgets.config import load_settings
from budgets.server.engines import Engines
from tests.support.serving import served

Where: TypeAlias = Literal["file", "server"]


@contextmanager
def opened(folder: Path, where: Where, *, grouped: bool = False) -> Iterator[budgets.MeteringEngine]:
    """An engine on the store in *folder*, which a server keeps where that is said."""
    file = folder / "budgets.sqlite"
    if where == "file":
        with budgets.open_engine(file, grouped=grouped) as engine:
            yield engine
        return
    with (
        served(Engines(load_settings(os.environ, store=os.fspath(file)))) as address,
        budgets.open_engine(address) as engine,
    ):
        yield engine
