"""`budget explain`, and the sums that other commands show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from budgets.engine import LimitTerms
from budgets.records import Charge
from budgets.usage import Usage
from tests.support.frames import event
from tests.support.readding import readd_document, readd_text

if TYPE_CHECKING:
    from conftest import Budget

REPLY = {
    "id": "r",
    "model": "gpt-4o-mini",
    "choices": [],
    "usage": {
        "prompt_tokens": 1201,
        "prompt_tokens_details": {"cached_tokens": 1025},
        "completion_tokens": 311,
    },
}


@pytest.fixture
def ann(budget: Budget) -> Budget:
    budget.done("create", "--user", "ann", "--total", "10")
    return budget


def charge(budget: Budget, *argv: str) -> None:
    budget.done("charge", "--user", "ann", "--id", "c-1", *argv)


def reply(folder: Path, body: Any = REPLY) -> str:
    (folder / "reply.json").write_text(json.dumps(body), "utf-8")
    return "reply.json"


def test_a_charge_and_the_reply_it_came_from_have_the_same_sum(ann: Budget, tmp_path: Path) -> None:
    charge(ann, "--reply", reply(tmp_path))
    of_charge = ann.done("explain", "c-1", "--json").document
    of_reply = ann.done("explain", "--reply", "reply.json", "--json").document
    same = ("basis", "sums", "exact_usd", "rounding_usd", "total_usd", "adds_up")
    assert {name: of_charge[name] for name in same} == {name: of_reply[name] for name in same}
    assert readd_document(of_charge).lines == 3
    assert readd_text(ann.done("explain", "c-1").out) == readd_document(of_charge)


def test_a_charge_is_explained_by_its_own_prices_when_the_book_has_others(ann: Budget) -> None:
    charge(ann, "--model", "gpt-4o-mini", "--input-tokens", "12345")
    before = ann.done("explain", "c-1").out
    ann.done("prices", "set", "gpt-4o-mini", "--input", "99", "--output", "99")
    assert ann.done("explain", "c-1").out == before


def test_a_reply_is_priced_at_the_moment_that_is_given(ann: Budget, tmp_path: Path) -> None:
    ann.done("prices", "set", "gpt-4o-mini", "--input", "7", "--output", "9", "--from", "2026-11-10")
    reply(tmp_path)
    earlier, later = (
        ann.done("explain", "--reply", "reply.json", "--at", at, "--json").document["sums"][0]["lines"][-1]
        for at in ("2026-11-09", "2026-11-10")
    )
    assert (earlier["price_usd"], later["price_usd"]) == ("0.60", "9.00")
    assert later["price"]["from"] == "2026-11-10"
    assert later["price"]["source"] == "your own prices"


def test_a_reply_is_explained_without_a_budget_and_nothing_is_recorded(
    budget: Budget, tmp_path: Path
) -> None:
    budget.done("explain", "--reply", reply(tmp_path))
    assert not Path(budget.environ["BUDGET_STORE"]).exists()


def test_a_binary_stream_of_bedrock_is_read(ann: Budget, tmp_path: Path) -> None:
    argv = ("explain", "--reply", "reply.bin", "--model", "bedrock/us.amazon.nova-lite-v1:0")
    file = tmp_path / "reply.bin"
    spoken = event("contentBlockDelta", {"delta": {"text": "Elbe"}, "contentBlockIndex": 0})
    counted = event("metadata", {"usage": {"inputTokens": 10, "outputTokens": 5}})
    file.write_bytes(spoken + counted)
    assert "$0.0000018" in ann.done(*argv).out
    for damaged, said in (
        (spoken + counted[:-1], "no usage block"),
        (spoken + b"\xff" * 40, "checksum"),
        (counted[:-1], "not UTF-8"),
    ):
        file.write_bytes(damaged)
        ended = ann(*argv)
        assert ended.code != 0
        assert said in ended.err


def test_a_reply_comes_from_stdin_too(ann: Budget) -> None:
    ended = ann.done("explain", "--reply", "-", stdin=json.dumps(REPLY))
    assert readd_text(ended.out).lines == 3


def test_several_models_in_one_call_have_a_block_each(ann: Budget, tmp_path: Path) -> None:
    usage = {
        "input_tokens": 412,
        "output_tokens": 231,
        "iterations": [
            {"type": "message", "input_tokens": 412, "output_tokens": 231},
            {
                "type": "advisor_message",
                "model": "claude-opus-4-6",
                "input_tokens": 823,
                "output_tokens": 1612,
            },
        ],
    }
    body = {"type": "message", "model": "claude-sonnet-4-5", "content": [], "usage": usage}
    ended = ann.done("explain", "--reply", reply(tmp_path, body))
    assert readd_text(ended.out).lines == 4
    assert [line.partition(",")[0] for line in ended.out.splitlines() if line.startswith("anthropic/")] == [
        "anthropic/claude-sonnet-4-5",
        "anthropic/claude-opus-4-6",
    ]
    assert " + " in next(line for line in ended.out.splitlines() if line.startswith("exact sum"))


def test_a_service_tier_and_a_region_are_named(ann: Budget, tmp_path: Path) -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "service_tier": "batch", "inference_geo": "us"}
    body = {"type": "message", "model": "claude-opus-4-6", "content": [], "usage": usage}
    out = ann.done("explain", "--reply", reply(tmp_path, body)).out
    assert out.startswith("anthropic/claude-opus-4-6, batch tier, in the region us, ")
    assert "batch tier" in next(line for line in out.splitlines() if line.startswith("price"))
    readd_text(out)


def test_a_fraction_without_an_end_is_shown_as_one(ann: Budget) -> None:
    engine = ann.engine()
    pins = {"book": "b", "model": "own/m", "rows": {"input_seconds": "100000000000/3"}}
    engine.charge("ann", Charge(33_333_334, "m", Usage.of(input_seconds=1), pins), charge_id="c-1")
    engine.store.close()
    out = ann.done("explain", "c-1").out
    assert "exact sum    $1/30" in out
    assert "where it came from was not kept" in out
    assert readd_text(out).lines == 1


def test_a_bill_is_said_to_be_one(ann: Budget, tmp_path: Path) -> None:
    body = {**REPLY, "model": "openai/gpt-4o-mini", "usage": {**REPLY["usage"], "cost": 0.00012345678}}  # type: ignore[dict-item]
    ended = ann.done("explain", "--provider", "openrouter", "--reply", reply(tmp_path, body))
    assert "bill         what the provider itself says that it bills" in ended.out
    assert "exact sum    $0.00012345678" in ended.out
    assert readd_text(ended.out).lines == 0


def test_a_sum_that_does_not_add_up_is_a_failure(ann: Budget) -> None:
    engine = ann.engine()
    pins = {"book": "b", "model": "own/m", "rows": {"input": "1000"}}
    engine.charge("ann", Charge(5, "m", Usage.of(input=4, output=1), pins), charge_id="c-1")
    engine.store.close()
    ended = ann("explain", "c-1")
    assert ended.code == 1
    assert ended.err == "the lines do not add up to $0.000000005, and no price was kept for output\n"
    document = ann("explain", "c-1", "--json").document
    assert (document["adds_up"], document["sums"][0]["unpriced"]) == (False, ["output"])


def test_an_amount_and_its_corrections(ann: Budget) -> None:
    charge(ann, "--amount", "2.75", "--note", "evaluation")
    ann.done("correct", "c-1", "--amount", "-0.25", "--note", "the invoice", "--id", "fix-1")
    assert ann.done("explain", "c-1").out.splitlines()[1:] == [
        "amount       as it was given: there is nothing to add up",
        "total        $2.75",
        "note         evaluation",
        "corrected    $2.75 c-1 + -$0.25 fix-1",
        "stands at    $2.50",
    ]
    document = ann.done("explain", "fix-1", "--json").document
    assert (document["kind"], document["total_usd"], document["stands_usd"]) == (
        "correction",
        "-0.25",
        "2.50",
    )


def test_what_costs_nothing_says_what_happened(ann: Budget) -> None:
    reset = ann.done("history", "--json").document["entries"][0]
    out = ann.done("explain", reset["id"]).out
    assert "nothing      nothing was charged" in out
    assert reset["what"] in out
    assert "total" not in out


def test_a_hold_is_explained_as_it_was_quoted(ann: Budget) -> None:
    engine = ann.engine()
    from budgets.asks import Ask

    quote = engine.quote(Ask("openai-chat", "gpt-4o-mini", texts=("Name three rivers",), messages=1))
    engine.hold("ann", quote, hold_id="call-1")
    engine.store.close()
    ended = ann.done("explain", "call-1")
    assert "output limit, the default" in ended.out
    assert (
        readd_text(ended.out).total == readd_document(ann.done("explain", "call-1", "--json").document).total
    )


def test_projected_explains_its_most(ann: Budget) -> None:
    argv = ("projected", "--user", "ann", "--model", "gpt-4o-mini", "--prompt", "Name three rivers")
    document = ann.done(*argv, "--explain", "--json").document
    assert document["explanation"]["total_usd"] == document["most_usd"]
    assert readd_document(document["explanation"]) == readd_text(ann.done(*argv, "--explain").out)
    assert ann.done(*argv, "--json").document["explanation"] is None


def test_a_budget_that_lowers_the_output_limit_says_so(budget: Budget) -> None:
    engine = budget.engine()
    engine.create("ann", LimitTerms(1_000_000))
    engine.store.close()
    out = budget.done(
        "projected", "--user", "ann", "--model", "gpt-4o-mini", "--prompt", "hello", "--explain"
    ).out
    assert "output limit, lowered to what is left" in out
    readd_text(out)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        pytest.param((), "say what is to be explained", id="nothing"),
        pytest.param(("c-1", "--reply", "-"), "say what is to be explained", id="both"),
        pytest.param(("c-1", "--model", "m"), "names its own model and time", id="a record's model"),
        pytest.param(("c-1", "--at", "2026-11-01"), "names its own model and time", id="a record's time"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(ann: Budget, argv: tuple[str, ...], said: str) -> None:
    ended = ann("explain", *argv)
    assert ended.code == 2
    assert said in ended.err


def test_an_unknown_id_is_an_error(ann: Budget) -> None:
    ended = ann("explain", "c-9", "--json")
    assert (ended.code, ended.document["error"]["code"]) == (1, "unknown_entry")
