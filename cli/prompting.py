"""Requests from the command line: a prompt, a file of messages, or a whole request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from budgets.errors import InvalidValueError

from .env import Env
from .exits import UsageError

if TYPE_CHECKING:
    from budgets.asks import Ask
    from budgets.providers import Provider

Prompt: TypeAlias = Annotated[
    str | None, typer.Option("--prompt", metavar="TEXT", help="One message of a user.")
]
Messages: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--messages", metavar="FILE", help="A JSON list of messages with role and content; - for stdin."
    ),
]
System: TypeAlias = Annotated[str | None, typer.Option("--system", metavar="TEXT", help="The system prompt.")]
RequestFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--request", metavar="FILE", help="A whole request body as the provider takes it; - for stdin."
    ),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request body in the dialect of who will serve it."""

    provider: Provider
    # Texts are never shown.
    body: Mapping[str, Any] = field(repr=False)

    @property
    def price_provider(self) -> str | None:
        """Whose prices count. A model on one's own machine has only the owner's, whatever serves it."""
        return None if self.provider.local else self.provider.id

    def ask(self) -> Ask:
        """
        What the body asks for.

        Raises:
            InvalidValueError: it is no request of the provider's dialect; the message names the field.
        """
        from budgets.dialects import by_name

        return by_name(self.provider.dialect).read_request(self.body)


def read_request(
    env: Env,
    *,
    model: str | None,
    provider: str | None,
    prompt: str | None,
    messages: str | None,
    request: str | None,
    system: str | None = None,
    temperature: float | None = None,
    stream: bool = False,
) -> Wanted:
    """
    The request that the options stand for.

    Raises:
        UsageError: it is said in no way or in several, or no model is named.
        InvalidValueError: a file cannot be read or is no JSON, or nobody is known to serve the model.
    """
    from budgets.dialects import by_name
    from budgets.providers import find_provider

    if sum(each is not None for each in (prompt, messages, request)) != 1:
        raise UsageError(
            "say what is to be sent in one way", hint="give --prompt, --messages FILE, or --request FILE"
        )
    if request is not None:
        if system is not None or temperature is not None:
            raise UsageError(
                "a whole request has its own system prompt and settings", hint="put them into the file"
            )
        body = read_json(env, request, "--request")
        if not isinstance(body, dict):
            raise InvalidValueError(
                "--request: the file is not a JSON object", hint="give a whole request body"
            )
        found, name = find_provider(_model(model, body.get("model")), provider)
        return Wanted(found, {**body, "model": name})
    found, name = find_provider(_model(model, None), provider)
    listed = (
        [{"role": "user", "content": prompt}] if messages is None else read_json(env, messages, "--messages")
    )
    if not isinstance(listed, list) or not listed:
        raise InvalidValueError(
            "--messages: the file is not a JSON list of messages",
            hint='for instance [{"role": "user", "content": "Name three rivers"}]',
        )
    body = by_name(found.dialect).build_request(
        model=name, messages=listed, system=system, temperature=temperature, stream=stream
    )
    return Wanted(found, body)


def _model(said: str | None, written: object) -> str:
    if said is None and written is None:
        raise UsageError("no model was named", hint="add --model NAME, for instance gpt-4o-mini")
    if said is not None and written not in (None, said):
        raise UsageError("--model and the file name different models", hint="leave out --model")
    name = said if said is not None else written
    if not isinstance(name, str) or not name.strip():
        raise InvalidValueError("the model's name is not a text", hint='for instance "gpt-4o-mini"')
    return name


def read_text(env: Env, file: str, option: str) -> str:
    """
    The text of a file, `-` for stdin.

    Raises:
        InvalidValueError: it cannot be read, or is not UTF-8.
    """
    try:
        return env.stdin.read() if file == "-" else read_bytes(file, option).decode()
    except UnicodeDecodeError as error:
        raise InvalidValueError(
            f"{option}: {file} is not UTF-8 text", hint="save it as UTF-8", option=option
        ) from error


def read_bytes(file: str, option: str) -> bytes:
    """
    What is in a file.

    Raises:
        InvalidValueError: it cannot be read.
    """
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidValueError(
            f"{option}: cannot read {file}: {error.strerror}",
            hint="check the path; - means stdin",
            option=option,
        ) from error


def read_json(env: Env, file: str, option: str) -> Any:
    """
    The JSON document of a file, `-` for stdin.

    Raises:
        InvalidValueError: it cannot be read, or is no JSON.
    """
    import json

    text = read_text(env, file, option)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        # The reason alone would not say enough, and more of the text may be private.
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidValueError(
            f"{option}: {'stdin' if file == '-' else file} is no JSON{where}",
            hint="give one JSON document",
            option=option,
        ) from error
