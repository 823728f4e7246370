from __future__ import annotations

import pytest

from budgets.gateway.listing import list_document, model_document, named_in


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/models", None),
        ("/v1/models/", None),
        ("/v1/models?limit=3", None),
        ("/v1/models/gpt-4o", "gpt-4o"),
        ("/v1/models/meta-llama%2Fllama-4?x=1", "meta-llama/llama-4"),
        ("/v1beta/models/gemini-2.5-pro", "gemini-2.5-pro"),
    ],
)
def test_which_model_is_asked_about(path: str, name: str | None) -> None:
    assert named_in(path) == name


def test_each_dialect_has_a_list_of_its_own() -> None:
    assert list_document(["a"], "openai-chat") == {
        "object": "list",
        "data": [{"id": "a", "object": "model", "created": 0, "owned_by": "budget"}],
    }
    claude = list_document(["a", "b"], "anthropic-messages")
    assert [each["id"] for each in claude["data"]] == ["a", "b"]
    assert (claude["first_id"], claude["last_id"], claude["has_more"]) == ("a", "b", False)
    assert list_document([], "anthropic-messages")["first_id"] is None
    assert list_document(["a"], "gemini") == {"models": [{"name": "models/a", "displayName": "a"}]}
    assert model_document("a", "gemini")["name"] == "models/a"
