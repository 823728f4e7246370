"""`budget doctor`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..exits import DONE, FAILED
from ..harmless import shown_name
from ..results import Result
from ..session import Session
from ..words import OLD_PRICES_DAYS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from budgets.engine import Engine
    from budgets.engine.api import EngineApi
    from budgets.records import StoreInfo

EXAMPLES = """
budget doctor
budget doctor --json
"""

# A clock that is behind by less than this is one that was set right.
_SLACK_SECONDS = 5

# Where file locks are not to be trusted, and a write-ahead log does not work at all.
_NETWORK = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "glusterfs", "lustre"}
    | {"ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warn", "fail"]
    what: str
    hint: str | None = None


@dataclass(frozen=True)
class Examined(Result):
    """All that was looked at, in order."""

    findings: tuple[Finding, ...]
    command = "doctor"

    @property
    def exit_code(self) -> int:
        """Failed when anything is broken; what only wants attention is no failure."""
        return FAILED if any(each.state == "fail" for each in self.findings) else DONE

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        return {
            "findings": [
                {"name": each.name, "state": each.state, "what": each.what, "hint": each.hint}
                for each in self.findings
            ]
        }

    def text(self) -> Iterator[str]:
        """See `Result`."""
        for each in self.findings:
            yield f"{each.state:<4}  {each.name:<12}  {each.what}"
            if each.hint:
                yield f"{'':<4}  {'':<12}  {each.hint}"


def doctor(session: Session) -> Examined:
    """
    Look whether all is well, and say what to do where it is not.

    Looks at the settings, the store and its sums, the clock, leases, unconfirmed money, prices, and keys.
    No key's value is shown, nothing leaves this machine. Ends with exit code 1 when something is broken.
    """
    found = [_program()]
    found.extend(_guarded("settings", lambda: _settings(session)))
    if found[-1].state != "fail":
        found.extend(_guarded("store", lambda: _store(session)))
        found.extend(_guarded("prices", lambda: _prices(session)))
        found.extend(_guarded("own prices", lambda: _own_prices(session)))
    found.append(_keys(session.env.environ))
    found.extend(_guarded("base URLs", lambda: _base_urls(session.env.environ)))
    return Examined(tuple(found))


def _guarded(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What *look* finds; an error is a finding as well, and ends that look only."""
    from budgets.errors import BudgetError

    try:
        yield from look()
    except BudgetError as error:
        yield Finding(name, "fail", error.message, error.hint)


