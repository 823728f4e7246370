"""
The default store: one SQLite file, many processes.

WAL, full sync on every commit, `BEGIN IMMEDIATE` for every write (a deferred read-then-write loses its
turn to others and fails), a short busy time-out with a jittered retry up to a deadline, so that no
writer starves. Budgets are kept in memory between transactions as long as `changes.version` stands.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from budgets.errors import (
    InvalidValueError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreTooNewError,
)
from budgets.records import Key, StoreInfo
from budgets.stores.sqlite_reading import Cache, SqliteReading
from budgets.stores.sqlite_rows import KEY, Row, read_key
from budgets.stores.sqlite_transaction import SqliteTransaction

# The numbered files in `schema`, each applied once and in turn, make this one.
SCHEMA = 4

T = TypeVar("T")

# "budg": says what the file is, to us and to file(1).
APPLICATION_ID = 0x62756467

_BUSY_MILLISECONDS = 5
_DEADLINE_SECONDS = 20.0
_LONGEST_NAP_SECONDS = 0.02

# Connections that a fork has brought along. They are never used and never closed here: closing one lets go
# of the file's locks under the feet of this process's own connection.
_LEFT_ALONE: list[sqlite3.Connection] = []


class SqliteStore:
    """
    A store in one file. Threads share one connection, each transaction in turn; a fork gets its own.

    Args:
        path: The file; it and its folder are made when they are missing.
        deadline_seconds: How long to wait for a turn before `StoreBusyError`.
    """

    def __init__(self, path: Path, *, deadline_seconds: float = _DEADLINE_SECONDS) -> None:
        self.path = path
        self._deadline_seconds = deadline_seconds
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        # What the connection's commits wait for; FULL is what it opens with.
        self._durable = True
        self._cache = Cache()

    @contextmanager
    def transaction(self, project: str, *, durable: bool = True) -> Iterator[SqliteTransaction]:
        """See `budgets.ports.Store.transaction`."""
        with self._lock, self._errors():
            connection = self._connected()
            if durable is not self._durable:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            try:
                self._begin(connection)
                txn = SqliteTransaction(connection, project, self._cache)
                yield txn
                txn.flush()
                connection.execute("COMMIT")
            except BaseException:
                self._cache.forget()
                # A commit that failed may have ended the transaction already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self, project: str) -> Iterator[SqliteReading]:
        """See `budgets.ports.Store.reading`."""
        with self._lock, self._errors():
            connection = self._connected()
            try:
                connection.execute("BEGIN")
                # The first read waits where the last process that closed the file tidies up behind it.
                yield self._patiently(lambda: SqliteReading(connection, project, self._cache))
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def projects(self) -> list[str]:
        """See `budgets.ports.Store.projects`."""
        with self._lock, self._errors():
            rows = self._connected().execute("SELECT DISTINCT project FROM budgets ORDER BY project")
            return [project for (project,) in rows]

    def keys(self) -> list[tuple[str, Key]]:
        """See `budgets.ports.Store.keys`."""
        with self._lock, self._errors():
            rows = self._connected().execute(
                f"SELECT project, {KEY} FROM keys ORDER BY project, created_at, id"  # noqa: S608
            )
            return [(project, read_key(row)) for project, *row in rows]

    def info(self) -> StoreInfo:
        """See `budgets.ports.Store.info`."""
        with self._lock, self._errors():
            counts = self._row(
                self._connected(),
                "SELECT (SELECT count(DISTINCT project) FROM budgets),"
                " (SELECT count(*) FROM budgets WHERE user <> ''),"
                " (SELECT count(*) FROM holds), (SELECT count(*) FROM entries)",
            )
            # The third file, shared memory, is there only while somebody has the store open.
            files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
            size_bytes = sum(file.stat().st_size for file in files if file.exists())
            return StoreInfo("sqlite", str(self.path), size_bytes, SCHEMA, *counts)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
                self._connection = None

    def _begin(self, connection: sqlite3.Connection) -> None:
        self._patiently(lambda: connection.execute("BEGIN IMMEDIATE"))

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """What *attempt* gives back, tried again while others have the file locked, up to the deadline."""
        deadline = time.monotonic() + self._deadline_seconds
        nap = 0.001
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                if time.monotonic() >= deadline:
                    raise StoreBusyError(
                        f"others kept {self.path} locked for {self._deadline_seconds:g} seconds",
                        hint="nothing was written; try again, and see what else uses the store",
                        path=str(self.path),
                    ) from error
            # Chance keeps writers from meeting again and again; it is no secret.
            time.sleep(nap * os.urandom(1)[0] / 255)
            nap = min(nap * 2, _LONGEST_NAP_SECONDS)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._pid == os.getpid():
            return self._connection
        if self._connection is not None:
            _LEFT_ALONE.append(self._connection)
        self._cache = Cache()
        self._connection = self._open()
        self._durable = True
        self._pid = os.getpid()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder {self.path.parent} cannot be made: {error.strerror}",
                hint="choose another place with --store or BUDGET_STORE",
                path=str(self.path),
            ) from error
        connection = sqlite3.connect(
            self.path,
            timeout=_BUSY_MILLISECONDS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # It reads the schema first, and that may be locked.
        self._patiently(lambda: connection.execute("PRAGMA synchronous = FULL"))
        version = self._row(connection, "PRAGMA user_version")[0]
        if version == 0:
            self._make(connection)
            self._bring_up_to_date(connection)
        elif self._row(connection, "PRAGMA application_id")[0] != APPLICATION_ID:
            raise StoreCorruptError(
                f"{self.path} is a SQLite file of another program",
                hint="choose another file with --store or BUDGET_STORE",
                path=str(self.path),
            )
        elif version > SCHEMA:
            raise StoreTooNewError(
                f"{self.path} was written by a newer version (schema {version}, this one reads {SCHEMA})",
                hint="upgrade with `pip install --upgrade llm-budgets`; nothing was changed",
                path=str(self.path),
                schema=version,
            )
        elif version < SCHEMA:
            self._bring_up_to_date(connection)

    def _row(self, connection: sqlite3.Connection, statement: str) -> Row:
        """One row; a file that is being made, or recovered, is locked for a moment even for readers."""
        row: Row = self._patiently(lambda: connection.execute(statement).fetchone())
        return row

    def _make(self, connection: sqlite3.Connection) -> None:
        if self._row(connection, "SELECT count(*) FROM sqlite_master")[0]:
            # Somebody else may just be making it; anything else is not ours.
            if self._row(connection, "PRAGMA application_id")[0] != APPLICATION_ID:
                raise StoreCorruptError(
                    f"{self.path} is a SQLite file of another program",
                    hint="choose another file with --store or BUDGET_STORE",
                    path=str(self.path),
                )
            return
        # The journal's kind is kept in the file; it cannot change inside a transaction.
        self._row(connection, "PRAGMA journal_mode = WAL")

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        """All of the schema that is missing, or nothing of it; somebody else may be just as far."""
        from importlib import resources

        schema = resources.files("budgets.stores").joinpath("schema")
        try:
            self._begin(connection)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            for number in range(version + 1, SCHEMA + 1):
                for statement in _statements(schema.joinpath(f"{number:03}.sql").read_text("utf-8")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn SQLite's errors into ours, with the file's name and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._translated(error) from error
        except UnicodeEncodeError as error:
            raise InvalidValueError(
                "a name or an id is no valid text", hint="give it as valid UTF-8, without broken bytes"
            ) from error
        except OverflowError as error:
            raise InvalidValueError(
                "a sum would be above $9.2 billion, the most that can be kept", hint="give a smaller amount"
            ) from error

    def _translated(self, error: sqlite3.Error) -> Exception:
        name = getattr(error, "sqlite_errorname", "") or ""
        values = {"path": str(self.path), "sqlite": name}
        if _is_busy(error):
            return StoreBusyError(
                f"{self.path} is locked by others",
                hint="nothing was written; try again, and see what else uses the store",
                **values,
            )
        if name.startswith("SQLITE_FULL"):
            return StoreError(
                f"there is no space left to write {self.path}",
                hint="make space and try again; nothing was written",
                **values,
            )
        if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
            return StoreError(
                f"{self.path} cannot be written",
                hint="check the permissions of the file and its folder",
                **values,
            )
        if name.startswith("SQLITE_CANTOPEN"):
            return StoreError(
                f"{self.path} cannot be opened",
                hint="check that you may write in its folder, or choose another place with --store",
                **values,
            )
        # What is neither a failed operation nor a broken constraint says that the file itself is wrong.
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_SCHEMA")) or (
            isinstance(error, sqlite3.DatabaseError)
            and not isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError)
        ):
            return StoreCorruptError(
                f"{self.path} is damaged or no store: {error}",
                hint="put back a copy, or move the file away to begin anew",
                **values,
            )
        return StoreError(f"{self.path}: {error}", hint="see `budget check`", **values)


def _is_busy(error: sqlite3.Error) -> bool:
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _statements(schema: str) -> Iterator[str]:
    """The statements of a script; a trigger's inner semicolons do not end it."""
    pending = ""
    for line in schema.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
