"""Any program under a budget: a gateway beside it, a key for this run, and what it came to at the end."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from budgets.errors import BudgetError

from . import child
from .aside import Aside, step_aside
from .exits import DONE, NOT_FOUND, NOT_RUN, NOT_RUNNABLE, REFUSED, UsageError
from .options import usd
from .output import fail, forget_reader, line, note, write_document
from .results import Result, error_document
from .run_summary import LetGo, NotRun, Outcome, Ran
from .session import Session

if TYPE_CHECKING:
    from budgets.gateway.counting import Counting
    from budgets.gateway.environment import Plan
    from budgets.records import Threshold

# How soon `--env-only` notices that whoever started it has gone.
_STARTER_SECONDS = 1
# How long it is before we say what we are waiting for.
_WAITING_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Run:
    """What the options say about the run of a program."""

    # None: `--env-only`.
    words: tuple[str, ...]
    user: str | None
    total: str | None
    # `None`: as the settings have it.
    patience_seconds: int | None
    cut: Literal["length", "error"] | None
    # Variables that stay as they are.
    keep: tuple[str, ...]
    stop: bool
    fail_on_refusal: bool
    require_calls: bool
    summary_file: str | None
    quiet: bool


def run(session: Session, wanted: Run) -> Result:
    """
    Run a program, or print what one needs, under a budget.

    What keeps it from being run is said here and ends with 125, 126, or 127: the codes of other errors could
    be the program's own.
    """
    # For `eval "$(budget wrap --env-only)"`, which waits for the command to end.
    aside = step_aside() if not wanted.words and not session.env.stdout.isatty() else None
    if isinstance(aside, int):
        return LetGo(aside)
    if wanted.summary_file is None:
        return _tried(session, wanted, aside)
    try:
        # Before anything is spent: it has to be writable.
        Path(wanted.summary_file).touch()
    except OSError as error:
        return _not_run(
            session,
            NOT_RUN,
            {
                "code": "io_error",
                "message": f"--json-summary: {wanted.summary_file} cannot be written: {error.strerror}",
                "hint": "give a file in a folder that is there and yours to write",
            },
        )
    result = _tried(session, wanted, aside)
    write_document(Path(wanted.summary_file), result)
    return result


def _tried(session: Session, wanted: Run, aside: Aside | None) -> Ran | NotRun:
    try:
        return _ran(session, wanted) if wanted.words else _served(session, wanted, aside)
    except child.NotStartedError as error:
        program = shlex.quote(wanted.words[0])
        said = "there is no such program" if error.missing else f"it cannot be run: {error.reason}"
        if error.missing and len(wanted.words[0].split()) > 1:
            hint = (
                "give the program and each of its arguments as words of their own, not in one pair of quotes"
            )
        elif error.missing:
            hint = f"`command -v {program}` shows what a shell would run"
        else:
            hint = (
                f"`chmod +x {program}` makes it a program; a script runs by its interpreter's name in front"
            )
        return _not_run(
            session,
            NOT_FOUND if error.missing else NOT_RUNNABLE,
            {
                "code": "not_started",
                "message": f"{program}: {said}",
                "hint": hint,
            },
        )
    except BudgetError as error:
        return _not_run(session, NOT_RUN, error_document(error))
    except UsageError as error:
        return _not_run(session, NOT_RUN, {"code": "usage", "message": error.message, "hint": error.hint})
    except OSError as error:
        return _not_run(session, NOT_RUN, _system_error(error))


def _system_error(error: OSError) -> dict[str, Any]:
    where = f": {error.filename}" if error.filename else ""
    return {"code": "io_error", "message": f"{error.strerror or type(error).__name__}{where}", "hint": None}


def _not_run(session: Session, code: int, error: dict[str, Any]) -> NotRun:
    fail(session.env, error, as_json=False)
    return NotRun(code, error)


def _ran(session: Session, wanted: Run) -> Ran:
    from budgets.gateway.recipes import prepared

    environ = session.env.environ
    kept_back: list[str] = []
    programs: list[child.Child] = []

    def tell(text: str) -> None:
        if any(each.draws for each in programs):
            kept_back.append(text)
        elif not wanted.quiet:
            note(session.env, f"budget: {text}")

    def stop() -> None:
        for each in programs:
            each.end()

    with child.heard_signals() as signals, _user_of(session, wanted) as user:
        with _gateway(session, signals, wanted, user, tell, stop if wanted.stop else _nothing) as open_:
            ready = prepared(
                wanted.words,
                open_.plan.environment(environ, url=open_.url, key=open_.key),
                keep=wanted.keep,
                key=open_.key,
                home=Path(environ.get("HOME") or Path.home()),
                folder=Path.cwd(),
            )
            for warning in (*_warnings(open_.plan), *ready.warnings, *_without_key(wanted, open_.plan)):
                tell(warning)
            programs.append(child.Child(ready.words, ready.environ, signals))
            ended = programs[0].run()
        counts = open_.counting.counts
        code = ended.code
        if ended.by_us or (not code and wanted.fail_on_refusal and counts.refused):
            code = REFUSED
        elif not code and wanted.require_calls and not counts.seen:
            code = NOT_RUN
        outcome: Outcome = "stopped" if ended.by_us else "ended" if ended.signal is None else "signalled"
        return Ran(
            program=wanted.words[0],
            user=user,
            outcome=outcome,
            code=code,
            child_code=ended.code,
            counts=counts,
            left=session.engine.status(user).left,
            now=session.env.clock(),
            kept_back=tuple(f"budget: {each}" for each in kept_back),
            quiet=wanted.quiet,
            calls_required=wanted.require_calls,
            own_total=wanted.total is not None,
            keys=open_.plan.keys,
        )


def _served(session: Session, wanted: Run, aside: Aside | None) -> Ran:
    """Print the variables, and answer calls until a signal ends us or whoever started us has gone."""
    import signal

    environ = session.env.environ
    with child.heard_signals() as signals, _user_of(session, wanted) as user:

        def tell(text: str) -> None:
            note(session.env, f"budget: {text}")

        with _gateway(session, signals, wanted, user, tell, _nothing) as open_:
            ours = open_.plan.environment(environ, url=open_.url, key=open_.key)
            for warning in _warnings(open_.plan):
                tell(warning)
            for name in open_.plan.taken_out:
                line(session.env, f"unset {name}")
            for name, value in ours.items():
                if environ.get(name) != value:
                    line(session.env, f"export {name}={shlex.quote(value)}")
            line(session.env, f"export BUDGET_GATEWAY_PID={os.getpid()}")
            # A shell that reads this up to its end may go on.
            if aside is not None:
                forget_reader(session.env)
            if aside is not None:
                aside.let_go()
            signal.setitimer(signal.ITIMER_REAL, _STARTER_SECONDS, _STARTER_SECONDS)
            while open_.running() and not (aside is not None and aside.starter_ended()):
                if child.asks_to_end(signals.next()):
                    break
            signal.setitimer(signal.ITIMER_REAL, 0)
        return Ran(
            program="the shell",
            user=user,
            outcome="ended",
            code=NOT_RUN if wanted.require_calls and not open_.counting.counts.seen else DONE,
            child_code=DONE,
            counts=open_.counting.counts,
            left=session.engine.status(user).left,
            now=session.env.clock(),
            quiet=wanted.quiet,
            calls_required=wanted.require_calls,
            own_total=wanted.total is not None,
            keys=open_.plan.keys,
        )


@contextmanager
def _user_of(session: Session, wanted: Run) -> Iterator[str]:
    """Whose budget the calls are under; the one of a run is archived at its end."""
    from budgets.records import ROOT

    total = usd("--total", wanted.total)
    if total is None:
        try:
            user = session.user(wanted.user)
        except UsageError as error:
            raise UsageError(
                error.message, hint=f"{error.hint}; or --total USD for a budget of this run alone"
            ) from error
        # Before a program is started: there has to be one.
        session.engine.status(user)
        yield user
        return
    import secrets

    from budgets.engine.shaping import LimitTerms

    known = wanted.user or session.settings.user or len(session.engine.users()) == 1
    parent = session.user(wanted.user) if known else ROOT
    run = f"run-{session.env.clock():%Y-%m-%d}-{secrets.token_hex(3)}"
    session.engine.create(run, LimitTerms(total), parent=parent)
    try:
        yield run
    finally:
        session.engine.archive(run)


@dataclass(frozen=True, slots=True)
class _Open:
    """A gateway that answers."""

    url: str
    key: str
    plan: Plan
    counting: Counting
    running: Callable[[], bool]


@contextmanager
def _gateway(
    session: Session,
    signals: child.Signals,
    wanted: Run,
    user: str,
    tell: Callable[[str], None],
    on_used_up: Callable[[], None],
) -> Iterator[_Open]:
    """A gateway while the block runs; at its end running calls are settled, for a bounded time."""
    import secrets

    from budgets.gateway.beside import GatewayBeside
    from budgets.gateway.callers import Caller
    from budgets.gateway.configured import configuration
    from budgets.gateway.counting import Counting
    from budgets.gateway.environment import planned
    from budgets.gateway.passing import Patience
    from budgets.leases import kept_alive
    from budgets.notices import sentence

    environ, tables = session.env.environ, session.settings.tables
    upstreams = configuration(tables, environ).upstreams if "upstreams" in tables else ()
    plan = planned(environ, wanted.keep, azure=[each for each in upstreams if each.deployments])

    def reached(threshold: Threshold) -> None:
        tell(sentence(threshold))

    patience = wanted.patience_seconds
    engine = session.engine_for_calls(reached)
    key = f"bk_run_{secrets.token_urlsafe(24)}"
    counting = Counting(Caller(user, "run"), key, on_used_up)
    gateway = GatewayBeside(
        engine,
        plan.targets,
        counting,
        patience=Patience(session.settings.patience_seconds if patience is None else patience),
        cut=wanted.cut or session.settings.cut,
        allow_background=session.settings.allow_background,
        on_ended=signals.wake,
    )
    with kept_alive(engine):
        url = gateway.start()
        try:
            yield _Open(url, key, plan, counting, lambda: gateway.running)
        finally:
            gateway.finish()
            child.waited_for(
                signals,
                lambda: gateway.running,
                gateway.hurry,
                after_seconds=_WAITING_SECONDS,
                on_waiting=lambda: tell(
                    "calls still run and are waited for, so that they are charged; Ctrl-C charges what came"
                ),
            )
            gateway.join()


def _nothing() -> None:
    """Where nobody wants to know."""


def _without_key(wanted: Run, plan: Plan) -> Iterator[str]:
    """A program of one provider whose key is not set: its own login is not used under a budget."""
    from budgets.gateway.recipes import NEEDED

    name = Path(wanted.words[0]).name
    for target in plan.targets:
        if target.name == NEEDED.get(name) and target.missing_key:
            yield (
                f"there is no key for {target.name}, so every call will be refused: set"
                f" {' or '.join(target.missing_key)}; a login of {name}'s own is not used"
            )


def _warnings(plan: Plan) -> Iterator[str]:
    if plan.taken_out:
        yield (
            f"taken out, for calls with it would not be metered here: {', '.join(plan.taken_out)};"
            " --keep-env NAME leaves one alone"
        )
    if plan.kept:
        yield f"left as it is, so that calls may pass the budget by: {', '.join(plan.kept)}"
