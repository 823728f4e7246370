"""
How long the command line takes to start, beside the imports that it stands on. Run by hand:

    python tests/benchmarks/startup.py [--runs 21]

The two are run in turn, and the ratio is taken pair by pair, for machines are noisy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = [sys.executable, "-c", "import typer, rich.table"]
BUDGET = [sys.executable, "-m", "budgets_cli"]


def seconds(command: list[str], environ: dict[str, str]) -> float:
    """One run, as a whole process."""
    start = time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Compare every start with the bare one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=21)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            **os.environ,
            "BUDGET_STORE": str(Path(folder) / "budgets.sqlite"),
            "BUDGET_CONFIG": str(Path(folder) / "config.toml"),
        }
        subprocess.run(
            [*BUDGET, "create", "--user", "ann", "--total", "10"],
            env=environ,
            check=True,
            capture_output=True,
        )
        for arguments in (["--help"], ["status"], ["status", "--json"]):
            ours, bare = [], []
            for number in range(runs + 1):
                pair = seconds([*BUDGET, *arguments], environ), seconds(BARE, environ)
                # The first pair warms the machine's caches.
                if number:
                    ours.append(pair[0])
                    bare.append(pair[1])
            ratio = statistics.median(one / other for one, other in zip(ours, bare, strict=True))
            print(
                f"budget {' '.join(arguments)}: {statistics.median(ours) * 1000:.0f} ms,"
                f" importing typer and rich.table: {statistics.median(bare) * 1000:.0f} ms, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
