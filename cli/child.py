"""
Runs a program as a shell runs a job: in a process group of its own, in the terminal's foreground.

Signals to us are passed on to the group, a stop (Ctrl-Z) stops us as well, and the terminal comes back as it
was. What happens is read from signals, one at a time, in the main thread; nothing interrupts anything.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

# Passed on to the program's group. Those that we were told to ignore, it ignores as well (`nohup`).
_PASSED_ON = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
# About our own place at the terminal, and about our own work.
_OURS = (signal.SIGCHLD, signal.SIGCONT, signal.SIGTSTP, signal.SIGALRM)
# Without this, who takes the terminal back from the background is stopped for it.
_IGNORED = signal.SIGTTOU
# These are ignored by us or by Python; a program expects them as they are everywhere.
_AS_EVERYWHERE = (signal.SIGPIPE, signal.SIGXFSZ, _IGNORED)
_LOOKS_AGAIN_SECONDS = 0.02


class NotStartedError(Exception):
    """
    Raised where the program cannot be started.

    Args:
        error: What the system says.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror)
        self.reason = error.strerror or type(error).__name__
        # As `env` has it: it is not there, or it cannot be run.
        self.missing = isinstance(error, FileNotFoundError)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    # As a shell has it: 128 + the signal's number where a signal ended it.
    code: int
    signal: int | None
    # We ended it (`Child.end`).
    by_us: bool


class Signals:
    """
    What comes to this process, one signal after the other.

    Args:
        reading, writing: A pipe that every signal is written to, whichever thread it came to.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing

    def next(self) -> int:
        """Wait for a signal."""
        return os.read(self._reading, 1)[0]

    def wake(self) -> None:
        """Have whoever waits look again. From any thread, while the signals are heard."""
        # One more of these does no harm: whoever reads it looks at everything that can have happened.
        os.write(self._writing, bytes([signal.SIGCHLD]))


@contextmanager
def heard_signals() -> Iterator[Signals]:
    """
    Hear every signal that a `Child` needs, so that none is lost and none interrupts.

    Only in the main thread. What comes after the last `next` is dropped.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    heard = [number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _do_nothing) for number in (*heard, *_OURS)}
    before[_IGNORED] = signal.signal(_IGNORED, signal.SIG_IGN)
    before_pipe = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield Signals(reading, writing)
    finally:
        signal.set_wakeup_fd(before_pipe)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _do_nothing(*_: object) -> None:
    """That it came stands in the pipe."""


class Child:
    """
    One program.

    Args:
        words: The program and its arguments; it is looked for on the PATH.
        environ: Its environment.
        signals: What comes to us.
        grace_seconds: How long it has to end by itself when we end it.
    """

    def __init__(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        signals: Signals,
        *,
        grace_seconds: float = 5,
    ) -> None:
        self._words = words
        self._environ = environ
        self._signals = signals
        self._grace_seconds = grace_seconds
        self._pid = 0
        self._ending = False
        self._asked_to_end = False
        self._killed = False
        self._terminal = _Terminal()

    def run(self) -> Ended:
        """
        Start it and wait for its end.

        Raises:
            NotStartedError: there is no such program, or it cannot be run.
        """
        try:
            self._pid = os.posix_spawnp(
                self._words[0],
                list(self._words),
                dict(self._environ),
                setpgroup=0,
                setsigdef=_AS_EVERYWHERE,
            )
        except OSError as error:
            raise NotStartedError(error) from error
        if self._terminal.both_ways:
            # It may have asked for the terminal a moment too early, and have been stopped for it.
            self._hand_over()
        status = self._wait()
        number = -status if status < 0 else None
        if self._asked_to_end:
            self._end_group()
        self._terminal.take_back(restore=number is not None)
        return Ended(128 - status if status < 0 else status, number, self._asked_to_end)

    def end(self) -> None:
        """Have it ended: SIGTERM to its group, and SIGKILL after the grace. From any thread; safe twice."""
        self._ending = True
        self._signals.wake()

    @property
    def draws(self) -> bool:
        """It has the terminal and draws on it as it likes, so that a line of ours would be in its way."""
        return self._terminal.is_raw

    def _wait(self) -> int:
        while True:
            if self._ending and not self._asked_to_end:
                self._asked_to_end = True
                self._signal(signal.SIGTERM)
                self._signal(signal.SIGCONT)
                signal.setitimer(signal.ITIMER_REAL, self._grace_seconds)
            number = self._signals.next()
            if number == signal.SIGALRM:
                if self._asked_to_end:
                    self._signal(signal.SIGKILL)
            elif number == signal.SIGCONT:
                self._go_on()
            elif number != signal.SIGCHLD:
                self._signal(number)
            pid, status = os.waitpid(self._pid, os.WNOHANG | os.WUNTRACED)
            if pid and not os.WIFSTOPPED(status):
                return os.waitstatus_to_exitcode(status)
            if pid:
                self._stopped(os.WSTOPSIG(status))

    def _stopped(self, number: int) -> None:
        if number in (signal.SIGTTIN, signal.SIGTTOU) and self._terminal.is_ours:
            # It was not in the foreground, and needs to be.
            self._hand_over()
            return
        self._terminal.take_back(restore=True)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # To the whole job, as the terminal would. Where nobody could continue us, it does nothing.
        os.killpg(0, signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, _do_nothing)
        self._go_on()

    def _go_on(self) -> None:
        if self._terminal.was_handed_over and self._terminal.is_ours:
            self._hand_over()
        else:
            self._signal(signal.SIGCONT)

    def _hand_over(self) -> None:
        self._terminal.hand_over(self._pid)
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        # Who has ended hears nothing, which is as well.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def _end_group(self) -> None:
        """Its own children had the same grace."""
        until = time.monotonic() + signal.getitimer(signal.ITIMER_REAL)[0]
        signal.setitimer(signal.ITIMER_REAL, 0)
        while self._group_lives():
            if time.monotonic() >= until:
                self._signal(signal.SIGKILL)
                return
            time.sleep(_LOOKS_AGAIN_SECONDS)

    def _group_lives(self) -> bool:
        try:
            os.killpg(self._pid, 0)
        except ProcessLookupError:
            return False
        return True


