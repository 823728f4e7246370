"""
What the word under the cursor can become: `budget __complete`, which the scripts of `budget completion` ask.

    budget __complete zsh WORD ...                    the last word is the one under the cursor
    budget __complete bash WORDBREAKS LINE            the line up to the cursor, as it was typed

The first line of the answer is `words`, or `files` where the shell completes better itself. Each line after
it is one candidate; zsh and fish get what it means behind a tab.

It reads and writes nothing down, makes no store, and keeps quiet: a shell asks at every press of the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from budgets.errors import BudgetError

from .harmless import harmless

if TYPE_CHECKING:
    from budgets.ports import Reading, Store

    from .env import Env

# A value and what it means, which may be empty; `None` in place of them all: files.
Candidates: TypeAlias = "list[tuple[str, str]] | None"

# More than anybody reads.
_MOST = 500

_FILES = ("PATH", "FILE")

# As in `exits.py`, which loads Typer.
DONE, FAILED, USAGE = 0, 1, 2


@dataclass(frozen=True)
class _Asked:
    """The words before the cursor, the one under it, and the world around."""

    env: Env
    words: tuple[str, ...]
    current: str


@dataclass(frozen=True)
class _Typed:
    """A line as a shell takes it apart."""

    words: tuple[str, ...]
    # The word under the cursor without its quotes.
    current: str
    # The quote that is open at the cursor, and how much of the word stands before it.
    quote: str = ""
    before_quote: int = 0


def complete(env: Env) -> int:
    """Answer a shell; gives the exit code, 1 where settings or the store cannot be read."""
    _, shell, *words = (*env.argv, "")[: max(2, len(env.argv))]
    if not words or (shell == "bash" and len(words) != 2):
        # No script of ours asks like that.
        return USAGE
    if shell == "bash":
        breaks, line = words
        typed = _split(line)
        asked = _Asked(env, typed.words[1:], typed.current)
    else:
        asked = _Asked(env, tuple(words[:-1]), words[-1])
    try:
        found = _candidates(asked)
    except (BudgetError, OSError):
        # There is nobody to tell: whatever is printed lands in the middle of somebody's typing.
        return FAILED
    env.stdout.write("files\n" if found is None else "words\n")
    for value, meaning in _fitting(found or [], asked.current):
        if shell != "bash":
            env.stdout.write(f"{value}\t{_beside(shell, value, meaning)}\n")
        elif (quoted := _quoted(value, typed, breaks)) is not None:
            env.stdout.write(f"{quoted}\n")
    env.stdout.flush()
    return DONE


def _fitting(found: Sequence[tuple[str, str]], current: str) -> Iterator[tuple[str, str]]:
    """Those that begin like the word under the cursor and can be typed."""
    # A tab or a line end would end the candidate, and what cannot be seen cannot be chosen.
    yield from [each for each in found if each[0].startswith(current) and each[0].isprintable()][:_MOST]


def _beside(shell: str, value: str, meaning: str) -> str:
    """What stands behind the tab: zsh shows it in place of the value, fish beside it."""
    if shell != "zsh":
        return meaning
    return f"{value:<20}  {meaning}" if meaning else value


def _candidates(asked: _Asked) -> Candidates:
    option, equals, _ = asked.current.partition("=")
    if equals and option.startswith("--"):
        found = _of_option(asked, option)
        return None if found is None else [(f"{option}={value}", meaning) for value, meaning in found]
    before = asked.words[-1] if asked.words else ""
    if before in _BY_OPTION:
        # Found without building the command, which takes longer than all the rest.
        return _BY_OPTION[before](asked)
    return _within(asked)


def _of_option(asked: _Asked, option: str) -> Candidates:
    if option in _BY_OPTION:
        return _BY_OPTION[option](asked)
    return _within(_Asked(asked.env, (*asked.words, option), ""))


def _within(asked: _Asked) -> Candidates:
    """What the command that is being typed takes here."""
    from typer.main import get_command

    from .app import build

    command: Any = get_command(build(asked.words))
    path: list[str] = []
    options = _options(command)
    places = 0
    waiting = None
    free = False
    for word in asked.words:
        if waiting is not None:
            waiting = None
        elif word == "--" and not free:
            free = True
        elif word.startswith("-") and not free:
            name, equals, _ = word.partition("=")
            param = options.get(name)
            if param is not None and not param.is_flag and not equals:
                waiting = param
        elif word in getattr(command, "commands", {}):
            command = command.commands[word]
            path.append(word)
            options = _options(command)
        else:
            places += 1
    if waiting is not None:
        return None if waiting.metavar in _FILES else []
    if asked.current.startswith("-") and not free:
        return [
            (name, (param.help or "").rstrip("."))
            for name, param in options.items()
            if name.startswith("--") or asked.current == name
        ]
    if free:
        # Behind `--` stands another program, with arguments of its own.
        return None
    found = [] if places else _commands(command)
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    if places < len(arguments):
        argument = arguments[places]
        if argument.metavar in _FILES:
            return None
        values = _BY_ARGUMENT.get((" ".join(path), argument.name))
        found += values(asked) if values else []
    return found


def _options(command: Any) -> dict[str, Any]:
    """By each of its names; `--help` among them, which Typer adds."""
    with_help = command.get_params(command.make_context("budget", [], resilient_parsing=True))
    return {
        name: param
        for param in with_help
        if param.param_type_name == "option" and not param.hidden
        for name in param.opts
    }


def _commands(command: Any) -> list[tuple[str, str]]:
    return [
        (name, each.get_short_help_str(limit=200).rstrip("."))
        for name, each in getattr(command, "commands", {}).items()
        if not each.hidden
    ]


# What the store has


@contextmanager
def _view(asked: _Asked) -> Iterator[tuple[Store, Reading] | None]:
    """The store that the typed words mean; `None` where there is none, for none may be made here."""
    from budgets.config import load_settings
    from budgets.wiring import open_store

    settings = load_settings(
        asked.env.environ, store=_said(asked.words, "--store"), project=_said(asked.words, "--project")
    )
    # A server is not asked at every press of a key.
    if isinstance(settings.store, str) or not (settings.store.is_file() and settings.store.stat().st_size):
        yield None
        return
    with closing(open_store(settings)) as store, store.reading(settings.project) as view:
        yield store, view


def _said(words: Sequence[str], option: str) -> str | None:
    """The value that the words give to an option."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == option:
            return value if equals else (words[place + 1] if place + 1 < len(words) else None)
    return None


