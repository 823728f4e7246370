"""Several limits, boosts, thresholds, archived budgets, and corrections, as a person meets them."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from budgets.simulated import Fault
from tests.support.world import World, new_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Budget


@pytest.fixture
def ann(budget: Budget) -> Budget:
    """Ann has $10 a month."""
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month")
    return budget


def limits(budget: Budget, user: str = "ann") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = budget.done("status", "--user", user, "--json").document["budgets"][0][
        "limits"
    ]
    return found


def projected(budget: Budget) -> dict[str, Any]:
    """What would become of a call of Ann's."""
    argv = ("projected", "--user", "ann", "--model", "gpt-4o-mini", "--prompt", "x", "--json")
    found: dict[str, Any] = budget.done(*argv).document
    return found


# Several limits


def test_a_limit_stands_beside_the_primary_one(ann: Budget) -> None:
    said = ann.done("set", "--user", "ann", "--limit", "1/day", "--limit", "$5.50/2 weeks").out
    assert "$10.00 every month and $1.00 every day and $5.50 every 2 weeks, $1.00 left" in said
    assert [(each["total_usd"], each["every"]) for each in limits(ann)] == [
        ("10.00", "month"),
        ("1.00", "day"),
        ("5.50", "2 weeks"),
    ]
    ann.done("charge", "--user", "ann", "--amount", "1")
    assert ann.done("status", "--json").document["budgets"][0]["left_usd"] == "0.00"
    ann.clock.set(datetime(2026, 11, 23, tzinfo=UTC))
    assert ann.done("status", "--json").document["budgets"][0]["left_usd"] == "1.00"


def test_a_limit_takes_the_zone_of_the_primary_one_or_the_one_that_is_given(ann: Budget) -> None:
    ann.done("set", "--user", "ann", "--timezone", "Asia/Tokyo")
    ann.done("set", "--user", "ann", "--limit", "1/day")
    assert {each["timezone"] for each in limits(ann)} == {"Asia/Tokyo"}
    ann.done("set", "--limit", "100/month", "--timezone", "Europe/Berlin")
    (project,) = (each for each in ann.done("status", "--json").document["budgets"] if each["user"] is None)
    assert project["limits"][0]["timezone"] == "Europe/Berlin"


def test_a_budget_without_limits_gets_its_first(budget: Budget) -> None:
    budget.done("create", "--user", "ann")
    budget.done("charge", "--user", "ann", "--amount", "3")
    said = budget.done("set", "--user", "ann", "--limit", "5/month").out
    assert said.startswith("set ann: $5.00 every month, $2.00 left")


@pytest.mark.parametrize("name", ["id", "the beginning of it", "1/day"])
def test_a_limit_is_dropped_by_its_name(ann: Budget, name: str) -> None:
    ann.clock.advance(seconds=1)
    ann.done("set", "--user", "ann", "--limit", "1/day")
    limit_id = limits(ann)[1]["id"]
    shown = ann.done("status", "--user", "ann").out
    assert limit_id in shown
    named = {"id": limit_id, "the beginning of it": limit_id[:-6]}.get(name, name)
    ann.done("set", "--user", "ann", "--drop-limit", named)
    assert [each["total_usd"] for each in limits(ann)] == ["10.00"]
    assert limits(ann)[0]["id"] not in ann.done("status", "--user", "ann").out, "one limit needs no name"


def test_the_last_limit_can_be_dropped_and_what_was_spent_stays_known(ann: Budget) -> None:
    ann.done("charge", "--user", "ann", "--amount", "3")
    assert (
        "no limit of its own, nothing limits it"
        in ann.done("set", "--user", "ann", "--drop-limit", "10/month").out
    )
    found = ann.done("status", "--json").document["budgets"][0]
    assert (found["limits"], found["spent_usd"]) == ([], "3.00")


