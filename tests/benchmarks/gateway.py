"""
The gateway beside the bare upstream, the same proxy without accounting, and LiteLLM's proxy, in one run:

    python tests/benchmarks/gateway.py [--litellm COMMAND] [--seconds 2] [--rounds 3] [--memory 100000]

Every server is a process of its own on loopback; holds and charges are synced to disk. The client is a few
lines over sockets, so that what is measured is the servers. What a server adds is its median less the bare
upstream's, of the same round. On a machine with other work, the processor's time tells more than the clock's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

import budgets
from tests.gateway.process import KEY, process

CALLERS = (1, 16, 64)
# About 1 KB with the rest of the request.
QUESTION = "Which rivers rise in the Alps, and where do they end? " * 16


class Server(NamedTuple):
    """Where one of them listens."""

    name: str
    pid: int
    url: str
    path: str


class Measured(NamedTuple):
    """What came of one stretch of calls."""

    per_second: float
    p50_ms: float
    p99_ms: float
    # Of the server's processor, for one call.
    cpu_ms: float


def request_bytes(server: Server, *, stream: bool) -> bytes:
    body = {
        "model": "gpt-4o-mini",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": stream,
    }
    raw = json.dumps(body).encode()
    head = (
        f"POST {server.path} HTTP/1.1\r\nhost: {urlsplit(server.url).netloc}\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


async def read_answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200"), head
    if b"transfer-encoding: chunked" not in head:
        _, _, length = head.partition(b"content-length: ")
        await reader.readexactly(int(length.split(b"\r\n")[0]))
        return
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()


async def load(
    server: Server, *, stream: bool, callers: int, seconds: float = 60, calls: int = 10**9
) -> Measured:
    """Call *server* from so many connections, for so long or so often."""
    raw = request_bytes(server, stream=stream)
    address = urlsplit(server.url)
    times: list[float] = []
    deadline = time.perf_counter() + seconds

    async def caller() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while (begun := time.perf_counter()) < deadline and len(times) < calls:
            writer.write(raw)
            await read_answer(reader)
            times.append(time.perf_counter() - begun)
        writer.close()

    worked = cpu_ms(server.pid)
    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    elapsed = time.perf_counter() - begun
    worked = cpu_ms(server.pid) - worked
    times.sort()
    return Measured(
        per_second=len(times) / elapsed,
        p50_ms=statistics.median(times) * 1000,
        p99_ms=times[int(len(times) * 0.99)] * 1000,
        cpu_ms=worked / len(times),
    )


def cpu_ms(pid: int) -> float:
    """What a process has worked so far, in all its threads."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e6


def rss_mb(pid: int) -> float:
    """The memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def script(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """One of `gateway_servers`, and its address."""
    path = Path(__file__).with_name("gateway_servers.py")
    with subprocess.Popen([sys.executable, str(path), *words], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield running, f"http://127.0.0.1:{int(running.stdout.readline())}"
        finally:
            running.kill()


@contextmanager
def litellm_proxy(command: str, upstream: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """LiteLLM's proxy as its documentation has it for production: one worker, no database, little logging."""
    config = {
        "model_list": [
            {
                "model_name": "gpt-4o-mini",
                "litellm_params": {
                    "model": "openai/gpt-4o-mini",
                    "api_base": f"{upstream}/v1",
                    "api_key": "sk-real",
                },
            }
        ],
        "general_settings": {"master_key": KEY},
    }
    file = folder / "litellm.yaml"
    file.write_text(json.dumps(config))
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    port = "41873"
    words = [command, "--config", str(file), "--host", "127.0.0.1", "--port", port]
    with subprocess.Popen(
        words, env=environ, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(240):
                try:
                    urllib.request.urlopen(f"{url}/health/liveliness", timeout=5).close()
                    break
                except (urllib.error.URLError, ConnectionError):
                    assert running.poll() is None, "LiteLLM's proxy ended"
                    time.sleep(0.5)
            yield running, url
        finally:
            running.terminate()


def show(server: Server, callers: int, found: list[Measured], bare: list[Measured]) -> None:
    added = [one.p50_ms - other.p50_ms for one, other in zip(found, bare, strict=True)]
    added99 = [one.p99_ms - other.p99_ms for one, other in zip(found, bare, strict=True)]
    per_second = statistics.median(one.per_second for one in found)
    p50 = statistics.median(one.p50_ms for one in found)
    p99 = statistics.median(one.p99_ms for one in found)
    print(
        f"  {server.name:22} {callers:3} callers: {per_second:7,.0f} a second,"
        f" p50 {p50:7.2f} ms (+{statistics.median(added):.2f}),"
        f" p99 {p99:7.2f} ms (+{statistics.median(added99):.2f}),"
        f" {statistics.median(one.cpu_ms for one in found):6.2f} ms of processor a call"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--litellm", help="the command `litellm` of an environment with litellm[proxy]; else left out"
    )
    parser.add_argument("--seconds", type=float, default=2, help="of each stretch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--callers", type=int, nargs="*", default=CALLERS)
    parser.add_argument("--memory", type=int, default=0, help="so many calls at the end, to look at memory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        with budgets.open_engine(folder / "budgets.sqlite") as engine:
            engine.create("ann", budgets.LimitTerms(budgets.parse_usd("1000000")))
        bare, upstream = stack.enter_context(script("upstream"))
        plain, proxy = stack.enter_context(script("proxy", upstream))
        begun = time.perf_counter()
        running, gateway = stack.enter_context(process(folder / "budgets.sqlite", upstream, "ann"))
        print(f"the gateway listens after {(time.perf_counter() - begun) * 1000:.0f} ms")
        path = "/v1/chat/completions"
        servers = [
            Server("bare upstream", bare.pid, upstream, path),
            Server("proxy, no accounting", plain.pid, proxy, path),
            Server("budget", running.pid, gateway, f"/openai{path}"),
        ]
        if given.litellm:
            theirs, url = stack.enter_context(litellm_proxy(given.litellm, upstream, folder))
            servers.append(Server("LiteLLM's proxy", theirs.pid, url, path))
        for server in servers:
            asyncio.run(load(server, stream=False, callers=4, seconds=1))
        for stream in (False, True):
            print("50 chunks:" if stream else "plain, 1 KB:")
            for callers in given.callers:
                rounds: dict[str, list[Measured]] = {server.name: [] for server in servers}
                for _ in range(given.rounds):
                    for server in servers:
                        measured = load(server, stream=stream, callers=callers, seconds=given.seconds)
                        rounds[server.name].append(asyncio.run(measured))
                for server in servers:
                    show(server, callers, rounds[server.name], rounds["bare upstream"])
        for part in range(1, 5) if given.memory else ():
            asyncio.run(load(servers[2], stream=False, callers=16, seconds=600, calls=given.memory // 4))
            print(f"after {given.memory * part // 4:,} calls more: {rss_mb(running.pid):.1f} MB")


if __name__ == "__main__":
    main()
