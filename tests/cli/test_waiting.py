"""While something takes its time a person sees that it is at work; a pipe sees nothing."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from threading import Event

import pytest
from budgets_cli.env import Env
from budgets_cli.progress import Waiting


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def _env(err: StringIO, **environ: str) -> Env:
    return Env(argv=(), stdin=StringIO(), stdout=StringIO(), stderr=err, environ=environ)


def _turns(number: int, told: Event) -> Callable[[float], bool]:
    """A pause that takes no time and ends the waiting after so many turns."""
    left = [number]

    def pause(_seconds: float) -> bool:
        left[0] -= 1
        if left[0] < 0:
            told.set()
            return True
        return False

    return pause


def test_after_a_second_it_says_how_long_and_wipes_it_out() -> None:
    err, told = Terminal(), Event()
    with Waiting(_env(err), "adding up", pause=_turns(8, told)):
        assert told.wait(10)
    assert err.getvalue().startswith("\radding up: 1 s")
    assert "adding up: 2 s" in err.getvalue()
    assert err.getvalue().endswith("\r\x1b[K")


def test_what_is_over_sooner_says_nothing() -> None:
    err = Terminal()
    with Waiting(_env(err), "adding up"):
        pass
    assert err.getvalue() == ""


@pytest.mark.parametrize(
    ("err", "environ"),
    [pytest.param(StringIO(), {}, id="pipe"), pytest.param(Terminal(), {"TERM": "dumb"}, id="dumb")],
)
def test_where_nobody_looks_no_thread_is_started(err: StringIO, environ: dict[str, str]) -> None:
    def never(_seconds: float) -> bool:
        raise AssertionError("nobody is to be told")

    with Waiting(_env(err, **environ), "adding up", pause=never):
        pass
    assert err.getvalue() == ""
