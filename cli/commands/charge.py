"""`budget charge`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from .. import options
from ..booked import Charged
from ..exits import UsageError
from ..options import Model, Provider, User
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.engine.api import EngineApi
    from budgets.records import Charge
    from budgets.usage import Usage

EXAMPLES = """
budget charge --user ann --model gpt-4o-mini --input-tokens 1200 --output-tokens 300
budget charge --user ann --model gpt-4o-mini --input-text "Name three rivers" --output-text "Elbe, Po, Ob"
budget charge --user ann --reply reply.json --id call-1 --at 2026-11-20T09:00:00Z
budget charge --user ann --amount 0.25 --note "an image from the web page"
"""

Text: TypeAlias = Annotated[str | None, typer.Option(metavar="TEXT", help="Counted here, offline.")]
Tokens: TypeAlias = Annotated[str | None, typer.Option(metavar="N", help="As the provider counted.")]

# Option -> the unit of usage that it counts. Cached and written tokens stand beside the input's own.
_UNIT_OF = {
    "--input-tokens": "input",
    "--cached-input-tokens": "cached_input",
    "--cache-write-tokens": "cache_write",
    "--output-tokens": "output",
    "--reasoning-tokens": "reasoning",
}


def charge(
    session: Session,
    user: User = None,
    model: Model = None,
    provider: Provider = None,
    input_text: Text = None,
    output_text: Text = None,
    input_tokens: Tokens = None,
    cached_input_tokens: Tokens = None,
    cache_write_tokens: Tokens = None,
    output_tokens: Tokens = None,
    reasoning_tokens: Tokens = None,
    reply: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A provider's reply, plain JSON or a whole stream; - for stdin."),
    ] = None,
    amount: Annotated[str | None, typer.Option(metavar="USD", help="The cost itself.")] = None,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="What it was for; kept.")] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When the call was made, not in the future; else now.")
    ] = None,
    id: Annotated[  # noqa: A002
        str | None,
        typer.Option(metavar="ID", help="Your own id: the same charge again is not counted twice."),
    ] = None,
) -> Charged:
    """
    Record a cost after the fact.

    Give one of: texts, token counts, --reply, --amount. A cost that happened is recorded even where it
    stands above the limit. It counts in the period, and takes the prices, of --at.
    """
    from budgets.records import Charge

    counts = {
        "--input-tokens": input_tokens,
        "--cached-input-tokens": cached_input_tokens,
        "--cache-write-tokens": cache_write_tokens,
        "--output-tokens": output_tokens,
        "--reasoning-tokens": reasoning_tokens,
    }
    counted = any(each is not None for each in counts.values())
    texts = input_text is not None or output_text is not None
    if counted + texts + (reply is not None) + (amount is not None) != 1:
        raise UsageError(
            "say what it cost in one way",
            hint="give texts, token counts, --reply FILE, or --amount USD",
        )
    if id == "":
        raise UsageError("an id cannot be empty", hint="leave --id out for a new one")
    name, moment = session.user(user), options.moment("--at", at)
    when = moment or session.env.clock()
    engine = session.engine
    if amount is not None:
        cost = Charge(options.usd("--amount", amount) or 0, model, how="amount", note=note)
    elif reply is not None:
        cost = _of_reply(session, reply, model, provider, when, note)
    else:
        if model is None:
            raise UsageError("tokens cost what their model does", hint="add --model NAME")
        usage = (
            _counted(engine, model, provider, when, input_text, output_text) if texts else _reported(counts)
        )
        found = engine.cost(usage, model=model, provider=provider, at=when)
        cost = Charge(found.nanos, found.prices.model, usage, found.pins(), how=usage.how, note=note)
    return Charged(engine.charge(name, cost, charge_id=id, at=moment), session.env.clock())


def _reported(counts: dict[str, str | None]) -> Usage:
    from budgets.usage import Usage

    used = {_UNIT_OF[name]: options.count(name, text) or 0 for name, text in counts.items()}
    return Usage.of(how="reported", **used)


def _counted(
    engine: EngineApi, model: str, provider: str | None, at: datetime, given: str | None, answered: str | None
) -> Usage:
    """Our own count of bare texts, without the few tokens of framing that a provider adds."""
    from budgets.usage import Usage

    seller = engine.book.find(model, provider=provider, at=at).provider
    read, written = (
        engine.counter.count_text(text or "", provider=seller, model=model) for text in (given, answered)
    )
    return Usage.of(how=read.how, input=read.likely, output=written.likely)


def _of_reply(
    session: Session, file: str, model: str | None, provider: str | None, at: datetime, note: str | None
) -> Charge:
    from dataclasses import replace

    from budgets.metering import priced

    from ..replies import read_reply

    reported = read_reply(session.env, file)
    cost = priced(session.engine, reported, asked=model, provider=provider, at=at)
    return replace(cost, note=note)
