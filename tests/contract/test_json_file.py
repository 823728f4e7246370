"""What only the JSON store's files can suffer: hands, other programs, damage, a kill, no space, a fork."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from budgets.engine import LimitTerms
from budgets.errors import (
    BudgetError,
    BudgetExceededError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreTooNewError,
)
from budgets.lessons import Learned, Lesson
from budgets.periods import PeriodRule
from budgets.records import ROOT, Budget, Entry, Hold, Lease, Limit, Process, Totals
from budgets.stores import json_entries
from budgets.stores.json_codec import SCHEMA
from budgets.stores.json_file import JsonStore
from tests.support.engines import START, dollars, open_engine

NOBODY = 65_534

LESSON: dict[str, Any] = {
    "model": "openai/gpt",
    "kind": "text",
    "size": 3,
    "counted": "tiktoken:o200k_base",
    "percents": [[98, 2], [104, 140]],
    "covered": 141,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store's file with a budget of $10, of which $1 is spent; nobody has it open."""
    file = tmp_path / "folder" / "budgets.json"
    with closing(JsonStore(file)) as store:
        engine = open_engine(store)
        engine.create("ann", LimitTerms(10_000_000_000))
        engine.charge("ann", dollars("1"), charge_id="first")
    return file


@pytest.fixture
def store(path: Path) -> Iterator[JsonStore]:
    """The same, open."""
    with closing(JsonStore(path, deadline_seconds=0)) as opened:
        yield opened


def entries_of(path: Path) -> Path:
    return path.with_suffix(".entries.jsonl")


def files(path: Path) -> dict[str, bytes]:
    """Everything in the folder."""
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


def changed(path: Path, **fields: Any) -> None:
    """The document with other fields, as an editor would leave it."""
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **fields}))


def still_right(path: Path, spent_nanos: int = 1_000_000_000) -> None:
    """The store of `path` has what it had and can be written."""
    with closing(JsonStore(path)) as store:
        engine = open_engine(store)
        assert engine.check().faults == ()
        assert engine.status("ann").limits[0].totals.spent_nanos == spent_nanos
        engine.charge("ann", dollars("1"))
        assert engine.check().faults == ()


# What people read


def test_the_file_can_be_read_by_people(tmp_path: Path) -> None:
    path = tmp_path / "budgets.json"
    rule = PeriodRule(2, "week", "Europe/Berlin", datetime(2026, 1, 31, 9))
    limit = Limit("l", 12_500_000_000, rule, START, (50, 80))
    with closing(JsonStore(path)) as store, store.transaction("work") as txn:
        txn.put_budget(Budget("ann", "team", (limit, Limit("t", None, PeriodRule(1, "day"))), START, True))
        txn.open_period(Totals("l", START, None, 1, -2_000_000_000, 0, START, 5))
        txn.add_model("l", START, "gpt", 1)
        txn.put_hold(Hold("h", ("ann", "team", ROOT), "gpt", 31_000, START, "p", True, {"n": 1}))
        txn.put_lease(Lease("p", Process("host", 7, "s"), START))
        lesson = Lesson(("openai/gpt", "text", 3, "tiktoken:o200k_base"), ((98, 2), (104, 140)), 141)
        txn.put_learned(Learned("e", (lesson,)))
        txn.append([Entry("e", "charge", ("ann", "team", ROOT), START, START, 1, "gpt", {"how": "amount"})])
    assert json.loads(path.read_bytes())["projects"] == {
        "work": {
            "budgets": [
                {
                    "user": "ann",
                    "parent": "team",
                    "created_at": "2026-01-31T10:00:00Z",
                    "frozen": True,
                    "limits": [
                        {
                            "id": "l",
                            "total_usd": "12.50",
                            "every": 2,
                            "unit": "week",
                            "timezone": "Europe/Berlin",
                            "anchor": "2026-01-31T09:00:00",
                            "reset_at": "2026-01-31T10:00:00Z",
                            "warn_at": [50, 80],
                        },
                        {"id": "t", "every": 1, "unit": "day", "timezone": "UTC"},
                    ],
                }
            ],
            "periods": {
                "l": [
                    {
                        "start": "2026-01-31T10:00:00Z",
                        "spent_usd": "0.000000001",
                        "held_usd": "-2.00",
                        "unconfirmed_usd": "0.00",
                        "boost_usd": "0.000000005",
                        "touched_at": "2026-01-31T10:00:00Z",
                        "models": {"gpt": "0.000000001"},
                    }
                ]
            },
            "holds": [
                {
                    "id": "h",
                    "path": ["ann", "team", ""],
                    "model": "gpt",
                    "held_usd": "0.000031",
                    "at": "2026-01-31T10:00:00Z",
                    "lease": "p",
                    "unconfirmed": True,
                    "terms": {"n": 1},
                }
            ],
            "leases": [
                {"id": "p", "host": "host", "pid": 7, "started": "s", "expires_at": "2026-01-31T10:00:00Z"}
            ],
            "learned_through": "e",
            "lessons": [LESSON],
        }
    }
    assert [json.loads(line) for line in entries_of(path).read_bytes().splitlines()] == [
        {
            "project": "work",
            "commit": 1,
            "id": "e",
            "kind": "charge",
            "path": ["ann", "team", ""],
            "at": "2026-01-31T10:00:00Z",
            "recorded_at": "2026-01-31T10:00:00Z",
            "usd": "0.000000001",
            "model": "gpt",
            "detail": {"how": "amount"},
        }
    ]


