"""
Tells the owner that a threshold was reached: by a program of theirs, or by a web address.

It begins when the charge is committed and holds up no call: every notice has a thread of its own. The end of
the program waits until each is done or given up, for a bounded time. What fails is reported, in one line.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from budgets.clock import iso
from budgets.money import format_usd, money
from budgets.periods import find_zone
from budgets.records import ROOT, Threshold

if TYPE_CHECKING:
    from subprocess import Popen

# The arguments of a program, or a web address.
Target: TypeAlias = tuple[str, ...] | str

# A program is stopped when it has not ended by then.
COMMAND_SECONDS = 10.0

# An address is tried so often; each try waits that long, and before the next comes a pause of half a second,
# then of one.
TRIES = 3
TRY_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.5

# Whatever happens: the end of the program waits no longer than this.
LONGEST_SECONDS = 20.0

# Of what a program says before it fails, and of a line of it.
_MOST_STDERR_BYTES = 4_096
_MOST_WORDS = 200

_TRIED_AGAIN = frozenset({408, 425, 429})


def sentence(threshold: Threshold) -> str:
    """`ann has used 83% of $10.00 every month: $1.70 left until 2026-12-01 00:00 UTC`."""
    limit, totals, room = threshold.limit, threshold.totals, threshold.room_nanos
    user = threshold.user or "the project"
    used = totals.spent_nanos * 100 // room if room > 0 else 100
    every = "in all" if limit.rule.unit == "never" else f"every {limit.rule.words()}"
    boost = f" and a boost of {money(totals.boost_nanos)}" if totals.boost_nanos else ""
    until = ""
    if totals.end is not None:
        wall = totals.end.astimezone(find_zone(limit.rule.timezone))
        until = f" until {wall:%Y-%m-%d %H:%M} {limit.rule.timezone}"
    return (
        f"{user} has used {used}% of {money(limit.total_nanos or 0)} {every}{boost}:"
        f" {money(threshold.left_nanos)} left{until}"
    )


def document(threshold: Threshold, project: str) -> dict[str, Any]:
    """What a program reads and an address is sent. Its `id` is the same when it comes twice."""
    limit, totals = threshold.limit, threshold.totals
    return {
        "schema": 1,
        "event": "threshold",
        "id": threshold.id,
        "text": sentence(threshold),
        "project": project,
        "user": None if threshold.user == ROOT else threshold.user,
        "percent": threshold.percent,
        "limit_id": limit.id,
        "total_usd": format_usd(limit.total_nanos or 0),
        "boost_usd": format_usd(totals.boost_nanos),
        "spent_usd": format_usd(totals.spent_nanos),
        "held_usd": format_usd(totals.held_nanos),
        "unconfirmed_usd": format_usd(totals.unconfirmed_nanos),
        "left_usd": format_usd(threshold.left_nanos),
        "every": limit.rule.words(),
        "timezone": limit.rule.timezone,
        "period_start": iso(totals.start),
        "period_end": iso(totals.end) if totals.end else None,
    }


class Notices:
    """
    Sends notices of thresholds, each once. Safe to use from any thread.

    Args:
        target: A program's arguments, or an address that begins with `http://` or `https://`.
        project: Which project the thresholds are of.
        report: Is told in one line what failed, in the notice's own thread. Addresses and arguments may
            hold secrets, so it names the host or the program only.
        pause: Waits between tries.
    """

    def __init__(
        self,
        target: Target,
        project: str,
        *,
        report: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._target = target
        self._project = project
        self._report = report
        self._pause = pause
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def send(self, threshold: Threshold) -> None:
        """Begin to send one. Returns at once."""
        body = json.dumps(document(threshold, self._project)).encode()
        thread = threading.Thread(target=self._deliver, args=(body,), name="budgets-notice", daemon=True)
        with self._lock:
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
            thread.start()

    def finish(self) -> None:
        """Wait until all are done or given up, `LONGEST_SECONDS` at most."""
        deadline = time.monotonic() + LONGEST_SECONDS
        with self._lock:
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        late = sum(thread.is_alive() for thread in threads)
        if late:
            self._report(f"on_threshold: {late} of {len(threads)} notices were given up, they took too long")

    def _deliver(self, body: bytes) -> None:
        target = self._target
        failure = _posted(target, body, self._pause) if isinstance(target, str) else _ran(target, body)
        if failure is not None:
            self._report(f"on_threshold: {failure}")


def _ran(argv: tuple[str, ...], body: bytes) -> str | None:
    """What went wrong when the program was run with *body* on its stdin; `None`: nothing did."""
    import subprocess
    import tempfile

    # Files, for a pipe would be kept open by whatever the program leaves running.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(body)
        given.seek(0)
        try:
            child = subprocess.Popen(  # noqa: S603 - the owner's own program, without a shell
                argv,
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=said,
                # A group of its own: Ctrl-C is not meant for it, and it can be stopped with all its children.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return (
                f"{_named(argv)} cannot be started: {getattr(error, 'strerror', None) or 'no such program'}"
            )
        try:
            code = child.wait(COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            _stop(child)
            return f"{_named(argv)} did not end within {COMMAND_SECONDS:g} seconds and was stopped"
        if code == 0:
            return None
        said.seek(0)
        lines = said.read(_MOST_STDERR_BYTES).decode("utf-8", "replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")[:_MOST_WORDS]
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"{_named(argv)} {ended}{f': {words}' if words else ''}"


def _stop(child: Popen[bytes]) -> None:
    import os
    import signal
    from contextlib import suppress

    # It may have ended in this very moment.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _named(argv: tuple[str, ...]) -> str:
    return argv[0].rpartition("/")[2]


class _Failure(NamedTuple):
    """Why a try failed, and whether another one may help."""

    words: str
    again: bool


def _posted(url: str, body: bytes, pause: Callable[[float], None]) -> str | None:
    """What went wrong when *body* was sent to *url*; `None`: it was taken."""
    from urllib.parse import urlsplit

    found = None
    for tried in range(TRIES):
        if tried:
            pause(_FIRST_PAUSE_SECONDS * 2 ** (tried - 1))
        found = _post(url, body)
        if found is None:
            return None
        if not found.again:
            break
    assert found is not None, "it is tried at least once"
    times = f" ({TRIES} tries)" if found.again else ""
    return f"{urlsplit(url).hostname} {found.words}{times}"


def _post(url: str, body: bytes) -> _Failure | None:
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Unredirected(HTTPRedirectHandler):
        # A redirected POST would arrive as a GET without its body.
        def redirect_request(self, *_: Any) -> None:
            return None

    assert url.startswith(("http://", "https://")), "settings take no other address"
    headers = {"content-type": "application/json", "user-agent": "budget"}
    try:
        request = Request(url, body, headers, method="POST")  # noqa: S310 - asserted above
        with build_opener(Unredirected).open(request, timeout=TRY_SECONDS):
            return None
    except HTTPError as error:
        with error:
            return _Failure(f"answered {error.code}", error.code >= 500 or error.code in _TRIED_AGAIN)
    except URLError as error:
        return _Failure(f"cannot be reached: {_reason(error.reason)}", True)
    except (OSError, HTTPException, ValueError) as error:
        # Not an address, or no answer. What the error says may quote the address.
        return _Failure(f"did not take it: {_reason(error)}", isinstance(error, OSError))


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TRY_SECONDS:g} seconds"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, ConnectionError):
        return "the connection was closed"
    return type(error).__name__
