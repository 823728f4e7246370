"""`python -m budgets_cli`, and the entry point of `budget`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was started with, and end the process with its exit code."""
    from .app import run
    from .env import Env

    sys.exit(run(Env.of_process()))


if __name__ == "__main__":
    main()
