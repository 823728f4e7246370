"""A notice reaches a real program, or a real server on this machine; what fails is said in one line."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from budgets import notices
from budgets.notices import Notices, document, sentence
from budgets.periods import NEVER, PeriodRule
from budgets.records import ROOT, Limit, Threshold, Totals

JAN, FEB = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2))
USD = 10**9
REACHED = Threshold(
    "l@1.80%",
    "ann",
    Limit("l", 10 * USD, PeriodRule(1, "month", "Europe/Berlin"), warn_at=(50, 80)),
    Totals("l", JAN, FEB, spent_nanos=83 * USD // 10, held_nanos=USD // 10),
    80,
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on this machine is asked directly, whatever its owner has set up."""
    monkeypatch.setenv("no_proxy", "*")


class Reports(list[str]):
    """What was reported, and the pauses that were made."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []


def sent(target: tuple[str, ...] | str, *thresholds: Threshold) -> Reports:
    """What was reported once all of them were sent."""
    found = Reports()
    to = Notices(target, "shop", report=found.append, pause=found.pauses.append)
    for each in thresholds or (REACHED,):
        to.send(each)
    to.finish()
    to.finish()
    return found


# The words


@pytest.mark.parametrize(
    ("threshold", "said"),
    [
        pytest.param(
            REACHED,
            "ann has used 83% of $10.00 every month: $1.60 left until 2026-02-01 01:00 Europe/Berlin",
            id="by the wall clock of the limit",
        ),
        pytest.param(
            replace(
                REACHED,
                user=ROOT,
                limit=Limit("l", 10 * USD, NEVER),
                totals=Totals("l", JAN, None, spent_nanos=12 * USD),
            ),
            "the project has used 120% of $10.00 in all: -$2.00 left",
            id="without an end",
        ),
        pytest.param(
            replace(REACHED, totals=replace(REACHED.totals, boost_nanos=10 * USD)),
            "ann has used 41% of $10.00 every month and a boost of $10.00: $11.60 left until"
            " 2026-02-01 01:00 Europe/Berlin",
            id="a boost",
        ),
        pytest.param(
            replace(REACHED, limit=Limit("l", 0, NEVER), totals=Totals("l", JAN, None, spent_nanos=1)),
            "ann has used 100% of $0.00 in all: -$0.000000001 left",
            id="a limit of nothing",
        ),
    ],
)
def test_a_threshold_is_a_sentence(threshold: Threshold, said: str) -> None:
    assert sentence(threshold) == said


def test_the_document_has_these_names_and_exact_money() -> None:
    assert document(REACHED, "shop") == {
        "schema": 1,
        "event": "threshold",
        "id": "l@1.80%",
        "text": sentence(REACHED),
        "project": "shop",
        "user": "ann",
        "percent": 80,
        "limit_id": "l",
        "total_usd": "10.00",
        "boost_usd": "0.00",
        "spent_usd": "8.30",
        "held_usd": "0.10",
        "unconfirmed_usd": "0.00",
        "left_usd": "1.60",
        "every": "month",
        "timezone": "Europe/Berlin",
        "period_start": "2026-01-01T00:00:00Z",
        "period_end": "2026-02-01T00:00:00Z",
    }
    assert document(replace(REACHED, user=ROOT), "shop")["user"] is None


# A program


def python(code: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", code, *map(str, arguments))


def test_a_program_reads_the_document_and_keeps_our_streams_clean(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keep = "import sys; print('noise'); open(sys.argv[1], 'w').write(sys.stdin.read())"
    assert sent(python(keep, tmp_path / "got")) == []
    assert json.loads((tmp_path / "got").read_text()) == document(REACHED, "shop")
    assert capfd.readouterr() == ("", "")


def test_each_notice_is_a_run_of_its_own(tmp_path: Path) -> None:
    count = "import json, sys; open(sys.argv[1] + str(json.load(sys.stdin)['percent']), 'x').close()"
    assert sent(python(count, tmp_path / "at-"), REACHED, replace(REACHED, percent=50)) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["at-50", "at-80"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param(
            "import sys; print('first\\nno such room\\n', file=sys.stderr); sys.exit(3)",
            "ended with exit code 3: no such room",
            id="its last words",
        ),
        pytest.param("raise SystemExit(1)", "ended with exit code 1", id="without a word"),
        pytest.param("import os; os.kill(os.getpid(), 9)", "was ended by signal 9", id="killed"),
        pytest.param(
            "import sys; sys.stderr.write('x' * 100_000); sys.exit(1)",
            f"ended with exit code 1: {'x' * 200}",
            id="words without end",
        ),
    ],
)
def test_a_program_that_fails_is_reported_in_one_line(code: str, said: str) -> None:
    assert sent(python(code, "a-secret-argument")) == [f"on_threshold: {Path(sys.executable).name} {said}"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        pytest.param(
            ("/nowhere/notify", "secret"),
            "notify cannot be started: No such file or directory",
            id="not there",
        ),
        pytest.param((os.devnull,), "null cannot be started: Permission denied", id="no program"),
    ],
)
def test_a_program_that_cannot_be_started_is_reported(argv: tuple[str, ...], said: str) -> None:
    assert sent(argv) == [f"on_threshold: {said}"]


def test_a_program_that_does_not_end_is_stopped_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grandchild holds a pipe open as long as it lives."""
    monkeypatch.setattr(notices, "COMMAND_SECONDS", 0.5)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fork = "import os, signal, sys; sys.stdin.read(); open(sys.argv[1], 'w'); os.fork(); signal.pause()"
    keep = fork.replace("open(sys.argv[1], 'w')", "alive = open(sys.argv[1], 'w')")
    (said,) = sent(python(keep, pipe))
    assert said.endswith("did not end within 0.5 seconds and was stopped")
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b"", "the other end is closed once all of them are gone"
    os.close(reader)


