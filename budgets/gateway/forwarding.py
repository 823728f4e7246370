"""Takes a call to the first target that can be had."""

from __future__ import annotations

from budgets.errors import BudgetError, ProviderError
from budgets.gateway.incoming import Incoming, Reply, Report
from budgets.gateway.passing import House, OneCall


async def forward(house: House, call: Incoming, reply: Reply) -> None:
    """
    Make one call under its caller's budget.

    Raises:
        BudgetError: it was refused, and nothing was sent to the caller yet.
    """
    model = str(call.body.get("model", ""))
    provider = call.target or ""
    try:
        candidates = house.targets.candidates(call.target, model, call.dialect.name)
        for number, target in enumerate(candidates, 1):
            provider = target.provider.id
            one = OneCall(house, call, target, reply, last=number == len(candidates))
            if await one.carried_out():
                return
    except BudgetError as error:
        # A provider that failed us is no refusal of the budget's.
        failed = isinstance(error, ProviderError)
        house.report(
            Report("released" if failed else "refused", call.caller.user, provider, model, error=error)
        )
        raise
