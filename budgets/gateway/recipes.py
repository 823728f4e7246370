"""
Programs that need more than variables, and what else would let a program pass the gateway by.

A recipe is about what a program reads besides its environment: settings, a login, a way to its provider that
is no HTTP request.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budgets.gateway.environment import POINTERS
from budgets.providers import PROVIDERS


@dataclass(frozen=True, slots=True)
class Prepared:
    """A command line and its environment, ready to be run."""

    words: tuple[str, ...]
    environ: Mapping[str, str]
    # What may lead past the gateway all the same.
    warnings: tuple[str, ...]


def prepared(
    words: Sequence[str],
    environ: Mapping[str, str],
    *,
    keep: Collection[str],
    key: str,
    home: Path,
    folder: Path,
) -> Prepared:
    """
    A program as its recipe wants it.

    Args:
        words: The program and its arguments.
        environ: With our addresses and the run key (`Plan.environment`).
        keep: Variables that are to stay as they are.
        key: The run key.
        home: Where settings and logins are.
        folder: Where it is started.
    """
    name = Path(words[0]).name
    warnings = [*_dotenv(folder, environ), *_logins(name, home)]
    if name == "claude":
        warnings += _claude_settings(environ, home, folder)
        return Prepared(tuple(words), _claude(environ, keep, key), tuple(warnings))
    if name == "codex":
        return Prepared(_codex(words, environ), {**environ, _CODEX_KEY: key}, tuple(warnings))
    return Prepared(tuple(words), environ, tuple(warnings))


# Claude Code: https://docs.anthropic.com/en/docs/claude-code/llm-gateway
# and https://docs.anthropic.com/en/docs/claude-code/settings
# These send it to a cloud in place of its base URL.
_CLAUDE_CLOUDS = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")
_CLAUDE_SETTINGS = ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", *_CLAUDE_CLOUDS)


def _claude(environ: Mapping[str, str], keep: Collection[str], key: str) -> dict[str, str]:
    """A token goes before its stored login, and is not asked about as a key is."""
    void = {"ANTHROPIC_API_KEY", *_CLAUDE_CLOUDS} - set(keep)
    token = {} if "ANTHROPIC_AUTH_TOKEN" in keep else {"ANTHROPIC_AUTH_TOKEN": key}
    return {**{name: environ[name] for name in environ if name not in void}, **token}


def _claude_settings(environ: Mapping[str, str], home: Path, folder: Path) -> Iterator[str]:
    own = Path(environ["CLAUDE_CONFIG_DIR"]) if environ.get("CLAUDE_CONFIG_DIR") else home / ".claude"
    for file in (
        Path("/etc/claude-code/managed-settings.json"),
        folder / ".claude" / "settings.local.json",
        folder / ".claude" / "settings.json",
        own / "settings.json",
    ):
        variables = _object(_object(_read_json(file)).get("env"))
        for name in _CLAUDE_SETTINGS:
            if name in variables:
                yield (
                    f"{file} sets {name}, which goes before the environment: calls may pass the budget by;"
                    " take it out there"
                )


# Programs whose own login is used before anything in the environment: the file, and what to do instead.
# https://github.com/google-gemini/gemini-cli/blob/main/docs/get-started/authentication.md
# https://opencode.ai/docs/providers
_LOGINS: Mapping[str, tuple[str, str]] = {
    "gemini": (".gemini/oauth_creds.json", "choose the API key in its /auth"),
    "opencode": (".local/share/opencode/auth.json", "take it out with `opencode auth logout`"),
}


def _logins(name: str, home: Path) -> Iterator[str]:
    file, instead = _LOGINS.get(name, ("", ""))
    if file and (home / file).exists():
        yield f"{name} has a login of its own in {home / file}: its calls may pass the budget by; {instead}"


# Programs of one provider -> the provider; they can do nothing where the gateway has no key of its.
NEEDED: Mapping[str, str] = {"claude": "anthropic", "codex": "openai"}

_CODEX_KEY = "BUDGET_RUN_KEY"


def _codex(words: Sequence[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """
    Codex reads no address from the environment, and its own provider has a login that goes before a key.

    https://developers.openai.com/codex/config-reference, `model_providers`
    """
    provider = {
        "name": json.dumps("OpenAI through budget"),
        "base_url": json.dumps(environ["OPENAI_BASE_URL"]),
        "env_key": json.dumps(_CODEX_KEY),
        "wire_api": json.dumps("responses"),
        # A call by WebSocket would not be metered.
        "supports_websockets": "false",
        # Else it asks five times again where a budget is used up: refusals of every status count as these.
        "stream_max_retries": "0",
    }
    table = ", ".join(f"{name} = {value}" for name, value in provider.items())
    program, *rest = words
    return (program, "-c", 'model_provider="budget"', "-c", f"model_providers.budget={{ {table} }}", *rest)


def _dotenv(folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Keys and addresses in `.env`: most programs that read it leave what is set as it is."""
    try:
        lines = (folder / ".env").read_text("utf-8", "replace").splitlines()
    except OSError:
        # There is none, or it is not for us; then most likely not for the program either.
        return
    named = {line.removeprefix("export ").partition("=")[0].strip() for line in lines if "=" in line}
    ours = {name for each in PROVIDERS for name in each.key_variables} | {each.variable for each in POINTERS}
    if unset := sorted(name for name in named & ours if name not in environ):
        yield (
            f".env has {', '.join(unset)}, which the gateway does not know: `set -a; . ./.env; set +a` first,"
            " so that it has the key and not the program"
        )


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        # Whoever wrote it hears of it from the program that it is for.
        return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
