"""A server on loopback in a thread of its own, on engines that a test has made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web
from aiohttp.typedefs import Handler

from budgets.clock import FixedClock, utc_now
from budgets.engine import Engine, Runner
from budgets.engine.holding import OnExpiry
from budgets.gateway.configured import Configuration
from budgets.ports import Clock, Processes, Store
from budgets.remote import RemoteEngine
from budgets.server.app import make_app
from budgets.server.engines import Engines
from budgets.server.principals import Principal
from budgets.server.requests import PRINCIPAL
from budgets.server_link import Link
from budgets.stores.memory import MemoryStore
from tests.support.engines import START, FakeProcesses, open_engine


class Fixed(Engines):
    """Engines that are there already, in place of those that settings would give."""

    def __init__(self, of: Callable[[str], Engine], store: Store) -> None:
        self.store = store
        self.clock = utc_now
        self._of = of

    def of(self, project: str) -> Engine:
        return self._of(project)

    def known(self, project: str) -> Engine | None:
        return self._of(project)

    def opened(self) -> list[Engine]:
        return []

    def projects(self) -> list[str]:
        # Nothing is done to them by itself: a test's clock stands still.
        return []

    def close(self) -> None:
        pass


@contextmanager
def served(
    engines: Engines, principal: Principal | None = None, *, upstreams: Configuration | None = None
) -> Iterator[str]:
    """
    The address of a server on *engines*, which runs until the block ends.

    Args:
        principal: Who everybody is taken for; `None`: whom the server takes them for.
        upstreams: Where its gateway may call; `None`: it has none.
    """

    @web.middleware
    async def taken_for(request: web.Request, handler: Handler) -> web.StreamResponse:
        assert principal is not None
        request[PRINCIPAL] = principal
        return await handler(request)

    app = make_app(engines, upstreams=upstreams)
    if principal is not None:
        # The last one is the nearest to the route.
        app.middlewares.append(taken_for)
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app, auto_decompress=False)
    address: list[str] = []

    async def begin() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        address.append(f"http://{host}:{port}")

    loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield address[0]
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


class Remotes:
    """Opens engines on one server. Its own engine for a project is made as the first one is asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engines: dict[str, Engine] = {}
        self.opened: list[RemoteEngine] = []
        self.address = ""

    def serve(self, project: str) -> Engine:
        """The server's own engine of that project."""
        return self._engines[project]

    def open(
        self,
        _store: Store,
        *,
        clock: Clock | None = None,
        processes: Processes | None = None,
        project: str = "default",
        on_expiry: OnExpiry = "unconfirmed",
        runner: Runner | None = None,
    ) -> RemoteEngine:
        """In place of `open_engine`."""
        clock, processes = clock or FixedClock(START), processes or FakeProcesses()
        if project not in self._engines:
            self._engines[project] = open_engine(
                self._store,
                clock=clock,
                processes=processes,
                project=project,
                on_expiry=on_expiry,
                runner=runner,
            )
        engine = RemoteEngine(
            Link(self.address, None),
            project=project,
            desk=open_engine(MemoryStore(), clock=clock, processes=processes),
            processes=processes,
        )
        self.opened.append(engine)
        return engine


@contextmanager
def remotes(store: Store) -> Iterator[Remotes]:
    """A server on *store*, and what opens engines on it."""
    found = Remotes(store)
    with served(Fixed(found.serve, store)) as found.address:
        yield found
        for engine in found.opened:
            engine.let_go()
