"""`budget wrap -- COMMAND`: real programs, unmodified clients, a provider on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from budgets.dialects.sse import Event, framed
from budgets.errors import BudgetBusyError, BudgetExceededError
from budgets.gateway.callers import Caller
from budgets.gateway.counting import Counting
from budgets.gateway.incoming import Report
from budgets.money import parse_usd
from tests.support.provider import LoopbackProvider
from tests.support.scripted import ScriptedProvider, streamed

OPENAI = """
    import openai
    client = openai.OpenAI(max_retries=0)
    def ask(**more):
        messages = [{"role": "user", "content": "Name a river"}]
        return client.chat.completions.create(model="gpt-4o-mini", messages=messages, **more)
"""


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with closing(LoopbackProvider()) as opened:
        yield opened


@pytest.fixture
def budget(budget: Any, provider: LoopbackProvider) -> Any:
    """A world with one user, whose providers are on loopback."""
    budget.environ |= {
        "OPENAI_API_KEY": "sk-real-openai",
        "OPENAI_BASE_URL": f"{provider.url}/v1",
        "ANTHROPIC_API_KEY": "sk-ant-real",
        "ANTHROPIC_BASE_URL": provider.url,
    }
    budget.done("create", "--user", "ann", "--total", "1")
    return budget


def environment(budget: Any) -> dict[str, str]:
    """A plain environment: nothing of whoever runs the tests but how programs are found."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME", "PYTHONPATH") if name in os.environ}
    return {**kept, **budget.environ}


def wrapped(
    budget: Any, *argv: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "budgets_cli", "wrap", *argv],
        env={**environment(budget), **(environ or {})},
        cwd=budget.folder,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def program(code: str) -> tuple[str, ...]:
    return ("--", sys.executable, "-c", textwrap.dedent(code))


def agent(code: str) -> tuple[str, ...]:
    return program(textwrap.dedent(OPENAI) + textwrap.dedent(code))


def spent(budget: Any, user: str = "ann") -> str:
    return str(budget.done("cost", "--user", user, "--json").document["spent_usd"])


# What passes through


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(("true",), 0, id="done"),
        pytest.param(("sh", "-c", "exit 7"), 7, id="its own"),
        pytest.param(("sh", "-c", "kill -TERM $$"), 143, id="a signal"),
        pytest.param(("no-such-program-anywhere",), 127, id="not there"),
        pytest.param(("./plain",), 126, id="not a program"),
    ],
)
def test_the_exit_code_is_the_programs(budget: Any, words: tuple[str, ...], code: int) -> None:
    (budget.folder / "plain").write_text("no program")
    ended = wrapped(budget, "--user", "ann", "--quiet", "--", *words)
    assert ended.returncode == code, ended
    assert ended.stdout == b""


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        pytest.param(("--user", "nobody"), b"nobody has no budget", id="unknown user"),
        pytest.param(("--user", "ann", "--json-summary", "no/where.json"), b"No such file", id="summary"),
        pytest.param(("--total", "much"), b"--total", id="amount"),
    ],
)
def test_our_own_failures_are_125(budget: Any, argv: tuple[str, ...], says: bytes) -> None:
    ended = wrapped(budget, *argv, "--", "touch", "was-run")
    assert ended.returncode == 125
    assert says in ended.stderr
    assert not (budget.folder / "was-run").exists()


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        pytest.param("no-such-program", b"`command -v no-such-program`", id="not there"),
        pytest.param("python agent.py", b"not in one pair of quotes", id="quoted"),
        pytest.param("./plain", b"`chmod +x ./plain`", id="not a program"),
    ],
)
def test_what_cannot_be_run_says_the_next_step(budget: Any, word: str, hint: bytes) -> None:
    (budget.folder / "plain").write_text("no program")
    assert hint in wrapped(budget, "--user", "ann", "--", word).stderr


def test_a_program_of_one_provider_says_that_its_key_is_missing(budget: Any) -> None:
    claude = budget.folder / "claude"
    claude.write_text("#!/bin/sh\n")
    claude.chmod(0o755)
    without = {"ANTHROPIC_API_KEY": "", "ANTHROPIC_BASE_URL": ""}
    said = wrapped(budget, "--user", "ann", "--", str(claude), environ=without).stderr
    assert said.startswith(
        b"budget: there is no key for anthropic, so every call will be refused: set ANTHROPIC"
    )
    assert b"there is no key" not in wrapped(budget, "--user", "ann", "--", str(claude)).stderr


