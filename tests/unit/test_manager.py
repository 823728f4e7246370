"""`BudgetManager` does what the documentation of LiteLLM's class promises, and keeps its shapes."""

from __future__ import annotations

import json
import math
import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import budgets
from budgets.clock import FixedClock
from budgets.config import load_settings
from budgets.engine import LimitTerms
from budgets.errors import InvalidValueError, UnknownPriceError, UnknownUserError, UnreadableReplyError
from budgets.manager import BudgetManager
from budgets.money import parse_usd
from budgets.periods import parse_rule
from budgets.wiring import open_engine

NOW = datetime(2026, 1, 31, 10, 0, 0, 250_000, tzinfo=UTC)
MESSAGES = [{"role": "user", "content": "Hey, how's it going?"}]


def reply(prompt: int = 10, completion: int = 5, model: str = "gpt-4o-mini") -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Well."}}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion},
    }


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def manager(tmp_path: Path, clock: FixedClock) -> Iterator[BudgetManager]:
    settings = load_settings(
        {"BUDGET_CONFIG": str(tmp_path / "config.toml")}, store=str(tmp_path / "budgets.sqlite")
    )
    made = BudgetManager.on(open_engine(settings, clock=clock))
    yield made
    made.engine.close()


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET_STORE", str(tmp_path / "budgets.sqlite"))
    monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv("BUDGET_API_BASE", raising=False)


def test_a_record_has_the_shape_of_the_original(manager: BudgetManager) -> None:
    assert manager.create_budget(10, "1234", duration="monthly") == {
        "total_budget": 10.0,
        "duration": 28,
        "created_at": NOW.timestamp(),
        "last_updated_at": NOW.timestamp(),
        "current_cost": 0.0,
        "model_cost": {},
    }
    answer = manager.update_cost("1234", completion_obj=reply())
    # 10 x $0.15 + 5 x $0.60, per million tokens.
    assert answer["user"]["current_cost"] == 4.5e-06
    assert answer["user"]["model_cost"] == {"gpt-4o-mini": 4.5e-06}
    assert answer == {"user": manager.user_dict["1234"]}
    assert json.loads(json.dumps(answer)) == answer


def test_without_a_duration_there_is_no_date(manager: BudgetManager) -> None:
    assert manager.create_budget(10, "ann").keys() == {"total_budget", "current_cost", "model_cost"}


