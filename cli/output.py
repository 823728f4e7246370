"""The only file that prints: answers on stdout, as text or JSON; messages and errors on stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from .harmless import harmless

if TYPE_CHECKING:
    from pathlib import Path

    from .env import Env
    from .results import Result
    from .tables import Table

SCHEMA = 1

_BOLD_RED, _BOLD, _PLAIN = "\x1b[1;31m", "\x1b[1m", "\x1b[0m"
_HOME, _TO_END_OF_LINE, _TO_END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_USUAL_HEIGHT = 24


def show(result: Result, env: Env, *, as_json: bool) -> None:
    """The answer of a command."""
    if as_json:
        _write_json(env, {"schema": SCHEMA, "command": result.command, **result.document()})
        return
    lines: Iterable[str] = (line for block in result.text() for line in _block_lines(env, block))
    if env.height is not None:
        lines = list(lines)
    # Nobody looks at the others, and they may be a stream without end: each is written as it comes.
    if not (isinstance(lines, list) and len(lines) >= (env.height or 0) and _paged(env, lines)):
        env.stdout.writelines(f"{line}\n" for line in lines)
    # In the order of a terminal, what comes after the answer is read after it.
    env.stdout.flush()
    for message in result.messages():
        note(env, message)


def piece(env: Env, text: str) -> None:
    """A piece of a model's answer, as it is and at once. The command decides whether it may be shown so."""
    env.stdout.write(text)
    env.stdout.flush()


def note(env: Env, message: str) -> None:
    """One line for a person beside the answer."""
    _write_line(env.stderr, message)
    env.stderr.flush()


def fail(env: Env, error: Mapping[str, Any], *, as_json: bool) -> None:
    """What went wrong (`results.error_document`): two lines on stderr, or one JSON document on stdout."""
    if as_json:
        _write_json(env, {"schema": SCHEMA, "error": error})
        return
    colour = env.coloured(env.stderr)
    for name, style in (("error", _BOLD_RED), ("hint", _BOLD)):
        text = error["message" if name == "error" else name]
        if text is not None:
            label = f"{style}{name}:{_PLAIN}" if colour else f"{name}:"
            env.stderr.write(f"{label} {harmless(text)}\n")
    env.stderr.flush()


def line(env: Env, text: str = "") -> None:
    """One line of an answer that is told as it happens."""
    _write_line(env.stdout, text)
    env.stdout.flush()


def redraw(env: Env, result: Result, title: str, *, first: bool) -> None:
    """
    The answer of a command in place of the one before, as much of it as the screen takes.

    The first time what is on the screen is scrolled away, not lost.
    """
    room = env.height or _USUAL_HEIGHT
    lines = [harmless(title)]
    lines += [line for block in result.text() for line in _block_lines(env, block)]
    lines += [harmless(message) for message in result.messages()]
    if len(lines) > room:
        lines[room - 1 :] = [f"... {len(lines) - room + 1:,} more lines; a taller terminal shows them"]
    begin = "\n" * room if first else ""
    # A line that is too long is cut by the terminal and does not wrap, which would move all that follows.
    # Each place is wiped before it is written: behind a full line the cursor still stands on its last cell.
    *above, last = lines
    text = "".join(f"{_TO_END_OF_LINE}{line}{_PLAIN}\n" for line in above)
    env.stdout.write(f"{begin}{_HOME}{_NO_WRAP}{text}{_TO_END_OF_SCREEN}{last}{_PLAIN}{_WRAP}")
    env.stdout.flush()


def rewrite_line(env: Env, text: str) -> None:
    """One line on stderr in place of the one before."""
    env.stderr.write(f"\r{harmless(text)}{_TO_END_OF_LINE}")
    env.stderr.flush()


def erase_line(env: Env) -> None:
    """Wipe out what `rewrite_line` wrote."""
    env.stderr.write(f"\r{_TO_END_OF_LINE}")
    env.stderr.flush()


def help_text(env: Env, text: str) -> None:
    """A page of help, which is ours and may have many lines."""
    env.stdout.write(text.rstrip("\n") + "\n")


def traceback(env: Env) -> None:
    """Where the exception that is being handled came from. Only for those who asked with BUDGET_DEBUG."""
    from traceback import print_exc

    print_exc(file=env.stderr)


def confirm(env: Env, question: str) -> bool:
    """Ask on the terminal; anything but yes is no."""
    env.stderr.write(f"{harmless(question)} [y/N] ")
    env.stderr.flush()
    return env.stdin.readline().strip().lower() in ("y", "yes")


def forget_reader(env: Env) -> None:
    """Nobody reads our stdout any more: what is still in its buffer goes nowhere, and quietly."""
    try:
        descriptor = env.stdout.fileno()
    except (OSError, ValueError):
        # A stream in memory has no descriptor, and no reader that could go away.
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def write_document(file: Path, result: Result) -> None:
    """The JSON document of a result, in a file of its own."""
    document = {"schema": SCHEMA, "command": result.command, **result.document()}
    file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _write_json(env: Env, document: Mapping[str, Any]) -> None:
    # Escapes beyond ASCII: readable by every terminal, and no name can turn the line around.
    env.stdout.write(json.dumps(document, indent=2) + "\n")


def _block_lines(env: Env, block: str | Table) -> Iterable[str]:
    """A block as it is written, made harmless, without line ends."""
    if isinstance(block, str):
        return [harmless(block)]
    if env.drawn:
        from .tables import drawn_lines

        return drawn_lines(block, width=env.width or 80, colour=env.coloured(env.stdout), unicode=env.unicode)
    from .tables import plain_lines

    return plain_lines(block, width=env.width)


def _paged(env: Env, lines: Iterable[str]) -> bool:
    """Hand *lines* to the program in PAGER, else to less; whether there was one to take them."""
    import shlex
    import signal
    import subprocess

    words = shlex.split(env.environ.get("PAGER", "less"))
    if not words or env.environ.get("TERM") == "dumb":
        return False
    env.stdout.flush()
    try:
        # As git has it: what fits is not paged, colours pass, and the text stays on the screen.
        pager = subprocess.Popen(  # noqa: S603
            words,
            stdin=subprocess.PIPE,
            stdout=env.stdout,
            encoding=env.stdout.encoding or "utf-8",
            errors="backslashreplace",
            env={"LESS": "FRX", **env.environ},
        )
    except OSError:
        # There is no such program here: everything is shown at once.
        return False
    # Ctrl-C is the pager's for as long as it runs.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pager.communicate("".join(f"{line}\n" for line in lines))
    finally:
        signal.signal(signal.SIGINT, before)
    return True


def _write_line(stream: TextIO, text: str) -> None:
    stream.write(f"{harmless(text)}\n")