def test_what_is_not_seen_is_escaped_in_the_files(path: Path, store: JsonStore) -> None:
    engine = open_engine(store)
    engine.create("日本 \x1b[31m\u202e\x85")
    engine.charge("日本 \x1b[31m\u202e\x85", dollars("1"), charge_id="\U000e0001")
    for file in (path, entries_of(path)):
        text = file.read_text("utf-8")
        assert "日本" in text
        assert text.replace("\n", "").isprintable()
    store.close()
    assert engine.status("日本 \x1b[31m\u202e\x85").limits[0].totals.spent_nanos == 10**9
    assert engine.check().faults == ()


def test_what_a_person_has_written_is_taken_up(path: Path) -> None:
    """A long-lived process sees it as well, whatever the editor does with the file."""
    with closing(JsonStore(path)) as store:
        engine = open_engine(store)
        assert not engine.status("ann").budget.frozen
        document = json.loads(path.read_bytes())
        document["projects"]["default"]["budgets"][1]["frozen"] = True
        path.write_text(json.dumps(document, indent=4))
        assert engine.status("ann").budget.frozen
        engine.charge("ann", dollars("1"))
        assert json.loads(path.read_bytes())["projects"]["default"]["budgets"][1]["frozen"]


def test_what_writes_nothing_leaves_the_files_alone(path: Path, store: JsonStore) -> None:
    engine = open_engine(store)
    engine.hold("ann", 1, hold_id="call")
    before = files(path)
    with pytest.raises(BudgetExceededError):
        engine.hold("ann", 10**12)
    engine.hold("ann", 1, hold_id="call")
    assert files(path) == before


def test_the_file_keeps_its_permissions_and_its_link(path: Path, tmp_path: Path) -> None:
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with closing(JsonStore(link)) as store:
        open_engine(store).charge("ann", dollars("1"))
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / "link.entries.jsonl").exists()
    still_right(path, 2_000_000_000)


# Other files, and damage


