"""The reference pages, as they follow from the program."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import budgets
from budgets.config import VARIABLES, Settings
from budgets.providers import PROVIDERS
from tests.support.gallery import OWN_CODES, Exhibit, classes
from tests.support.golden import PAGES, Case
from tests.support.world import new_world

HERE = Path(__file__).parent

_IN_EVERY_ERROR = ("code", "message", "hint")

_MADE = (
    "<!-- Made by `python -m tests.docs.generate` from the program itself; change the program, not this. -->"
)


class UndocumentedError(Exception):
    """Raised when the program has something of which nobody has said what it is."""


def words(name: str) -> dict[str, Any]:
    """What people say about names that the program only knows."""
    return tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))


# Commands


def commands() -> str:
    """The help of every command."""
    lines = [page_head("Commands", "What `budget COMMAND --help` says, for every command.")]
    with new_world() as world:
        for page in PAGES:
            line = " ".join(("budget", *page))
            depth = "##" if len(page) < 2 else "###"
            said = world.done(f"{line} --help").out.rstrip()
            lines += [f"{depth} `{line}`", "", "```text", said, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


# Errors


def errors(exhibits: Sequence[Exhibit]) -> str:
    """Every error, with an example that was really provoked."""
    known = classes()
    lines = [
        page_head(
            "Errors",
            "Without `--json` an error is two lines on stderr: what happened, and what to do next.\n"
            "With `--json` it is one document on stdout; its `code` is the heading here, and the values"
            " involved stand beside it.\n"
            "What the exit codes mean is [a page of its own](exit-codes.md).\n\n"
            "Lines with `~` below are circumstances; `>>>` is a call of [the library](python-api.md).",
        )
    ]
    order = [each for each in known if any(each == exhibit.code for exhibit in exhibits)]
    shown = {each.code: each for each in exhibits}
    for code in [*order, *OWN_CODES]:
        kind = known.get(code)
        lines += [f"## `{code}`", ""]
        exhibit = shown.get(code)
        lines += [OWN_CODES[code] if kind is None else _raised(kind), ""]
        if exhibit is None:
            continue
        values = [f"`{name}`" for name in exhibit.document["error"] if name not in _IN_EVERY_ERROR]
        more = f" Values: {', '.join(values)}." if values else ""
        lines += [f"Exit code {exhibit.exit_code}.{more}", ""]
        lines += [exhibit.when, "", "```text", *exhibit.steps, exhibit.lines.rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _raised(kind: type[Exception]) -> str:
    """When a class is raised, in its docstring's words, and by which names Python code may catch it."""
    above = [base.__name__ for base in kind.__mro__[1:] if base.__module__ in ("builtins", kind.__module__)]
    also = above[: above.index("BudgetError")]
    also += [name for name in ("ValueError", "KeyError", "LookupError") if name in above and name not in also]
    as_well = f" (also {', '.join(f'`{name}`' for name in dict.fromkeys(also))})" if also else ""
    text = inspect.cleandoc(kind.__doc__ or "")
    return f"`budgets.errors.{kind.__name__}`{as_well}.\n{text}"


# JSON documents


def json_documents(cases: Sequence[Case], exhibits: Sequence[Exhibit]) -> str:
    """The document of every command, key by key, with an example that was really produced."""
    said = words("json_fields")
    maps = set(said.pop("maps"))
    lines = [
        page_head(
            "JSON documents",
            "With `--json` every command answers with one document on stdout, also when it fails.\n"
            "A name that is there stays and keeps its meaning; new ones may come.\n"
            "Money is a decimal string in US dollars, exact, in a field that ends with `_usd`.\n"
            "A moment is text in ISO 8601, in UTC, and ends with `Z`; a missing end is `null`.\n"
            "`schema` is 1 in every document, and `command` says which command answered; the tables leave"
            " them out.\n"
            "In the examples lists end after two items.",
        )
    ]
    used: set[str] = set()
    missing: list[str] = []
    for page in PAGES:
        line = " ".join(("budget", *page))
        found = [document for case in cases if case.page == page for document in _documents(case)]
        if not found:
            continue
        rows = dict(_rows(found, maps, said, line, used, missing))
        lines += [
            f"## `{line}`",
            "",
            *_table(rows),
            "```json",
            json.dumps(_cut(found[0]), indent=2),
            "```",
            "",
        ]
    failures = [{"error": exhibit.document["error"]} for exhibit in exhibits]
    rows = dict(_rows(failures, maps, said, "failure", used, missing))
    lines += [
        "## When a command fails",
        "",
        "Which values stand in the document depends on the [error](errors.md).",
        "",
        *_table(rows),
        "```json",
        json.dumps(exhibits[0].document, indent=2),
        "```",
    ]
    if missing:
        raise UndocumentedError(f"say in {HERE / 'json_fields.toml'} what these are: {', '.join(missing)}")
    idle = sorted(name for name in _names(said) if name not in used)
    if idle:
        raise UndocumentedError(
            f"{HERE / 'json_fields.toml'} explains what no document has: {', '.join(idle)}"
        )
    return "\n".join(lines).rstrip() + "\n"


