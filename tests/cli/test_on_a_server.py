"""Every command says on a server what it says on a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from budgets.config import load_settings
from budgets.engine import Engine
from budgets.wiring import open_engine
from tests.support.serving import Fixed, served
from tests.support.world import World, new_world, populated

# One after the other, in the same world.
LINES = (
    "budget status",
    "budget status --user ann",
    "budget status --json",
    "budget tree",
    "budget cost --by model --user ann",
    "budget cost --by day --under team-a --since 2026-11-01",
    "budget history --limit 3",
    "budget history --user ann",
    "budget export --format csv",
    "budget list-users --over 20%",
    "budget list-users --under team-a",
    "budget projects",
    "budget holds",
    "budget statusline --user ann",
    "budget projected --user ann --model gpt-4o-mini --prompt 'Name three rivers'",
    "budget create --user new --total 5 --every week --parent team-a",
    "budget create --user new --total 5",
    "budget create --user new --total 5 --if-missing",
    "budget set --user new --total 1 --warn-at 50%",
    "budget charge --user new --amount 0.75 --id once",
    "budget charge --user new --amount 0.75 --id once",
    "budget charge --user new --amount 0.76 --id once",
    "budget correct once --amount=-0.25 --note 'was less'",
    "budget wrap --user new --model gpt-4o-mini 'Name three rivers'",
    "budget wrap --user nightly-job --model gpt-4o-mini 'Name three rivers'",
    "budget wrap --user ben --model claude-opus-4-1 --max-output-tokens 100000 hello",
    "budget holds settle call-2 --amount 0.40",
    "budget holds release call-1",
    "budget holds release call-9",
    "budget archive --user new",
    "budget unarchive --user new",
    "budget reset --user new",
    "budget reset-due --dry-run",
    "budget reset-due",
    "budget prices check",
    "budget explain c-1",
    "budget explain call-2",
    "budget explain once",
    "budget status --estimates",
    "budget check",
    "budget status --user nobody",
)


@pytest.fixture
def worlds() -> Iterator[tuple[World, World]]:
    """The same world twice, one on its file, the other on a server that keeps its file."""
    with ExitStack() as stack:
        local, remote = (stack.enter_context(new_world(populated)) for _ in range(2))
        engines: dict[str, Engine] = {}
        store = str(remote.folder / "budgets.sqlite")

        def engine(project: str) -> Engine:
            if project not in engines:
                settings = load_settings(remote.environ, store=store, project=project)
                engines[project] = open_engine(settings, clock=remote.clock)
                stack.callback(engines[project].close)
            return engines[project]

        address = stack.enter_context(served(Fixed(engine, engine("default").store)))
        remote.environ["BUDGET_STORE"] = address
        yield local, remote


def test_every_command_says_on_a_server_what_it_says_on_a_file(worlds: tuple[World, World]) -> None:
    local, remote = worlds
    for line in LINES:
        here, there = local.type(line), remote.type(line)
        assert (there.code, there.out, there.err) == (here.code, here.out, here.err), line


def test_what_needs_the_file_says_so(worlds: tuple[World, World]) -> None:
    _, remote = worlds
    info = remote.done("budget store info")
    assert "127.0.0.1" in info.out
    assert "a SQLite store" in info.out
    refused = remote.type("budget store copy http://127.0.0.1:1 copy.json")
    assert (refused.code, "only files are copied" in refused.err) == (2, True)
    assert "sums          all add up" in remote.type("budget doctor").out


def test_a_key_is_never_shown_and_never_taken_from_the_command_line(worlds: tuple[World, World]) -> None:
    _, remote = worlds
    remote.environ["BUDGET_KEY"] = "bk_secret"
    shown = remote.done("budget config")
    assert "bk_secret" not in shown.out + remote.done("budget config --json").out
    refused = remote.type("budget config set key bk_secret")
    assert (refused.code, "bk_secret" in refused.err) == (2, False)
    assert not Path(remote.folder / "config.toml").read_text("utf-8").count("bk_secret")


def test_a_server_that_is_far_needs_a_protected_way(worlds: tuple[World, World]) -> None:
    _, remote = worlds
    refused = remote.type("budget status --store http://example.com")
    assert (refused.code, "use https://example.com" in refused.err) == (1, True)