def test_a_store_of_a_newer_version_is_refused_and_not_touched(path: Path) -> None:
    changed(path, schema=SCHEMA + 1, invented="later")
    before = files(path)
    with closing(JsonStore(path)) as store:
        for _ in range(2):
            with pytest.raises(StoreTooNewError, match="newer version") as refused:
                open_engine(store).charge("ann", dollars("1"))
    assert refused.value.hint is not None
    assert files(path) == before


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(b"not a store\n", "line 1: ", id="text"),
        pytest.param(
            b'{\n  "format": "budget store",\n  "schema: 1\n}\n', "line 3: ", id="a quote is missing"
        ),
        pytest.param(b'{\n"format": "\xff"}', "line 2: it is not UTF-8", id="bytes"),
        pytest.param(b"SQLite format 3\x00" + b"\xff" * 100, "line 1: ", id="SQLite"),
        pytest.param(b'{"songs": []}', "it is a file of another program", id="another program's"),
        pytest.param(b"[1, 2]", r"\[1, 2\] is no object", id="a list"),
        pytest.param(b"[" * 100_000, "it is nested too deeply", id="deep"),
        pytest.param(b'{"format": "budget store"}', "there is no schema", id="nothing in it"),
    ],
)
def test_a_file_that_is_no_store_is_refused_and_not_touched(
    tmp_path: Path, content: bytes, what: str
) -> None:
    path = tmp_path / "notes.json"
    path.write_bytes(content)
    with closing(JsonStore(path)) as store:
        for _ in range(2):
            with pytest.raises(StoreCorruptError, match=f"notes.json is damaged or no store: {what}"):
                open_engine(store).create("ann")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("place", "value", "what"),
    [
        (("budgets", 1, "frozen"), "yes", 'project "default": budget 2: frozen is "yes"'),
        (("budgets", 1, "invented"), 1, 'budget 2: "invented" is not a field that is known here'),
        (("budgets", 1, "created_at"), "2026-01-31T10:00:00", "no time zone"),
        (("budgets", 1, "limits", 0, "total_usd"), "10.0000000001", "budget 2: limit 1: .* is no amount"),
        (("budgets", 1, "limits", 0, "total_usd"), 10, "limit 1: total_usd is 10"),
        (("budgets", 1, "limits", 0, "warn_at"), ["50"], "limit 1: warn_at is"),
        (("budgets", 1, "limits", 0, "timezone"), "Mars/Phobos", "limit 1: .* is not a time zone"),
        (("budgets", 1, "limits", 0, "every"), True, "limit 1: every is true"),
        (("budgets", 1), None, "budget 2: null is no object"),
        (("holds",), [{"id": "h", "path": []}], "hold 1: path is"),
        (("leases",), [{"id": "l"}], "lease 1: there is no host"),
        (("periods",), {"m": {}}, 'periods of "m": .* is no list'),
        (("periods",), {"m": [{"start": "now"}]}, 'periods of "m", period 1: Invalid isoformat'),
        (("periods",), [], "periods is"),
        (("lessons",), [{"model": "m"}], "lesson 1: there is no kind"),
        (("lessons",), [{**LESSON, "percents": [[104, 2.5]]}], r"lesson 1: percents has \[104, 2.5\]"),
        (("lessons",), [{**LESSON, "percents": [[104]]}], r"lesson 1: percents has \[104\]"),
        (("lessons",), [{**LESSON, "percents": [[104, 0]]}], r"lesson 1: percents has \[104, 0\]"),
        (("lessons",), [{**LESSON, "percents": []}], "lesson 1: percents is empty"),
    ],
)
def test_a_record_that_is_wrong_is_named(path: Path, place: tuple[Any, ...], value: Any, what: str) -> None:
    document = json.loads(path.read_bytes())
    inner = document["projects"]["default"]
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path.write_text(json.dumps(document))
    with closing(JsonStore(path)) as store, pytest.raises(StoreCorruptError, match=what) as refused:
        open_engine(store).users()
    assert refused.value.values["path"] == str(path)


@pytest.mark.parametrize("keep", [1, 60, 400])
def test_a_truncated_document_is_said_to_be_damaged(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with closing(JsonStore(path)) as store, pytest.raises(StoreCorruptError, match="damaged"):
        open_engine(store).users()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        pytest.param(b'"usd": "1.00"', b'"usd": "9.00"', "not what was written", id="another amount"),
        pytest.param(b'"usd": "1.00"', b'"usd": "9.0?"', 'line 3: "9.0\\?" is no amount', id="no amount"),
        pytest.param(b'"kind": "charge"', b'"kind": "chance"', 'line 3: kind is "chance"', id="no kind"),
        pytest.param(b'"limit_changed"', b'"limit_changed', "line 2: ", id="no JSON"),
    ],
)
def test_an_entry_that_was_changed_is_named(path: Path, old: bytes, new: bytes, what: str) -> None:
    """Entries are never edited, and who does it is found out."""
    file = entries_of(path)
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new).ljust(len(content)))
    with closing(JsonStore(path)) as store:
        for _ in range(2):
            with pytest.raises(StoreCorruptError, match=what) as refused:
                open_engine(store).check()
    assert refused.value.values["path"] == str(file)
    assert refused.value.hint is not None


