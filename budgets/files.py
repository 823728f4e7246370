"""Text files that several processes rewrite: one writer at a time, and never half of a text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def turn_to_write(path: Path) -> Iterator[Path]:
    """
    Wait until nobody else rewrites *path*; gives the file to write, whose folder is made.

    A link is followed, so that the file it points to is replaced and not the link.
    """
    # Only POSIX has it, and only writing needs it.
    import fcntl

    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        yield target


def replace_text(target: Path, text: str) -> None:
    """All of the new text or all of the old, whenever the power goes."""
    with replacing(target) as file:
        file.write(text)


@contextmanager
def replacing(target: Path) -> Iterator[TextIO]:
    """The same for a text that is written piece by piece; a block that raises leaves the old one."""
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix=target.name + ".", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # `mkstemp` makes it for the owner alone; the old file's reach is kept, a new one gets the usual.
        temporary.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
