"""Builds the Typer app, and is the one place that turns an error into a message and an exit code."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from keyword import iskeyword
from types import ModuleType
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from budgets.errors import BudgetError

from . import exits, options, output
from .env import Env
from .results import error_document
from .session import Session

# Each command's file has the same name; its subcommands are functions in that file.
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "create": (),
    "set": (),
    "status": (),
    "tree": (),
    "cost": (),
    "history": (),
    "explain": (),
    "export": (),
    "import": (),
    "list-users": (),
    "projects": (),
    "projected": (),
    "charge": (),
    "correct": (),
    "reset": (),
    "reset-due": (),
    "archive": (),
    "unarchive": (),
    "holds": ("release", "settle"),
    "check": (),
    "statusline": (),
    "config": ("check", "path", "set", "unset"),
    "doctor": (),
    "completion": (),
    "prices": ("list", "show", "set", "import", "diff", "update", "check"),
    "reprice": (),
    "store": ("copy", "info"),
    "key": ("create", "list", "revoke", "rotate"),
    "serve": (),
    "wrap": (),
    "demo": (),
}

_HELP = "A spending cap for language-model calls: hold before, settle after."
_EXAMPLES = """
budget create --user ann --total 10 --every month
budget charge --user ann --model gpt-4o-mini --input-tokens 1200 --output-tokens 300
budget status
"""


def run(env: Env) -> int:
    """Run one command and give its exit code. Whatever happens is said here, in one form."""
    as_json = _asks_for_json(env.argv)
    try:
        # Typer writes its help to `sys.stdout`.
        with redirect_stdout(env.stdout), redirect_stderr(env.stderr):
            code = _called(env)
        env.stdout.flush()
    except BudgetError as error:
        return _failed(env, exits.exit_code(error), error_document(error), as_json=as_json)
    except typer.TyperException as error:
        return _failed(env, exits.USAGE, _usage(error), as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return exits.INTERRUPTED
    except (_ReaderGoneError, BrokenPipeError):
        output.forget_reader(env)
        return exits.READER_GONE
    except OSError as error:
        message = f"{error.strerror or type(error).__name__}{f': {error.filename}' if error.filename else ''}"
        return _failed(env, exits.FAILED, _document("io_error", message), as_json=as_json)
    except Exception as error:  # noqa: BLE001
        if env.environ.get("BUDGET_DEBUG"):
            output.traceback(env)
        # What it says may hold a prompt or a key, so only its kind and place are shown.
        message = f"{type(error).__name__} in {_place(error)} (a bug; please report it)"
        document = _document("bug", message, "BUDGET_DEBUG=1 shows how it came about")
        return _failed(env, exits.FAILED, document, as_json=as_json)
    return code


def _called(env: Env) -> int:
    argv = _command_first(env.argv)
    code = build(argv)(args=argv, prog_name="budget", standalone_mode=False, obj=env)
    return code if isinstance(code, int) else exits.DONE


def _command_first(argv: Sequence[str]) -> list[str]:
    """*argv* with the options that every command has behind all its words: there they are heard."""
    options, rest = _split(argv)
    if not rest or rest[0] not in COMMANDS:
        return list(argv)
    between, after = _split(rest[1:])
    if after and after[0] in COMMANDS[rest[0]]:
        return [rest[0], after[0], *options, *between, *after[1:]]
    return [rest[0], *options, *rest[1:]]


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options at the beginning that every command has, and the rest."""
    at = 0
    while at < len(argv) and argv[at].partition("=")[0] in ("--store", "--project", "--json"):
        at += 2 if argv[at] in ("--store", "--project") else 1
    return list(argv[:at]), list(argv[at:])


def build(argv: Sequence[str]) -> typer.Typer:
    """
    The app with the command that *argv* names, or with the names of all where it names none.

    A command can only stand first, so without one there is nothing to run: a page that lists them, or a
    message that does not know a name. Their options would take most of the time and are not shown.
    """
    app = typer.Typer(
        name="budget",
        help=_HELP,
        epilog=_epilog(_EXAMPLES),
        cls=_Group,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
    )
    app.callback(invoke_without_command=True)(_top)
    if not argv or argv[0] not in COMMANDS:
        for name in COMMANDS:
            app.command(name, short_help=_first_line(_function(_module(name), name)))(_nothing)
        return app
    name = argv[0]
    if COMMANDS[name]:
        app.add_typer(_group(_module(name), name))
    else:
        _add(app, _module(name), name, examples=_module(name).EXAMPLES)
    return app


def _module(name: str) -> ModuleType:
    return import_module(f".commands.{_identifier(name)}", __package__)


