"""
The examples of LiteLLM's page on its budget manager, as they stand there, with one word changed: the import.

https://docs.litellm.ai/docs/budget_manager
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import budgets
from budgets.config import load_settings
from budgets.errors import BudgetExceededError
from budgets.server.engines import Engines
from budgets.server.principals import Principal
from tests.support.provider import LoopbackProvider, loopback_provider
from tests.support.serving import served

QUICK_START = """
import litellm, os
from litellm import completion

# set env variable
os.environ["OPENAI_API_KEY"] = "your-api-key"

litellm.max_budget = 0.001 # sets a max budget of $0.001

messages = [{"role": "user", "content": "Hey, how's it going"}]
completion(model="gpt-4", messages=messages)
print(litellm._current_cost)
completion(model="gpt-4", messages=messages)
"""

USER_BASED = """
from litellm import BudgetManager, completion

budget_manager = BudgetManager(project_name="test_project")

user = "1234"

# create a budget if new user user
if not budget_manager.is_valid_user(user):
    budget_manager.create_budget(total_budget=10, user=user)

# check if a given call can be made
if budget_manager.get_current_cost(user=user) <= budget_manager.get_total_budget(user):
    response = completion(model="gpt-3.5-turbo", messages=[{"role": "user", "content": "Hey, how's it going?"}])
    budget_manager.update_cost(completion_obj=response, user=user)
else:
    response = "Sorry - no budget!"
"""  # noqa: E501

TEXTS = """
from litellm import BudgetManager
budget_manager = BudgetManager(project_name="test_project")

user = "12345"

budget_manager.create_budget(total_budget=10, user=user, duration="daily")

input_text = "hello world"
output_text = "it's a sunny day in san francisco"
model = "gpt-3.5-turbo"

budget_manager.update_cost(user=user, model=model, input_text=input_text, output_text=output_text) # 👈
print(budget_manager.get_current_cost(user))
"""

FULL = """
from litellm import BudgetManager, completion

budget_manager = BudgetManager(project_name="<my-unique-project>", client_type="hosted")

user = "1234"

# create a budget if new user user
if not budget_manager.is_valid_user(user):
    budget_manager.create_budget(total_budget=10, user=user, duration="monthly") # 👈 duration = 'daily'/'weekly'/'monthly'/'yearly'

# check if a given call can be made
if budget_manager.get_current_cost(user=user) <= budget_manager.get_total_budget(user):
    response = completion(model="gpt-3.5-turbo", messages=[{"role": "user", "content": "Hey, how's it going?"}])
    budget_manager.update_cost(completion_obj=response, user=user)
else:
    response = "Sorry - no budget!"
"""  # noqa: E501


def run(example: str) -> dict[str, Any]:
    """Runs an example; gives the names that it leaves."""
    names: dict[str, Any] = {}
    exec(example.replace("litellm", "budgets"), names)
    return names


@pytest.fixture(autouse=True)
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackProvider]:
    with loopback_provider() as found:
        monkeypatch.setenv("BUDGET_STORE", str(tmp_path / "budgets.sqlite"))
        monkeypatch.setenv("BUDGET_CONFIG", str(tmp_path / "config.toml"))
        monkeypatch.setenv("OPENAI_BASE_URL", f"{found.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "your-api-key")
        monkeypatch.delenv("BUDGET_API_BASE", raising=False)
        yield found
        budgets.max_budget = None


def test_a_cap_that_no_answer_fits_under_refuses_the_first_call(provider: LoopbackProvider) -> None:
    """A thousandth of a dollar buys ten tokens of gpt-4, and no answer that is worth its price."""
    with pytest.raises(BudgetExceededError, match=r"costs at least \$0\.01"):
        run(QUICK_START)
    assert provider.asked == []
    assert budgets._current_cost == 0


def test_a_cap_for_one_answer_lets_one_through(
    provider: LoopbackProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BudgetExceededError):
        run(QUICK_START.replace("0.001", "0.018"))
    assert len(provider.asked) == 1
    assert 0 < float(capsys.readouterr().out) == budgets._current_cost <= 0.018


def test_a_budget_for_each_user() -> None:
    for times in (1, 2):
        names = run(USER_BASED)
        manager, response = names["budget_manager"], names["response"]
        once = budgets.parse_usd(response.budget.cost_usd)
        assert manager.get_current_cost("1234").nanos == times * once > 0
        manager.engine.close()


def test_texts_are_charged_too(capsys: pytest.CaptureFixture[str]) -> None:
    run(TEXTS)["budget_manager"].engine.close()
    # 2 tokens and 7 of framing at $0.50, 9 tokens at $1.50, per million.
    assert float(capsys.readouterr().out) == (9 * 500 + 9 * 1_500) / 1e9


def test_the_full_example_on_this_machines_store() -> None:
    names = run(FULL.replace(', client_type="hosted"', ""))
    manager = names["budget_manager"]
    record = manager.user_dict["1234"]
    assert record["duration"] == 28
    assert 0 < record["current_cost"] == record["model_cost"]["gpt-3.5-turbo"]
    manager.engine.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    engines = Engines(load_settings({"BUDGET_CONFIG": str(tmp_path / "c")}, store=str(tmp_path / "s.sqlite")))
    with served(engines, Principal("admin")) as address:
        yield address
    engines.close()


@pytest.mark.parametrize("said", ["argument", "variable"])
def test_the_full_example_on_a_server(
    server: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said == "variable":
        monkeypatch.setenv("BUDGET_API_BASE", server)
        example = FULL
    else:
        example = FULL.replace('client_type="hosted"', f'client_type="hosted", api_base="{server}"')
    for times in (1, 2):
        names = run(example)
        manager, response = names["budget_manager"], names["response"]
        once = budgets.parse_usd(response.budget.cost_usd)
        assert manager.get_current_cost("1234").nanos == times * once > 0
        assert manager.user_dict["1234"]["duration"] == 28
        manager.engine.let_go()
    # Nothing of it is in this machine's store.
    assert budgets.BudgetManager("<my-unique-project>").get_users() == []


def test_the_full_example_without_a_server_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="address of a server"):
        run(FULL)
