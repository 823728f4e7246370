"""`budget serve`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from budgets.errors import InvalidValueError

from ..options import count
from ..output import line, note
from ..results import Result
from ..session import Session

EXAMPLES = """
budget serve
budget serve --port 8787 --store team.sqlite
budget serve --host 0.0.0.0 --quiet
"""

_PORT = 8787
_LAST_PORT = 65_535

_NO_UPSTREAMS = "no provider's key is set here, so no calls can be made through it; budgets can be kept"


@dataclass(frozen=True)
class Served(Result):
    """A server that was told to stop, and has."""

    address: str
    requests: int
    command = "serve"

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {"address": self.address, "requests": self.requests}

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        yield f"stopped after {self.requests:,} requests"


def serve(
    session: Session,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="ADDRESS", help="Where to listen; beyond this machine keys are needed."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        str | None,
        typer.Option("--port", metavar="N", help=f"The port, {_PORT} by itself; 0: any that is free."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing of single requests.")] = False,
) -> Served:
    """
    Serve the store's budgets to other programs and machines.

    A key of role meter that is bound to a user makes calls: they are held, forwarded to the upstreams of the
    configuration file, and charged. It also speaks what LiteLLM's BudgetManager(client_type="hosted") speaks.
    Limits that are due are reset as it runs. Requests are logged to stderr, without users, keys, or contents.
    SIGTERM or Ctrl-C ends it: what runs is finished. Without keys it listens on this machine only.
    """
    number = count("--port", port)
    if number is not None and number > _LAST_PORT:
        raise InvalidValueError(
            f"--port is at most {_LAST_PORT}", hint="0 takes any that is free", option="--port"
        )
    import asyncio

    from budgets.gateway.configured import configuration
    from budgets.server.engines import Engines
    from budgets.server.serving import serve as run

    env = session.env
    addresses: list[str] = []
    requests = 0

    def listening(address: str, openapi: str | None) -> None:
        addresses.append(address)
        words = f"listening on {address}" + (f", described at {openapi}" if openapi else "")
        if session.as_json:
            note(env, words)
        else:
            line(env, words)
        if not quiet:
            ready = [each.name for each in upstreams.upstreams if not each.missing_key]
            note(env, f"calls may go to {', '.join(ready)}" if ready else _NO_UPSTREAMS)

    def report(text: str) -> None:
        nonlocal requests
        requests += 1
        if not quiet:
            note(env, text)

    upstreams = configuration(session.settings.tables, env.environ)
    engines = Engines(session.settings, clock=env.clock)
    try:
        asyncio.run(
            run(
                engines,
                host=host,
                port=_PORT if number is None else number,
                listening=listening,
                report=report,
                upstreams=upstreams,
            )
        )
    finally:
        engines.close()
    return Served(addresses[0], requests)