def _function(module: ModuleType, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(module, _identifier(name))
    return found


def _first_line(function: Callable[..., Any]) -> str:
    """What it does; Typer cuts a first line that it takes itself, one that is given is wrapped."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _nothing() -> None:
    """Stands for a command in a list of them."""


def _group(module: ModuleType, name: str) -> typer.Typer:
    """A command that has subcommands; alone it does what the function of its own name does."""
    alone = _function(module, name)
    group = typer.Typer(name=name, cls=_Group, rich_markup_mode=None, epilog=_epilog(module.EXAMPLES))
    group.callback(invoke_without_command=True)(_front(alone))
    for each in COMMANDS[name]:
        _add(group, module, each, examples=getattr(module, f"{each.upper()}_EXAMPLES"))
    return group


def _add(app: typer.Typer, module: ModuleType, name: str, *, examples: str) -> None:
    function = _function(module, name)
    app.command(name, cls=_Command, short_help=_first_line(function), epilog=_epilog(examples))(
        _front(function)
    )


def _front(function: Callable[..., Any]) -> Callable[..., int]:
    """
    *function* as Typer calls it: with the options that every command has, and with its result shown.

    A command takes a session and its own options, and gives back a result.
    """

    def front(
        context: typer.Context, *, json: bool, store: str | None, project: str | None, **own: Any
    ) -> int:
        if context.invoked_subcommand is not None:
            return exits.DONE
        session = Session(context.obj, run=run, store=store, project=project, as_json=json)
        try:
            result = function(session, **own)
            if result is None:
                output.help_text(session.env, context.get_help())
                return exits.DONE
            output.show(result, session.env, as_json=json)
        except BrokenPipeError as error:
            # Typer would make an exit code of its own of it.
            raise _ReaderGoneError from error
        finally:
            session.close()
        return int(result.exit_code)

    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    kind = inspect.Parameter.KEYWORD_ONLY
    shared = {
        "json": (options.Json, False),
        "store": (options.Store, None),
        "project": (options.Project, None),
    }
    front.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("context", kind, annotation=typer.Context),
            *(parameter.replace(kind=kind) for parameter in own),
            *(inspect.Parameter(name, kind, annotation=of, default=at) for name, (of, at) in shared.items()),
        ]
    )
    front.__doc__ = function.__doc__
    front.__name__ = function.__name__
    return front


def _top(
    context: typer.Context, *, version: bool = typer.Option(False, "--version", help="Show the version.")
) -> None:
    env: Env = context.obj
    if version:
        from importlib.metadata import version as version_of

        output.help_text(env, f"budget {version_of('llm-budgets')}")
    elif context.invoked_subcommand is None:
        output.help_text(env, context.get_help())


class _ReaderGoneError(Exception):
    """Raised in place of `BrokenPipeError`, which Typer takes for itself."""


class _AsGiven:
    """Hands a parameter's value on as it is: options here are text or flags, and commands read the text."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """See `RuntimeParam.coerce` in Typer 0.29."""
        del param, ctx
        return value


# What Typer has already when it has parsed: the text, or the flag.
_PLAIN = (str, bool, list[str])


class _Unconverted:
    """
    Spares each parameter its pydantic adapter, which Typer 0.29 builds even for plain text.

    Other versions, that do not ask for `get_runtime_param`, are as right without this; those that still
    build adapters are slower, and a test notices. See docs/decisions/0002-typer-version.md.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, `--help` among them."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(getattr(param, "type_descriptor", None), "annotation", None) in _PLAIN:
                param.get_runtime_param = _AsGiven
        return params


class _Command(_Unconverted, TyperCommand):
    pass


class _Group(_Unconverted, TyperGroup):
    pass


def _identifier(name: str) -> str:
    """The function of that command; `import` is a word of the language, so its function is `import_`."""
    plain = name.replace("-", "_")
    return f"{plain}_" if iskeyword(plain) else plain


def _epilog(examples: str) -> str:
    """Examples at the end of a help page; the mark keeps their lines as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in examples.strip().splitlines())])


def _asks_for_json(argv: Sequence[str]) -> bool:
    own = argv[: argv.index("--")] if "--" in argv else argv
    return "--json" in own


def _failed(env: Env, exit_code: int, error: Mapping[str, Any], *, as_json: bool) -> int:
    try:
        output.fail(env, error, as_json=as_json)
        env.stdout.flush()
    except OSError as failure:
        output.forget_reader(env)
        if as_json and not isinstance(failure, BrokenPipeError):
            # A full disk takes no document; a person may still read it.
            output.fail(env, error, as_json=False)
    return exit_code


def _usage(error: typer.TyperException) -> dict[str, Any]:
    """A usage error in our form; Typer's say which help page to read."""
    if isinstance(error, exits.UsageError):
        return _document("usage", error.message, error.hint)
    message = error.format_message().strip().rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "budget"
    hint = f"`{command} --help` shows what it takes"
    if command.endswith(" wrap"):
        hint = f"{hint}; a program with its options comes after `--`"
    return _document("usage", message[:1].lower() + message[1:], hint)


def _document(code: str, message: str, hint: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "hint": hint}


def _place(error: Exception) -> str:
    """The innermost line of ours that took part."""
    from traceback import extract_tb

    frame = extract_tb(error.__traceback__)[-1]
    return f"{frame.filename.replace(chr(92), '/').rpartition('/')[2]}:{frame.lineno}"
