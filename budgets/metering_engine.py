"""The engine as a Python program has it: with calls that it holds, runs, and meters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from budgets.engine.api import EngineApi
from budgets.money import Nanos

if TYPE_CHECKING:
    from budgets.holdings import Holding
    from budgets.leases import Keeper
    from budgets.runs import Run

F = TypeVar("F", bound=Callable[..., Any])


class MeteringEngine(EngineApi, Protocol):
    """
    An engine that also meters a program's calls, be its store a file or kept by a server.

    `budgets.open_engine` gives one. What is below it knows of quotes, holds, and charges; here they come
    together with requests and replies.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def keeper(self) -> Keeper:
        """Keeps the holds of running calls alive."""
        from budgets.leases import Keeper

        return Keeper(self)

    def holding(
        self,
        user: str,
        request: Mapping[str, Any] | Nanos,
        *,
        provider: str | None = None,
        dialect: str | None = None,
        model: str | None = None,
    ) -> Holding:
        """
        Hold the most that a call can cost for as long as a `with` or `async with` block runs.

            with engine.holding("ann", request) as hold:
                reply = client.chat.completions.create(**hold.request)
                hold.settle(reply)

        A block that does not settle leaves the hold unconfirmed, with a warning: a call that was sent may
        have cost money, and a block cannot see whether it was. The hold is let go where the block calls
        `hold.release()`, or ends with an exception whose `status_code` is 4xx: the provider refused.

        Args:
            request: What goes to the SDK, in any dialect; or an amount in nanos.
            provider: Who serves it; `None`: the model's name says it.
            dialect: The wire format; `None`: the request's fields say it.
            model: For an amount: what it is spent on.

        Raises:
            BudgetExceededError: on entering: it does not fit.
            InvalidValueError: it is no request, or nothing says who serves it.
            UnknownPriceError: on entering: the model has no price.
        """
        from budgets.holdings import Holding

        return Holding(self, self.keeper, user, request, provider=provider, dialect=dialect, model=model)

    def metered(
        self, user: str, *, provider: str | None = None, dialect: str | None = None
    ) -> Callable[[F], F]:
        """
        A decorator for a function, plain or async, that takes a request's fields and returns the reply.

            @engine.metered("ann")
            def ask(**request):
                return client.chat.completions.create(**request)

        The function is called with the request as it may be sent, its output limit put in. What it raises is
        treated as in `holding`. A streamed request is refused: use `holding` and `hold.watch`.

        Raises:
            BudgetExceededError: at the call: it does not fit, and the function is not called.
        """
        from budgets.holdings import metered

        return metered(partial(self.holding, user, provider=provider, dialect=dialect))

    def run(self, user: str, *, total: str) -> Run:
        """
        A budget for one run, below the user's, for as long as a `with` or `async with` block runs.

            with engine.run("ann", total="2.00") as run:
                with run.holding(request) as hold: ...

        Both limits hold, the run's and all above it. At the end it is archived: its history stays.

        Args:
            user: Whose run it is; the run's budget is called `ann/run-20261122-1a2b3c`.
            total: The most that the run may spend, in US dollars.

        Raises:
            InvalidValueError: *total* is no amount.
            UnknownUserError: on entering: the user has no budget.
        """
        from budgets.runs import Run

        return Run(self, self.keeper, user, total=total)
