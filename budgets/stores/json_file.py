"""
A store that people can read: a JSON document, and beside it a file of entries that only grows.

Meant for a few hundred users: every commit writes the whole document. One writer at a time, by a lock file;
what it adds to the entries is on disk before the document that says so takes the place of the old one, whole,
by a rename. Readers wait for nobody. Documents and entries are kept in memory as long as nobody else writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from budgets.errors import StoreBusyError, StoreCorruptError, StoreError, StoreTooNewError
from budgets.records import Key, StoreInfo
from budgets.stores.file_errors import file_errors
from budgets.stores.json_codec import SCHEMA, Mark, TooNewError, Writer, read_document
from budgets.stores.json_entries import EntryFile
from budgets.stores.memory import Tables, TableTransaction, counted, keys_of

_DEADLINE_SECONDS = 20.0
# A commit takes about as long.
_LONGEST_NAP_SECONDS = 0.005

# So much of a document's beginning says which commit it is.
_HEAD_BYTES = 128


class _Stamp(NamedTuple):
    """Tells one file that stands at a path from the next."""

    device: int
    inode: int
    changed_at_nanoseconds: int
    size_bytes: int

    @classmethod
    def of(cls, descriptor: int) -> _Stamp:
        found = os.fstat(descriptor)
        return cls(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


@dataclass(frozen=True, slots=True)
class _State:
    """A document as it was read or written. Nothing in it is ever changed."""

    mark: Mark
    projects: Mapping[str, Tables]
    # `None`: there is no file yet.
    stamp: _Stamp | None = None
    # Its first bytes: an inode is used again, and the clock of files is coarse, but commits are counted.
    head: bytes = b""

    def tables(self, project: str) -> Tables:
        return self.projects.get(project) or Tables()


_NOTHING = _State(Mark(), {})


class JsonStore:
    """
    A store in two files, for instance `budgets.json` and `budgets.entries.jsonl`.

    Threads take turns. A fork needs nothing: no file stays open between transactions.

    Args:
        path: The document; it and its folder are made when they are missing.
        deadline_seconds: How long to wait for a turn before `StoreBusyError`.
    """

    def __init__(self, path: Path, *, deadline_seconds: float = _DEADLINE_SECONDS) -> None:
        self.path = path
        # A link is followed, so that all who write the same file share a lock, and the link stays.
        self._file = Path(os.path.realpath(path))
        self._deadline_seconds = deadline_seconds
        self._lock = threading.RLock()
        self._state = _NOTHING
        self._entries = EntryFile(self._file.with_suffix(".entries.jsonl"))
        self._writer = Writer()

    @contextmanager
    def transaction(self, project: str, *, durable: bool = True) -> Iterator[TableTransaction]:
        """See `budgets.ports.Store.transaction`."""
        # A rename that reaches the disk before what it renames leaves half a store: every commit is synced.
        del durable
        with self._lock, self._turn():
            state = self._current()
            txn = TableTransaction(state.tables(project).copy(), self._entries.of(project))
            yield txn
            if txn.appended or txn.tables != state.tables(project):
                self._commit(state, project, txn)

    @contextmanager
    def reading(self, project: str) -> Iterator[TableTransaction]:
        """See `budgets.ports.Store.reading`."""
        with self._lock:
            yield TableTransaction(self._current().tables(project), self._entries.of(project))

    def projects(self) -> list[str]:
        """See `budgets.ports.Store.projects`."""
        with self._lock:
            return sorted(name for name, tables in self._current().projects.items() if tables.budgets)

    def keys(self) -> list[tuple[str, Key]]:
        """See `budgets.ports.Store.keys`."""
        with self._lock:
            return keys_of(self._current().projects)

    def info(self) -> StoreInfo:
        """See `budgets.ports.Store.info`."""
        with self._lock:
            state = self._current()
            size_bytes = state.stamp.size_bytes + state.mark.size_bytes if state.stamp else 0
            counts = counted(state.projects.values())
            return StoreInfo("json", str(self.path), size_bytes, SCHEMA, *counts, state.mark.entries)

    def close(self) -> None:
        """Nothing is open; what was read is forgotten."""
        with self._lock:
            self._state = _NOTHING
            self._entries.forget()
            self._writer = Writer()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Nobody else writes during the block."""
        with file_errors(self.path):
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"the folder {self.path.parent} cannot be made: {error.strerror}",
                    hint="choose another place with --store or BUDGET_STORE",
                    path=str(self.path),
                ) from error
            lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._wait_for(lock)
            yield
        finally:
            # Let go before it is closed: a process that was forked meanwhile has it open as well.
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def _wait_for(self, lock: int) -> None:
        deadline = time.monotonic() + self._deadline_seconds
        nap = 0.001
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise StoreBusyError(
                        f"others kept {self.path} locked for {self._deadline_seconds:g} seconds",
                        hint="nothing was written; try again, and see what else uses the store",
                        path=str(self.path),
                    ) from error
            else:
                return
            # Chance keeps writers from meeting again and again; it is no secret.
            time.sleep(nap * os.urandom(1)[0] / 255)
            nap = min(nap * 2, _LONGEST_NAP_SECONDS)

    def _current(self) -> _State:
        """What is committed; read again only where somebody else has written since."""
        known = self._state
        with file_errors(self.path):
            try:
                with self._file.open("rb") as file:
                    stamp = _Stamp.of(file.fileno())
                    data = file.read(_HEAD_BYTES)
                    if (stamp, data) == (known.stamp, known.head):
                        return known
                    data += file.read()
            except FileNotFoundError:
                data = b""
            if not data and self._entries.path.exists() and self._entries.path.stat().st_size:
                raise StoreCorruptError(
                    f"{self.path} is missing or empty, and {self._entries.path} is not",
                    hint="put back a copy of the first, or move the second away to begin anew",
                    path=str(self.path),
                )
        self._state = self._read(data, stamp) if data else _NOTHING
        self._entries.follow(self._state.mark)
        return self._state

    def _read(self, data: bytes, stamp: _Stamp) -> _State:
        try:
            mark, projects = read_document(data)
        except TooNewError as error:
            raise StoreTooNewError(
                f"{self.path} was written by a newer version"
                f" (schema {error.schema}, this one reads {SCHEMA})",
                hint="upgrade with `pip install --upgrade llm-budgets`; nothing was changed",
                path=str(self.path),
                schema=error.schema,
            ) from error
        except ValueError as error:
            raise StoreCorruptError(
                f"{self.path} is damaged or no store: {error}",
                hint="put back a copy, or move the file away to begin anew",
                path=str(self.path),
            ) from error
        return _State(mark, projects, stamp, data[:_HEAD_BYTES])

    def _commit(self, state: _State, project: str, txn: TableTransaction) -> None:
        entries = [(project, entry) for entry in txn.appended.values()]
        # Whatever happens to this commit, the next transaction looks for itself.
        self._state = _NOTHING
        with file_errors(self.path):
            if state.stamp is None:
                # From here on, entries without a document are known for what they are: half of a store.
                self._entries.path.touch()
                self._put(state.mark, {})
            mark = self._entries.append(state.mark, entries) if entries else state.mark
            written = self._put(
                mark._replace(commit=mark.commit + 1), {**state.projects, project: txn.tables}
            )
        self._entries.added(written.mark, entries)
        self._state = written

    def _put(self, mark: Mark, projects: Mapping[str, Tables]) -> _State:
        """Write the document: all of the new one or all of the old one is there, whenever the power goes."""
        data = self._writer.document(mark, projects)
        new = self._file.with_name(f"{self._file.name}.new")
        # A process that was killed may have left one.
        new.unlink(missing_ok=True)
        try:
            with new.open("xb") as file:
                self._take_after_the_old(file.fileno())
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                stamp = _Stamp.of(file.fileno())
            new.replace(self._file)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return _State(mark, projects, stamp, data[:_HEAD_BYTES])

    def _take_after_the_old(self, new: int) -> None:
        """The new file belongs to whom the old one does, and is open to the same."""
        try:
            old = self._file.stat()
        except FileNotFoundError:
            return
        if not os.access(self._file, os.W_OK):
            # A rename would not ask.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path))
        os.fchmod(new, stat.S_IMODE(old.st_mode))
        if os.geteuid() == 0:
            os.fchown(new, old.st_uid, old.st_gid)
