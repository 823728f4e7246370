"""`python -m budgets_cli`, and the entry point of `budget`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process was started with, and end the process with its exit code."""
    from .env import Env

    env = Env.of_process()
    if env.argv[:1] == ("__complete",):
        from .completing import complete

        sys.exit(complete(env))
    from .app import run

    sys.exit(run(env))


if __name__ == "__main__":
    main()
