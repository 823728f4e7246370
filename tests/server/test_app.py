"""What all of the server's routes share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from budgets.config import load_settings
from budgets.server.app import make_app
from budgets.server.engines import Engines

T = TypeVar("T")


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    environ = {"BUDGET_CONFIG": str(tmp_path / "config.toml")}
    return Engines(load_settings(environ, store=str(tmp_path / "budgets.sqlite")))


def asked(
    engines: Engines, question: Callable[[TestClient[web.Request, web.Application]], Awaitable[T]]
) -> tuple[T, list[str]]:
    """What came of a question to a server on these engines, and what the server reported."""
    lines: list[str] = []

    async def ask() -> T:
        async with TestClient(TestServer(make_app(engines, report=lines.append))) as client:
            return await question(client)

    return asyncio.run(ask()), lines


def test_it_says_that_it_lives_and_that_its_store_answers(engines: Engines) -> None:
    async def question(client: TestClient[web.Request, web.Application]) -> list[int]:
        return [(await client.get(path)).status for path in ("/healthz", "/readyz")]

    assert asked(engines, question)[0] == [200, 200]


def test_a_store_that_does_not_answer_is_no_readiness(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "budgets.sqlite").mkdir()

    async def question(client: TestClient[web.Request, web.Application]) -> tuple[int, int, dict[str, str]]:
        ready = await client.get("/readyz")
        return (await client.get("/healthz")).status, ready.status, await ready.json(content_type=None)

    (alive, ready, said), _ = asked(engines, question)
    assert (alive, ready, said["code"]) == (200, 500, "store_error")


def test_a_page_that_is_not_there_is_a_problem_document_and_leaves_no_name_in_the_log(
    engines: Engines,
) -> None:
    async def question(client: TestClient[web.Request, web.Application]) -> tuple[int, str, dict[str, str]]:
        answer = await client.get("/ann")
        return answer.status, answer.content_type, await answer.json(content_type=None)

    (status, kind, said), lines = asked(engines, question)
    assert (status, kind, said["code"]) == (404, "application/problem+json", "no_such_page")
    assert lines[0].startswith("GET unknown 404 ")