class _Terminal:
    """The terminal that controls us, if there is one."""

    def __init__(self) -> None:
        self._descriptor = next((number for number in (0, 1, 2) if os.isatty(number)), None)
        if self._descriptor is None:
            # A program may ask its person for something whatever its streams are.
            with suppress(OSError):
                self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        self.was_handed_over = False
        self._attributes: Any = None
        self._childs_attributes: Any = None

    @property
    def is_ours(self) -> bool:
        """We are in its foreground."""
        if self._descriptor is None:
            return False
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            # It is not the one that controls us.
            return False

    @property
    def both_ways(self) -> bool:
        """
        The program reads from it and writes to it, so it is the whole job.

        In a pipeline another one may be the one that needs it: then whoever asks for it gets it.
        """
        return os.isatty(0) and os.isatty(1) and self.is_ours

    @property
    def is_raw(self) -> bool:
        """Somebody has switched off its lines."""
        if self._descriptor is None or not self.was_handed_over:
            return False
        import termios

        try:
            return not termios.tcgetattr(self._descriptor)[3] & termios.ICANON
        except termios.error:
            return False

    def hand_over(self, group: int) -> None:
        """Put *group* in its foreground, as it left it."""
        import termios

        assert self._descriptor is not None, "it was ours"
        self._attributes = termios.tcgetattr(self._descriptor)
        if self._childs_attributes is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._childs_attributes)
        with suppress(OSError):
            # The group may have ended already; then nobody needs it.
            os.tcsetpgrp(self._descriptor, group)
            self.was_handed_over = True

    def take_back(self, *, restore: bool) -> None:
        """
        Put ourselves in its foreground again.

        Args:
            restore: Set it up as it was before; else it stays as the program has set it up.
        """
        if not self.was_handed_over or self._descriptor is None:
            return
        import termios

        with suppress(OSError, termios.error):
            # A terminal that has hung up has nothing to be restored.
            os.tcsetpgrp(self._descriptor, os.getpgrp())
            self._childs_attributes = termios.tcgetattr(self._descriptor)
            if restore:
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._attributes)


def asks_to_end(number: int) -> bool:
    """Whether that signal asks a program to end."""
    return number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def waited_for(
    signals: Signals,
    is_running: Callable[[], bool],
    on_impatience: Callable[[], None],
    *,
    after_seconds: float,
    on_waiting: Callable[[], None],
) -> None:
    """
    Wait while something of ours runs that wakes us at its end.

    Args:
        on_impatience: Is called for every signal that asks us to end.
        on_waiting: Is called once when it has taken *after_seconds*.
    """
    signal.setitimer(signal.ITIMER_REAL, after_seconds)
    while is_running():
        number = signals.next()
        if asks_to_end(number):
            on_impatience()
        elif number == signal.SIGALRM:
            on_waiting()
    signal.setitimer(signal.ITIMER_REAL, 0)
