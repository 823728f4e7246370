"""
The spending cap for language-model calls that is true.

    import budgets

    with budgets.open_engine() as engine:
        engine.create("ann", budgets.LimitTerms(budgets.parse_usd("10"), budgets.parse_rule("month")))
        held = engine.hold("ann", budgets.parse_usd("0.40"), model="gpt-4o-mini")
        engine.settle(held.hold.id, budgets.Charge(budgets.parse_usd("0.12"), "gpt-4o-mini"))

Each name is loaded when it is first used: importing this opens no file and loads nothing heavy.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from budgets import errors as errors
    from budgets.clients import meter as meter
    from budgets.clock import FixedClock as FixedClock
    from budgets.clock import utc_now as utc_now
    from budgets.completing.answers import Reply as Reply
    from budgets.completing.completions import acompletion as acompletion
    from budgets.completing.completions import completion as completion
    from budgets.engine import Change as Change
    from budgets.engine import Engine as Engine
    from budgets.engine import LimitTerms as LimitTerms
    from budgets.errors import BudgetBusyError as BudgetBusyError
    from budgets.errors import BudgetError as BudgetError
    from budgets.errors import BudgetExceededError as BudgetExceededError
    from budgets.litellm_hooks import litellm_callback as litellm_callback
    from budgets.manager import BudgetManager as BudgetManager
    from budgets.metering_engine import MeteringEngine as MeteringEngine
    from budgets.money import Nanos as Nanos
    from budgets.money import format_usd as format_usd
    from budgets.money import parse_usd as parse_usd
    from budgets.periods import PeriodRule as PeriodRule
    from budgets.periods import parse_rule as parse_rule
    from budgets.ports import Clock
    from budgets.pricing import PriceBook as PriceBook
    from budgets.records import ROOT as ROOT
    from budgets.records import BudgetStatus as BudgetStatus
    from budgets.records import Charge as Charge
    from budgets.records import Entry as Entry
    from budgets.records import Held as Held
    from budgets.records import Quote as Quote
    from budgets.records import Receipt as Receipt
    from budgets.usage import Usage as Usage

    max_budget: float | None
    current_cost: float

# Name -> the module that has it. Its own name: the module itself.
_HOMES = {
    "ROOT": "records",
    "BudgetBusyError": "errors",
    "BudgetError": "errors",
    "BudgetExceededError": "errors",
    "BudgetManager": "manager",
    "BudgetStatus": "records",
    "Change": "engine",
    "Charge": "records",
    "Engine": "engine",
    "Entry": "records",
    "FixedClock": "clock",
    "Held": "records",
    "LimitTerms": "engine",
    "MeteringEngine": "metering_engine",
    "Nanos": "money",
    "PeriodRule": "periods",
    "PriceBook": "pricing",
    "Quote": "records",
    "Receipt": "records",
    "Reply": "completing.answers",
    "Usage": "usage",
    "acompletion": "completing.completions",
    "completion": "completing.completions",
    "errors": "errors",
    "format_usd": "money",
    "litellm_callback": "litellm_hooks",
    "meter": "clients",
    "parse_rule": "periods",
    "parse_usd": "money",
    "utc_now": "clock",
}

__all__ = [
    "ROOT",
    "BudgetBusyError",
    "BudgetError",
    "BudgetExceededError",
    "BudgetManager",
    "BudgetStatus",
    "Change",
    "Charge",
    "Engine",
    "Entry",
    "FixedClock",
    "Held",
    "LimitTerms",
    "MeteringEngine",
    "Nanos",
    "PeriodRule",
    "PriceBook",
    "Quote",
    "Receipt",
    "Reply",
    "Usage",
    "acompletion",
    "completion",
    "errors",
    "format_usd",
    "litellm_callback",
    "meter",
    "open_engine",
    "parse_rule",
    "parse_usd",
    "utc_now",
]


def open_engine(
    store: str | os.PathLike[str] | None = None,
    *,
    project: str | None = None,
    clock: Clock | None = None,
    grouped: bool = False,
) -> MeteringEngine:
    """
    An engine on the same store, and with the same settings, as the command line.

    Close it when it is done with, or use it as a context.

    Args:
        store: The store's file, or the address of a server; `None`: what the environment or the
            configuration file says.
        project: The namespace of users; `None`: the same.
        clock: Asked for the time; `None`: the system's.
        grouped: Many threads' operations share one commit; a server does that by itself.

    Raises:
        ConfigError: a setting cannot be used, or the server's address.
    """
    from budgets.library import opened

    return opened(store, project=project, clock=clock, grouped=grouped)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{home}")
    found = module if name == home else getattr(module, name)
    # The next use finds it without asking here.
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "current_cost", "max_budget"})


class _Package(ModuleType):
    """This package, with the two names of its own that are asked for and set while a program runs."""

    @property
    def max_budget(self) -> float | None:
        """
        The most, in US dollars, that this process may spend from setting it on; `None`: no cap.

        It counts what `completion`, metered clients, and `holding` spend, by a hold before each call.

        Raises:
            InvalidValueError: it is set to what is no amount; the cap stays as it was.
        """
        from budgets import process_cap
        from budgets.dropin.dollars import Usd

        nanos = process_cap.cap_nanos()
        return None if nanos is None else Usd(nanos)

    @max_budget.setter
    def max_budget(self, amount: float | None) -> None:
        from budgets import process_cap
        from budgets.dropin.dollars import nanos_of

        process_cap.set_cap(None if amount is None else nanos_of(amount, "max_budget"))

    @property
    def current_cost(self) -> float:
        """What this process has spent since the cap was set; where none ever was, since it began."""
        from budgets import process_cap
        from budgets.dropin.dollars import Usd

        return Usd(process_cap.spent_nanos())

    # As LiteLLM calls it.
    _current_cost = current_cost


sys.modules[__name__].__class__ = _Package