def test_the_exact_amount_is_one_attribute_away(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    for _ in range(10):
        manager.update_cost("ann", completion_obj=reply(1, 1))
    cost = manager.get_current_cost("ann")
    assert (cost.nanos, cost.exact) == (7_500, "0.0000075")
    again = pickle.loads(pickle.dumps(cost))
    assert (again, again.nanos) == (cost, 7_500)


def test_ten_tenths_are_one(manager: BudgetManager) -> None:
    manager.create_budget(1, "ann")
    for _ in range(10):
        manager.engine.charge("ann", budgets.Charge(100_000_000, how="amount"))
    assert manager.get_current_cost("ann") == manager.get_total_budget("ann") == 1.0


def test_creating_again_keeps_what_was_spent(manager: BudgetManager, clock: FixedClock) -> None:
    manager.create_budget(10, "ann", duration="monthly")
    manager.update_cost("ann", completion_obj=reply())
    clock.set(datetime(2026, 2, 3, tzinfo=UTC))
    record = manager.create_budget(20, "ann", duration="monthly")
    assert record["total_budget"] == 20
    assert record["current_cost"] == 4.5e-06
    assert record["created_at"] == NOW.timestamp()


def test_another_duration_gives_nothing_back(manager: BudgetManager, clock: FixedClock) -> None:
    manager.create_budget(10, "ann")
    clock.advance(hours=30)
    manager.update_cost("ann", completion_obj=reply())
    clock.advance(hours=1)
    record = manager.create_budget(10, "ann", duration="daily")
    assert record["current_cost"] == 4.5e-06
    # The days of the budget are those since it was made.
    assert record["last_updated_at"] == NOW.timestamp() + 86_400
    assert manager.create_budget(10, "ann")["current_cost"] == 4.5e-06


def test_an_anchored_month_is_a_month_and_does_not_drift(manager: BudgetManager, clock: FixedClock) -> None:
    manager.create_budget(10, "ann", duration="monthly")
    for now, start in (
        ("2026-02-28T10:00:00.249999+00:00", "2026-01-31T10:00:00.250000+00:00"),
        ("2026-02-28T10:00:00.250000+00:00", "2026-02-28T10:00:00.250000+00:00"),
        ("2026-05-30T12:00:00+00:00", "2026-04-30T10:00:00.250000+00:00"),
        ("2026-05-31T12:00:00+00:00", "2026-05-31T10:00:00.250000+00:00"),
    ):
        clock.set(datetime.fromisoformat(now))
        manager.update_cost("ann", completion_obj=reply())
        assert manager.user_dict["ann"]["last_updated_at"] == datetime.fromisoformat(start).timestamp()
    # The last one alone: nobody had to ask for a reset.
    assert manager.get_current_cost("ann") == 4.5e-06


@pytest.mark.parametrize(
    ("duration", "days"), [("daily", 1), ("weekly", 7), ("monthly", 28), ("yearly", 365)]
)
def test_every_duration_of_the_original(manager: BudgetManager, duration: Any, days: int) -> None:
    assert manager.create_budget(1, "ann", duration)["duration"] == days


def test_created_at_is_kept_and_is_now_at_each_call(manager: BudgetManager, clock: FixedClock) -> None:
    assert manager.create_budget(1, "old", "daily", created_at=1_735_689_600)["created_at"] == 1_735_689_600
    clock.set(datetime(2026, 3, 1, tzinfo=UTC))
    assert manager.create_budget(1, "new", "daily")["created_at"] == clock.now.timestamp()


def test_a_bad_duration_changes_nothing(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    with pytest.raises(ValueError, match="fortnightly"):
        manager.create_budget(99, "ann", duration="fortnightly")  # type: ignore[arg-type]
    assert manager.get_total_budget("ann") == 10


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf, "ten", True, None, 1e-12, 2e9, [10]])
def test_an_absurd_amount_is_refused(manager: BudgetManager, amount: Any) -> None:
    with pytest.raises(InvalidValueError):
        manager.create_budget(amount, "ann")
    assert not manager.is_valid_user("ann")


@pytest.mark.parametrize(
    ("amount", "exact"), [(0, "0.00"), (0.1 + 0.2, "0.30"), ("12.5", "12.50"), (1e-9, "0.000000001")]
)
def test_an_amount_is_taken_as_it_is_meant(manager: BudgetManager, amount: Any, exact: str) -> None:
    manager.create_budget(amount, "ann")
    assert manager.get_total_budget("ann").exact == exact  # type: ignore[attr-defined]


@pytest.mark.parametrize("created_at", [math.nan, -1, 1e18, "yesterday", True])
def test_a_moment_that_cannot_be_is_refused(manager: BudgetManager, created_at: Any) -> None:
    with pytest.raises(InvalidValueError):
        manager.create_budget(1, "ann", "daily", created_at=created_at)


@pytest.mark.parametrize(
    "method", ["get_total_budget", "get_current_cost", "get_model_cost", "reset_cost", "reset_on_duration"]
)
def test_an_unknown_user_is_a_key_error(manager: BudgetManager, method: str) -> None:
    with pytest.raises(KeyError) as caught:
        getattr(manager, method)("nobody")
    assert isinstance(caught.value, UnknownUserError)
    with pytest.raises(UnknownUserError):
        manager.update_cost("nobody", completion_obj=reply())
    with pytest.raises(UnknownUserError):
        manager.projected_cost("gpt-4o", MESSAGES, "nobody")


def test_a_number_is_the_user_of_that_text(manager: BudgetManager) -> None:
    manager.create_budget(1, 42)  # type: ignore[arg-type]
    assert manager.is_valid_user(42)  # type: ignore[arg-type]
    assert manager.get_users() == ["42"]
    with pytest.raises(InvalidValueError):
        manager.is_valid_user(None)  # type: ignore[arg-type]


