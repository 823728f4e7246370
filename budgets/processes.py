"""Asks the operating system which process we are, and whether another one is gone."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from budgets.records import Process


class SystemProcesses:
    """Processes of this machine, told apart by id and start time, for ids are used again."""

    def own(self) -> Process:
        """The process that asks; after a fork, the child."""
        return _own(os.getpid())

    def of(self, pid: int) -> Process:
        """The process of this host that has that id now."""
        return Process(_host(), pid, _started(pid))

    def ended(self, process: Process) -> bool:
        """
        True only when it is certain: same host, and that very process is gone.

        Where the system does not tell start times, only a process id that nobody has is certain.
        """
        if process.host != _host():
            return False
        try:
            os.kill(process.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            # Somebody else's process: whether it is the same one, its start time says.
            pass
        started = _started(process.pid)
        return bool(started and process.started and started != process.started)


@cache
def _own(pid: int) -> Process:
    return Process(_host(), pid, _started(pid))


@cache
def _host() -> str:
    # Containers share a host name more often than a boot, and process ids belong to a boot.
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        import platform

        return platform.node()
    # A file of this host's own kernel was read, so this is a system that has `uname`.
    return f"{os.uname().nodename}/{boot}/{namespace}"


def _started(pid: int) -> str:
    """The start time as the system has it: field 22 of proc(5) stat; empty where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    # A zombie has ended; only its parent has not looked yet.
    return "ended" if fields[0] == "Z" else fields[19]
