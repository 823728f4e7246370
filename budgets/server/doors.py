"""The one way from the event loop to an engine, whose operations wait for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def call(operation: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """
    What *operation* gives back, while other requests go on.

    It is carried out to its end also when the request that asked goes away.
    """
    return await asyncio.get_running_loop().run_in_executor(None, partial(operation, *args, **named))
