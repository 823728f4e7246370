"""The only file that prints: answers on stdout, as text or JSON; messages and errors on stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from .harmless import harmless

if TYPE_CHECKING:
    from .env import Env
    from .results import Result
    from .tables import Table

SCHEMA = 1

_BOLD_RED, _BOLD, _PLAIN = "\x1b[1;31m", "\x1b[1m", "\x1b[0m"


def show(result: Result, env: Env, *, as_json: bool) -> None:
    """The answer of a command."""
    if as_json:
        _write_json(env, {"schema": SCHEMA, "command": result.command, **result.document()})
        return
    for block in result.text():
        _write_block(env, block)
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


def _write_json(env: Env, document: Mapping[str, Any]) -> None:
    # Escapes beyond ASCII: readable by every terminal, and no name can turn the line around.
    env.stdout.write(json.dumps(document, indent=2) + "\n")


def _write_block(env: Env, block: str | Table) -> None:
    if isinstance(block, str):
        _write_line(env.stdout, block)
        return
    lines: Iterable[str]
    if env.drawn:
        from .tables import drawn_lines

        lines = drawn_lines(
            block, width=env.width or 80, colour=env.coloured(env.stdout), unicode=env.unicode
        )
    else:
        from .tables import plain_lines

        lines = plain_lines(block, width=env.width)
    env.stdout.writelines(line + "\n" for line in lines)


def _write_line(stream: TextIO, text: str) -> None:
    stream.write(f"{harmless(text)}\n")
