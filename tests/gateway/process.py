"""
A gateway in a process of its own, to be killed, or to be measured.

Its owner gives it a store, an upstream and a key, and reads its port from the first line that it says.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import budgets
from budgets.awaiting import AwaitedEngine
from budgets.gateway.callers import Caller
from budgets.gateway.listening import listening
from budgets.gateway.passing import House
from budgets.gateway.targets import ByName, Target
from budgets.leases import kept_alive
from budgets.providers import named
from budgets.upstream import HttpUpstream

KEY = "bk_process_key"
_ROOT = Path(__file__).parents[2]


@contextmanager
def process(store: Path, upstream: str, user: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway where `KEY` spends what *user* has in *store*, and its address; killed at the end."""
    line = ("import tests.gateway.process as own; own.main()", str(store), upstream, user)
    with subprocess.Popen(
        [sys.executable, "-c", *line], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            yield running, f"http://127.0.0.1:{int(running.stdout.readline())}"
        finally:
            running.kill()


async def serve(store: Path, upstream_url: str, user: str) -> None:
    """Serve until the process ends."""
    targets = ByName(
        [Target(name, named(name), upstream_url, "sk-real") for name in ("openai", "anthropic", "google")]
    )
    with budgets.open_engine(store, grouped=True) as engine, kept_alive(engine):
        async with HttpUpstream() as upstream:
            house = House(AwaitedEngine(engine), targets, upstream)
            async with listening(house, {KEY: Caller(user, "process")}.get) as port:
                sys.stdout.write(f"{port}\n")
                sys.stdout.flush()
                await asyncio.Event().wait()


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("upstream")
    parser.add_argument("user")
    given = parser.parse_args()
    asyncio.run(serve(given.store, given.upstream, given.user))