def test_lost_entries_are_missed(path: Path, store: JsonStore) -> None:
    content = entries_of(path).read_bytes()
    entries_of(path).write_bytes(content[:-20])
    for _ in range(2):
        with pytest.raises(StoreCorruptError, match="that were written"):
            open_engine(store).charge("ann", dollars("1"))
    assert entries_of(path).read_bytes() == content[:-20]


@pytest.mark.parametrize("gone", ["moved away", "emptied"])
def test_entries_without_their_document_are_not_thrown_away(path: Path, gone: str) -> None:
    path.unlink()
    if gone == "emptied":
        path.touch()
    before = files(path)
    with closing(JsonStore(path)) as store:
        for deed in (lambda engine: engine.users(), lambda engine: engine.create("ann")):
            with pytest.raises(StoreCorruptError, match="is missing or empty"):
                deed(open_engine(store))
    assert entries_of(path).read_bytes() == before[entries_of(path).name]


def test_an_old_document_beside_newer_entries_is_refused(path: Path, store: JsonStore) -> None:
    """A copy of one file only, put back: cutting off what it does not know would lose charges."""
    old = path.read_bytes()
    engine = open_engine(store)
    for _ in range(3):
        engine.charge("ann", dollars("1"))
    path.write_bytes(old)
    newer = entries_of(path).read_bytes()
    with pytest.raises(StoreCorruptError, match="line 5 is newer"):
        engine.charge("ann", dollars("1"))
    assert entries_of(path).read_bytes() == newer


def test_another_store_in_the_same_place_is_noticed(path: Path, store: JsonStore, tmp_path: Path) -> None:
    """What a process has read of the old one is not mixed with the new one."""
    engine = open_engine(store)
    engine.charge("ann", dollars("1"), charge_id="second")
    assert len(engine.entries()) == 4
    other = tmp_path / "other.json"
    with closing(JsonStore(other)) as made:
        elsewhere = open_engine(made)
        elsewhere.create("bob", LimitTerms(10_000_000_000))
        for number in range(9):
            elsewhere.charge("bob", dollars("2"), charge_id=f"b{number}")
        wanted = elsewhere.entries()
    other.replace(path)
    entries_of(other).replace(entries_of(path))
    assert engine.users() == ["bob"]
    assert engine.entries() == wanted
    assert engine.check().faults == ()


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "budgets.json"
    path.touch()
    with closing(JsonStore(path)) as store:
        assert open_engine(store).users() == []
        open_engine(store).create("ann")
        assert open_engine(store).users() == ["ann"]


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with closing(JsonStore(tmp_path / "nowhere" / "budgets.json")) as store:
        assert open_engine(store).users() == []
        assert store.projects() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["a folder", "below a file"])