def test_two_addresses_of_one_provider_are_no_address(budget: Any) -> None:
    ended = wrapped(
        budget, "--user", "ann", "--", "true", environ={"OPENAI_API_BASE": "https://elsewhere.example/v1"}
    )
    assert ended.returncode == 125
    assert b"OPENAI_BASE_URL and OPENAI_API_BASE point to different hosts" in ended.stderr


def test_streams_pass_untouched(budget: Any) -> None:
    data = bytes(range(256)) * 500
    ended = wrapped(budget, "--user", "ann", "--quiet", "--", "cat", stdin=data)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, data, b"")


def test_descriptors_that_are_inherited_stay_open(budget: Any) -> None:
    line = [sys.executable, "-m", "budgets_cli", "wrap", "-u", "ann", "--quiet", "--", "sh", "-c", "cat <&3"]
    (budget.folder / "third").write_text("third")
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" 3< third', "-", *line],
        env=environment(budget),
        cwd=budget.folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"third"


# What the program finds


def test_the_program_gets_the_run_key_only(budget: Any) -> None:
    budget.environ |= {
        "MY_KEY": "sk-real-openai",
        "AZURE_OPENAI_API_KEY": "0123",
        "OTHER": "sk-proj-abcdefghijklmnopqrstuvwxyz",
        "NO_PROXY": "intern.example",
    }
    ended = wrapped(budget, "--user", "ann", "--", "env")
    found = dict(line.split("=", 1) for line in ended.stdout.decode().splitlines() if "=" in line)
    assert "sk-" not in ended.stdout.decode()
    assert not {"MY_KEY", "AZURE_OPENAI_API_KEY", "OTHER"} & set(found)
    assert found["OPENAI_API_KEY"] == found["ANTHROPIC_API_KEY"]
    assert found["OPENAI_API_KEY"].startswith("bk_run_")
    assert found["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")
    assert found["OPENAI_BASE_URL"].endswith("/openai/v1")
    assert found["ANTHROPIC_BASE_URL"].endswith("/anthropic")
    assert found["GROQ_BASE_URL"].endswith("/groq")
    assert found["NO_PROXY"] == "intern.example,127.0.0.1"
    assert "GROQ_API_KEY" not in found
    assert b"taken out" in ended.stderr
    assert b"sk-" not in ended.stderr


def test_a_variable_that_is_kept_is_said(budget: Any) -> None:
    ended = wrapped(budget, "--user", "ann", "--keep-env", "OPENAI_API_KEY", "--", "env")
    assert b"OPENAI_API_KEY=sk-real-openai" in ended.stdout
    assert b"left as it is, so that calls may pass the budget by: OPENAI_API_KEY" in ended.stderr


# Whose calls are metered


