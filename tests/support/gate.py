"""A gateway that runs over a simulated provider on loopback, and a client for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

import budgets
from budgets.awaiting import AwaitedEngine
from budgets.gateway.callers import Caller
from budgets.gateway.incoming import Report
from budgets.gateway.listening import listening
from budgets.gateway.passing import House
from budgets.gateway.targets import ByName, Target
from budgets.providers import Provider, named
from budgets.upstream import HttpUpstream
from tests.support.provider import LoopbackProvider

KEY = "bk_run_key"
_BEDROCK = Provider("aws", "bedrock-converse", "http://unused", "https://docs.aws.amazon.com/bedrock/")


class Gate:
    """A gateway that runs, and a client for it."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        reports: list[Report],
        house: House,
        told: asyncio.Event,
    ) -> None:
        self.url = url
        self.session = session
        self.reports = reports
        self.house = house
        self.told = told

    def post(self, path: str, body: Any, **how: Any) -> Any:
        headers = {"authorization": f"Bearer {KEY}", **how.pop("headers", {})}
        return self.session.post(self.url + path, json=body, headers=headers, **how)


@asynccontextmanager
async def gate(engine: budgets.Engine, provider: LoopbackProvider, **how: Any) -> AsyncIterator[Gate]:
    reports: list[Report] = []
    told = asyncio.Event()

    def note(report: Report) -> None:
        reports.append(report)
        told.set()

    targets = ByName(
        [
            Target("openai", named("openai"), provider.url, "sk-real"),
            Target("anthropic", named("anthropic"), provider.url, "sk-ant-real"),
            Target("groq", named("groq"), provider.url, None, missing_key=("GROQ_API_KEY",)),
            Target("google", named("google"), provider.url, "AIza-real"),
            Target("cohere", named("cohere"), provider.url, "co-real"),
            Target("bedrock", _BEDROCK, provider.url, "b-real"),
            Target("azure", named("openai"), provider.url, "az-real", deployments={"prod": "gpt-4o-mini"}),
        ]
    )
    async with HttpUpstream() as upstream, aiohttp.ClientSession() as session:
        house = House(AwaitedEngine(engine), targets, upstream, report=note, **how)
        callers = {KEY: Caller("ann", "run"), "bk_narrow": Caller("ann", "narrow", ("gpt-4o-mini",))}
        callers["bk_bob"] = Caller("bob", "bob")
        async with listening(house, callers.get, finish_seconds=1) as port:
            yield Gate(f"http://127.0.0.1:{port}", session, reports, house, told)


def played(
    engine: budgets.Engine, provider: LoopbackProvider, scene: Callable[[Gate], Any], **how: Any
) -> Any:
    async def main() -> Any:
        async with gate(engine, provider, **how) as opened:
            return await scene(opened)

    return asyncio.run(main())


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name a river"}], **more}


def spent(engine: budgets.Engine) -> int:
    return engine.status("ann").limits[0].totals.spent_nanos


def billed(provider: LoopbackProvider) -> int:
    """What the provider bills at gpt-4o-mini's prices, each call rounded up to a nano."""
    return sum(each["prompt_tokens"] * 150 + each["completion_tokens"] * 600 for each in provider.bills)
