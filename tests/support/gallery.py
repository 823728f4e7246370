"""
The gallery of errors: each provoked by a small file, with what it says beside it.

A file says in words when the error comes, then what is arranged (`~`), what is typed (`$`), or, where no
command can bring it about, what is called (`>>>`). The last of these is what fails. What it says follows.
"""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any
from unittest.mock import patch

from budgets_cli import exits
from budgets_cli.results import error_document

import budgets
from budgets import errors
from budgets.engine import keys
from budgets.errors import BudgetError
from budgets.server.principals import Principal
from budgets.simulated import Fault
from tests.support.serving import Fixed, served
from tests.support.world import World, new_world, with_files

FOLDER = Path(__file__).parent.parent / "cli" / "gallery"

# The command line's own, which are no classes of the library: code -> when.
OWN_CODES: Mapping[str, str] = {
    "usage": "The command line cannot be meant: an unknown option, or options that exclude each other.",
    "io_error": "A file or a stream of the command line cannot be read or written.",
    "bug": "Something that this program did not foresee. Its words are kept back: they may hold a prompt.",
}


@dataclass(frozen=True)
class Exhibit:
    """One error, how it is provoked, and what it says."""

    code: str
    # When it comes, in words.
    when: str
    # What is done, the last of it in vain.
    steps: tuple[str, ...]
    exit_code: int
    # The two lines on stderr, and the JSON document on stdout.
    lines: str
    document: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The file's content."""
        steps = "\n".join(self.steps)
        shown = json.dumps(self.document, indent=2)
        return f"{self.when}\n\n{steps}\n=== exit code {self.exit_code}\n{self.lines}=== --json\n{shown}\n"


def files() -> list[Path]:
    """Every file of the gallery."""
    return sorted(FOLDER.glob("*.txt"))


def classes() -> dict[str, type[BudgetError]]:
    """Every error that is raised on purpose by its code; the base is never raised itself."""
    return {
        kind.code: kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, BudgetError) and kind is not BudgetError
    }


def provoked(file: Path) -> Exhibit:
    """What a file's steps bring about now."""
    when, _, rest = file.read_text("utf-8").partition("\n\n")
    steps = tuple(line for line in rest.partition("\n===")[0].splitlines() if line)
    code, lines, _ = _ending(steps, as_json=False)
    again, _, out = _ending(steps, as_json=True)
    assert again == code, f"{file.name} ends with {code}, and with {again} under --json"
    document = json.loads(out)
    assert document.get("error", {}).get("code") == file.stem, f"{file.name} provokes {out}"
    return Exhibit(file.stem, when, steps, code, lines, document)


def _ending(steps: tuple[str, ...], *, as_json: bool) -> tuple[int, str, str]:
    *before, last = steps
    with new_world(with_files) as world, ExitStack() as stack:
        for step in before:
            sign, _, words = step.partition(" ")
            if sign == "~":
                stack.enter_context(_ARRANGED[words](world))
            else:
                world.done(words)
        sign, _, words = last.partition(" ")
        if sign == ">>>":
            return _called(world, words)
        argv = shlex.split(words) + (["--json"] if as_json else [])
        ended = world.run(argv)
        return ended.code, ended.err, ended.out


def _called(world: World, code: str) -> tuple[int, str, str]:
    """What the library raises, as the command line would show it."""
    with world.engine() as engine:
        try:
            eval(code, {"engine": engine, "budgets": budgets, "keys": keys})
        except BudgetError as error:
            lines = f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else "")
            document = {"schema": 1, "error": error_document(error)}
            return exits.exit_code(error), lines, json.dumps(document)
    raise AssertionError(f"{code} raises nothing")


@contextmanager
def _held(world: World) -> Iterator[None]:
    with world.engine() as engine:
        engine.hold("ann", 9_000_000_000, model="gpt-4o-mini", hold_id="call-1")
    yield


@contextmanager
def _refusing(world: World) -> Iterator[None]:
    world.faults += [Fault(status=401)]
    yield


@contextmanager
def _without_key(world: World) -> Iterator[None]:
    del world.environ["OPENAI_API_KEY"]
    yield


def _file(name: str, content: Any) -> Callable[[World], AbstractContextManager[None]]:
    @contextmanager
    def written(world: World) -> Iterator[None]:
        world.write(name, content)
        yield

    return written


@contextmanager
def _newer(world: World) -> Iterator[None]:
    with closing(sqlite3.connect(world.folder / "budgets.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")
    yield


@contextmanager
def _not_serving(world: World) -> Iterator[None]:
    world.environ["BUDGET_STORE"] = "http://127.0.0.1:9"
    with patch("budgets.server_link.time", _Hurried()):
        yield


@contextmanager
def _reading_only(world: World) -> Iterator[None]:
    with (
        world.engine() as engine,
        served(Fixed(lambda _: engine, engine.store), Principal("read")) as address,
    ):
        world.environ |= {"BUDGET_STORE": address, "BUDGET_KEY": "a-key"}
        yield


class _Hurried:
    """The time of a store, in which waiting takes no time."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += 7
        return self._now

    def sleep(self, _seconds: float) -> None:
        return None


@contextmanager
def _locked(world: World) -> Iterator[None]:
    connection = sqlite3.connect(world.folder / "budgets.sqlite", isolation_level=None)
    with closing(connection), patch("budgets.stores.sqlite.time", _Hurried()):
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def _broken(world: World) -> Iterator[None]:
    def fail(_engine: Any) -> None:
        raise RuntimeError("a secret prompt")

    with patch("budgets.engine.Engine.check", fail):
        yield


@contextmanager
def _without_package(_world: World) -> Iterator[None]:
    with patch("importlib.metadata.version", side_effect=PackageNotFoundError):
        yield


_ARRANGED: Mapping[str, Callable[[World], AbstractContextManager[None]]] = {
    "a running call of ann holds $9.00": _held,
    "the provider refuses the key": _refusing,
    "OPENAI_API_KEY is not set": _without_key,
    "reply.json has no usage block": _file("reply.json", {"model": "gpt-4o-mini", "choices": []}),
    'config.toml says: stor = "budgets.sqlite"': _file("config.toml", 'stor = "budgets.sqlite"\n'),
    "notes.txt is a text, and where a folder is needed": _file("notes.txt", "these are notes\n" * 80),
    "notes.txt is a text": _file("notes.txt", "these are notes, and not a store at all\n" * 40),
    "the store was written by a newer version": _newer,
    "the store is a server, and none is running there": _not_serving,
    "the store is a server, and BUDGET_KEY a key of role read": _reading_only,
    "another program has the store locked": _locked,
    "something fails that nobody foresaw": _broken,
    "the genai-prices package is not installed": _without_package,
}