def test_what_a_program_leaves_running_holds_nobody_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    leave = (
        "import os, signal, sys; child = os.fork();"
        " child or signal.pause(); open(sys.argv[1], 'w').write(str(child))"
    )
    assert sent(python(leave, pid)) == []
    os.kill(int(pid.read_text()), signal.SIGKILL)


# An address


class Server(ThreadingHTTPServer):
    """Answers with these codes in turn, the last for ever, and keeps what it was sent."""

    daemon_threads = True

    def __init__(self, codes: Sequence[int]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.codes = list(codes)
        self.got: list[tuple[str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?key=secret"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.got.append((self.path, headers, json.loads(body)))
        codes = self.server.codes
        code = codes.pop(0) if len(codes) > 1 else codes[0]
        if code == 0:
            self.close_connection = True
            return
        self.send_response(code)
        if code == 302:
            self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Tests say what they need to."""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server on this machine with the codes of the test's parameter; 0 hangs up."""
    with Server(request.param) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.mark.parametrize("server", [[200], [204]], ids=str, indirect=True)
def test_an_address_is_sent_the_document(server: Server) -> None:
    found = sent(server.url)
    assert (found, found.pauses) == ([], [])
    ((path, headers, body),) = server.got
    assert path == "/hook?key=secret"
    assert headers["content-type"] == "application/json"
    assert body == document(REACHED, "shop")


@pytest.mark.parametrize("server", [[503, 429, 200], [0, 500, 200]], ids=str, indirect=True)
def test_an_address_that_fails_for_a_while_is_tried_again(server: Server) -> None:
    found = sent(server.url)
    assert (found, found.pauses) == ([], [0.5, 1])
    # Whoever gets it twice can tell.
    assert [body["id"] for _, _, body in server.got] == [REACHED.id] * 3


@pytest.mark.parametrize(
    ("server", "said", "tries"),
    [
        ([500], "answered 500 (3 tries)", 3),
        ([404], "answered 404", 1),
        ([302], "answered 302", 1),
        ([0], "did not take it: the connection was closed (3 tries)", 3),
    ],
    ids=["always an error", "no such address", "a redirect would lose the body", "it hangs up"],
    indirect=["server"],
)
def test_an_address_that_does_not_take_it_is_reported_without_its_secrets(
    server: Server, said: str, tries: int
) -> None:
    assert sent(server.url) == [f"on_threshold: 127.0.0.1 {said}"]
    assert len(server.got) == tries


def test_an_address_where_nobody_is_is_reported() -> None:
    with Server([200]) as gone:
        url = gone.url
    assert sent(url) == ["on_threshold: 127.0.0.1 cannot be reached: connection refused (3 tries)"]


def test_an_address_that_cannot_be_one_is_reported() -> None:
    (said,) = sent("http://localhost:many/")
    assert said == "on_threshold: localhost did not take it: InvalidURL"


def test_the_end_waits_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens to a notice, a program that sent one ends."""
    monkeypatch.setattr(notices, "LONGEST_SECONDS", 0.0)
    stuck = threading.Event()
    said = Reports()
    with Server([200]) as gone:
        url = gone.url

    def pause(_: float) -> None:
        stuck.wait()

    to = Notices(url, "shop", report=said.append, pause=pause)
    to.send(REACHED)
    to.finish()
    assert said == ["on_threshold: 1 of 1 notices were given up, they took too long"]
    stuck.set()
    for thread in threading.enumerate():
        if thread.name == "budgets-notice":
            thread.join()
