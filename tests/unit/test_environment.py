"""What a program under a gateway finds in its environment, and where its calls are forwarded to."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from budgets.errors import InvalidValueError, MissingKeyError
from budgets.gateway.callers import forwarded_headers
from budgets.gateway.environment import POINTERS, Plan, planned
from budgets.gateway.places import place_of
from budgets.gateway.recipes import prepared
from budgets.gateway.targets import ByName, Target
from budgets.providers import Provider, named

GATE = "http://127.0.0.1:4000"
KEY = "bk_run_x"


def target(plan: Plan, name: str) -> Target:
    (found,) = [each for each in plan.targets if each.name == name]
    return found


def found_in(environ: dict[str, str], keep: tuple[str, ...] = ()) -> dict[str, str]:
    return planned(environ, keep).environment(environ, url=GATE, key=KEY)


@pytest.mark.parametrize("pointer", POINTERS, ids=lambda each: each.variable)
def test_every_variable_leads_to_where_it_led(pointer: Any) -> None:
    """What its reader appends to our address comes out as it would have without us."""
    plan = planned({})
    address = plan.environment({}, url=GATE, key=KEY)[pointer.variable]
    name, path = ByName(plan.targets).split(address.removeprefix(GATE) + "/x")
    assert name == pointer.provider
    assert target(plan, pointer.provider).origin + path == f"{pointer.url}/x"
    assert pointer.page.startswith("https://")
    assert named(pointer.provider).id == pointer.provider


@pytest.mark.parametrize(
    ("variable", "call"),
    [
        ("OPENAI_BASE_URL", "/chat/completions"),
        ("OPENAI_BASE_URL", "/responses"),
        ("ANTHROPIC_BASE_URL", "/v1/messages"),
        ("GOOGLE_GEMINI_BASE_URL", "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("GEMINI_API_BASE", "/models/gemini-2.5-flash:generateContent"),
        ("GROQ_BASE_URL", "/openai/v1/chat/completions"),
        ("CEREBRAS_BASE_URL", "/v1/chat/completions"),
        ("CO_API_URL", "/v2/chat"),
        *[
            (each.variable, "/chat/completions")
            for each in POINTERS
            if each.url.endswith("/v1") and each.provider != "openai"
        ],
    ],
)
def test_a_variable_is_set_because_its_calls_are_served(variable: str, call: str) -> None:
    place = place_of("POST", planned({}).addresses[variable].partition("/")[2] + call)
    assert place is not None
    assert place.kind == "metered"


def test_an_address_that_is_set_is_forwarded_to() -> None:
    environ = {"OPENAI_BASE_URL": "http://localhost:8000/v1/", "OPENAI_API_KEY": "sk-1"}
    plan = planned(environ)
    assert target(plan, "openai").origin == "http://localhost:8000"
    assert found_in(environ)["OPENAI_BASE_URL"] == f"{GATE}/openai/v1"


def test_a_variable_of_the_same_form_follows_the_one_that_is_set() -> None:
    found = found_in({"OPENAI_BASE_URL": "https://openrouter.ai/api/v1"})
    assert found["OPENAI_API_BASE"] == found["OPENAI_BASE_URL"] == f"{GATE}/openai/api/v1"


def test_whose_host_it_is_decides_whose_prices_count() -> None:
    plan = planned({"OPENAI_BASE_URL": "https://openrouter.ai/api/v1", "OPENAI_API_KEY": "sk-or-1"})
    assert target(plan, "openai").provider == named("openrouter")
    assert target(plan, "openai").key == "sk-or-1"


def test_a_server_of_ones_own_needs_no_key() -> None:
    own = target(planned({"OPENAI_BASE_URL": "http://localhost:8000/v1"}), "openai")
    own.check_key()
    with pytest.raises(MissingKeyError):
        target(planned({}), "openai").check_key()


@pytest.mark.parametrize("value", ["localhost:8000", "ftp://x", "/v1"])
def test_what_is_no_address_is_said(value: str) -> None:
    with pytest.raises(InvalidValueError):
        planned({"OPENAI_BASE_URL": value})


@pytest.mark.parametrize(
    ("name", "value", "stays"),
    [
        pytest.param("OPENAI_API_KEY_2", "sk-proj-abcdefghijklmnopqrst", False, id="by its form"),
        pytest.param("GROQ", "gsk_abcdefghijklmnopqrstuvwx", False, id="another form"),
        pytest.param("COPY", "secret", False, id="the same as a known one"),
        pytest.param("PERPLEXITY_API_KEY", "x", False, id="by its name"),
        pytest.param("CLAUDE_CODE_OAUTH_TOKEN", "x", False, id="a login"),
        pytest.param("STRIPE_KEY", "sk_live_abcdefghijklmnopqrst", True, id="of something else"),
        pytest.param("WANDB_API_KEY", "x", True, id="of a whole account"),
        pytest.param("MAPS_KEY", "AIzaSyA-abcdefghijklmnopqrstuvwxyz0123456", True, id="maps"),
        pytest.param("NOTE", "sk-lines of a text that goes on and on", True, id="a text"),
    ],
)
def test_what_looks_like_a_key_is_taken_out(name: str, value: str, stays: bool) -> None:
    environ = {"MISTRAL_API_KEY": "secret", name: value}
    found = found_in(environ)
    assert found["MISTRAL_API_KEY"] == KEY
    assert (name in found) == stays
    assert (name in planned(environ).taken_out) == (not stays)
    assert found_in(environ, (name,))[name] == value


def test_a_token_goes_as_a_bearer() -> None:
    plan = planned({"ANTHROPIC_AUTH_TOKEN": "token"})
    sent = forwarded_headers({"anthropic-version": "v"}, target(plan, "anthropic"), "anthropic-messages")
    assert sent["authorization"] == "Bearer token"
    assert "x-api-key" not in sent
    assert sent["anthropic-version"] == "v"
    both = planned({"ANTHROPIC_AUTH_TOKEN": "token", "ANTHROPIC_API_KEY": "key"})
    assert target(both, "anthropic").key == "key"
    assert not target(both, "anthropic").bearer


def test_what_goes_to_this_machine_asks_no_proxy() -> None:
    assert found_in({})["NO_PROXY"] == found_in({})["no_proxy"] == "127.0.0.1"
    assert found_in({"NO_PROXY": "a,127.0.0.1"})["no_proxy"] == "a,127.0.0.1"


# Recipes


def ready(words: tuple[str, ...], environ: dict[str, str], folder: Path, keep: tuple[str, ...] = ()) -> Any:
    return prepared(words, found_in(environ, keep), keep=keep, key=KEY, home=folder / "home", folder=folder)


def test_claude_gets_a_token_and_no_key(tmp_path: Path) -> None:
    found = ready(
        ("/usr/bin/claude", "-p", "hi"),
        {"ANTHROPIC_API_KEY": "sk-ant-1", "CLAUDE_CODE_USE_BEDROCK": "1"},
        tmp_path,
    )
    assert found.words == ("/usr/bin/claude", "-p", "hi")
    assert found.environ["ANTHROPIC_AUTH_TOKEN"] == KEY
    assert found.environ["ANTHROPIC_BASE_URL"] == f"{GATE}/anthropic"
    assert not {"ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK"} & set(found.environ)
    assert found.warnings == ()


@pytest.mark.parametrize("place", ["home/.claude/settings.json", ".claude/settings.local.json"])
def test_settings_of_claude_that_would_win_are_said(tmp_path: Path, place: str) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "https://elsewhere.example"}}))
    (warning,) = ready(("claude",), {}, tmp_path).warnings
    assert warning.startswith(f"{file} sets ANTHROPIC_BASE_URL")
    file.write_text("not JSON")
    assert ready(("claude",), {}, tmp_path).warnings == ()


def test_a_login_that_would_win_is_said(tmp_path: Path) -> None:
    login = tmp_path / "home/.gemini/oauth_creds.json"
    assert ready(("gemini",), {}, tmp_path).warnings == ()
    login.parent.mkdir(parents=True)
    login.write_text("{}")
    (warning,) = ready(("gemini", "-p", "hi"), {}, tmp_path).warnings
    assert warning.startswith(f"gemini has a login of its own in {login}")
    assert ready(("python",), {}, tmp_path).warnings == ()


AZURE = Target(
    "azure",
    Provider("azure", "openai-chat", "https://desk.openai.azure.com/openai/v1", "", ("DESK_KEY",)),
    "https://desk.openai.azure.com",
    "az-1",
    deployments={"my-gpt": "gpt-4o-mini"},
)


def test_azures_clients_are_led_here_where_its_deployments_are_described() -> None:
    environ = {
        "DESK_KEY": "az-1",
        "AZURE_OPENAI_API_KEY": "az-1",
        "AZURE_OPENAI_ENDPOINT": "https://desk.openai.azure.com/",
        "AZURE_API_BASE": "https://other.openai.azure.com",
    }
    plan = planned(environ, azure=[AZURE])
    found = plan.environment(environ, url=GATE, key=KEY)
    assert found["AZURE_OPENAI_ENDPOINT"] == f"{GATE}/azure"
    assert found["AZURE_OPENAI_API_KEY"] == found["DESK_KEY"] == KEY
    # Nobody has said what the deployments there are; the key is not there either.
    assert found["AZURE_API_BASE"] == "https://other.openai.azure.com"
    assert "az-1" not in found.values()
    assert target(plan, "azure").key == "az-1"
    unset = planned({}, azure=[AZURE]).environment({}, url=GATE, key=KEY)
    assert unset["AZURE_API_BASE"] == unset["AZURE_OPENAI_ENDPOINT"] == f"{GATE}/azure"
    without = planned(environ)
    assert without.taken_out == ("AZURE_OPENAI_API_KEY",)
    assert "AZURE_OPENAI_ENDPOINT" not in without.addresses


def test_a_place_of_azures_has_a_name_of_its_own() -> None:
    with pytest.raises(InvalidValueError, match="the upstream openai has deployments"):
        planned({}, azure=[replace(AZURE, name="openai")])


def test_codex_gets_a_provider_of_its_own(tmp_path: Path) -> None:
    found = ready(("codex", "exec", "hi"), {"OPENAI_API_KEY": "sk-1"}, tmp_path)
    assert found.words[-2:] == ("exec", "hi")
    assert found.words[:3] == ("codex", "-c", 'model_provider="budget"')
    assert f'base_url = "{GATE}/openai/v1"' in found.words[4]
    assert "supports_websockets = false" in found.words[4]
    assert "stream_max_retries = 0" in found.words[4]
    assert found.environ["BUDGET_RUN_KEY"] == KEY
    # Others may read the command line.
    assert KEY not in " ".join(found.words)


def test_keys_in_a_file_that_programs_read_are_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# keys\nexport OPENAI_API_KEY=sk-1\nGROQ_API_KEY = x\nDEBUG=1\n")
    (warning,) = ready(("python",), {"OPENAI_API_KEY": "sk-1"}, tmp_path).warnings
    assert warning.startswith(".env has GROQ_API_KEY, which the gateway does not know")
