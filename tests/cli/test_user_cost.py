"""LiteLLM's `user_cost.json`, there and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.world import World, new_world

# 2026-11-06T00:00:00Z, 16 days before the world's morning.
BEGAN = 1_793_923_200.0


@pytest.fixture
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.fixture
def book() -> dict[str, Any]:
    return {
        "ann": {
            "total_budget": 10,
            "duration": 28,
            "created_at": BEGAN,
            "last_updated_at": BEGAN,
            "current_cost": 4.4999999999999996e-05,
            "model_cost": {"gpt-3.5-turbo": 1.8e-05, "gpt-4o-mini": 2.7e-05},
        },
        "ben": {"total_budget": 0.1, "current_cost": 0.05},
    }


def status(world: World, user: str) -> Any:
    return world.done(f"budget status --user {user} --json").document["budgets"][0]


def test_users_totals_durations_and_spend_by_model_are_taken_over(world: World, book: Any) -> None:
    world.write("user_cost.json", book)
    ended = world.done("budget import user_cost.json")
    assert "calendar month" in ended.err
    ann = status(world, "ann")
    assert ann["spent_usd"] == "0.000045"
    (limit,) = ann["limits"]
    assert (limit["total_usd"], limit["every"]) == ("10.00", "month")
    assert (limit["period_start"], limit["period_end"]) == ("2026-11-06T00:00:00Z", "2026-12-06T00:00:00Z")
    spent = world.done("budget cost --user ann --json").document["models"]
    assert spent == {"gpt-4o-mini": "0.000027", "gpt-3.5-turbo": "0.000018"}
    assert status(world, "ben")["spent_usd"] == "0.05"
    assert world.done("budget check").code == 0


def test_importing_again_charges_only_what_is_new(world: World, book: Any) -> None:
    world.write("user_cost.json", book)
    world.done("budget import user_cost.json")
    again = world.done("budget import user_cost.json --json").document
    assert [each["charged_usd"] for each in again["users"]] == ["0.00", "0.00"]
    assert [each["created"] for each in again["users"]] == [False, False]
    book["ann"]["model_cost"]["gpt-4o-mini"] = 3e-05
    book["ann"]["current_cost"] = 4.8e-05
    book["ben"]["current_cost"] = 0.06
    world.write("user_cost.json", book)
    grown = world.done("budget import user_cost.json --json").document
    assert [each["charged_usd"] for each in grown["users"]] == ["0.000003", "0.01"]
    assert status(world, "ann")["spent_usd"] == "0.000048"
    assert status(world, "ben")["spent_usd"] == "0.06"


def test_an_import_beside_own_charges_loses_neither(world: World, book: Any) -> None:
    world.done("budget create --user ben --total 7")
    world.done("budget charge --user ben --amount 0.5")
    world.write("user_cost.json", book)
    ended = world.done("budget import user_cost.json")
    assert "ben: has a budget already, charged $0.05" in ended.out
    assert status(world, "ben")["spent_usd"] == "0.55"
    assert status(world, "ben")["limits"][0]["total_usd"] == "7.00"


def test_a_period_that_is_over_is_over(world: World, book: Any) -> None:
    book["ann"]["last_updated_at"] = BEGAN - 60 * 86_400
    world.write("user_cost.json", book)
    world.done("budget import user_cost.json")
    assert status(world, "ann")["spent_usd"] == "0.00"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"total_budget": float("nan")}, "total_budget"),
        ({"total_budget": -1}, "total_budget"),
        ({"duration": "monthly"}, "duration"),
        ({"duration": 0}, "duration"),
        ({"last_updated_at": "today"}, "last_updated_at"),
        ({"last_updated_at": 1e30}, "last_updated_at"),
        ({"model_cost": {"m": "much"}}, "model_cost"),
        ({"model_cost": [1]}, "model_cost"),
        ({"current_cost": -1}, "current_cost"),
    ],
)
def test_a_record_that_cannot_be_meant_is_named_and_nothing_taken(
    world: World, book: Any, change: dict[str, Any], said: str
) -> None:
    book["ben"] |= change
    world.write("user_cost.json", book)
    ended = world.type("budget import user_cost.json")
    assert ended.code != 0
    assert '"ben"' in ended.err
    assert said in ended.err
    assert world.done("budget list-users --json").document["users"] == []


@pytest.mark.parametrize("text", ["", "[]", '{"ann": 3}', '{"ann": {}}', '{"ann": {"total_budget": 10'])
def test_what_is_no_such_file_is_refused(world: World, text: str) -> None:
    world.write("user_cost.json", text)
    assert world.type("budget import user_cost.json").code != 0


def test_there_and_back_is_the_same(world: World, book: Any) -> None:
    world.write("user_cost.json", book)
    world.done("budget import user_cost.json")
    world.done("budget export --format litellm --output back.json")
    back = json.loads((world.folder / "back.json").read_text())
    assert back["ann"] == {**book["ann"], "current_cost": 4.5e-05}
    assert back["ben"] == {"total_budget": 0.1, "current_cost": 0.05, "model_cost": {"": 0.05}}
    world.done("budget import back.json --project other")
    assert (
        world.done("budget status --user ben --project other --json").document["budgets"][0]["spent_usd"]
        == "0.05"
    )


def test_what_the_file_cannot_say_is_said(world: World) -> None:
    world.done("budget create --user quarterly --total 1 --every quarter")
    world.done("budget create --user member")
    ended = world.done("budget export --format litellm")
    assert json.loads(ended.out)["quarterly"]["duration"] == 84
    assert "left out, because they have no limit of their own: member" in ended.err
    assert "theirs: quarterly" in ended.err
    assert world.type("budget export --format litellm --since 2026-11-01").code == 2