def _program() -> Finding:
    import platform
    import sqlite3

    parts = [f"{name} {_version(name)}" for name in ("llm-budgets", "typer", "rich")]
    parts += [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    return Finding("program", "ok", ", ".join(parts))


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        # It runs from a checkout.
        return "not installed"


def _settings(session: Session) -> Iterator[Finding]:
    settings = session.settings
    file = settings.file if settings.file.exists() else f"no file at {settings.file}"
    said = ", ".join(f"{name} from {source}" for name, source in settings.sources.items())
    yield Finding("settings", "ok", f"{file}; {said or 'all have their defaults'}")


def _store(session: Session) -> Iterator[Finding]:
    place = session.settings.store
    if isinstance(place, str):
        yield from _server(session, place)
        return
    if not session.has_store:
        yield Finding(
            "store",
            "warn",
            f"there is none at {place} yet",
            "the first `budget create --user NAME --total 10 --every month` makes it",
        )
        return
    from contextlib import closing

    from budgets.wiring import open_engine

    with closing(open_engine(session.settings, clock=session.env.clock)) as engine:
        yield from _file(session, engine, place)


def _file(session: Session, engine: Engine, place: Path) -> Iterator[Finding]:
    now, found = session.env.clock(), engine.info()
    yield _kept(found, str(place))
    if found.kind == "sqlite":
        yield _journal(place)
    yield _file_system(place)
    yield from _guarded("writing", lambda: _writing(engine))
    yield from _clock(engine, now)
    yield _leases(engine, now)
    yield _unconfirmed(engine)
    yield _sums(session)


def _server(session: Session, address: str) -> Iterator[Finding]:
    """What can be known of a store from outside; the rest `doctor` says on the server's machine."""
    engine = session.engine
    yield _kept(engine.info(), address)
    yield from _clock(engine, session.env.clock())
    yield _unconfirmed(engine)
    yield _sums(session)


def _kept(found: StoreInfo, where: str) -> Finding:
    return Finding(
        "store",
        "ok",
        f"{found.kind} at {where}, {found.size_bytes / 1e6:,.1f} MB, schema {found.schema}; "
        f"projects {found.projects:,}, users {found.users:,}, entries {found.entries:,}",
    )


def _journal(place: Path) -> Finding:
    # The byte of the header that says how it is to be written: https://www.sqlite.org/fileformat2.html
    with place.open("rb") as file:
        written = file.read(20)[18:19]
    if written == b"\x02":
        return Finding("journal", "ok", "write-ahead, so that readers wait for nobody")
    return Finding(
        "journal",
        "warn",
        "not write-ahead: another program has changed it",
        f"with nothing running: sqlite3 '{place}' 'PRAGMA journal_mode = WAL'",
    )


def _file_system(place: Path) -> Finding:
    from pathlib import Path

    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return Finding("file system", "ok", "this system does not tell its kind")
    kind = file_system(place.resolve(), mounts.read_text("utf-8", errors="surrogateescape"))
    if kind in _NETWORK:
        return Finding(
            "file system",
            "fail",
            f"{kind}, on a network: locks do not hold there, and sums can be lost",
            "move the store to a disk of this machine",
        )
    return Finding("file system", "ok", f"{kind}, on this machine")


def file_system(place: Path, mounts: str) -> str:
    """The kind of file system that *place* is on, from the system's table of mounts."""
    from pathlib import Path

    best, kind = "", "unknown"
    for line in mounts.splitlines():
        _, where, its_kind, *_ = line.split(" ")
        # Blanks and the like are written as three octal digits.
        where = where.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        # Of two at one place the later covers the earlier.
        if len(where) >= len(best) and place.is_relative_to(Path(where)):
            best, kind = where, its_kind
    return kind


def _writing(engine: Engine) -> Iterator[Finding]:
    with engine.store.transaction(engine.project):
        pass
    yield Finding("writing", "ok", "the store takes writes")


def _clock(engine: EngineApi, now: datetime) -> Iterator[Finding]:
    from ..words import since, when

    statuses = engine.statuses(with_project=True)
    touched = [each.totals.touched_at for status in statuses for each in status.limits]
    latest = max((each for each in touched if each is not None), default=None)
    if latest is None:
        yield Finding("clock", "ok", f"{when(now, 'UTC')}; nothing was counted yet")
    elif (latest - now).total_seconds() > _SLACK_SECONDS:
        yield Finding(
            "clock",
            "warn",
            f"{when(now, 'UTC')}, and something was counted at {when(latest, 'UTC')}",
            "the clock was set back, or was ahead; until then calls count at that moment",
        )
    else:
        yield Finding("clock", "ok", f"{when(now, 'UTC')}; last counted {since(latest, now)}")


def _leases(engine: Engine, now: datetime) -> Finding:
    from budgets.processes import SystemProcesses

    ended = SystemProcesses().ended
    with engine.store.reading(engine.project) as view:
        states = Counter(each.expires_at <= now or ended(each.process) for each in view.leases())
    if states[True]:
        return Finding(
            "leases",
            "warn",
            f"{states[False]} alive, {states[True]} of processes that are gone",
            "`budget holds` ends them; what they held becomes unconfirmed",
        )
    return Finding("leases", "ok", f"{states[False]} alive")


def _unconfirmed(engine: EngineApi) -> Finding:
    from budgets.money import money

    holds = [each for each in engine.holds() if each.unconfirmed]
    if not holds:
        return Finding("unconfirmed", "ok", "nothing")
    users = sorted({shown_name(each.user) for each in holds})
    some = ", ".join(users[:3]) + (" ..." if len(users) > 3 else "")
    return Finding(
        "unconfirmed",
        "warn",
        f"{money(sum(each.nanos for each in holds))}, holds {len(holds):,}, of {some}",
        "`budget holds` lists them; `budget holds settle ID --amount USD` or `budget holds release ID`",
    )


def _sums(session: Session) -> Finding:
    from ..progress import Progress

    with Progress(session.env, "adding up entries") as progress:
        report = session.engine.check(watch=progress.reached)
    if report.faults:
        first = report.faults[0]
        return Finding(
            "sums",
            "fail",
            f"{len(report.faults)} differ from the entries; {first.where}: {first.what}",
            "`budget check` lists them all",
        )
    return Finding("sums", "ok", f"all add up: entries {report.entries:,}, holds {report.holds:,}")


def _prices(session: Session) -> Iterator[Finding]:
    from budgets.prices import list_book

    book, today = list_book(session.settings.prices), session.env.clock().date()
    if book.made is None:
        yield Finding("prices", "ok", f"{book.version}; its age is unknown")
        return
    days = (today - book.made).days
    what = f"{book.version}; made on {book.made}"
    if days < 0:
        yield Finding("prices", "warn", f"{what}, a day to come", "is the clock right?")
    elif days > OLD_PRICES_DAYS:
        hint = "`budget prices update` looks for newer ones; `budget prices set --help`: your own"
        yield Finding("prices", "warn", f"{what}, {days:,} days ago", hint)
    else:
        yield Finding("prices", "ok", what)


def _own_prices(session: Session) -> Iterator[Finding]:
    from budgets.prices.overlay import read_overlay

    place = session.settings.prices
    own = read_overlay(place)
    what = f"{len(own.rows):,} in {place}" if own.rows else f"none in {place}"
    discounts = f", discounts {len(own.discounts):,}" if own.discounts else ""
    yield Finding("own prices", "ok", what + discounts)


def _keys(environ: Mapping[str, str]) -> Finding:
    from budgets.providers import PROVIDERS

    found = [
        variable
        for provider in PROVIDERS
        for variable in provider.key_variables
        if environ.get(variable, "").strip()
    ]
    if not found:
        return Finding(
            "keys",
            "warn",
            "no provider's key is set",
            "`budget wrap` reads it from, for instance, OPENAI_API_KEY",
        )
    return Finding("keys", "ok", f"set: {', '.join(dict.fromkeys(found))}")


def _base_urls(environ: Mapping[str, str]) -> Iterator[Finding]:
    from urllib.parse import urlsplit

    from budgets.providers import PROVIDERS, base_url

    # Only the host: an address may carry a name and a password.
    found = [
        f"{provider.id} at {urlsplit(base_url(provider, environ)).hostname}"
        for provider in PROVIDERS
        if any(environ.get(variable, "").strip() for variable in provider.url_variables)
    ]
    yield Finding("base URLs", "ok", ", ".join(found) or "as the providers have them")
