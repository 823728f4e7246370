"""What only a file can suffer: other programs, damage, no space, no permission, a killed writer, a fork."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from budgets.clock import to_micros
from budgets.engine import Change, LimitTerms
from budgets.errors import (
    BudgetError,
    InvalidValueError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreTooNewError,
)
from budgets.records import ROOT, Budget, Entry, Totals
from budgets.stores import sqlite as sqlite_store
from budgets.stores.sqlite import APPLICATION_ID, SCHEMA, SqliteStore
from tests.support.engines import START, dollars, open_engine

NOBODY = 65_534

# Microseconds since 1970, as the file has them: the beginnings of the two months.
JAN, FEB = (to_micros(START.replace(month=month, day=1, hour=0)) for month in (1, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store's file with a budget of $10, of which $1 is spent; nobody has it open."""
    file = tmp_path / "folder" / "budgets.sqlite"
    with closing(SqliteStore(file)) as store:
        engine = open_engine(store)
        engine.create("ann", LimitTerms(10_000_000_000))
        engine.charge("ann", dollars("1"), charge_id="first")
    return file


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """The same, open."""
    with closing(SqliteStore(path, deadline_seconds=0)) as opened:
        yield opened


def still_right(path: Path) -> None:
    """The store of `path` has what it had and can be written."""
    with closing(SqliteStore(path)) as store:
        engine = open_engine(store)
        assert engine.check().faults == ()
        assert engine.status("ann").limits[0].totals.spent_nanos == 1_000_000_000
        engine.charge("ann", dollars("1"))


# Other files


def test_a_store_of_a_newer_version_is_refused_and_not_touched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    with closing(SqliteStore(path)) as store:
        for _ in range(2):
            with pytest.raises(StoreTooNewError, match="newer version") as refused:
                open_engine(store).users()
    assert refused.value.hint is not None
    assert path.read_bytes() == before


def of_version_1(path: Path) -> None:
    """A store as the first schema had it: $10 a month, of which $4 are spent and $1 is held."""
    schema = Path(sqlite_store.__file__).parent / "schema" / "001.sql"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(schema.read_text("utf-8"))
        connection.executescript(
            f"""
            PRAGMA application_id = {APPLICATION_ID};
            PRAGMA user_version = 1;
            INSERT INTO budgets VALUES ('default', '', NULL, 0, 0), ('default', 'ann', '', 0, 0);
            INSERT INTO limits VALUES ('l', 'default', 'ann', 0, 10000000000, 1, 'month', 'UTC', NULL, NULL);
            INSERT INTO periods VALUES ('l', {JAN}, {FEB}, 4000000000, 1000000000, 0, {JAN});
            INSERT INTO due VALUES ('l', 'default', 'ann', {FEB});
            INSERT INTO models VALUES ('l', {JAN}, '', 4000000000);
            INSERT INTO paths VALUES (1, 'default', '["ann", ""]');
            INSERT INTO path_members VALUES ('default', 'ann', 1), ('default', '', 1);
            INSERT INTO leases VALUES ('default', 'lease', 'host', 1, 'start', {FEB});
            INSERT INTO holds VALUES ('default', 'running', 1, '', 1000000000, {JAN}, 'lease', 0, '{{}}');
            INSERT INTO entries VALUES
                (1, 'default', 'l@1', 'opened', 1, {JAN}, {JAN}, 0, NULL,
                 '{{"limit_id": "l", "period_start": "2026-01-01T00:00:00Z", "period_end": null,
                    "total_nanos": 10000000000}}'),
                (2, 'default', 'first', 'charge', 1, {JAN}, {JAN}, 4000000000, NULL, '{{"how": "amount"}}');
            """
        )


