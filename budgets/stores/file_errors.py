"""Turns what the system says about a plain file into our errors, with the file's name and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from budgets.errors import StoreError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """What fails in the block is said of the store at *path*."""
    try:
        yield
    except OSError as error:
        raise _translated(path, error) from error


def _translated(path: Path, error: OSError) -> StoreError:
    if error.errno in _NO_SPACE:
        return StoreError(
            f"there is no space left to write {path}",
            hint="make space and try again; nothing was written",
            path=str(path),
        )
    if error.errno in _FORBIDDEN:
        return StoreError(
            f"{path} cannot be read and written",
            hint="check the permissions of its files and their folder",
            path=str(path),
        )
    if error.errno in _NO_FILE:
        return StoreError(
            f"{path} cannot be opened",
            hint="check that you may write in its folder, or choose another place with --store",
            path=str(path),
        )
    return StoreError(f"{path}: {error.strerror}", hint="see `budget check`", path=str(path))