@pytest.mark.parametrize(
    ("argv", "said", "hint"),
    [
        (("--limit", "5"), "--limit: there is no period", "1/day"),
        (("--limit", "/day"), '--limit: "" is not an amount', "12.50"),
        (("--limit", "-1/day"), "amounts are never negative", "12.50"),
        (("--limit", "1/fortnight"), "fortnight", "week"),
        (("--drop-limit", "7/day"), '--drop-limit: "7/day" names no limit', "limit_"),
        (("--drop-limit", "limit_"), '--drop-limit: "limit_" names several limits', "limit_"),
        (("--drop-limit", ""), '--drop-limit: "" names no limit', "limit_"),
        (("--boost", "-1"), "the boost is $0.00, $1.00 cannot be taken back", "--total"),
        (("--boost", "much"), '--boost: "much" is not an amount', "12.50"),
        (("--boost", "1000000000"), None, None),
        (("--warn-at", "half"), '--warn-at: "half" is no list of whole percents', "50%,80%"),
        (("--warn-at", "50%,"), '--warn-at: "50%," is no list of whole percents', "50%,80%"),
        (("--warn-at", "0"), "--warn-at: 0% is no threshold", "1% to 100%"),
        (("--warn-at", "120%"), "--warn-at: 120% is no threshold", "1% to 100%"),
        (("--limit-id", "1/day"), "--limit-id alone changes nothing", "--boost"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_says_why(
    ann: Budget, argv: tuple[str, ...], said: str | None, hint: str | None
) -> None:
    ann.done("set", "--user", "ann", "--limit", "1/day")
    before = limits(ann)
    ended = ann("set", "--user", "ann", *argv)
    if said is None or hint is None:
        # The most that an amount can be is still one.
        assert ended.code == 0
        assert ann("set", "--user", "ann", "--boost", "0.01").code == 2
        return
    assert ended.code == 2
    error, shown_hint = ended.err.splitlines()
    assert said in error + shown_hint
    assert hint in shown_hint
    assert limits(ann) == before


def test_an_unknown_user_is_named_before_their_limits(ann: Budget) -> None:
    ended = ann("set", "--user", "anne", "--drop-limit", "1/day")
    assert ended.code == 1
    assert "did you mean ann?" in ended.err


# Boosts


def test_a_boost_ends_with_the_period(ann: Budget) -> None:
    ann.done("charge", "--user", "ann", "--amount", "9")
    assert (
        "$10.00 every month + $5.00 boost, $6.00 left" in ann.done("set", "--user", "ann", "--boost", "5").out
    )
    assert (
        "$10.00 every month + $7.00 boost, $8.00 left" in ann.done("set", "--user", "ann", "--boost", "2").out
    )
    assert ann.done("status").out.splitlines()[1].split()[:4] == ["ann", "$10.00", "+", "$7.00"]
    assert "$10.00 every month + $7.00 boost" in ann.done("status", "--user", "ann").out
    (limit,) = limits(ann)
    assert (limit["total_usd"], limit["boost_usd"], limit["left_usd"]) == ("10.00", "7.00", "8.00")
    ann.done("set", "--user", "ann", "--boost", "-7")
    assert limits(ann)[0]["left_usd"] == "1.00"
    ann.done("set", "--user", "ann", "--boost", "7")
    ann.clock.set(datetime(2026, 12, 1, tzinfo=UTC))
    (limit,) = limits(ann)
    assert (limit["boost_usd"], limit["left_usd"]) == ("0.00", "10.00")
    assert ann.done("check").code == 0


def test_a_boost_of_another_limit(ann: Budget) -> None:
    ann.done("set", "--user", "ann", "--limit", "1/day")
    ann.done("set", "--user", "ann", "--boost", "2", "--limit-id", "1/day")
    assert [each["boost_usd"] for each in limits(ann)] == ["0.00", "2.00"]


def test_what_nothing_limits_cannot_be_boosted(budget: Budget) -> None:
    budget.done("create", "--user", "ann")
    for option in (("--boost", "1"), ("--warn-at", "50%")):
        ended = budget("set", "--user", "ann", *option)
        assert (ended.code, ended.err) == (2, "error: there is no limit\nhint: make one with --total USD\n")
    # In one breath with the limit itself it can.
    budget.done("set", "--user", "ann", "--total", "5", "--boost", "1", "--warn-at", "50")
    assert (limits(budget)[0]["left_usd"], limits(budget)[0]["warn_at"]) == ("6.00", [50])


def test_a_refusal_counts_the_boost(ann: Budget) -> None:
    ann.done("set", "--user", "ann", "--boost", "5")
    ann.done("charge", "--user", "ann", "--amount", "15")
    refusal = projected(ann)["refusal"]
    assert (refusal["total_usd"], refusal["boost_usd"], refusal["left_usd"]) == ("10.00", "5.00", "0.00")


# Thresholds


def charge(budget: Budget, usd: str, *more: str, **environ: str) -> str:
    return str(budget.done("charge", "--user", "ann", "--amount", usd, *more, **environ).err)


def test_a_threshold_is_said_once_in_a_period(ann: Budget) -> None:
    assert (
        "it warns at 50%, 80% of $10.00 every month"
        in ann.done("set", "--user", "ann", "--warn-at", "80%, 50%,80").out
    )
    assert limits(ann)[0]["warn_at"] == [50, 80]
    assert "50%, 80%" in ann.done("status", "--user", "ann").out
    assert charge(ann, "4.99") == ""
    assert charge(ann, "0.01", "--id", "x") == (
        "ann has used 50% of $10.00 every month: $5.00 left until 2026-12-01 00:00 UTC\n"
    )
    assert charge(ann, "0.01", "--id", "x") == ""
    assert charge(ann, "1") == ""
    assert charge(ann, "3") == (
        "ann has used 90% of $10.00 every month: $1.00 left until 2026-12-01 00:00 UTC\n"
    )
    ann.clock.set(datetime(2026, 12, 1, tzinfo=UTC))
    # Both are reached; who has used 85% has used 50% as well.
    assert charge(ann, "8.50") == (
        "ann has used 85% of $10.00 every month: $1.50 left until 2027-01-01 00:00 UTC\n"
    )


def test_a_teams_threshold_is_said_to_whoever_reaches_it(ann: Budget) -> None:
    ann.done("create", "--user", "team", "--total", "4")
    ann.done("set", "--user", "ann", "--parent", "team", "--warn-at", "10")
    ann.done("set", "--user", "team", "--warn-at", "100%")
    assert charge(ann, "5") == (
        "team stands $1.00 further above its limit\n"
        "ann has used 50% of $10.00 every month: $5.00 left until 2026-12-01 00:00 UTC\n"
        "team has used 125% of $4.00 in all: -$1.00 left\n"
    )


def test_thresholds_are_in_the_document_and_not_on_stderr(ann: Budget) -> None:
    ann.done("set", "--user", "ann", "--warn-at", "50,80")
    ended = ann.done("charge", "--user", "ann", "--amount", "9", "--json")
    assert ended.err == ""
    limit_id = limits(ann)[0]["id"]
    assert ended.document["thresholds"] == [
        {"user": "ann", "limit_id": limit_id, "percent": percent} for percent in (50, 80)
    ]


def test_a_correction_and_a_settled_hold_reach_thresholds_as_well(ann: Budget) -> None:
    ann.done("set", "--user", "ann", "--warn-at", "50,80")
    ann.done("charge", "--user", "ann", "--amount", "4", "--id", "x")
    corrected = ann.done("correct", "x", "--amount", "+1", "--note", "a fee")
    assert "ann has used 50%" in corrected.err
    engine = ann.engine()
    engine.hold("ann", 5 * 10**9, hold_id="call")
    engine.store.close()
    assert "ann has used 80%" in ann.done("holds", "settle", "call", "--amount", "3").err


def test_thresholds_can_be_taken_away(ann: Budget) -> None:
    ann.done("set", "--user", "ann", "--warn-at", "50%")
    ann.done("set", "--user", "ann", "--warn-at", "none")
    assert limits(ann)[0]["warn_at"] == []
    assert charge(ann, "9") == ""


def test_a_threshold_runs_the_program_of_the_settings(ann: Budget) -> None:
    got = ann.folder / "got.jsonl"
    keep = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
    (ann.folder / "config.toml").write_text(
        f"on_threshold = {json.dumps([sys.executable, '-I', '-S', '-c', keep, str(got)])}"
    )
    ann.done("set", "--user", "ann", "--warn-at", "50,80")
    ended = ann.done("charge", "--user", "ann", "--amount", "9", "--note", "a secret prompt")
    found = [json.loads(line) for line in got.read_text().splitlines()]
    assert sorted(each["percent"] for each in found) == [50, 80]
    assert {each["text"] for each in found} == {ended.err.strip()}
    assert {(each["project"], each["user"], each["left_usd"]) for each in found} == {
        ("default", "ann", "1.00")
    }
    assert "secret" not in got.read_text()
    # Not again, and not for what reaches nothing.
    ann.done("charge", "--user", "ann", "--amount", "0.50")
    assert len(got.read_text().splitlines()) == 2


def test_a_program_that_fails_changes_nothing_but_says_so(ann: Budget) -> None:
    ann.done("set", "--user", "ann", "--warn-at", "50%")
    program = shlex.join([sys.executable, "-I", "-S", "-c", "raise SystemExit('the room is locked')"])
    ended = ann.done("charge", "--user", "ann", "--amount", "6", "--json", BUDGET_ON_THRESHOLD=program)
    name = program.split()[0].rpartition("/")[2]
    assert ended.document["cost_usd"] == "6.00"
    assert ended.err == f"on_threshold: {name} ended with exit code 1: the room is locked\n"


# Archived budgets


def test_an_archived_budget_takes_no_calls_and_keeps_its_history(ann: Budget) -> None:
    ann.done("charge", "--user", "ann", "--amount", "3")
    assert ann.done("archive", "--user", "ann", "--yes").out == (
        "archived ann: no more calls; what was spent stays, and `budget unarchive` brings it back\n"
    )
    refusal = projected(ann)["refusal"]
    assert (refusal["code"], refusal["message"]) == ("budget_archived", "ann is archived")
    assert refusal["hint"] == "let calls through again with `budget unarchive --user ann`"
    # A call that was made before, or elsewhere, did cost something.
    ann.done("charge", "--user", "ann", "--amount", "2")
    assert ann.done("cost", "--user", "ann", "--json").document["spent_usd"] == "5.00"
    assert ann.done("unarchive", "--user", "ann").out == (
        "unarchived ann: $5.00 left until 2026-12-01 00:00 UTC (in 8 days)\n"
    )
    assert projected(ann)["fits"]


def test_lists_show_archived_budgets_only_when_asked(ann: Budget) -> None:
    ann.done("create", "--user", "ben", "--total", "1")
    ann.done("archive", "--user", "ann", "--yes")
    assert ann.done("list-users").out == "ben\n"
    assert ann.done("list-users", "--archived").out == "ann\nben\n"
    assert "ann" not in ann.done("status").out
    assert "archived" in ann.done("status", "--archived").out
    states = [each["state"] for each in ann.done("status", "--archived", "--json").document["budgets"]]
    assert sorted(states) == ["active", "archived"]
    assert ann.done("status", "--user", "ann").out.startswith("ann, archived: $10.00 left")
    # Who is the only one left is meant when nobody is said.
    assert "user ben, from the only user" in ann.done("cost").err
    ann.done("archive", "--user", "ben", "--yes")
    assert ann.done("status").err == "project default has archived budgets only; --archived shows them\n"


def test_archiving_asks_first(ann: Budget) -> None:
    refused = ann("archive", "--user", "ann")
    assert (refused.code, refused.err) == (
        2,
        "error: archiving lets no more calls through\nhint: add --yes where nobody can be asked\n",
    )
    asked = ann("archive", "--user", "ann", answer="n\n")
    assert asked.code == 2
    assert "archive ann? No call of it will be let through. [y/N]" in asked.err
    assert ann.done("list-users").out == "ann\n"
    assert ann("archive", "--user", "ann", answer="y\n").code == 0
    assert ann.done("list-users").out == ""
    # Again it changes nothing, so nobody is asked.
    assert ann("archive", "--user", "ann").code == 0


def test_whose_budget_is_archived_is_said(ann: Budget) -> None:
    nobody = ann("archive", "--yes")
    assert (nobody.code, "no user was named" in nobody.err) == (2, True)
    unknown = ann("archive", "--user", "bob", "--yes")
    assert (unknown.code, "bob has no budget" in unknown.err) == (1, True)


def test_a_name_of_an_archived_budget_is_taken(ann: Budget) -> None:
    ann.done("archive", "--user", "ann", "--yes")
    ended = ann("create", "--user", "ann", "--total", "1")
    assert ended.err == (
        "error: ann has a budget already, which is archived\n"
        "hint: let calls through again with `budget unarchive --user ann`\n"
    )


def test_a_frozen_budget_stays_frozen_when_it_is_unarchived(ann: Budget) -> None:
    ann.done("set", "--user", "ann", "--freeze")
    ann.done("archive", "--user", "ann", "--yes")
    assert "frozen as well" in ann.done("unarchive", "--user", "ann").err
    assert ann.done("status", "--json").document["budgets"][0]["state"] == "frozen"


# Corrections


def test_a_correction_is_an_entry_beside_the_charge(ann: Budget) -> None:
    ann.done("charge", "--user", "ann", "--amount", "3", "--id", "x")
    lowered = ann.done("correct", "x", "--amount", "-0.25", "--note", "the invoice", "--id", "fix")
    assert lowered.out == (
        "corrected x of ann by -$0.25, $7.25 left until 2026-12-01 00:00 UTC (in 8 days)\nid fix\n"
    )
    again = ann.done("correct", "x", "--amount", "-0.25", "--note", "the invoice", "--id", "fix")
    assert again.out.startswith("was corrected before: x of ann by -$0.25, $7.25 left")
    raised = ann.done("correct", "x", "--amount", "+8", "--note", "a fee")
    assert raised.out.startswith("corrected x of ann by +$8.00, -$0.75 left")
    assert raised.err == "ann stands $0.75 further above its limit\n"
    assert ann.done("cost", "--user", "ann", "--json").document["spent_usd"] == "10.75"


def test_a_correction_counts_in_the_charges_own_period(ann: Budget) -> None:
    ann.done("charge", "--user", "ann", "--amount", "3", "--id", "x")
    ann.clock.set(datetime(2026, 12, 5, tzinfo=UTC))
    assert "$10.00 left" in ann.done("correct", "x", "--amount", "2", "--note", "a fee").out


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        pytest.param(
            ("--amount", "-3.01"), 2, "the charge stands at $3.00, it cannot be lowered", id="below 0"
        ),
        pytest.param(("--amount", "--1"), 2, '--amount: "-1" is not an amount', id="two signs"),
        pytest.param(("--amount", "-"), 2, '--amount: "" is not an amount', id="only a sign"),
        pytest.param(("--amount", "1e2"), 2, "write the number out", id="an exponent"),
        pytest.param(("--amount", "1", "--note", " "), 2, "a correction needs a reason", id="no reason"),
        pytest.param(("--amount", "1", "--id", ""), 2, "an id cannot be empty", id="an empty id"),
        pytest.param(("--amount", "1", "--id", "x"), 1, "x was used for something else", id="a used id"),
    ],
)
def test_a_correction_that_cannot_be_meant(ann: Budget, argv: tuple[str, ...], code: int, said: str) -> None:
    ann.done("charge", "--user", "ann", "--amount", "3", "--id", "x")
    ended = ann("correct", "x", "--note", "a slip", *argv)
    assert ended.code == code
    assert said in ended.err
    assert limits(ann)[0]["spent_usd"] == "3.00"


def test_only_charges_are_corrected(ann: Budget) -> None:
    ended = ann("correct", "nothing", "--amount", "1", "--note", "a slip")
    assert (ended.code, ended.err.splitlines()[0]) == (1, "error: there is no charge nothing")


# Calls


@pytest.fixture
def world() -> Iterator[World]:
    """Ann has $10 a month, warned at the first nano or so; the provider is simulated."""
    with new_world() as made:
        made.done("budget create --user ann --total 0.001 --every month")
        made.done("budget set --user ann --warn-at 1%")
        yield made


WRAP = 'budget wrap --user ann --model gpt-4o-mini --max-output-tokens 200 "Name three rivers"'


def test_a_call_says_after_its_answer_that_it_reached_a_threshold(world: World) -> None:
    first = world.done(WRAP)
    *_, said = first.err.splitlines()
    assert said.startswith("ann has used ")
    assert said.endswith(" left until 2026-12-01 00:00 UTC")
    assert "has used" not in world.done(WRAP).err


def test_a_calls_document_has_the_thresholds(world: World) -> None:
    ended = world.done(f"{WRAP} --json")
    assert (ended.err, [each["percent"] for each in ended.document["thresholds"]]) == ("", [1])
    assert world.done(f"{WRAP} --json").document["thresholds"] == []


def test_a_call_that_breaks_off_says_it_too(world: World) -> None:
    """Its error is shown, and what it cost counts all the same."""
    world.done("budget charge --user ann --amount 0.000009")
    world.faults.append(Fault(cut_after_bytes=900))
    ended = world.type(f"{WRAP} --stream")
    assert ended.code == 1
    assert "ann has used " in ended.err
