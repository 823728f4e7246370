"""`budget wrap`: one completion, in this process and as a real one, against a provider on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from budgets.money import parse_usd
from tests.support.recording import Recording, Replay

ANSWER = "Elbe, Po, Ob"
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
    "usage": USAGE,
}
# 11 x $0.15 + 7 x $0.60 per million tokens.
COST = "0.00000585"


def _chunk(delta: dict[str, Any], **more: Any) -> str:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }
    return f"data: {json.dumps(body | more)}\n\n"


STREAM = (
    _chunk({"role": "assistant", "content": ""})
    + "".join(_chunk({"content": word}) for word in ("Elbe", ", Po", ", Ob"))
    + _chunk({}, choices=[], usage=USAGE)
    + "data: [DONE]\n\n"
)


def plain() -> Recording:
    return Recording(200, "application/json", json.dumps(REPLY).encode())


def streamed(**how: Any) -> Recording:
    return Recording(200, "text/event-stream", STREAM.encode(), **how)


@pytest.fixture(scope="module")
def provider() -> Iterator[Replay]:
    served = Replay()
    yield served
    served.close()


@pytest.fixture
def budget(budget: Any, provider: Replay) -> Any:
    """A world with one user, whose provider is on loopback."""
    budget.environ |= {"OPENAI_API_KEY": "sk-loopback", "OPENAI_BASE_URL": provider.url}
    budget.done("create", "--user", "ann", "--total", "1")
    provider.recording = plain()
    return budget


MODEL = ("wrap", "--user", "ann", "--model", "gpt-4o-mini")


def test_the_answer_is_on_stdout_and_the_cost_on_stderr(budget: Any) -> None:
    ended = budget.done(*MODEL, "Name three rivers")
    assert ended.out == ANSWER + "\n"
    assert ended.err == "gpt-4o-mini: 11 input, 7 output tokens, $0.00000585, $0.99999415 left\n"


def test_a_stream_is_told_as_it_comes(budget: Any, provider: Replay) -> None:
    provider.recording = streamed()
    ended = budget.done(*MODEL, "--stream", "Name three rivers")
    assert ended.out == ANSWER + "\n"
    assert provider.asked[-1]["stream_options"] == {"include_usage": True}


def test_the_document_has_the_answer_and_the_sum(budget: Any) -> None:
    document = budget.done(*MODEL, "--json", "Name three rivers").document
    assert document["answer"] == ANSWER
    assert document["cost_usd"] == COST
    assert document["usage"] == {"input": 11, "output": 7, "how": "reported"}
    assert document["left_usd"] == "0.99999415"
    assert document["left_by"]["user"] == "ann"


@pytest.mark.parametrize(
    ("argv", "stdin"),
    [
        pytest.param(("Name three rivers",), "", id="argument"),
        pytest.param((), "Name three rivers", id="stdin"),
        pytest.param(
            ("--messages", "-"), '[{"role": "user", "content": "Name three rivers"}]', id="messages"
        ),
    ],
)
def test_the_prompt_comes_by_any_way(
    budget: Any, provider: Replay, argv: tuple[str, ...], stdin: str
) -> None:
    budget.done(*MODEL, *argv, stdin=stdin)
    assert provider.asked[-1]["messages"] == [{"role": "user", "content": "Name three rivers"}]


def test_what_is_asked_for_is_sent(budget: Any, provider: Replay) -> None:
    budget.done(
        *MODEL, "--system", "Be brief", "--temperature", "0.5", "--max-output-tokens", "40", "Rivers?"
    )
    asked = provider.asked[-1]
    assert asked["messages"][0] == {"role": "system", "content": "Be brief"}
    assert asked["temperature"] == 0.5
    assert asked["max_tokens"] == 40
    assert provider.headers[-1]["Authorization"] == "Bearer sk-loopback"


def test_a_whole_request_is_sent_as_it_is(budget: Any, provider: Replay, tmp_path: Path) -> None:
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Rivers?"}],
        "max_tokens": 9,
        "seed": 7,
    }
    (tmp_path / "request.json").write_text(json.dumps(body))
    budget.done("wrap", "--user", "ann", "--request", str(tmp_path / "request.json"))
    assert provider.asked[-1] == body


def test_a_refused_call_is_not_sent(budget: Any, provider: Replay) -> None:
    budget.done("set", "--user", "ann", "--total", "0.00001")
    before = len(provider.asked)
    ended = budget(*MODEL, "Name three rivers")
    assert ended.code == 3
    assert len(provider.asked) == before
    assert ended.err.startswith("error: ann has $0.00001 left, this call costs at least $0.0001")
    assert "budget set --user ann --total" in ended.err


def test_a_refusal_names_whose_limit_binds(budget: Any) -> None:
    budget.done("create", "--user", "team", "--total", "0.00001", "--every", "month")
    budget.done("set", "--user", "ann", "--parent", "team")
    document = budget(*MODEL, "--json", "Name three rivers").document
    error = document["error"]
    assert error["code"] == "budget_exceeded"
    assert error["limit_user"] == "team"
    assert error["resets_at"] == "2026-12-01T00:00:00Z"
    assert "asked by ann" in error["message"]


def test_a_busy_budget_ends_with_75(budget: Any) -> None:
    engine = budget.engine()
    engine.hold("ann", parse_usd("1"), model="m")
    ended = budget(*MODEL, "--patience", "0", "Name three rivers")
    assert ended.code == 75
    assert "running calls hold $1.00" in ended.err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        pytest.param(("wrap", "--user", "ann", "hello"), "which model, or which program", id="neither"),
        pytest.param((*MODEL, "--", "ls"), "give one of them", id="both"),
        pytest.param((*MODEL, "name", "three", "rivers"), "put it in quotes", id="unquoted"),
        pytest.param((*MODEL, "python", "agent.py"), "put it in quotes", id="forgotten-dashes"),
        pytest.param((*MODEL, " "), "the prompt is empty", id="empty"),
        pytest.param((*MODEL, "--temperature", "hot", "hi"), "from 0 to 2", id="temperature"),
        pytest.param((*MODEL, "--max-output-tokens", "0", "hi"), "1 or more", id="no-tokens"),
        pytest.param((*MODEL, "--max-output-tokens", "-5", "hi"), "whole number", id="negative-tokens"),
        pytest.param((*MODEL, "--messages", "nowhere.json"), "cannot read nowhere.json", id="no-file"),
        pytest.param((*MODEL, "--base-url", "ftp://x", "hi"), "HTTP address", id="base-url"),
        pytest.param((*MODEL, "--system", "be kind"), "prompt is empty", id="nothing-piped"),
    ],
)
def test_what_cannot_be_meant_is_never_sent(
    budget: Any, provider: Replay, argv: tuple[str, ...], says: str
) -> None:
    before = len(provider.asked)
    ended = budget(*argv)
    assert ended.code == 2
    assert says in ended.err
    assert len(provider.asked) == before


def test_without_a_key_nothing_is_sent(budget: Any, provider: Replay) -> None:
    del budget.environ["OPENAI_API_KEY"]
    before = len(provider.asked)
    ended = budget(*MODEL, "hi")
    assert ended.code == 1
    assert ended.err == "error: there is no key for openai\nhint: set OPENAI_API_KEY\n"
    assert len(provider.asked) == before


def test_a_local_model_needs_a_price_or_to_be_free(budget: Any, provider: Replay) -> None:
    local = ("wrap", "--user", "ann", "--base-url", provider.url, "--model", "llama3.2", "Name three rivers")
    ended = budget(*local)
    assert ended.code == 1
    assert "budget prices set llama3.2 --free" in ended.err
    budget.done("prices", "set", "llama3.2", "--free")
    assert budget.done(*local).out == ANSWER + "\n"
    assert "$0.00," in budget.done(*local).err
    assert "Authorization" not in provider.headers[-1]


def test_the_providers_own_words_are_shown(budget: Any, provider: Replay) -> None:
    words = {"error": {"message": "You exceeded your current quota.", "type": "insufficient_quota"}}
    provider.recording = Recording(403, "application/json", json.dumps(words).encode())
    ended = budget(*MODEL, "hi")
    assert ended.code == 1
    assert "openai answered 403: You exceeded your current quota." in ended.err
    assert "nothing was charged" in ended.err
    assert budget.done("holds", "--json").document["holds"] == []


def test_an_answer_cannot_steer_the_terminal(budget: Any, provider: Replay) -> None:
    evil = {
        **REPLY,
        "choices": [{"index": 0, "message": {"content": "a\x1b[2Jb\nc"}, "finish_reason": "stop"}],
    }
    provider.recording = Recording(200, "application/json", json.dumps(evil).encode())
    assert budget(*MODEL, "--no-stream", "hi", terminal=True).out == "a\\x1b[2Jb\nc\n"
    # A pipe gets the bytes as they are.
    assert budget(*MODEL, "hi").out == "a\x1b[2Jb\nc\n"


# As real processes


def _start(budget: Any, *argv: str, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "budgets_cli", *argv],
        env={**os.environ, **budget.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        **more,
    )


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="terminated"),
        pytest.param(signal.SIGHUP, 129, id="hung-up"),
    ],
)
def test_a_signal_in_mid_stream_settles_what_was_received(
    budget: Any, provider: Replay, number: int, code: int
) -> None:
    provider.recording = streamed(stall_after=STREAM.index('"content": ", Ob"') - 5)
    child = _start(budget, *MODEL, "--stream", "Name three rivers")
    assert child.stdout is not None
    assert child.stdout.read(len("Elbe, Po")) == "Elbe, Po"
    child.send_signal(number)
    _, err = child.communicate(timeout=20)
    assert child.returncode == code
    assert "broken off: charged $0.0000" in err
    assert "estimated:tiktoken:o200k_base" in err
    assert budget.done("holds", "--json").document["holds"] == []
    assert budget.done("cost", "--user", "ann", "--json").document["spent_usd"] != "0.00"
    budget.done("check")


def test_a_reader_that_goes_away_is_charged_for_what_came(budget: Any, provider: Replay) -> None:
    provider.recording = streamed(one_byte_pieces=True)
    child = _start(budget, *MODEL, "--stream", "Name three rivers")
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    _, err = child.communicate(timeout=20)
    assert child.returncode == 141
    assert "Traceback" not in err
    assert budget.done("holds", "--json").document["holds"] == []
    budget.done("check")


def test_a_killed_call_keeps_its_money_unconfirmed(budget: Any, provider: Replay) -> None:
    provider.recording = streamed(stall_after=STREAM.index('"content": ", Ob"') - 5)
    child = _start(budget, *MODEL, "--stream", "Name three rivers")
    assert child.stdout is not None
    assert child.stdout.read(4) == "Elbe"
    child.kill()
    child.communicate(timeout=20)
    (hold,) = budget.done("holds", "--json").document["holds"]
    assert hold["state"] == "unconfirmed"
    (status,) = budget.done("status", "--json").document["budgets"]
    assert status["unconfirmed_usd"] == hold["held_usd"]
    assert status["spent_usd"] == "0.00"
    budget.done("holds", "settle", hold["id"], "--amount", COST)
    assert budget.done("cost", "--user", "ann", "--json").document["spent_usd"] == COST
    budget.done("check")


def test_two_at_once_share_what_is_left(budget: Any, provider: Replay) -> None:
    """Enough for one call at its most: the other waits for it to settle, and then fits too."""
    budget.done("set", "--user", "ann", "--total", "0.005")
    limited = (*MODEL, "--max-output-tokens", "8000", "Name three rivers")
    children = [_start(budget, *limited) for _ in range(2)]
    for child in children:
        out, err = child.communicate(timeout=60)
        assert (child.returncode, out) == (0, ANSWER + "\n"), err
    assert budget.done("cost", "--user", "ann", "--json").document["spent_usd"] == "0.0000117"