def _documents(case: Case) -> Iterator[dict[str, Any]]:
    ended = case.ended(" --json")
    if ended.out.startswith("{") and "error" not in ended.document:
        yield ended.document


def _cut(value: Any) -> Any:
    """The same with short lists."""
    if isinstance(value, dict):
        return {name: _cut(each) for name, each in value.items()}
    return [_cut(each) for each in value[:2]] if isinstance(value, list) else value


def _rows(
    documents: Iterable[Mapping[str, Any]],
    maps: set[str],
    said: Mapping[str, Any],
    command: str,
    used: set[str],
    missing: list[str],
) -> Iterator[tuple[str, tuple[str, str]]]:
    kinds: dict[str, list[str]] = {}
    # Some are opaque in one command's documents only.
    maps = {name.removeprefix(f"{command}:") for name in maps}
    for document in documents:
        for path, kind in _leaves(document, "", maps):
            if path in ("schema", "command"):
                continue
            known = kinds.setdefault(path, [])
            if kind not in known:
                known.append(kind)
    own = said.get(command, {})
    for path, found in kinds.items():
        meaning = None
        for name in _endings(path):
            for table, prefix in ((own, f"{command}:"), (said["any"], "any:")):
                if name in table and meaning is None:
                    meaning = table[name]
                    used.add(prefix + name)
        if meaning is None:
            missing.append(f"{command} {path}")
            continue
        # Those that are there without a value come last.
        found.sort(key=lambda kind: kind == "null")
        yield path, (" or ".join(found), meaning)


def _endings(path: str) -> Iterator[str]:
    parts = path.split(".")
    for start in range(len(parts)):
        yield ".".join(parts[start:])


def _leaves(value: Any, path: str, maps: set[str]) -> Iterator[tuple[str, str]]:
    """Every path in a document, with the kind of what is there."""
    opaque = any(name in maps for name in _endings(path))
    if isinstance(value, dict):
        if path:
            yield path, "object"
        if opaque:
            return
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else key, maps)
    elif isinstance(value, list):
        yield path, "list"
        if opaque:
            return
        for each in value:
            if isinstance(each, dict):
                for key, part in each.items():
                    yield from _leaves(part, f"{path}[].{key}", maps)
    else:
        yield path, {bool: "true or false", int: "number", type(None): "null"}.get(type(value), "text")


def _names(said: Mapping[str, Any]) -> Iterator[str]:
    for table, entries in said.items():
        yield from (f"{table}:{name}" for name in entries)


def _table(rows: Mapping[str, tuple[str, str]]) -> list[str]:
    shown = [f"| `{path}` | {kind} | {meaning} |" for path, (kind, meaning) in rows.items()]
    return ["| key | type | it is |", "| --- | --- | --- |", *shown, ""]


# Settings