def test_a_store_of_the_first_version_still_adds_up(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    of_version_1(path)
    with closing(SqliteStore(path)) as store:
        engine = open_engine(store)
        assert engine.check().faults == ()
        status = engine.status("ann")
        assert (status.left.nanos, status.budget.archived) == (5_000_000_000, False)
        (limit,) = status.limits
        assert (limit.limit.warn_at, limit.totals.boost_nanos) == ((), 0)
        engine.settle("running", dollars("2"))
        engine.change("ann", Change(boost_nanos=1_000_000_000, warn_at=(50,)))
        assert engine.check().faults == ()
        assert engine.status("ann").left.nanos == 5_000_000_000
    with closing(SqliteStore(path)) as store:
        assert open_engine(store).status("ann").left.nanos == 5_000_000_000


def test_a_store_is_brought_up_to_date_wholly_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power may go in the middle of it; then the file is as old as it was, and opens the next time."""
    path = tmp_path / "old.sqlite"
    of_version_1(path)
    true = sqlite_store._statements

    def broken_off(schema: str) -> Iterator[str]:
        yield next(true(schema))
        raise KeyboardInterrupt

    monkeypatch.setattr(sqlite_store, "_statements", broken_off)
    with closing(SqliteStore(path)) as store, pytest.raises(KeyboardInterrupt):
        open_engine(store).users()
    monkeypatch.undo()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        (columns,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'budgets'").fetchone()
        assert "archived" not in columns
    with closing(SqliteStore(path)) as store:
        assert open_engine(store).check().faults == ()


def test_two_that_open_an_old_store_at_once_bring_it_up_to_date_once(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    of_version_1(path)
    stores = [SqliteStore(path) for _ in range(4)]
    barrier = threading.Barrier(len(stores))
    found = []

    def opened(store: SqliteStore) -> None:
        barrier.wait()
        found.append(open_engine(store).status("ann").left.nanos)

    threads = [threading.Thread(target=opened, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert found == [5_000_000_000] * len(stores)


@pytest.mark.parametrize("version", [0, 1, 7])
def test_a_file_of_another_program_is_refused_and_not_touched(tmp_path: Path, version: int) -> None:
    path = tmp_path / "music.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    with closing(SqliteStore(path)) as store, pytest.raises(StoreCorruptError, match="another program"):
        open_engine(store).users()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"not a database at all " * 500, b"SQLite format 3\x00" + b"\xff" * 4_000],
    ids=["text", "header"],
)
def test_a_file_that_is_no_store_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with closing(SqliteStore(path)) as store, pytest.raises(StoreCorruptError, match="damaged or no store"):
        open_engine(store).create("ann")
    assert path.read_bytes() == content


@pytest.mark.parametrize("keep", [99, 5_000, 40_000])
def test_a_truncated_store_is_said_to_be_damaged(path: Path, keep: int) -> None:
    content = path.read_bytes()
    assert len(content) > keep
    path.write_bytes(content[:keep])
    with closing(SqliteStore(path)) as store, pytest.raises(StoreCorruptError, match="damaged"):
        open_engine(store).check()


def test_a_store_with_a_page_of_garbage_is_said_to_be_damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4_096:] = os.urandom(len(content) - 4_096)
    path.write_bytes(content)
    with closing(SqliteStore(path)) as store:
        for _ in range(2):
            # The second time as well: the first has left no transaction open.
            with pytest.raises(StoreCorruptError):
                open_engine(store).charge("ann", dollars("1"))


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "budgets.sqlite"
    path.touch()
    with closing(SqliteStore(path)) as store:
        open_engine(store).create("ann")
        assert open_engine(store).users() == ["ann"]


@pytest.mark.parametrize("place", ["a folder", "below a file"])
def test_a_place_that_cannot_hold_a_file_is_an_error_with_a_hint(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path if place == "a folder" else tmp_path / "file" / "budgets.sqlite"
    with closing(SqliteStore(path)) as store, pytest.raises(StoreError) as refused:
        open_engine(store).users()
    assert refused.value.hint is not None
    assert str(path.parent) in refused.value.message or str(path) in refused.value.message


# No permission, no space


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run some Python in a process of its own, which may lose rights that we need."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


CHARGE_AS_NOBODY = """
import os, sys
from pathlib import Path
from budgets.clock import utc_now
from budgets.engine import Engine
from budgets.errors import StoreError
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.sqlite import SqliteStore
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
engine = Engine(SqliteStore(Path(sys.argv[1])), clock=utc_now, processes=SystemProcesses())
try:
    engine.charge("ann", Charge(1))
except StoreError as error:
    print(type(error).__name__, error.message, "|", error.hint)
"""


@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_a_store_that_may_not_be_written_says_so(path: Path, what: str) -> None:
    path.parent.chmod(0o555 if what != "file" else 0o777)
    path.chmod(0o444 if what != "folder" else 0o666)
    # Temporary folders are closed to others, and root is not bound by permissions.
    for folder in path.parent.parents:
        if folder.is_relative_to(tempfile.gettempdir()) and folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    done = run(CHARGE_AS_NOBODY, path, NOBODY)
    path.parent.chmod(0o755)
    path.chmod(0o644)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("StoreError ")
    assert "| None" not in done.stdout
    still_right(path)


def test_no_space_is_an_error_and_leaves_nothing_behind(path: Path, store: SqliteStore) -> None:
    engine = open_engine(store)
    engine.charge("ann", dollars("0"))
    connection = store._connected()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    written = 0

    def charge_until_it_is_full() -> None:
        nonlocal written
        for _ in range(1_000):
            engine.charge("ann", dollars("0"))
            written += 1

    with pytest.raises(StoreError, match="no space left") as refused:
        charge_until_it_is_full()
    assert refused.value.hint is not None
    connection.execute("PRAGMA max_page_count = 1000000")
    assert len([entry for entry in engine.entries() if entry.kind == "charge"]) == written + 2
    store.close()
    still_right(path)


def test_nothing_is_written_after_the_disk_was_full_in_the_middle(path: Path, store: SqliteStore) -> None:
    """SQLite undoes the whole transaction then; what an outer block goes on to write must not be kept."""

    def entry(number: int) -> Entry:
        return Entry(f"e{number}", "charge", ("ann", ROOT), START, START, 1, None, {"note": "x" * 3_000})

    connection = store._connected()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    with pytest.raises(StoreError), store.transaction("default") as txn:  # noqa: PT012 - it goes on
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(sqlite3.OperationalError, match="full"), txn.savepoint():
            txn.append(entry(number) for number in range(100))
        connection.execute("PRAGMA max_page_count = 1000000")
        txn.append([entry(1_000)])
    with store.reading("default") as view:
        assert [each.id for each in view.entries() if each.kind == "charge"] == ["first"]
    store.close()
    still_right(path)


FILL_THE_DISK = """
import resource, signal, sys
from pathlib import Path
from budgets.clock import utc_now
from budgets.engine import Engine
from budgets.errors import StoreError
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.sqlite import SqliteStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
engine = Engine(SqliteStore(Path(sys.argv[1])), clock=utc_now, processes=SystemProcesses())
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for number in range(10_000):
    try:
        engine.charge("ann", Charge(0), charge_id=f"c{number}")
    except StoreError as error:
        print(type(error).__name__, error.message, "|", error.hint)
        break
    print(f"c{number}", flush=True)
"""


def test_a_write_that_the_system_refuses_loses_nothing_that_was_said_to_be_kept(path: Path) -> None:
    done = run(FILL_THE_DISK, path)
    assert (done.returncode, done.stderr) == (0, "")
    *said, error = done.stdout.splitlines()
    assert said
    assert error.startswith("StoreError ")
    assert "| None" not in error
    with closing(SqliteStore(path)) as store:
        kept = {entry.id for entry in open_engine(store).entries() if entry.kind == "charge"}
    assert kept == {*said, "first"}
    still_right(path)


# Other processes


HOLD_THE_LOCK_AND_DIE = """
import sys
from pathlib import Path
from budgets.records import Totals, Budget
from budgets.stores.sqlite import SqliteStore
with SqliteStore(Path(sys.argv[1])).transaction("default") as txn:
    budget = txn.budget("ann")
    txn.put_budget(Budget("ann", "", (), budget.created_at, frozen=True))
    txn.flush()
    txn._execute("PRAGMA cache_spill = 1")
    print("written", flush=True)
    sys.stdin.readline()
"""


def test_a_writer_killed_in_its_transaction_leaves_none_of_it(path: Path, store: SqliteStore) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK_AND_DIE, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"written\n"
            engine = open_engine(store)
            # Readers wait for nobody; a writer that waits no longer says that it is not its turn.
            assert not engine.status("ann").budget.frozen
            with pytest.raises(StoreBusyError, match="locked") as refused:
                engine.charge("ann", dollars("1"))
            assert refused.value.hint is not None
        finally:
            writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    assert not engine.status("ann").budget.frozen
    store.close()
    still_right(path)


USE_ONCE = """
import sys
from pathlib import Path
from budgets.clock import utc_now
from budgets.engine import Engine
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.sqlite import SqliteStore
number, path = sys.argv[1], Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for turn in range(10):
    store = SqliteStore(path)
    engine = Engine(store, clock=utc_now, processes=SystemProcesses())
    engine.users()
    engine.create("ann", if_missing=True)
    engine.charge("ann", Charge(1), charge_id=f"{number}-{turn}")
    store.close()
"""


def test_many_may_make_open_and_close_the_same_file_at_once(tmp_path: Path) -> None:
    """The first makes it, the last one out tidies up, and whoever comes in between sees no lock."""
    path = tmp_path / "new" / "budgets.sqlite"
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", USE_ONCE, str(number), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 4
    finally:
        for process in processes:
            process.kill()
            process.wait()
    with closing(SqliteStore(path)) as store:
        engine = open_engine(store)
        assert engine.status("ann").limits[0].totals.spent_nanos == 40
        assert engine.check().faults == ()


FORK = """
import os, sys
from pathlib import Path
from budgets.clock import utc_now
from budgets.engine import Engine
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
engine = Engine(store, clock=utc_now, processes=SystemProcesses())
engine.hold("ann", 1, hold_id="parent")
child = os.fork()
if child == 0:
    engine.hold("ann", 1, hold_id="child")
    engine.settle("child", Charge(1))
    engine.hold("ann", 1, hold_id="left")
    store.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
engine.settle("parent", Charge(1))
engine.hold("ann", 1, hold_id="parent-2")
engine.expire()
print(sorted((hold.id, hold.unconfirmed) for hold in engine.holds()))
"""


def test_a_fork_has_a_connection_and_a_lease_of_its_own(path: Path) -> None:
    done = run(FORK, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "[('left', True), ('parent-2', False)]"
    with closing(SqliteStore(path)) as store:
        assert open_engine(store).check().faults == ()


# What a hold costs, and what cannot be stored


def test_a_hold_costs_the_same_with_many_entries_as_with_few(path: Path, store: SqliteStore) -> None:
    """Counted in steps of SQLite's machine, which do not depend on how busy this one is."""
    engine = open_engine(store)

    def steps() -> int:
        counted = 0

        def count() -> int:
            nonlocal counted
            counted += 1
            return 0

        connection = store._connected()
        connection.set_progress_handler(count, 1)
        held = engine.hold("ann", 1, hold_id=None)
        engine.settle(held.hold.id, dollars("0.01"))
        connection.set_progress_handler(None, 0)
        return counted

    engine.charge("ann", dollars("0.001"))
    steps()
    few = steps()
    with store.transaction("default") as txn:
        txn.append(Entry(f"e{number}", "charge", ("ann", ROOT), START, START, 0) for number in range(20_000))
    assert steps() <= few + few // 10


def test_what_cannot_be_stored_is_refused_at_the_door(store: SqliteStore) -> None:
    engine = open_engine(store)
    with pytest.raises(InvalidValueError, match="no valid text"):
        engine.status("\udcff")
    with pytest.raises(InvalidValueError, match="no valid text"):
        engine.charge("ann", dollars("1"), charge_id="\udcff")
    for _ in range(9):
        engine.charge("ann", dollars("1000000000"))
    with pytest.raises(InvalidValueError, match=r"\$9.2 billion"):
        engine.charge("ann", dollars("1000000000"))
    assert engine.check().faults == ()


def test_sums_are_kept_in_opened_periods_only(store: SqliteStore) -> None:
    """A sum that no row took up would be money that is nowhere."""
    with pytest.raises(AssertionError), store.transaction("default") as txn:
        txn.put_totals(Totals("nobody's", START, None, spent_nanos=1))


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a store, and long enough to be taken for one" * 10)
    with closing(SqliteStore(path)) as store, pytest.raises(BudgetError) as refused:
        store.projects()
    assert refused.value.values["path"] == str(path)


def test_a_budget_without_limits_comes_back_without(store: SqliteStore) -> None:
    with store.transaction("p") as txn:
        txn.put_budget(Budget(ROOT, None, (), START))
    with store.reading("p") as view:
        assert view.budget(ROOT) == Budget(ROOT, None, (), START)
