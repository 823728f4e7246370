"""
The process in which LiteLLM's own client runs, unmodified: importing it is slow, and it talks.

    python litellm_client.py API_BASE STORY PROJECT ...
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

# It would fetch prices otherwise.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from litellm import BudgetManager, completion

BASE, STORY, PROJECT, *WORDS = sys.argv[1:]


def manager(client: str | None = None) -> BudgetManager:
    headers = {"X-Client-Id": client} if client else None
    return BudgetManager(project_name=PROJECT, client_type="hosted", api_base=BASE, headers=headers)


def delivered() -> None:
    """Wait for the threads in which the client sends."""
    for thread in threading.enumerate():
        if "save_data" in thread.name:
            thread.join()


def documentation() -> Any:
    """The whole example of the documentation, with an answer that LiteLLM makes up."""
    budget_manager = manager()
    user = "1234"
    first = {"valid": budget_manager.is_valid_user(user)}
    if not budget_manager.is_valid_user(user):
        budget_manager.create_budget(total_budget=10, user=user, duration="monthly")
        delivered()
    first |= {"cost": budget_manager.get_current_cost(user), "total": budget_manager.get_total_budget(user)}
    if budget_manager.get_current_cost(user=user) <= budget_manager.get_total_budget(user):
        response = completion(
            model="gpt-3.5-turbo",
            messages=[{"role": "user", "content": "Hey, how's it going?"}],
            mock_response="Well, thank you.",
        )
        budget_manager.update_cost(completion_obj=response, user=user)
    budget_manager.update_cost(
        user=user, model="gpt-3.5-turbo", input_text="hello world", output_text="it's a sunny day"
    )
    delivered()
    again = manager()
    return {
        "first": first,
        "spent": budget_manager.get_current_cost(user),
        "models": budget_manager.get_model_cost(user),
        "again": {
            "valid": again.is_valid_user(user),
            "cost": again.get_current_cost(user),
            "models": again.get_model_cost(user),
            "duration": again.user_dict[user]["duration"],
        },
    }


def create() -> Any:
    budget_manager = manager()
    budget_manager.create_budget(total_budget=10, user="ann")
    return budget_manager.save_data()


def charge() -> Any:
    name, count = WORDS
    budget_manager = manager(name)
    before = budget_manager.get_current_cost("ann")
    for _ in range(int(count)):
        budget_manager.update_cost(
            user="ann", model="gpt-3.5-turbo", input_text="hello", output_text="good morning"
        )
    delivered()
    return budget_manager.get_current_cost("ann") - before


def cost() -> Any:
    return manager().get_current_cost("ann")


if __name__ == "__main__":
    found = globals()[STORY]()
    delivered()
    print(json.dumps(found), flush=True)  # noqa: T201
    # Its other threads, for logs that nobody reads, may outlive it.
    os._exit(0)
