"""What each command says and does, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Budget

OPENAI_REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Elbe"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "total_tokens": 1100,
        "prompt_tokens_details": {"cached_tokens": 400},
    },
}
ANTHROPIC_REPLY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "content": [{"type": "text", "text": "Elbe"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1000, "output_tokens": 100},
}


def _stream(*events: dict[str, object], end: str = "data: [DONE]\n\n") -> str:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + end


OPENAI_STREAM = _stream(
    {"model": "gpt-4o-mini", "choices": [{"index": 0, "delta": {"content": "Elbe"}}]},
    {"model": "gpt-4o-mini", "choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100}},
)
ANTHROPIC_STREAM = _stream(
    {"type": "message_start", "message": {**ANTHROPIC_REPLY, "content": []}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}},
    {"type": "message_stop"},
    end="",
)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param((), "created ann: no limit of its own, nothing limits it", id="a plain member"),
        pytest.param(("--total", "10"), "created ann: $10.00 in all, $10.00 left", id="never resets"),
        pytest.param(
            ("--total", "10", "--every", "month"),
            "it resets 2026-12-01 00:00 UTC (in 8 days)",
            id="monthly, absolute and relative",
        ),
        pytest.param(
            ("--total", "10", "--duration", "daily"), "it resets 2026-11-23 00:00 UTC", id="duration"
        ),
        pytest.param(("--total", "10", "--every", "2 weeks"), "$10.00 every 2 weeks", id="every two weeks"),
        pytest.param(
            ("--total", "$1,000.50", "--every", "day", "--timezone", "Asia/Tokyo"),
            "it resets 2026-11-23 00:00 Asia/Tokyo (in 6 hours)",
            id="a zone",
        ),
        pytest.param(
            ("--total", "10", "--every", "month", "--anchor", "2026-01-31"),
            "$10.00 every month from 2026-01-31, $10.00 left\nit resets 2026-11-30 00:00 UTC",
            id="an anchor",
        ),
        pytest.param(("--total", "0"), "created ann: $0.00 in all, $0.00 left", id="zero"),
    ],
)
def test_create_says_when_it_resets_and_what_to_type_next(
    budget: Budget, options: tuple[str, ...], said: str
) -> None:
    ended = budget.done("create", "--user", "ann", *options)
    assert said in ended.out
    assert (
        ended.out.splitlines()[-1] == 'next: budget wrap --user ann --model gpt-4o-mini "Name three rivers"'
    )


def test_what_to_type_next_is_for_the_same_store_and_project(budget: Budget) -> None:
    ended = budget.done("create", "--user", "ann b", "--project", "my shop", "--store", "s.sqlite")
    assert "next: budget wrap --user 'ann b' --store s.sqlite --project 'my shop' --model" in ended.out


def test_a_second_create_names_set_and_changes_nothing(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    ended = budget("create", "--user", "ann", "--total", "20")
    assert ended.code == 1
    assert ended.err.startswith(
        "error: ann has a budget already\nhint: change it with `budget set --user ann"
    )
    assert budget.done("status", "--json").document["budgets"][0]["limits"][0]["total_usd"] == "10.00"


def test_if_missing_leaves_a_budget_as_it_is(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    ended = budget.done("create", "--user", "ann", "--total", "20", "--if-missing", "--json")
    assert ended.document["created"] is False
    assert ended.document["budget"]["limits"][0]["total_usd"] == "10.00"


def test_a_parent_sets_what_is_left(budget: Budget) -> None:
    budget.done("create", "--user", "team-a", "--total", "5")
    ended = budget.done("create", "--user", "ann", "--total", "10", "--parent", "team-a")
    assert "below team-a, $5.00 left, set by team-a" in ended.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(("--total", "20"), "set ann: $20.00 every month from 2026-01-15", id="total"),
        pytest.param(
            ("--every", "week"), "$10.00 every week, $10.00 left", id="a new period drops the anchor"
        ),
        pytest.param(("--duration", "yearly"), "$10.00 every year", id="duration"),
        pytest.param(("--timezone", "Asia/Tokyo"), "00:00 Asia/Tokyo", id="only the zone"),
        pytest.param(("--anchor", "2026-01-20"), "every month from 2026-01-20", id="only the anchor"),
        pytest.param(("--freeze",), "frozen: nothing fits until --unfreeze", id="freeze"),
        pytest.param(("--parent", "team-a"), "below team-a", id="parent"),
    ],
)
def test_set_changes_what_is_named(budget: Budget, options: tuple[str, ...], said: str) -> None:
    budget.done("create", "--user", "team-a", "--total", "50")
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month", "--anchor", "2026-01-15")
    assert said in budget.done("set", "--user", "ann", *options).out


def test_a_new_period_keeps_the_zone(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month", "--timezone", "Asia/Tokyo")
    assert "00:00 Asia/Tokyo" in budget.done("set", "--user", "ann", "--every", "week").out


def test_a_parent_can_be_left_again(budget: Budget) -> None:
    budget.done("create", "--user", "team-a", "--total", "5")
    budget.done("create", "--user", "ann", "--total", "10", "--parent", "team-a")
    ended = budget.done("set", "--user", "ann", "--no-parent", "--json")
    assert ended.document["budget"]["parent"] is None
    assert ended.document["budget"]["left_usd"] == "10.00"


def test_set_without_a_user_is_the_projects_cap(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    assert (
        "set (project): $3.00 every year, $3.00 left"
        in budget.done("set", "--total", "3", "--every", "year").out
    )
    first, ann = budget.done("status", "--json").document["budgets"]
    assert first["user"] is None
    assert ann["left_usd"] == "3.00"
    assert ann["left_by"] == {"user": None, "limit": first["limits"][0]["id"]}


def test_unfreezing_lets_calls_through_again(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("set", "--user", "ann", "--freeze")
    assert budget.done("status", "--json").document["budgets"][0]["state"] == "frozen"
    budget.done("set", "--user", "ann", "--unfreeze")
    assert budget.done("status", "--json").document["budgets"][0]["state"] == "active"


def test_status_shows_the_nearest_to_its_limit_first(budget: Budget) -> None:
    for user, total, spent in (("a", "10", "1"), ("b", "10", "9"), ("c", "1", "2"), ("d", "10", "0")):
        budget.done("create", "--user", user, "--total", total)
        budget.done("charge", "--user", user, "--amount", spent)
    budget.done("create", "--user", "free")
    lines = budget.done("status").out.splitlines()
    assert lines[0].split() == [
        "USER",
        "LIMIT",
        "EVERY",
        "SPENT",
        "HELD",
        "UNCONFIRMED",
        "LEFT",
        "USED",
        "RESETS",
        "AT",
    ]
    assert [line.split()[0] for line in lines[1:]] == ["c", "b", "a", "d", "free"]
    assert [line.split()[7] for line in lines[1:5]] == ["100%", "90%", "10%", "0%"]


def test_status_with_nothing_to_show_names_the_projects_that_have_budgets(budget: Budget) -> None:
    ended = budget.done("status")
    assert ended.out == ""
    assert "begin with `budget create" in ended.err
    budget.done("create", "--user", "ann", "--total", "1", "--project", "shop")
    ended = budget.done("status")
    assert ended.out == ""
    assert ended.err == (
        "project default has no budgets\nthis store has budgets in shop; choose one with --project\n"
    )


def test_status_of_one_user_shows_path_models_and_holds(budget: Budget, held: Callable[..., None]) -> None:
    budget.done("create", "--user", "team-a", "--total", "50")
    budget.done("create", "--user", "ann", "--total", "10", "--parent", "team-a")
    budget.done("charge", "--user", "ann", "--model", "gpt-4o-mini", "--input-tokens", "1000000")
    held("ann", 2)
    ended = budget.done("status", "--user", "ann")
    assert "ann: $7.85 left" in ended.out
    assert "path: ann > team-a > (project)" in ended.out
    assert "gpt-4o-mini  $0.15" in ended.out
    assert "call-1  ann   $2.00  open" in ended.out
    found = budget.done("status", "--user", "ann", "--json").document["budgets"][0]
    assert found["path"] == ["ann", "team-a", None]
    assert found["models"] == {"gpt-4o-mini": "0.15"}
    assert [hold["id"] for hold in found["holds"]] == ["call-1"]
    assert (found["held_usd"], found["left_usd"]) == ("2.00", "7.85")


def test_cost_is_by_model_in_the_current_period(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month")
    budget.done("charge", "--user", "ann", "--amount", "5", "--at", "2026-10-31T23:00:00Z")
    budget.done("charge", "--user", "ann", "--amount", "2")
    budget.done("charge", "--user", "ann", "--model", "gpt-4o-mini", "--output-tokens", "1000000")
    ended = budget.done("cost", "--user", "ann")
    assert ended.out.startswith("ann has spent $2.60 of $10.00 every month since 2026-11-01 00:00 UTC\n")
    document = budget.done("cost", "--user", "ann", "--json").document
    assert document["models"] == {"(no model)": "2.00", "gpt-4o-mini": "0.60"}
    assert document["spent_usd"] == "2.60"


def test_list_users_prints_one_name_a_line(budget: Budget) -> None:
    for user in ("zoe", "ann", "team a"):
        budget.done("create", "--user", user, "--total", "1")
    assert budget.done("list-users").out == "ann\nteam a\nzoe\n"


@pytest.mark.parametrize(
    ("options", "cost", "how"),
    [
        pytest.param(
            ("--model", "gpt-4o-mini", "--input-tokens", "1,000", "--output-tokens", "100"),
            "0.00021",
            "reported",
            id="tokens",
        ),
        pytest.param(
            ("--model", "gpt-4o-mini", "--input-tokens", "600", "--cached-input-tokens", "400"),
            "0.00012",
            "reported",
            id="cached tokens stand beside the input",
        ),
        pytest.param(
            ("--model", "gpt-4o-mini", "--input-text", "Name three rivers", "--output-text", "Elbe"),
            "0.00000165",
            "tiktoken:o200k_base",
            id="texts",
        ),
        pytest.param(("--amount", "0.25", "--note", "an image"), "0.25", "amount", id="an amount"),
        pytest.param(("--amount", "0"), "0.00", "amount", id="nothing"),
        pytest.param(("--reply", "openai.json"), "0.00018", "reported", id="an OpenAI reply"),
        pytest.param(("--reply", "anthropic.json"), "0.0045", "reported", id="an Anthropic reply"),
        pytest.param(("--reply", "openai.sse"), "0.00021", "reported", id="an OpenAI stream"),
        pytest.param(("--reply", "anthropic.sse"), "0.0045", "reported", id="an Anthropic stream"),
    ],
)
def test_charge_records_what_it_is_given(
    budget: Budget, options: tuple[str, ...], cost: str, how: str
) -> None:
    (budget.folder / "openai.json").write_text(json.dumps(OPENAI_REPLY))
    (budget.folder / "anthropic.json").write_text(json.dumps(ANTHROPIC_REPLY))
    (budget.folder / "openai.sse").write_text(OPENAI_STREAM)
    (budget.folder / "anthropic.sse").write_text(ANTHROPIC_STREAM)
    budget.done("create", "--user", "ann", "--total", "10")
    document = budget.done("charge", "--user", "ann", *options, "--json").document
    assert (document["cost_usd"], document["how"]) == (cost, how)
    assert budget.done("cost", "--user", "ann", "--json").document["spent_usd"] == cost
    assert budget.done("check").out.startswith("all sums add up")


RESPONSE = {
    "object": "response",
    "model": "gpt-4o-mini",
    "status": "incomplete",
    "error": None,
    "output": [],
    "usage": {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 400},
        "output_tokens": 100,
    },
}
GEMINI = {
    "modelVersion": "gemini-2.5-flash",
    "candidates": [{"content": {"parts": [{"text": "Elbe"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2, "thoughtsTokenCount": 4},
}


@pytest.mark.parametrize(
    ("reply", "model", "cost"),
    [
        pytest.param(json.dumps(RESPONSE), None, "0.00018", id="an OpenAI response"),
        pytest.param(
            "event: response.completed\ndata: "
            + json.dumps({"type": "response.completed", "response": RESPONSE}),
            None,
            "0.00018",
            id="an OpenAI response, streamed",
        ),
        pytest.param(
            json.dumps(
                {
                    "object": "list",
                    "data": [],
                    "model": "text-embedding-3-small",
                    "usage": {"prompt_tokens": 50, "total_tokens": 50},
                }
            ),
            None,
            "0.000001",
            id="an OpenAI embedding",
        ),
        pytest.param(json.dumps(GEMINI), None, "0.000018", id="Gemini"),
        pytest.param(f"data: {json.dumps(GEMINI)}\n\n", None, "0.000018", id="Gemini, as events"),
        pytest.param(f"[{json.dumps(GEMINI)}\n]", None, "0.000018", id="Gemini, as an array"),
        pytest.param(
            json.dumps({"output": {}, "usage": {"inputTokens": 1000, "outputTokens": 100}}),
            "gpt-4o-mini",
            "0.00021",
            id="Bedrock Converse, whose replies name no model",
        ),
        pytest.param(
            json.dumps({"inputTextTokenCount": 1000, "results": [{"tokenCount": 100}]}),
            "gpt-4o-mini",
            "0.00021",
            id="Titan at Bedrock",
        ),
        pytest.param(
            json.dumps({"usage": {"billed_units": {"input_tokens": 1000, "output_tokens": 100}}}),
            "gpt-4o-mini",
            "0.00021",
            id="Cohere",
        ),
    ],
)
def test_a_reply_of_any_dialect_is_recognised(
    budget: Budget, reply: str, model: str | None, cost: str
) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    named = ("--model", model) if model else ()
    document = budget.done("charge", "--reply", "-", *named, "--json", stdin=reply).document
    assert (document["cost_usd"], document["how"]) == (cost, "reported")


def test_what_openrouter_bills_is_charged(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    reply = (
        '{"model": "nobody/knows-it", "choices": [], "usage": {"prompt_tokens": 16, "completion_tokens": 2,'
        ' "cost": 0.000014, "is_byok": false}}'
    )
    document = budget.done(
        "charge", "--provider", "openrouter", "--reply", "-", "--json", stdin=reply
    ).document
    assert document["cost_usd"] == "0.000014"


def test_a_reply_by_stdin_is_read(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    ended = budget.done("charge", "--reply", "-", "--json", stdin=json.dumps(OPENAI_REPLY))
    assert ended.document["usage"] == {"input": 600, "cached_input": 400, "output": 100, "how": "reported"}


def test_a_reply_of_an_unknown_model_takes_the_price_of_the_one_asked_for(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    reply = json.dumps({**OPENAI_REPLY, "model": "what-the-gateway-calls-it"})
    ended = budget.done("charge", "--reply", "-", "--model", "gpt-4o-mini", "--json", stdin=reply)
    assert ended.document["cost_usd"] == "0.00018"


def test_a_charge_with_an_id_counts_once(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    charge = ("charge", "--user", "ann", "--amount", "1", "--id", "call-1")
    assert budget.done(*charge).out.startswith("charged ann $1.00")
    assert budget.done(*charge).out.startswith("was charged before: ann $1.00")
    assert budget.done("cost", "--json").document["spent_usd"] == "1.00"
    other = budget("charge", "--user", "ann", "--amount", "2", "--id", "call-1", "--json")
    assert (other.code, other.document["error"]["code"]) == (1, "conflict")


def test_a_charge_above_the_limit_is_recorded_and_said(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "1")
    ended = budget.done("charge", "--user", "ann", "--amount", "1.50")
    assert "-$0.50 left" in ended.out
    assert ended.err == "ann stands $0.50 further above its limit\n"


def test_reset_opens_a_new_period(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month")
    budget.done("charge", "--user", "ann", "--amount", "4")
    ended = budget.done("reset", "--user", "ann")
    assert ended.out == (
        "reset ann: $4.00 of $10.00 every month was spent,"
        " the new period runs until 2026-12-01 00:00 UTC (in 8 days)\n"
    )
    assert budget.done("cost", "--json").document["spent_usd"] == "0.00"


@pytest.mark.parametrize(
    ("more", "code", "spent"),
    [
        pytest.param({"answer": "yes\n"}, 0, "0.00", id="asked, yes"),
        pytest.param({"answer": "\n"}, 2, "1.00", id="asked, no answer is no"),
        pytest.param({}, 2, "1.00", id="nobody to ask"),
        pytest.param({"yes": True}, 0, "0.00", id="--yes"),
    ],
)
def test_reset_all_asks_first(budget: Budget, more: dict[str, object], code: int, spent: str) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("charge", "--user", "ann", "--amount", "1")
    answer = more.get("answer")
    assert answer is None or isinstance(answer, str)
    ended = budget("reset", "--all", *(["--yes"] if more.get("yes") else []), answer=answer)
    assert ended.code == code
    assert budget.done("cost", "--json").document["spent_usd"] == spent


def test_reset_due_prints_one_line_each_and_nothing_when_nothing_is_due(budget: Budget) -> None:
    for user in ("ann", "ben"):
        budget.done("create", "--user", user, "--total", "10", "--every", "day")
        budget.done("charge", "--user", user, "--amount", "1")
    assert budget.done("reset-due") == budget.done("reset-due", "--dry-run")
    assert budget.done("reset-due").out == ""
    budget.clock.advance(days=1)
    assert budget.done("reset-due", "--dry-run").out.count("would reset") == 2
    ended = budget.done("reset-due")
    assert [line.split(":")[0] for line in ended.out.splitlines()] == ["reset ann", "reset ben"]
    assert (budget.done("reset-due").out, ended.err) == ("", "")


def test_holds_are_listed_settled_and_released(budget: Budget, held: Callable[..., None]) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    assert budget.done("holds").err == "nothing is held\n"
    held("ann", 2, "call-1")
    held("ann", 3, "call-2")
    rows = budget.done("holds").out.splitlines()
    assert rows[0].split()[:5] == ["HOLD", "USER", "HELD", "STATE", "MODEL"]
    assert [row.split()[:4] for row in rows[1:]] == [
        ["call-1", "ann", "$2.00", "open"],
        ["call-2", "ann", "$3.00", "open"],
    ]
    assert (
        "charged ann $0.50 for gpt-4o-mini, $6.50 left"
        in budget.done("holds", "settle", "call-1", "--amount", "0.50").out
    )
    assert "was charged before" in budget.done("holds", "settle", "call-1", "--amount", "0.50").out
    assert "released $3.00 for ann, $9.50 left" in budget.done("holds", "release", "call-2").out
    budget.done("holds", "release", "call-2")
    assert budget.done("status", "--json").document["budgets"][0]["held_usd"] == "0.00"


def test_check_finds_a_wrong_sum(budget: Budget) -> None:
    import sqlite3

    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("charge", "--user", "ann", "--amount", "1")
    with sqlite3.connect(budget.environ["BUDGET_STORE"]) as connection:
        connection.execute("UPDATE periods SET spent = spent + 1 WHERE spent > 0")
    connection.close()
    ended = budget("check")
    assert ended.code == 1
    assert ended.out.startswith("FAULTS 1:")
    assert "spent is $1.000000001, the entries say $1.00" in ended.out
    assert len(budget("check", "--json").document["faults"]) == 1


def test_a_price_of_ones_own_is_used(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    ended = budget.done("prices", "set", "my-model", "--input", "$0.15", "--output", "0.0000005")
    assert ended.out == f"my-model has a price of yours, written to {budget.folder / 'prices.toml'}\n"
    shown = budget.done("prices", "show", "my-model", "--json").document
    assert [(row["unit"], row["price_usd"], row["per"]) for row in shown["prices"]] == [
        ("input", "0.15", 1_000_000),
        ("output", "0.0000005", 1_000_000),
    ]
    document = budget.done("charge", "--model", "my-model", "--input-tokens", "1000000", "--json").document
    assert document["cost_usd"] == "0.15"


def test_a_free_model_costs_nothing(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "0")
    assert "is free" in budget.done("prices", "set", "llama3.2", "--free").out
    assert "free, says the owner" in budget.done("prices", "show", "llama3.2").out
    document = budget.done(
        "projected", "--model", "ollama/llama3.2", "--prompt", "hello", "--check", "--json"
    ).document
    assert (document["most_usd"], document["fits"]) == ("0.00", True)


def test_a_price_holds_from_its_day_on(budget: Budget) -> None:
    budget.done("prices", "set", "my-model", "--input", "1", "--output", "1")
    budget.done("prices", "set", "my-model", "--input", "2", "--output", "2", "--from", "2026-12-01")
    assert budget.done("prices", "show", "my-model", "--json").document["prices"][0]["price_usd"] == "1.00"
    budget.clock.advance(days=9)
    assert budget.done("prices", "show", "my-model", "--json").document["prices"][0]["price_usd"] == "2.00"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--model", "gpt-4o-mini", "--prompt", "Name three rivers"), id="prompt"),
        pytest.param(("--model", "gpt-4o-mini", "--messages", "messages.json"), id="messages"),
        pytest.param(("--request", "request.json"), id="request"),
    ],
)
def test_projected_counts_prices_and_says_whether_it_fits(budget: Budget, options: tuple[str, ...]) -> None:
    messages = [{"role": "user", "content": "Name three rivers"}]
    (budget.folder / "messages.json").write_text(json.dumps(messages))
    (budget.folder / "request.json").write_text(json.dumps({"model": "gpt-4o-mini", "messages": messages}))
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("charge", "--amount", "1")
    ended = budget.done("projected", *options, "--check", "--json").document
    tokens, prompt = ended["input_tokens"], ended["prompt_cost_usd"]
    assert tokens == 10
    assert prompt == "0.0000015"
    assert ended["projected_usd"] == "1.0000015"
    assert (ended["fits"], ended["bounded"], ended["refusal"]) == (True, True, None)
    assert ended["affordable_output_tokens"] > 10_000_000


def test_projected_that_does_not_fit_shows_its_figures_and_with_check_ends_with_3(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "0.0001")
    call = ("projected", "--user", "ann", "--model", "gpt-4o-mini", "--prompt", "Name three rivers")
    ended = budget.done(*call)
    assert ended.out.splitlines()[-1].split() == ["fits", "no"]
    assert "it does not fit: ann has $0.0001 left" in ended.err
    checked = budget(*call, "--check", "--json")
    assert checked.code == 3
    assert checked.document["fits"] is False
    assert checked.document["refusal"]["code"] == "budget_exceeded"


def test_projected_that_would_fit_later_ends_with_75(budget: Budget, held: Callable[..., None]) -> None:
    budget.done("create", "--user", "ann", "--total", "1")
    held("ann", 1)
    ended = budget("projected", "--model", "gpt-4o-mini", "--prompt", "hi", "--check", "--json")
    assert (ended.code, ended.document["refusal"]["code"]) == (75, "busy")


def test_the_user_falls_back_and_stderr_says_whom_it_took(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "1")
    assert budget.done("cost").err == "user ann, from the only user of project default\n"
    budget.done("create", "--user", "ben", "--total", "1")
    ended = budget("cost")
    assert (ended.code, ended.err) == (
        2,
        "error: no user was named\nhint: add --user NAME, or set BUDGET_USER; there are ann, ben\n",
    )
    (budget.folder / "config.toml").write_text('user = "ben"\n')
    ended = budget.done("cost")
    assert ended.out.startswith("ben has spent")
    assert ended.err == f"user ben, from {budget.folder / 'config.toml'}\n"
    ended = budget.done("cost", BUDGET_USER="ann")
    assert (ended.out.split()[0], ended.err) == ("ann", "user ann, from BUDGET_USER\n")
    assert budget.done("cost", "--user", "ben", BUDGET_USER="ann").err == ""


def test_create_never_takes_the_only_user(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "1")
    assert budget("create", "--total", "2").code == 2


def test_projects_and_stores_are_apart(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "1", "--project", "shop")
    budget.done("create", "--user", "ben", "--total", "1", "--store", str(budget.folder / "other.sqlite"))
    assert budget.done("list-users").out == ""
    assert budget.done("list-users", BUDGET_PROJECT="shop").out == "ann\n"
    assert budget.done("list-users", "--store", "other.sqlite").out == "ben\n"


def test_a_bare_budget_prints_the_help(budget: Budget) -> None:
    ended = budget.done()
    assert ended == budget.done("--help")
    assert "list-users" in ended.out


def test_the_version_is_shown(budget: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: {"llm-budgets": "1.2.3"}[name])
    assert budget.done("--version").out == "budget 1.2.3\n"