@pytest.mark.parametrize("stream", [False, True])
def test_the_openai_client_is_metered(budget: Any, provider: LoopbackProvider, stream: bool) -> None:
    ended = wrapped(
        budget,
        "--user",
        "ann",
        *agent(f"""
            reply = ask(stream={stream})
            words = "".join(each.choices[0].delta.content or "" for each in reply) if {stream} else \
                reply.choices[0].message.content
            print(words[:24])
        """),
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == b"This answer is simulated\n"
    assert provider.headers[0]["authorization"] == "Bearer sk-real-openai"
    (bill,) = provider.bills
    cost = bill["prompt_tokens"] * 150 + bill["completion_tokens"] * 600
    assert parse_usd(spent(budget)) == cost
    assert ended.stderr.startswith(b"budget: 1 call, ")
    assert ended.stderr.count(b"\n") == 1


def test_the_anthropic_client_is_metered(budget: Any, provider: LoopbackProvider) -> None:
    ended = wrapped(
        budget,
        "--user",
        "ann",
        *program("""
            import anthropic
            messages = [{"role": "user", "content": "Name a river"}]
            client = anthropic.Anthropic()
            reply = client.messages.create(model="claude-haiku-4-5", max_tokens=40, messages=messages)
            print(reply.content[0].text[:24])
        """),
    )
    assert ended.stdout == b"This answer is simulated\n", ended.stderr
    assert provider.headers[0]["x-api-key"] == "sk-ant-real"
    assert spent(budget) != "0.00"


@needs_curl
def test_a_token_in_place_of_a_key_goes_as_a_token(budget: Any, provider: LoopbackProvider) -> None:
    del budget.environ["ANTHROPIC_API_KEY"]
    budget.environ["ANTHROPIC_AUTH_TOKEN"] = "token"
    line = (
        'curl -sf "$ANTHROPIC_BASE_URL/v1/messages" -H "authorization: Bearer $ANTHROPIC_AUTH_TOKEN" -d "$1"'
    )
    body = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    ended = wrapped(budget, "--user", "ann", "--", "sh", "-c", line, "-", json.dumps(body))
    assert json.loads(ended.stdout)["type"] == "message", ended.stderr
    assert provider.headers[0]["authorization"] == "Bearer token"
    assert "x-api-key" not in provider.headers[0]


@needs_curl
def test_azures_client_is_metered(budget: Any, provider: LoopbackProvider) -> None:
    (budget.folder / "config.toml").write_text(f"""
        [[upstreams]]
        name = "azure"
        base_url = "{provider.url}/openai/v1"
        key_variable = "AZURE_OPENAI_API_KEY"
        deployments = {{ "my-gpt" = "gpt-4o-mini" }}
    """)
    environ = {
        "AZURE_OPENAI_API_KEY": "az-real",
        "AZURE_OPENAI_ENDPOINT": provider.url,
        "OPENAI_API_VERSION": "2025-04-01-preview",
    }
    code = """
        import openai
        messages = [{"role": "user", "content": "Name a river"}]
        client = openai.AzureOpenAI(max_retries=0)
        client.chat.completions.create(model="my-gpt", messages=messages, max_tokens=30)
    """
    ended = wrapped(budget, "--user", "ann", *program(code), environ=environ)
    assert ended.returncode == 0, ended.stderr
    assert [each["api-key"] for each in provider.headers] == ["az-real"]
    (bill,) = provider.bills
    assert parse_usd(spent(budget)) == bill["prompt_tokens"] * 150 + bill["completion_tokens"] * 600


def test_threads_children_and_grandchildren_are_metered(budget: Any, provider: LoopbackProvider) -> None:
    ended = wrapped(
        budget,
        "--user",
        "ann",
        "--json-summary",
        "summary.json",
        *agent("""
            import subprocess, sys, threading
            code = sys.argv[1] if len(sys.argv) > 1 else ""
            threads = [threading.Thread(target=ask) for _ in range(3)]
            [each.start() for each in threads]
            [each.join() for each in threads]
            call = '''
            curl -sf "$OPENAI_BASE_URL/chat/completions" -H "authorization: Bearer $OPENAI_API_KEY" \
              -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}'
            '''
            subprocess.run(["sh", "-c", "sh -c \\"$0\\"", call], stdout=subprocess.DEVNULL, check=True)
        """),
    )
    assert ended.returncode == 0, ended.stderr
    summary = json.loads((budget.folder / "summary.json").read_text())
    assert summary["calls"] == len(provider.bills) == 4
    assert summary["cost_usd"] == spent(budget)


def test_a_wrong_key_is_refused_and_said(budget: Any, provider: LoopbackProvider) -> None:
    ended = wrapped(
        budget,
        "--user",
        "ann",
        *program("""
            import openai
            try:
                openai.OpenAI(api_key="sk-from-a-file", max_retries=0).models.list()
            except openai.AuthenticationError as error:
                print(error)
        """),
    )
    assert b"this key is not known here" in ended.stdout
    assert b"1 call came without this run's key" in ended.stderr
    assert provider.asked == []


@needs_curl
def test_a_provider_without_a_key_is_refused_by_name(budget: Any) -> None:
    line = 'curl -s "$GROQ_API_BASE/chat/completions" -H "authorization: Bearer $OPENAI_API_KEY" -d "$1"'
    body = {"model": "llama-3.3-70b-versatile", "messages": [{"role": "user", "content": "hi"}]}
    ended = wrapped(budget, "--user", "ann", "--", "sh", "-c", line, "-", json.dumps(body))
    assert b"there is no key for groq" in ended.stdout
    assert b"GROQ_API_KEY" in ended.stdout


@pytest.mark.parametrize("how", ["length", "error"])
def test_a_stream_that_outgrows_its_hold_ends_as_it_is_asked_to(budget: Any, how: str) -> None:
    choice = {"index": 0, "delta": {"content": " river"}, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o-mini"}
    event = framed(Event("message", json.dumps({**chunk, "choices": [choice]})))
    code = """
        try:
            print([each.choices[0].finish_reason for each in ask(max_tokens=25, stream=True)][-1])
        except openai.APIError as error:
            print(error)
    """
    endless = ScriptedProvider(lambda *_: streamed(event for _ in range(1_000)), gap_seconds=0.0005)
    with closing(endless) as provider:
        environ = {"OPENAI_BASE_URL": f"{provider.url}/v1", "BUDGET_CUT": "error"}
        options = ("--cut", "length") if how == "length" else ()
        ended = wrapped(budget, "--user", "ann", *options, *agent(code), environ=environ)
    expected = b"length" if how == "length" else b"'s budget ended this answer"
    assert expected in ended.stdout, ended.stderr
    assert budget.done("holds", "--json").document["holds"] == []


# A budget for one run


def test_a_run_has_its_own_budget_below_the_user(budget: Any, provider: LoopbackProvider) -> None:
    ended = wrapped(budget, "--user", "ann", "--total", "0.5", *agent("ask()"))
    assert ended.returncode == 0, ended.stderr
    (run,) = [
        each
        for each in budget.done("status", "--archived", "--json").document["budgets"]
        if each["user"] and each["user"].startswith("run-2")
    ]
    assert (run["parent"], run["state"]) == ("ann", "archived")
    assert run["limits"][0]["total_usd"] == "0.50"
    left = json.loads(budget.done("status", "--user", "ann", "--json").out)["budgets"][0]["left_usd"]
    assert parse_usd("1") - parse_usd(left) == parse_usd(run["spent_usd"]) > 0
    budget.done("check")


def test_both_hold_the_runs_budget_and_the_users(budget: Any, provider: LoopbackProvider) -> None:
    budget.done("set", "--user", "ann", "--total", "0.00001")
    ended = wrapped(
        budget,
        "--user",
        "ann",
        "--total",
        "5",
        "--fail-on-refusal",
        *agent("""
        try:
            ask()
        except openai.APIStatusError as error:
            print(error.status_code)
    """),
    )
    assert (ended.returncode, ended.stdout) == (3, b"402\n")
    assert b"$0.00001 left, set by ann; 1 refused" in ended.stderr
    assert provider.asked == []


def test_the_first_minute_needs_no_user(budget: Any) -> None:
    budget.environ["BUDGET_STORE"] = str(budget.folder / "fresh.sqlite")
    for _ in range(2):
        assert wrapped(budget, "--total", "2", *agent("ask()")).returncode == 0
    assert budget.done("list-users", "--json").document["users"] == []
    without = wrapped(budget, *agent("ask()"))
    assert without.returncode == 125
    assert b"or --total USD for a budget of this run alone" in without.stderr


# At the budget's end


def test_without_stop_the_program_decides(budget: Any) -> None:
    budget.done("set", "--user", "ann", "--total", "0.00001")
    code = """
        import contextlib
        for _ in range(3):
            with contextlib.suppress(openai.APIStatusError):
                ask()
    """
    ended = wrapped(budget, "--user", "ann", *agent(code))
    assert ended.returncode == 0
    assert b"budget: refused 3, the first: ann has $0.00001 left" in ended.stderr
    assert b"3 refused" in ended.stderr


def test_of_several_refusals_one_that_waiting_would_not_have_helped_is_told() -> None:
    counting = Counting(Caller("ann", "run"), "key")
    busy = BudgetBusyError("ann has nothing left while running calls hold it")
    used_up = BudgetExceededError("ann has nothing left")
    for error in (busy, used_up, BudgetExceededError("ann has nothing left again")):
        counting.note(Report("refused", "ann", "openai", "gpt-4o-mini", error=error))
    assert counting.counts.refused == 3
    assert counting.counts.refusal is used_up


def test_stop_ends_the_program_and_its_children(budget: Any) -> None:
    budget.done("set", "--user", "ann", "--total", "0.00001")
    code = """
        import contextlib, subprocess
        child = subprocess.Popen(["sleep", "50"])
        print(child.pid, flush=True)
        with contextlib.suppress(openai.APIStatusError):
            ask()
        child.wait()
    """
    ended = wrapped(budget, "--user", "ann", "--stop", "--json-summary", "s.json", *agent(code))
    assert ended.returncode == 3
    assert _gone(int(ended.stdout))
    summary = json.loads((budget.folder / "s.json").read_text())
    assert (summary["outcome"], summary["exit_code"], summary["child_exit_code"]) == ("stopped", 3, 143)
    assert summary["refusal"]["code"] == "budget_exceeded"
    assert b" was ended, as a call no longer fitted: ann has $0.00001 left" in ended.stderr
    assert b"budget set --user ann --total" in ended.stderr


def test_a_run_that_was_too_small_is_told_to_run_again(budget: Any) -> None:
    """Its budget ends with it: there is nothing left to be raised."""
    ended = wrapped(budget, "--total", "0.00001", "--stop", *agent("ask()"))
    assert b"; run it again with a larger --total\n" in ended.stderr
    assert b"budget set" not in ended.stderr.partition(b" was ended, ")[2]


@needs_curl
def test_a_call_without_a_key_is_no_silence(budget: Any, provider: LoopbackProvider) -> None:
    line = 'curl -s "$OPENAI_BASE_URL/chat/completions" -d "{}"'
    ended = wrapped(budget, "--user", "ann", "--require-calls", "--", "sh", "-c", line)
    assert ended.returncode == 125
    assert b"NO CALL WAS METERED: 1 call came without this run's key" in ended.stderr
    assert provider.asked == []


def _gone(pid: int) -> bool:
    """Whether that process has ended, by whoever takes care of orphans here."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_who_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    code = """
        import signal, threading
        from budgets_cli import child
        with child.heard_signals() as heard:
            words = ["sh", "-c", "trap '' TERM; sleep 50 & echo $!; wait"]
            deaf = child.Child(words, {}, heard, grace_seconds=0.5)
            timer = threading.Timer(0.5, deaf.end)
            timer.start()
            print(deaf.run(), flush=True)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, timeout=30, check=True, text=True
    )
    pid, said = ended.stdout.splitlines()
    assert said == "Ended(code=137, signal=9, by_us=True)"
    assert _gone(int(pid))


def test_a_threshold_is_said_as_it_passes(budget: Any) -> None:
    budget.done("set", "--user", "ann", "--total", "0.0001", "--warn-at", "1%")
    ended = wrapped(budget, "--user", "ann", *agent("ask(max_tokens=20)\nprint('after', flush=True)"))
    assert ended.stderr.startswith(b"budget: ann has used "), ended.stderr


# Silence


def test_silence_is_said(budget: Any) -> None:
    ended = wrapped(budget, "--user", "ann", "--", "true")
    assert ended.returncode == 0
    assert ended.stderr.startswith(b"budget: NO CALL WAS SEEN: true called no model")
    assert wrapped(budget, "--user", "ann", "--quiet", "--", "true").stderr == b""
    required = wrapped(budget, "--user", "ann", "--quiet", "--require-calls", "--", "true")
    assert required.returncode == 125
    assert b"NO CALL WAS SEEN" in required.stderr
    assert wrapped(budget, "--user", "ann", "--require-calls", "--", "false").returncode == 1


def test_the_summary_is_written_also_when_nothing_ran(budget: Any) -> None:
    wrapped(budget, "--user", "ann", "--json-summary", "s.json", "--", "no-such-program")
    summary = json.loads((budget.folder / "s.json").read_text())
    assert (summary["outcome"], summary["exit_code"]) == ("not_started", 127)
    assert summary["error"]["code"] == "not_started"


# Signals and ends


def start(budget: Any, *argv: str, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "budgets_cli", "wrap", *argv],
        env=environment(budget),
        cwd=budget.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_reaches_the_program(budget: Any, number: int) -> None:
    code = f"""
        import signal, sys
        signal.signal({int(number)}, lambda *_: sys.exit(9))
        print("ready", flush=True)
        signal.pause()
    """
    running = start(budget, "--user", "ann", "--quiet", *program(code))
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(number)
    assert running.wait(30) == 9
    running.communicate()


def test_what_was_to_be_ignored_stays_ignored(budget: Any) -> None:
    line = [sys.executable, "-m", "budgets_cli", "wrap", "-u", "ann", "--quiet", "--"]
    done = subprocess.run(
        [
            "sh",
            "-c",
            'trap "" HUP; exec "$@"',
            "-",
            *line,
            "sh",
            "-c",
            "kill -HUP $PPID; kill -HUP $$; echo on",
        ],
        env=environment(budget),
        cwd=budget.folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"on\n", done


def test_a_call_that_runs_at_the_end_is_charged(budget: Any, provider: LoopbackProvider) -> None:
    provider.gap_seconds = 0.01
    ended = wrapped(budget, "--user", "ann", *agent("import os\nnext(iter(ask(stream=True)))\nos._exit(5)"))
    assert ended.returncode == 5
    (bill,) = provider.bills
    assert parse_usd(spent(budget)) == bill["prompt_tokens"] * 150 + bill["completion_tokens"] * 600
    assert budget.done("holds", "--json").document["holds"] == []


def test_killed_in_the_middle_nothing_is_lost(budget: Any, provider: LoopbackProvider) -> None:
    provider.seconds = 3
    code = """
        print("ready", flush=True)
        try:
            ask()
        except openai.APIConnectionError:
            print("gone")
    """
    running = start(budget, "--user", "ann", *agent(code))
    assert running.stdout is not None
    running.stdout.readline()
    for _ in range(200):
        if provider.asked:
            break
        time.sleep(0.05)
    running.kill()
    assert running.communicate(timeout=30)[0] == b"gone\n"
    (hold,) = budget.done("holds", "--json").document["holds"]
    assert hold["state"] == "unconfirmed"
    budget.done("check")


# Without a program


@needs_curl
@pytest.mark.parametrize(
    "take",
    [
        pytest.param(". <(./budget wrap --user ann --env-only 2> said)", id="read"),
        pytest.param('eval "$(./budget wrap --user ann --env-only 2> said)"', id="eval"),
    ],
)
def test_a_shell_may_take_the_variables(budget: Any, provider: LoopbackProvider, take: str) -> None:
    budget_program = budget.folder / "budget"
    budget_program.write_text(f'#!/bin/sh\nexec {sys.executable} -m budgets_cli "$@"\n')
    budget_program.chmod(0o755)
    script = f"""
        {take}
        curl -sf "$OPENAI_BASE_URL/chat/completions" -H "authorization: Bearer $OPENAI_API_KEY" \
            -d '{{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "hi"}}]}}' > reply
        kill "$BUDGET_GATEWAY_PID"
        while kill -0 "$BUDGET_GATEWAY_PID" 2> /dev/null; do sleep 0.05; done
        cat said
    """
    ended = subprocess.run(
        ["bash", "-c", textwrap.dedent(script)],
        env=environment(budget),
        cwd=budget.folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert len(provider.bills) == 1, ended
    assert ended.stdout.startswith(b"budget: 1 call, "), ended
    assert spent(budget) != "0.00"


def test_the_gateway_ends_with_the_shell_that_started_it(budget: Any) -> None:
    script = f"{sys.executable} -m budgets_cli wrap --user ann --env-only > vars 2> said & \
        while ! grep -q PID vars; do sleep 0.05; done"
    subprocess.run(["sh", "-c", script], env=environment(budget), cwd=budget.folder, timeout=60, check=True)
    pid = int((budget.folder / "vars").read_text().rpartition("=")[2])
    assert _gone(pid)


def test_an_interrupt_of_the_shell_is_not_one_of_the_gateway(budget: Any) -> None:
    """A shell at its prompt and what it started in `$(...)` are one group, which Ctrl-C goes to."""
    script = f"""
        trap : INT
        eval "$({sys.executable} -m budgets_cli wrap --user ann --env-only 2> said)"
        kill -INT 0
        kill -0 "$BUDGET_GATEWAY_PID" && echo answers
        kill "$BUDGET_GATEWAY_PID"
    """
    ended = subprocess.run(
        ["bash", "-c", script],
        env=environment(budget),
        cwd=budget.folder,
        capture_output=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    assert ended.stdout == b"answers\n", ended


def test_without_a_budget_a_shell_takes_nothing(budget: Any) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "budgets_cli", "wrap", "--user", "nobody", "--env-only"],
        env=environment(budget),
        cwd=budget.folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (125, b"")
    assert ended.stderr.startswith(b"error: nobody has no budget")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        pytest.param(("--total", "2", "hello"), "--total is for a program", id="total"),
        pytest.param(("claude", "-x"), "a program with its options comes after `--`", id="options"),
        pytest.param(("--stop", "--model", "gpt-4o-mini", "hi"), "--stop is for a program", id="stop"),
        pytest.param(("--cut", "error", "hi"), "--cut is for a program", id="cut"),
        pytest.param(("--cut", "short", "--", "ls"), 'there is no "short" for --cut', id="no such cut"),
        pytest.param(("-u", "ann", "hello", "--", "ls"), "words in front of `--`", id="words"),
        pytest.param(("-u", "ann", "--"), "no program after", id="nothing"),
        pytest.param(("-u", "ann", "--env-only", "--", "ls"), "runs no program", id="both"),
        pytest.param(
            ("-u", "ann", "--system", "x", "--", "ls"), "--system asks for a completion", id="system"
        ),
    ],
)
def test_what_cannot_be_meant_runs_nothing(budget: Any, argv: tuple[str, ...], says: str) -> None:
    ended = budget("wrap", *argv)
    assert ended.code == 2
    assert says in ended.err