def test_an_output_is_counted_as_text_and_an_input_as_a_message(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    manager.update_cost("ann", model="gpt-3.5-turbo", input_text="hello world", output_text="Hi there")
    (charge,) = (entry for entry in manager.engine.entries("ann") if entry.kind == "charge")
    assert charge.detail["usage"]["input"] == 2 + 7
    assert charge.detail["usage"]["output"] == 2


def test_empty_texts_count(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    manager.update_cost("ann", model="gpt-3.5-turbo", input_text="hello world", output_text="")
    assert manager.get_current_cost("ann").nanos == 9 * 500
    manager.update_cost("ann", model="gpt-3.5-turbo", input_text="", output_text="")
    assert manager.get_current_cost("ann").nanos == 9 * 500 + 7 * 500


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"model": "gpt-4o"}, id="model-alone"),
        pytest.param({"input_text": "a", "output_text": "b"}, id="no-model"),
        pytest.param({"completion_obj": reply(), "input_text": "a"}, id="both"),
        pytest.param({"completion_obj": "text"}, id="no-reply"),
        pytest.param({"completion_obj": {"hello": 1}}, id="unknown-shape"),
    ],
)
def test_what_says_no_cost_is_a_value_error(manager: BudgetManager, given: dict[str, Any]) -> None:
    manager.create_budget(10, "ann")
    with pytest.raises(ValueError):
        manager.update_cost("ann", **given)
    assert manager.get_current_cost("ann") == 0


def test_a_reply_without_usage_charges_nothing_and_says_so(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    with pytest.raises(UnreadableReplyError) as caught:
        manager.update_cost("ann", completion_obj={**reply(), "usage": None})
    assert "input_text" in (caught.value.hint or "")


def test_an_unknown_model_is_an_error_and_not_free(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    with pytest.raises(UnknownPriceError):
        manager.update_cost("ann", completion_obj=reply(model="gpt-unheard-of"))
    with pytest.raises(UnknownPriceError):
        manager.update_cost("ann", model="gpt-unheard-of", input_text="a", output_text="b")


ANTHROPIC = {
    "type": "message",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "Well."}],
    "usage": {"input_tokens": 10, "output_tokens": 5},
}


class Dumped:
    """An SDK's object, as far as anybody needs to know."""

    def __init__(self, how: str, body: dict[str, Any], **more: Any) -> None:
        setattr(self, how, lambda **_: body)
        vars(self).update(more)


@pytest.mark.parametrize(
    ("completion", "nanos"),
    [
        pytest.param(reply(), 4_500, id="dict"),
        pytest.param(Dumped("model_dump", reply()), 4_500, id="model_dump"),
        pytest.param(Dumped("to_dict", reply()), 4_500, id="to_dict"),
        pytest.param(ANTHROPIC, 35_000, id="anthropic"),
        # 10 x $0.59 + 5 x $0.79, per million tokens: the seller is known from LiteLLM alone.
        pytest.param(
            Dumped(
                "model_dump",
                reply(model="llama-3.3-70b-versatile"),
                _hidden_params={"custom_llm_provider": "groq"},
            ),
            9_850,
            id="litellm",
        ),
    ],
)
def test_replies_are_read_by_their_shape(manager: BudgetManager, completion: Any, nanos: int) -> None:
    manager.create_budget(10, "ann")
    manager.update_cost("ann", completion_obj=completion)
    assert manager.get_current_cost("ann").nanos == nanos


def test_objects_of_the_sdks_are_read(manager: BudgetManager) -> None:
    chat = pytest.importorskip("openai.types.chat")
    messages = pytest.importorskip("anthropic.types")
    manager.create_budget(10, "ann")
    body = reply()
    body |= {"created": 1, "choices": [{**body["choices"][0], "finish_reason": "stop"}]}
    body["usage"]["total_tokens"] = 15
    manager.update_cost("ann", completion_obj=chat.ChatCompletion.model_validate(body))
    manager.update_cost(
        "ann",
        completion_obj=messages.Message.model_validate(
            {**ANTHROPIC, "id": "m", "role": "assistant", "stop_reason": "end_turn", "stop_sequence": None}
        ),
    )
    assert manager.get_model_cost("ann") == {"gpt-4o-mini": 4.5e-06, "claude-haiku-4-5": 3.5e-05}


