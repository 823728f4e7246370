from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from budgets.errors import InvalidValueError
from budgets.gateway.configured import Configuration, Deployment
from budgets.gateway.routing import Routes
from budgets.gateway.targets import Target
from budgets.providers import named

A = Target("a", named("openai"), "https://a.example", "k", bases={"openai": "/v1"})
B = replace(A, name="b", origin="https://b.example", bases={"openai": "/openai/v1"})
CLAUDE = Target("claude", named("anthropic"), "https://c.example", "k", bases={"anthropic": ""})
CHAT = "openai-chat"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def two(clock: Clock, *, first: int = 1, second: int = 1) -> Routes:
    deployments = (Deployment(replace(A, model="x"), first), Deployment(replace(B, model="y"), second))
    models = {"m": deployments, "alias": deployments, "c": (Deployment(replace(CLAUDE, model="c")),)}
    return Routes(Configuration((A, B, CLAUDE), models), clock=clock)


def asked(routes: Routes, model: str = "m") -> list[str]:
    return [each.name for each in routes.candidates(None, model, CHAT)]


def test_one_after_the_other_they_take_turns_by_weight() -> None:
    routes = two(Clock(), first=3)
    turns = [asked(routes)[0] for _ in range(8)]
    assert Counter(turns) == {"a": 6, "b": 2}
    # In turn, not six and then two.
    assert "b" in turns[:4]


def test_the_one_with_the_fewest_running_calls_for_its_weight_is_first() -> None:
    routes = two(Clock(), first=2)
    first, second = (each.target for each in routes._models["m"])  # type: ignore[index]
    for _ in range(2):
        routes.begun(first)
    routes.begun(second)
    routes.begun(second)
    # 2/2 against 2/1.
    assert [asked(routes)[0] for _ in range(3)] == ["a", "a", "a"]
    routes.begun(first)
    routes.begun(first)
    routes.begun(first)
    # 5/2 against 2/1.
    assert [asked(routes)[0] for _ in range(3)] == ["b", "b", "b"]


def test_one_that_fails_comes_last_until_it_has_cooled_down_twice_as_long_each_time() -> None:
    clock = Clock()
    routes = two(clock)
    first, _ = (each.target for each in routes._models["m"])  # type: ignore[index]

    def fail() -> None:
        routes.begun(first)
        routes.ended(first, well=False)

    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        fail()
        # Failures of calls that ran at the same time count once.
        fail()
        clock.now += seconds - 0.01
        assert [asked(routes) for _ in range(3)] == [["b", "a"]] * 3
        assert asked(routes, "alias") == ["b", "a"]
        clock.now += 0.02
        assert "a" in {asked(routes)[0] for _ in range(2)}
    routes.begun(first)
    routes.ended(first, well=True)
    fail()
    clock.now += 1.01
    assert "a" in {asked(routes)[0] for _ in range(2)}


def test_one_without_its_key_is_left_out_while_another_has_one() -> None:
    bare = replace(B, key=None, missing_key=("B_KEY",), model="y")
    both = (Deployment(bare), Deployment(replace(A, model="x")))
    routes = Routes(Configuration((A, B), {"m": both, "n": both[:1]}))
    assert asked(routes) == ["a"]
    assert asked(routes, "n") == ["b"]


def test_a_model_is_refused_by_name_where_nobody_has_it_or_speaks_so() -> None:
    routes = two(Clock())
    with pytest.raises(InvalidValueError, match='"gpt-4o" is no model here') as refused:
        routes.candidates(None, "gpt-4o", CHAT)
    assert refused.value.hint == "ask for one of m, alias, c"
    with pytest.raises(InvalidValueError, match='"c" is not served in openai-chat') as refused:
        routes.candidates(None, "c", CHAT)
    assert refused.value.hint == "call it in anthropic-messages"
    assert routes.names() == ["m", "alias", "c"]


def test_without_models_the_name_itself_says_who_has_it() -> None:
    claude = replace(CLAUDE, name="anthropic")
    groq = replace(B, name="groq", provider=named("groq"), key=None, missing_key=("GROQ_API_KEY",))
    sold = [("openai", "gpt-4o"), ("anthropic", "claude-haiku-4-5"), ("openai", "babbage"), ("groq", "l")]
    routes = Routes(Configuration((A, claude, groq)), sold=lambda: sold)

    def found(model: str) -> tuple[str, str | None]:
        (target,) = routes.candidates(None, model, CHAT)
        return target.name, target.model

    assert found("gpt-4o") == ("a", "gpt-4o")
    assert found("a/anything") == ("a", "anything")
    assert found("groq/llama-3.3-70b") == ("groq", "llama-3.3-70b")
    assert found("claude-haiku-4-5") == ("anthropic", "claude-haiku-4-5")
    with pytest.raises(InvalidValueError, match="google serves"):
        found("gemini-2.5-pro")
    # Those that can be called, by the names that find them.
    assert routes.names() == ["gpt-4o", "claude-haiku-4-5", "openai/babbage"]


def test_azures_deployments_are_asked_for_by_their_own_names() -> None:
    azure = replace(A, name="azure", deployments={"my-gpt": "gpt-4o"})
    alone = Routes(Configuration((azure,)), sold=lambda: [("openai", "gpt-4o")])
    (found,) = alone.candidates(None, "azure/my-gpt", CHAT)
    assert (found.name, found.model) == ("azure", "my-gpt")
    assert alone.names() == ["azure/my-gpt"]
    # What it sells by the model's name is somewhere else.
    with pytest.raises(InvalidValueError, match="openai serves"):
        alone.candidates(None, "gpt-4o", CHAT)
    both = Routes(Configuration((azure, A)), sold=lambda: [("openai", "gpt-4o")])
    assert both.candidates(None, "gpt-4o", CHAT)[0].name == "a"
    assert both.names() == ["azure/my-gpt", "gpt-4o"]


@pytest.mark.parametrize(
    ("provider", "bases", "path", "dialect", "address"),
    [
        ("groq", {"openai": "/openai/v1"}, "/v1/chat/completions", CHAT, "/openai/v1/chat/completions"),
        (
            "groq",
            {"openai": "/openai/v1"},
            "/openai/v1/responses",
            "openai-responses",
            "/openai/v1/responses",
        ),
        (
            "groq",
            {"openai": "/openai/v1"},
            "/other/v1/chat/completions",
            CHAT,
            "/openai/v1/other/v1/chat/completions",
        ),
        ("perplexity", {"openai": ""}, "/v1/chat/completions?a=b", CHAT, "/chat/completions?a=b"),
        (
            "anthropic",
            {"anthropic": ""},
            "/v1/messages?beta=true",
            "anthropic-messages",
            "/v1/messages?beta=true",
        ),
        (
            "anthropic",
            {"anthropic": "/anthropic"},
            "/v1/messages",
            "anthropic-messages",
            "/anthropic/v1/messages",
        ),
        (
            "google",
            {"gemini": "/v1beta"},
            "/v1beta/models/fast:generateContent",
            "gemini",
            "/v1beta/models/m:generateContent",
        ),
        ("openai", {}, "/any/thing", CHAT, "/any/thing"),
    ],
)
def test_a_call_goes_under_the_targets_own_base(
    provider: str, bases: dict[str, str], path: str, dialect: str, address: str
) -> None:
    target = Target("t", named(provider), "https://t.example", "k", model="m", bases=bases)
    assert target.address(path, dialect) == f"https://t.example{address}"


def test_a_dialect_that_a_target_does_not_speak_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="claude does not speak gemini"):
        CLAUDE.address("/v1beta/models/x:generateContent", "gemini")