def test_a_place_that_cannot_hold_a_file_is_an_error_with_a_hint(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path if place == "a folder" else tmp_path / "file" / "budgets.json"
    with closing(JsonStore(path)) as store, pytest.raises(StoreError) as refused:
        open_engine(store).create("ann")
    assert refused.value.hint is not None
    assert str(path.parent) in refused.value.message or str(path) in refused.value.message


# Killed in between


@pytest.mark.parametrize("rest", [b'{"project": "default", "com', b"\x00" * 700, b"\n\n{}\n[]\n"])
def test_what_stands_behind_the_committed_entries_is_cut_off_and_never_trusted(
    path: Path, rest: bytes
) -> None:
    committed = entries_of(path).read_bytes()
    with entries_of(path).open("ab") as file:
        file.write(rest)
    with closing(JsonStore(path)) as store:
        engine = open_engine(store)
        assert engine.check().faults == ()
        assert len(engine.entries()) == 3
        engine.charge("ann", dollars("1"), charge_id="next")
    written = entries_of(path).read_bytes()
    assert written.startswith(committed + b'{"project": "default"')
    assert written.count(b"\n") == 4
    still_right(path, 2_000_000_000)


KILL_BEFORE_THE_RENAME = """
import os, signal, sys
from pathlib import Path
from budgets.clock import utc_now
from budgets.engine import Engine
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.json_file import JsonStore
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = kill
engine = Engine(JsonStore(Path(sys.argv[1])), clock=utc_now, processes=SystemProcesses())
if sys.argv[2] == "charge":
    engine.charge("ann", Charge(5), charge_id="again")
else:
    engine.create("ann")
"""


def test_a_commit_that_was_killed_before_its_rename_is_none(path: Path) -> None:
    before = files(path)
    for _ in range(2):
        done = run(KILL_BEFORE_THE_RENAME, path, "charge")
        assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
        assert path.read_bytes() == before[path.name]
        # Its entry is on disk, once, and it is no entry.
        assert entries_of(path).read_bytes().count(b'"id": "again"') == 1
        with closing(JsonStore(path)) as store:
            assert [entry.id for entry in open_engine(store).entries()][2:] == ["first"]
    with closing(JsonStore(path)) as store:
        engine = open_engine(store)
        assert not engine.charge("ann", dollars("1"), charge_id="again").repeated
    assert sorted(files(path)) == ["budgets.entries.jsonl", "budgets.json", "budgets.lock"]
    still_right(path, 2_000_000_000)


def test_a_store_that_was_killed_while_it_was_made_can_be_made_again(tmp_path: Path) -> None:
    path = tmp_path / "budgets.json"
    done = run(KILL_BEFORE_THE_RENAME, path, "create")
    assert (done.returncode, done.stderr, path.exists()) == (-signal.SIGKILL, "", False)
    with closing(JsonStore(path)) as store:
        open_engine(store).create("ann")
        assert open_engine(store).check().faults == ()


@pytest.mark.parametrize("step", ["replace", "unlink"])
def test_a_commit_that_failed_leaves_nothing_behind(
    path: Path, store: JsonStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    engine = open_engine(store)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, fail)
        with pytest.raises(StoreError, match="no space left") as refused:
            engine.charge("ann", dollars("1"), charge_id="next")
        assert refused.value.hint is not None
    assert path.read_bytes() == before
    assert engine.status("ann").limits[0].totals.spent_nanos == 1_000_000_000
    engine.charge("ann", dollars("1"), charge_id="next")
    assert not path.with_name("budgets.json.new").exists()
    still_right(path, 2_000_000_000)


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
from budgets.stores.json_file import JsonStore
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
engine = Engine(JsonStore(Path(sys.argv[1])), clock=utc_now, processes=SystemProcesses())
print(*engine.users())
try:
    engine.charge("ann", Charge(1))
except StoreError as error:
    print(type(error).__name__, error.message, "|", error.hint)
"""


@pytest.mark.parametrize("what", ["document", "entries", "lock", "folder"])
def test_a_store_that_may_not_be_written_says_so_and_can_be_read(path: Path, what: str) -> None:
    modes = {
        path: 0o666,
        entries_of(path): 0o666,
        path.with_suffix(".lock"): 0o666,
        path.parent: 0o777,
    }
    closed = dict(zip(("document", "entries", "lock", "folder"), modes, strict=True))[what]
    for file, mode in modes.items():
        file.chmod(mode & ~0o222 if file == closed else mode)
    # Temporary folders are closed to others, and root is not bound by permissions.
    for folder in path.parent.parents:
        if folder.is_relative_to(tempfile.gettempdir()) and folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    done = run(CHARGE_AS_NOBODY, path, NOBODY)
    for file, mode in modes.items():
        file.chmod(mode)
    assert (done.returncode, done.stderr) == (0, "")
    users, error = done.stdout.splitlines()
    assert users == "ann"
    assert error.startswith("StoreError ")
    assert "| None" not in error
    still_right(path)


FILL_THE_DISK = """
import resource, signal, sys
from pathlib import Path
from budgets.clock import utc_now
from budgets.engine import Engine
from budgets.errors import StoreError
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.json_file import JsonStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
engine = Engine(JsonStore(Path(sys.argv[1])), clock=utc_now, processes=SystemProcesses())
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for number in range(1_000):
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
    assert error.startswith("StoreError there is no space left")
    assert "| None" not in error
    with closing(JsonStore(path)) as store:
        kept = {entry.id for entry in open_engine(store).entries() if entry.kind == "charge"}
    assert kept == {*said, "first"}
    still_right(path)


# Other processes


HOLD_THE_LOCK_AND_DIE = """
import sys
from pathlib import Path
from budgets.records import Budget
from budgets.stores.json_file import JsonStore
with JsonStore(Path(sys.argv[1])).transaction("default") as txn:
    txn.put_budget(Budget("ann", "", (), txn.budget("ann").created_at, frozen=True))
    print("written", flush=True)
    sys.stdin.readline()
"""


def test_a_writer_killed_in_its_transaction_leaves_none_of_it(path: Path, store: JsonStore) -> None:
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
    still_right(path)


FORK = """
import os, sys, threading
from pathlib import Path
from budgets.clock import utc_now
from budgets.engine import Engine
from budgets.processes import SystemProcesses
from budgets.records import Charge
from budgets.stores.json_file import JsonStore
store = JsonStore(Path(sys.argv[1]), deadline_seconds=0)
engine = Engine(store, clock=utc_now, processes=SystemProcesses())
engine.hold("ann", 1, hold_id="parent")
ours, theirs = os.pipe()
with store.transaction("default"):
    # The child has the lock open as well, and lives on when the parent has let go of it.
    child = os.fork()
    if child == 0:
        os.read(ours, 1)
        again = Engine(JsonStore(store.path), clock=utc_now, processes=SystemProcesses())
        again.hold("ann", 1, hold_id="child")
        again.settle("child", Charge(1))
        again.hold("ann", 1, hold_id="left")
        os._exit(0)
engine.settle("parent", Charge(1))
os.write(theirs, b"x")
assert os.waitpid(child, 0)[1] == 0
engine.hold("ann", 1, hold_id="parent-2")
engine.expire()
print(sorted((hold.id, hold.unconfirmed) for hold in engine.holds()))
"""


def test_a_fork_does_not_keep_its_parent_from_writing(path: Path) -> None:
    done = run(FORK, path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "[('left', True), ('parent-2', False)]"
    with closing(JsonStore(path)) as store:
        assert open_engine(store).check().faults == ()


# What is read


def test_a_call_does_not_read_all_entries(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a process that makes one: it looks for its own ids, and nothing else."""

    def read(*_: object) -> None:
        raise AssertionError

    with closing(JsonStore(path)) as store:
        engine = open_engine(store)
        with monkeypatch.context() as patch:
            patch.setattr(json_entries, "read_entry", read)
            engine.hold("ann", 1, hold_id="call")
            engine.settle("call", dollars("1"))
        with pytest.raises(BudgetError, match="charged already"):
            engine.hold("ann", 1, hold_id="first")


def test_who_asks_often_reads_each_entry_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    original = json_entries.read_entry
    monkeypatch.setattr(json_entries, "read_entry", lambda line: (reads.append(line), original(line))[1])
    with closing(JsonStore(path)) as store, closing(JsonStore(path)) as other:
        engine = open_engine(store)
        for number in range(20):
            engine.charge("ann", dollars("0.01"), charge_id=f"c{number}")
        open_engine(other).charge("ann", dollars("0.01"), charge_id="other")
        for number in range(20, 40):
            engine.charge("ann", dollars("0.01"), charge_id=f"c{number}")
        assert len(engine.entries()) == 3 + 41
    assert len(set(reads)) == len(reads)


def test_sums_are_kept_in_opened_periods_only(store: JsonStore) -> None:
    """A sum that no period took up would be money that is nowhere."""
    with pytest.raises(AssertionError), store.transaction("default") as txn:
        txn.put_totals(Totals("nobody's", START, None, spent_nanos=1))


def test_fields_that_are_missing_have_their_usual_value(tmp_path: Path) -> None:
    """So that a file of an older version, or a short one by hand, is read."""
    path = tmp_path / "budgets.json"
    limit = {"id": "l", "total_usd": "1.00", "every": 1, "unit": "day", "timezone": "UTC"}
    budget = {"user": "ann", "parent": "", "created_at": "2026-01-31T10:00:00Z", "limits": [limit]}
    project = {"budgets": [budget], "periods": {}, "holds": [], "leases": []}
    entries = {"count": 0, "bytes": 0, "crc32": "00000000"}
    document = {"format": "budget store", "schema": 1, "commit": 0, "entries": entries}
    path.write_text(json.dumps({**document, "projects": {"default": project}}))
    with closing(JsonStore(path)) as store, store.reading("default") as view:
        at = datetime(2026, 1, 31, 10, tzinfo=UTC)
        assert view.budget("ann") == Budget("ann", "", (Limit("l", 10**9, PeriodRule(1, "day")),), at)