def config() -> str:
    """Every setting and variable, with its default."""
    said = words("settings")
    settings, variables = said["settings"], said["variables"]
    known = {each.name: each for each in fields(Settings)}
    if settings.keys() != VARIABLES.keys():
        wrong = ", ".join(sorted(settings.keys() ^ VARIABLES.keys()))
        raise UndocumentedError(f"{HERE / 'settings.toml'} and the program differ about {wrong}")
    lines = [
        page_head(
            "Settings",
            "Each comes from the first of these that says something: the command line, the environment, the"
            " configuration file, the default.\n"
            "The file is `config.toml` in the platform's configuration folder"
            " (on Linux `~/.config/budget`); `BUDGET_CONFIG` names another.\n"
            "A setting that does not exist, or a value that cannot be used, is an error"
            " ([`config_error`](errors.md#config_error)), never ignored.",
        ),
        "| setting in the file | variable | default | it is |",
        "| --- | --- | --- | --- |",
    ]
    for name, variable in VARIABLES.items():
        default = known[name].default if name in known else MISSING
        shown = settings[name].get("default") or (f"`{default}`" if default is not MISSING else "")
        lines.append(f"| `{name}` | `{variable}` | {shown} | {settings[name]['is']} |")
    lines += ["", "```toml", settings_example(settings), "```", "", "## Tables of the gateway", ""]
    lines += [
        (
            "`[[upstreams]]`, `[models.NAME]`, and `[users.NAME]` say where `budget serve` may call:"
            " see [Run a proxy server](../how-to/proxy-server.md)."
        ),
        "",
        "## Other variables",
        "",
    ]
    lines += ["| variable | it is |", "| --- | --- |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in variables.items()]
    lines += [
        "",
        "## Providers",
        "",
        (
            "The name for `--provider`, the variables that may hold the key (the first that is set wins), and"
            " those that point to another address."
        ),
        "",
        "| provider | key | address |",
        "| --- | --- | --- |",
    ]
    for each in PROVIDERS:
        names = ", ".join(f"`{name}`" for name in (each.id, *each.aliases))
        keys = ", ".join(f"`{name}`" for name in each.key_variables) or "none"
        places = " or ".join(f"`{name}`" for name in each.url_variables)
        lines.append(
            f"| {names} | {keys} | `{each.base_url}`{f', unless {places} says another' if places else ''} |"
        )
    return "\n".join(lines) + "\n"


def settings_example(settings: Mapping[str, Any]) -> str:
    """A configuration file with every setting that has an example."""
    return "\n".join(
        f"{name} = {each['example']}" for name, each in settings.items() if each.get("example") is not None
    )


# The library


def python_api() -> str:
    """The public names of the library."""
    lines = [
        page_head(
            "Python API",
            "What `import budgets` offers; each name is loaded when it is first used.\n"
            "Money is a whole number of nano-dollars, moments are aware datetimes.\n"
            "What each call raises is in its docstring: `help(budgets.Engine.hold)`.",
        ),
        "```python",
        _example(budgets.__doc__ or ""),
        "```",
        "",
    ]
    for name in sorted(budgets.__all__, key=lambda name: (name != "open_engine", name != "Engine")):
        found = getattr(budgets, name)
        lines += [f"## `{name}`", ""]
        if isinstance(found, ModuleType):
            lines += ["Every error that is raised on purpose: [Errors](errors.md).", ""]
        elif isinstance(found, type) and found.__name__ != name:
            lines += [f"The same as `{found.__name__}`.", ""]
        elif not callable(found):
            lines += [f"`{found!r}`: the project's own budget, where a user's name is asked for.", ""]
        else:
            lines += [*_signature(name, found), _first_line(found), ""]
            if isinstance(found, type):
                lines += _members(found)
    # These two are not kept in the package but asked of it.
    for name in ("max_budget", "current_cost"):
        lines += [f"## `{name}`", "", _first_line(getattr(type(budgets), name)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _members(kind: type) -> list[str]:
    lines: list[str] = []
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            lines += [f"- `{name}`: {_first_line(member)}"]
        elif callable(member) or isinstance(member, classmethod | staticmethod):
            lines += [f"- `{name}{_written(getattr(kind, name))}`: {_first_line(getattr(kind, name))}"]
    return [*lines, ""] if lines else []


def _signature(name: str, found: Any) -> list[str]:
    if isinstance(found, type) and issubclass(found, Exception):
        return []
    text = f"{name}{_written(found)}"
    if len(text) > 100:
        inner = text[text.index("(") + 1 : text.rindex(")")]
        parts = re.split(r", (?![^\[(]*[\])])", inner)
        text = "\n".join([f"{name}(", *(f"    {part}," for part in parts), text[text.rindex(")") :]])
    return ["```python", text, "```", ""]


class _AsWritten:
    """An annotation as its author wrote it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _written(found: Any) -> str:
    """A signature, with annotations as they are in the source."""
    signature = inspect.signature(found)

    def plain(annotation: Any) -> Any:
        return _AsWritten(annotation) if isinstance(annotation, str) else annotation

    parameters = [
        each.replace(annotation=plain(each.annotation), default=_default(each.default))
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    returns = signature.return_annotation
    # A class gives itself.
    returns = inspect.Signature.empty if returns is None or isinstance(found, type) else plain(returns)
    return str(signature.replace(parameters=parameters, return_annotation=returns))


def _default(value: Any) -> Any:
    """A default as short as its author wrote it."""
    if value is inspect.Parameter.empty or isinstance(value, str | int | tuple | None):
        return value
    if is_dataclass(value):
        return _AsWritten("...")
    return _AsWritten(f"{type(value).__name__}()") if "factory" in repr(value) else value


def _first_line(found: Any) -> str:
    return (inspect.getdoc(found) or "").partition("\n\n")[0].replace("\n", " ")


def _example(docstring: str) -> str:
    """The indented block of a docstring."""
    blocks = [line[4:] for line in docstring.splitlines() if line.startswith("    ") or not line.strip()]
    return "\n".join(blocks).strip("\n")


def page_head(title: str, text: str) -> str:
    return f"{_MADE}\n\n# {title}\n\n{text}\n"
