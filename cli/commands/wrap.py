"""`budget wrap`: one completion, or any program, under a budget."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal, TypeAlias, cast

import typer

from budgets.money import shown

from ..exits import UsageError
from ..one_call import BOTH_FORMS, Asked, complete
from ..options import Model, Provider, User, count
from ..prompting import Messages, RequestFile, System
from ..results import Result
from ..session import Session

EXAMPLES = """
budget wrap --user ann --model gpt-4o-mini "Name three rivers"
budget wrap --user ann --model claude-haiku-4-5 --max-output-tokens 300 --stream < question.txt
budget wrap --user ann --request request.json --json
budget wrap --user ann -- python agent.py
budget wrap --total 2 --stop -- make evals
"""

Words: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PROMPT | -- COMMAND",
        help="What to say, in quotes, else it is read from stdin; or after `--` a program and its arguments.",
    ),
]


def wrap(
    session: Session,
    words: Words = None,
    user: User = None,
    patience: Annotated[
        str | None,
        typer.Option(metavar="SECONDS", help="How long to wait where only running calls stand in the way."),
    ] = None,
    model: Model = None,
    provider: Provider = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Another endpoint; without --provider any OpenAI-compatible one, without a key.",
        ),
    ] = None,
    messages: Messages = None,
    request: RequestFile = None,
    system: System = None,
    max_output_tokens: Annotated[
        str | None,
        typer.Option(metavar="N", help="The longest answer; else what the budget and the model allow."),
    ] = None,
    temperature: Annotated[
        str | None, typer.Option(metavar="T", help="From 0 to 2, as the provider takes it.")
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Show the answer as it comes; so on a terminal."),
    ] = None,
    total: Annotated[
        str | None,
        typer.Option(
            metavar="USD", help="Program: a budget for this run alone, below the user's where there is one."
        ),
    ] = None,
    stop: Annotated[
        bool, typer.Option("--stop", help="Program: end it at the first call that no longer fits.")
    ] = False,
    fail_on_refusal: Annotated[
        bool, typer.Option("--fail-on-refusal", help="Program: exit code 3 where a call was refused.")
    ] = False,
    require_calls: Annotated[
        bool, typer.Option("--require-calls", help="Program: exit code 125 where no call was seen.")
    ] = False,
    cut: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="Program: a stream that outgrows its hold ends as at its limit (length), or with an error.",
        ),
    ] = None,
    keep_env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Program: leave this variable as it is; may be repeated."),
    ] = None,
    env_only: Annotated[
        bool,
        typer.Option("--env-only", help="Run no program: print the variables, and answer calls until ended."),
    ] = False,
    json_summary: Annotated[
        str | None, typer.Option(metavar="FILE", help="Program: what it came to, as one JSON document.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Program: no warnings, and no line at the end.")
    ] = False,
) -> Result:
    """
    Make one completion, or run any program, under a budget.

    A completion: the most it can cost is held before it leaves, and what it did cost is charged when it is
    done. The answer goes to stdout; tokens, cost, and what is left to stderr. The provider's key is read from
    its usual environment variable. A provider that is not reached or too busy is tried twice more. Refused:
    exit code 3, nothing was sent. Busy after --patience: 75.

    A program: all its calls, and those of its children, go through a gateway on this machine, which holds and
    charges each. It finds the gateway by the variables that client libraries read, and gets a key for this
    run in place of the real ones. Exit code: the program's own; 125 where it could not be run.
    """
    asked = Asked(
        words, model, provider, base_url, messages, request, system, max_output_tokens, temperature, stream
    )
    waits = count("--patience", patience)
    behind = session.env.argv[session.env.argv.index("--") + 1 :] if "--" in session.env.argv else None
    if behind is None and not env_only:
        for option, given in (
            ("--total", total is not None),
            ("--stop", stop),
            ("--fail-on-refusal", fail_on_refusal),
            ("--require-calls", require_calls),
            ("--cut", cut is not None),
            ("--keep-env", bool(keep_env)),
            ("--json-summary", json_summary is not None),
            ("--quiet", quiet),
        ):
            if given:
                hint = f"put `--` in front of it: `-- {shlex.join(words)}`" if words else BOTH_FORMS
                raise UsageError(f"{option} is for a program, and there is none after `--`", hint=hint)
        return complete(session, asked, user=user, patience=waits)
    if asked.options:
        raise UsageError(
            f"`--` runs a program, {asked.options[0]} asks for a completion: give one of them",
            hint=BOTH_FORMS,
        )
    if tuple(words or ()) != (behind or ()):
        raise UsageError(
            "there are words in front of `--`", hint="the program and its arguments come after it"
        )
    if env_only == bool(words):
        said = "--env-only runs no program" if env_only else "there is no program after `--`"
        raise UsageError(said, hint="give one of `--env-only` and `-- COMMAND`")
    if cut not in (None, "length", "error"):
        raise UsageError(f"there is no {shown(cut)} for --cut", hint="one of length, error")
    if session.as_json:
        raise UsageError("stdout is the program's own", hint="`--json-summary FILE` has the document")
    from ..programs import Run, run

    return run(
        session,
        Run(
            words=tuple(words or ()),
            user=user,
            total=total,
            patience_seconds=waits,
            cut=cast("Literal['length', 'error'] | None", cut),
            keep=tuple(keep_env or ()),
            stop=stop,
            fail_on_refusal=fail_on_refusal,
            require_calls=require_calls,
            summary_file=json_summary,
            quiet=quiet,
        ),
    )
