"""A command that ends while a process of it stays, as `ssh-agent` does: a shell can wait for its output."""

from __future__ import annotations

import os
from dataclasses import dataclass

from budgets.processes import SystemProcesses
from budgets.records import Process

from .exits import DONE


@dataclass(frozen=True, slots=True)
class Aside:
    """The process that stays."""

    # Who started the command.
    starter: Process
    # Where it says that the command may end.
    _ready: int

    def let_go(self) -> None:
        """The command ends with success; what it had to say is said."""
        os.write(self._ready, b".")
        os.close(self._ready)

    def starter_ended(self) -> bool:
        """Whether who started the command has gone."""
        return SystemProcesses().ended(self.starter)


def step_aside() -> Aside | int:
    """
    Go on in a process of its own, out of reach of the terminal's Ctrl-C. Before any thread or file is opened.

    Returns:
        In the process that stays, what it needs; in the command's own, which waits until it is let go, its
        exit code: 0, or that of the other one where it ended before.
    """
    starter = SystemProcesses().of(os.getppid())
    reading, writing = os.pipe()
    staying = os.fork()
    if not staying:
        os.close(reading)
        os.setsid()
        return Aside(starter, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        if said.read():
            return DONE
    code = os.waitstatus_to_exitcode(os.waitpid(staying, 0)[1])
    return code if code >= 0 else 128 - code