def test_an_unstamped_reply_always_charges(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    for _ in range(2):
        manager.update_cost("ann", completion_obj=reply())
    assert manager.get_current_cost("ann").nanos == 9_000


def test_projected_is_what_is_spent_and_the_prompt(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    manager.update_cost("ann", completion_obj=reply())
    found = manager.projected_cost("gpt-3.5-turbo", [{"role": "user", "content": "hello world"}], "ann")
    assert found.nanos == 4_500 + 9 * 500
    # The longest answer that this model writes, and not less for the prompt.
    assert found.most.nanos >= 4_500 + 9 * 500 + 4_096 * 1_500
    assert pickle.loads(pickle.dumps(found)).most == found.most


def test_messages_may_hold_parts_images_and_tools(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "data:"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        Dumped("model_dump", {"role": "tool", "tool_call_id": "1", "content": "A river"}),
    ]
    assert manager.projected_cost("gpt-4o", messages, "ann") > 0


def test_a_reset_is_kept_and_the_history_stays(manager: BudgetManager, clock: FixedClock) -> None:
    manager.create_budget(10, "ann", "daily")
    manager.update_cost("ann", completion_obj=reply())
    clock.set(NOW.replace(hour=11))
    answer = manager.reset_cost("ann")
    assert answer["user"]["current_cost"] == 0
    assert answer["user"]["model_cost"] == {} == manager.get_model_cost("ann")
    assert manager.engine.check().faults == ()


def test_update_budget_all_users_writes_down_what_the_clock_opened(
    manager: BudgetManager, clock: FixedClock
) -> None:
    manager.create_budget(10, "ann", "daily")
    manager.create_budget(10, "ben", "weekly")
    clock.set(datetime(2026, 2, 1, 11, tzinfo=UTC))
    assert manager.update_budget_all_users() is None  # type: ignore[func-returns-value]
    assert [entry.user for entry in manager.engine.entries() if entry.kind == "opened"][-1] == "ann"
    assert manager.engine.reset_due() == []


def test_who_has_no_limit_of_their_own_has_an_endless_one(manager: BudgetManager) -> None:
    manager.engine.create("member")
    assert manager.get_total_budget("member") == math.inf
    assert manager.get_current_cost("member") <= manager.get_total_budget("member")


def test_budgets_of_the_command_line_are_readable(manager: BudgetManager) -> None:
    manager.engine.create("ann", LimitTerms(parse_usd("5"), parse_rule("month", timezone="Europe/Berlin")))
    record = manager.user_dict["ann"]
    assert record["duration"] == 28
    assert record["last_updated_at"] == datetime(2025, 12, 31, 23, tzinfo=UTC).timestamp()


def test_saving_and_loading_have_nothing_left_to_do(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    assert manager.save_data() == {"status": "success"}
    assert manager.load_data() is None  # type: ignore[func-returns-value]
    assert manager.get_users() == ["ann"]


@pytest.mark.usefixtures("environment")
def test_what_one_made_another_sees_without_a_save() -> None:
    BudgetManager("here").create_budget(10, "ann")
    again = BudgetManager(project_name="here")
    assert again.get_users() == ["ann"]
    assert BudgetManager("elsewhere").get_users() == []


@pytest.mark.usefixtures("environment")
def test_a_hosted_manager_needs_an_address() -> None:
    with pytest.raises(ValueError) as caught:
        BudgetManager("here", client_type="hosted")
    assert "BUDGET_API_BASE" in caught.value.hint  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="client_type"):
        BudgetManager("here", client_type="client")
    with pytest.raises(ValueError, match="local manager"):
        BudgetManager("here", api_base="http://127.0.0.1:1")
    with pytest.raises(ValueError, match="empty"):
        BudgetManager("")


def test_threads_lose_nothing(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: manager.update_cost("ann", completion_obj=reply()), range(160)))
    assert manager.get_current_cost("ann").nanos == 160 * 4_500


def _charge_often(number: int) -> None:
    manager = BudgetManager("shared")
    for _ in range(number):
        manager.update_cost("ann", completion_obj=reply())
    manager.engine.close()


@pytest.mark.usefixtures("environment")
def test_processes_lose_nothing() -> None:
    manager = BudgetManager("shared")
    manager.create_budget(10, "ann")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_charge_often, args=(25,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert manager.get_current_cost("ann").nanos == 75 * 4_500


def test_a_stream_or_an_object_that_says_nothing_is_refused(manager: BudgetManager) -> None:
    manager.create_budget(10, "ann")
    with pytest.raises(InvalidValueError, match="no reply"):
        manager.update_cost("ann", completion_obj=SimpleNamespace())
