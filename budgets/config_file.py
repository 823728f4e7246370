"""Edits `config.toml`: one setting at a time, every other line and comment as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from budgets.config import VARIABLES, Settings, parse, read_text, settings_of
from budgets.errors import ConfigError, InvalidValueError
from budgets.files import replace_text, turn_to_write
from budgets.money import shown

_NUMBERS = frozenset(each.name for each in fields(Settings) if each.type == "int")
_SWITCHES = frozenset(each.name for each in fields(Settings) if each.type == "bool")


def set_setting(file: Path, name: str, text: str) -> Settings:
    """
    Write one setting into the file, which is made if it is not there. Safe to repeat.

    Gives the settings that the file alone stands for.

    Raises:
        InvalidValueError: there is no such setting.
        ConfigError: the value cannot be used, or the file cannot be read or written.
    """
    if name not in VARIABLES:
        raise InvalidValueError(
            f"{shown(name)} is no setting", hint=f"the settings are {', '.join(VARIABLES)}", setting=name
        )
    if name == "key":
        raise InvalidValueError(
            "a key on the command line can be read by others of this machine",
            hint=f'set BUDGET_KEY, or write key = "..." into {file} yourself',
            setting=name,
        )
    if not text.isprintable():
        raise InvalidValueError(
            f"{shown(text)} has characters that cannot be seen", hint="give plain text", setting=name
        )
    value: str | int = text
    if name in _NUMBERS and re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
        value = int(text)
    elif name in _SWITCHES and text in ("true", "false"):
        value = text == "true"

    def edited(old: str, written: Mapping[str, Any]) -> Iterator[str]:
        assignment = f"{name} = {json.dumps(value, ensure_ascii=False)}"
        if name in written:
            yield from _replaced(old, name, assignment)
        yield from _added(old, assignment)

    return _edit(file, lambda written: {**written, name: value}, edited)


def unset_setting(file: Path, name: str) -> Settings:
    """
    Take one setting out of the file, so that its default counts again.

    Gives the settings that the file alone stands for.

    Raises:
        ConfigError: the file has no such setting, or cannot be read or written.
    """

    def without(written: Mapping[str, Any]) -> dict[str, Any]:
        if name not in written:
            raise ConfigError(
                f"{file} does not set {shown(name)}",
                hint="`budget config` shows where each value comes from",
                file=str(file),
            )
        return {key: value for key, value in written.items() if key != name}

    return _edit(file, without, lambda old, _: _replaced(old, name, None))


def _edit(
    file: Path,
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    candidates: Callable[[str, Mapping[str, Any]], Iterable[str]],
) -> Settings:
    """Take the first of the candidate texts that says exactly what *change* asks for, and write it."""
    try:
        with turn_to_write(file) as target:
            old = read_text(file)
            written = parse(old, file)
            wanted = change(written)
            settings = settings_of(wanted, file, {})
            for text in candidates(old, written):
                if _says(text, file, wanted):
                    if text != old:
                        replace_text(target, text)
                    return settings
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}",
            hint="check the permissions of the file and its folder",
            file=str(file),
        ) from error
    raise ConfigError(
        f"{file} is written in a way that cannot be edited safely",
        hint="change that line by hand; nothing was written",
        file=str(file),
    )


def _says(text: str, file: Path, wanted: Mapping[str, Any]) -> bool:
    try:
        return parse(text, file) == wanted
    except ConfigError:
        return False


def _replaced(text: str, name: str, assignment: str | None) -> Iterator[str]:
    """The text with the lines that set *name* replaced, or taken out: what it could be, likeliest first."""
    lines = text.splitlines(keepends=True)
    key = re.compile(rf"""\s*(?:{re.escape(name)}|"{re.escape(name)}"|'{re.escape(name)}')\s*=""")
    for first, line in enumerate(lines):
        if not key.match(line):
            continue
        # A value in several lines ends somewhere below.
        for after in range(first + 1, len(lines) + 1):
            for comment in _comments(line) if after == first + 1 else ("",):
                new = "" if assignment is None else f"{assignment}{comment}{_line_end(line)}"
                yield "".join([*lines[:first], new, *lines[after:]])


def _comments(line: str) -> Iterator[str]:
    """What may be the comment at a line's end, longest first, with the blanks before it; at last none."""
    content = line.rstrip("\r\n")
    for found in re.finditer(r"\s*#", content):
        # A mark inside a text is none; then what stands before it is not a whole value.
        if _is_toml(content[: found.start()]):
            yield content[found.start() :]
    yield ""


def _is_toml(text: str) -> bool:
    import tomllib

    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _added(text: str, assignment: str) -> Iterator[str]:
    """The text with one more line: at its end, else before the first table, else at its top."""
    end = _line_end(text)
    yield f"{text}{'' if not text or text.endswith(end) else end}{assignment}{end}"
    lines = text.splitlines(keepends=True)
    for place, line in enumerate(lines):
        if line.lstrip().startswith("["):
            yield "".join([*lines[:place], assignment + end, *lines[place:]])
    yield f"{assignment}{end}{text}"


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