def _users(asked: _Asked) -> list[tuple[str, str]]:
    with _view(asked) as found:
        return [(each.user, "") for each in found[1].budgets() if each.user] if found else []


def _projects(asked: _Asked) -> list[tuple[str, str]]:
    with _view(asked) as found:
        return [(name, "") for name in found[0].projects()] if found else []


def _holds(asked: _Asked) -> list[tuple[str, str]]:
    from budgets.money import money

    with _view(asked) as found:
        holds = found[1].holds() if found else []
        return [(each.id, f"{money(each.nanos)} for {harmless(each.user)}") for each in holds]


def _settings(_asked: _Asked) -> list[tuple[str, str]]:
    from budgets.config import VARIABLES

    return [(name, f"else {variable}") for name, variable in VARIABLES.items()]


def _words(*words: str) -> Callable[[_Asked], list[tuple[str, str]]]:
    return lambda _: [(word, "") for word in words]


_PERIODS = _words("never", "day", "week", "month", "year")
_BY_OPTION: Final[Mapping[str, Callable[[_Asked], list[tuple[str, str]]]]] = {
    "--user": _users,
    "-u": _users,
    "--parent": _users,
    "--under": _users,
    "--project": _projects,
    "--every": _PERIODS,
    "--duration": _PERIODS,
}
# By the command and the argument's name in its function.
_BY_ARGUMENT: Final[Mapping[tuple[str, str], Callable[[_Asked], list[tuple[str, str]]]]] = {
    ("holds release", "hold"): _holds,
    ("holds settle", "hold"): _holds,
    ("config set", "name"): _settings,
    ("config unset", "name"): _settings,
    ("completion", "shell"): _words("bash", "zsh", "fish"),
}


# What bash leaves to us: it hands over the line, and takes back the rest of a word ready to be typed


def _split(line: str) -> _Typed:
    words: list[str] = []
    current: list[str] | None = None
    quote, before_quote = "", 0
    characters = iter(line)
    for character in characters:
        if quote:
            if character == quote:
                quote = ""
            elif character == "\\" and quote == '"':
                following = next(characters, "")
                current = [*(current or []), following if following in '"\\$`' else character + following]
            else:
                current = [*(current or []), character]
        elif character.isspace():
            if current is not None:
                words.append("".join(current))
            current = None
        else:
            current = current or []
            if character in "'\"":
                quote, before_quote = character, len("".join(current))
            else:
                current.append(next(characters, "") if character == "\\" else character)
    return _Typed(tuple(words), "".join(current or []), quote, before_quote if quote else 0)


def _quoted(value: str, typed: _Typed, breaks: str) -> str | None:
    """What bash puts in place of the part of the word that it replaces; `None`: it cannot be typed there."""
    if typed.quote:
        # Bash keeps the quote that is open and closes it.
        live = "'" if typed.quote == "'" else '"$`\\!'
        return None if any(character in live for character in value) else value[typed.before_quote :]
    replaced = max((typed.current.rfind(each) + 1 for each in breaks if not each.isspace()), default=0)
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", value[replaced:])
