"""A server as people run it: a process of its own, reached by a socket of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

_LONGEST_SECONDS = 60


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Server:
    """A running `budget serve`."""

    process: subprocess.Popen[str]
    port: int
    # What it says on stderr, as it comes.
    lines: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own; what is no text or bytes is sent as JSON."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_LONGEST_SECONDS)
        try:
            sent = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
            connection.request(method, path, sent, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(_LONGEST_SECONDS)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """A server on the store in *folder*, which is there again when another is started there."""
    environ = {
        **os.environ,
        "BUDGET_STORE": str(folder / "budgets.sqlite"),
        "BUDGET_CONFIG": str(folder / "config.toml"),
    }
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "budgets_cli", "serve", "--port", "0", *options],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        reader = None
        try:
            first = process.stdout.readline()
            assert first.startswith("listening on http://"), (first, process.stderr.read())
            address = first.split()[2].rstrip(",\n")
            server = Server(process, int(address.rpartition(":")[2]))
            stream = process.stderr
            reader = threading.Thread(target=lambda: server.lines.extend(stream))
            reader.start()
            yield server
        finally:
            process.kill()
            if reader is not None:
                reader.join()
