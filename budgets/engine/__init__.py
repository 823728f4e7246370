"""The use cases. The command line, the library's other doors and the server all go through `Engine`."""

from budgets.engine.facade import LEASE_SECONDS, RENEW_SECONDS, Direct, Engine, EngineSettings, Runner
from budgets.engine.shaping import Change, LimitTerms

__all__ = [
    "LEASE_SECONDS",
    "RENEW_SECONDS",
    "Change",
    "Direct",
    "Engine",
    "EngineSettings",
    "LimitTerms",
    "Runner",
]
