"""
What a program under a gateway finds in its environment: our addresses in place of the providers', one run
key in place of real ones.

Programs find their provider by variables that their client libraries read. Each is set in the form that its
readers expect (`OPENAI_BASE_URL` ends in `/v1`, `ANTHROPIC_BASE_URL` does not), and only where the gateway
serves the paths that they then call.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from budgets.errors import InvalidValueError
from budgets.gateway.targets import Target, origin_of
from budgets.providers import PROVIDERS, Provider, named


@dataclass(frozen=True, slots=True)
class Pointer:
    """A variable that points programs at a provider."""

    variable: str
    # The provider's id; also the name of its target, and so the first segment of its paths.
    provider: str
    # Where its readers call when it is not set, in the form that they expect.
    url: str
    # Who reads it: a page, or a client library's source.
    page: str


_LITELLM = "https://docs.litellm.ai/docs/providers"

POINTERS: tuple[Pointer, ...] = (
    Pointer(
        "OPENAI_BASE_URL", "openai", "https://api.openai.com/v1", "https://github.com/openai/openai-python"
    ),
    Pointer("OPENAI_API_BASE", "openai", "https://api.openai.com/v1", f"{_LITELLM}/openai"),
    Pointer(
        "ANTHROPIC_BASE_URL",
        "anthropic",
        "https://api.anthropic.com",
        "https://docs.anthropic.com/en/docs/claude-code/llm-gateway",
    ),
    Pointer("ANTHROPIC_API_BASE", "anthropic", "https://api.anthropic.com", f"{_LITELLM}/anthropic"),
    Pointer(
        "GOOGLE_GEMINI_BASE_URL",
        "google",
        "https://generativelanguage.googleapis.com",
        "https://github.com/googleapis/python-genai",
    ),
    # Its reader adds `/models/...` when there is a path.
    Pointer(
        "GEMINI_API_BASE",
        "google",
        "https://generativelanguage.googleapis.com/v1beta",
        f"{_LITELLM}/gemini",
    ),
    Pointer("MISTRAL_API_BASE", "mistral", "https://api.mistral.ai/v1", f"{_LITELLM}/mistral"),
    Pointer("DEEPSEEK_API_BASE", "deepseek", "https://api.deepseek.com", f"{_LITELLM}/deepseek"),
    # The library adds `/openai/v1` itself.
    Pointer("GROQ_BASE_URL", "groq", "https://api.groq.com", "https://github.com/groq/groq-python"),
    Pointer("GROQ_API_BASE", "groq", "https://api.groq.com/openai/v1", f"{_LITELLM}/groq"),
    Pointer("XAI_API_BASE", "x-ai", "https://api.x.ai/v1", f"{_LITELLM}/xai"),
    Pointer(
        "OPENROUTER_BASE_URL", "openrouter", "https://openrouter.ai/api/v1", "https://openrouter.ai/docs"
    ),
    Pointer("OPENROUTER_API_BASE", "openrouter", "https://openrouter.ai/api/v1", f"{_LITELLM}/openrouter"),
    Pointer("CO_API_URL", "cohere", "https://api.cohere.com", "https://github.com/cohere-ai/cohere-python"),
    Pointer(
        "TOGETHER_BASE_URL",
        "together",
        "https://api.together.xyz/v1",
        "https://github.com/togethercomputer/together-python",
    ),
    Pointer("TOGETHER_AI_API_BASE", "together", "https://api.together.xyz/v1", f"{_LITELLM}/togetherai"),
    Pointer(
        "FIREWORKS_API_BASE", "fireworks", "https://api.fireworks.ai/inference/v1", f"{_LITELLM}/fireworks_ai"
    ),
    # The library adds `/v1` itself.
    Pointer(
        "CEREBRAS_BASE_URL",
        "cerebras",
        "https://api.cerebras.ai",
        "https://github.com/Cerebras/cerebras-cloud-sdk-python",
    ),
    Pointer("CEREBRAS_API_BASE", "cerebras", "https://api.cerebras.ai/v1", f"{_LITELLM}/cerebras"),
    Pointer("MOONSHOT_API_BASE", "moonshotai", "https://api.moonshot.ai/v1", f"{_LITELLM}/moonshot"),
    Pointer("ZAI_API_BASE", "zai", "https://api.z.ai/api/paas/v4", f"{_LITELLM}/zai"),
    Pointer("HOSTED_VLLM_API_BASE", "vllm", "http://localhost:8000/v1", f"{_LITELLM}/vllm"),
)

# A key that its provider takes as a bearer token only.
# https://docs.anthropic.com/en/docs/claude-code/llm-gateway
_BEARER_VARIABLES: Mapping[str, str] = {"anthropic": "ANTHROPIC_AUTH_TOKEN"}

# The same for Azure, where the configuration file says which model each deployment is: who reads it adds
# `/openai/deployments/NAME/...`.
# https://github.com/openai/openai-python/blob/main/src/openai/lib/azure.py, and LiteLLM's `providers/azure`
_AZURE_ADDRESSES = ("AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE")
_AZURE_KEYS = ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY")

# Keys whose calls would pass by, beside those of providers that no variable points at us.
_NOT_SERVED = frozenset(
    (
        "AWS_BEARER_TOKEN_BEDROCK",
        *_AZURE_KEYS,
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CODEX_API_KEY",
        "OPENAI_ADMIN_KEY",
        "REPLICATE_API_TOKEN",
        "VOYAGE_API_KEY",
    )
)
# Keys of whole accounts: programs need them for more than models.
_OF_ACCOUNTS = frozenset(("SCW_SECRET_KEY", "WANDB_API_KEY"))
# What keys of model providers look like, whatever their variable is called. Google's are left out: maps and
# other services have the same form.
_KEY_FORM = re.compile(r"(?:sk-|gsk_|xai-|pplx-|csk-|r8_)[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True, slots=True)
class Plan:
    """Which targets there are, and what a program under them finds in its environment."""

    targets: tuple[Target, ...]
    # Variable -> the path at the gateway.
    addresses: Mapping[str, str]
    # Variables with a real key, which get the run key.
    keys: tuple[str, ...]
    # Variables with a real key for what is not served here.
    taken_out: tuple[str, ...]
    # Variables that stay as they are, though they may lead past the gateway.
    kept: tuple[str, ...]

    def environment(self, environ: Mapping[str, str], *, url: str, key: str) -> dict[str, str]:
        """
        The environment of a program.

        Args:
            environ: The one that it would have had.
            url: The gateway's address, without a slash at the end.
            key: The run key.
        """
        without = {name: value for name, value in environ.items() if name not in self.taken_out}
        # A proxy of the company's has nothing to say about calls that stay on this machine.
        reached = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        direct = ",".join(dict.fromkeys([*filter(None, reached.split(",")), "127.0.0.1"]))
        return {
            **without,
            **{variable: url + path for variable, path in self.addresses.items()},
            **dict.fromkeys(self.keys, key),
            "no_proxy": direct,
            "NO_PROXY": direct,
        }


def planned(environ: Mapping[str, str], keep: Collection[str] = (), *, azure: Sequence[Target] = ()) -> Plan:
    """
    The plan for a program that would have run in *environ*.

    Args:
        keep: Variables that are to stay as they are.
        azure: Where Azure's deployments are; an address that is set chooses among them, else it is the first.

    Raises:
        InvalidValueError: a variable names no HTTP address, or two of one provider name different hosts; or
            a place of Azure's has a provider's name.
    """
    targets: list[Target] = []
    addresses: dict[str, str] = {}
    keys: list[str] = []
    for provider in dict.fromkeys(each.provider for each in POINTERS):
        pointers = [each for each in POINTERS if each.provider == provider]
        target = _target(named(provider), pointers, environ)
        targets.append(target)
        addresses |= {each.variable: f"/{target.name}{_path(each, pointers, environ)}" for each in pointers}
        keys += [name for name in _key_variables(named(provider)) if _said(environ, name)]
    for target in azure:
        if any(target.name == each.name for each in targets):
            raise InvalidValueError(
                f"the upstream {target.name} has deployments, and the name of a provider that has none",
                hint="call it azure, or by another name of its own",
            )
    if azure:
        targets += azure
        addresses |= _azure_addresses(azure, environ)
        own = (name for each in azure for name in each.provider.key_variables)
        keys += [
            name for name in dict.fromkeys((*_AZURE_KEYS, *own)) if _said(environ, name) and name not in keys
        ]
    secrets = {environ[name] for name in keys}
    served = {*keys, *addresses}
    taken_out = [name for name in environ if name not in served and _is_key(name, environ[name], secrets)]
    return Plan(
        targets=tuple(targets),
        addresses={name: path for name, path in addresses.items() if name not in keep},
        keys=tuple(name for name in keys if name not in keep),
        taken_out=tuple(sorted(name for name in taken_out if name not in keep)),
        kept=tuple(sorted(name for name in keep if name in (*served, *taken_out))),
    )


def _target(provider: Provider, pointers: list[Pointer], environ: Mapping[str, str]) -> Target:
    usual = origin_of(pointers[0].url)[0]
    said = {
        each.variable: _origin_said(each.variable, url)
        for each in pointers
        if (url := _said(environ, each.variable))
    }
    if len(set(said.values())) > 1:
        raise InvalidValueError(
            f"{' and '.join(said)} point to different hosts", hint="unset all but one of them"
        )
    origin = next(iter(said.values()), usual)
    variables = [name for name in _key_variables(provider) if _said(environ, name)]
    key = _said(environ, variables[0]) if variables else None
    needed = key is None and origin == usual and not provider.local
    return Target(
        provider.id,
        _provider_at(origin) or provider,
        origin,
        key,
        missing_key=_key_variables(provider) if needed else (),
        bearer=bool(variables) and variables[0] == _BEARER_VARIABLES.get(provider.id),
    )


def _origin_said(variable: str, url: str) -> str:
    try:
        return origin_of(url)[0]
    except InvalidValueError as error:
        raise InvalidValueError(f"{variable}: {error.message}", hint=error.hint) from error


def _azure_addresses(azure: Sequence[Target], environ: Mapping[str, str]) -> dict[str, str]:
    """Variable -> the path at the gateway; an address that nobody has described is left as it is."""
    found: dict[str, str] = {}
    for variable in _AZURE_ADDRESSES:
        url = _said(environ, variable)
        origin = _origin_said(variable, url) if url is not None else azure[0].origin
        at = next((each for each in azure if each.origin == origin), None)
        if at is not None:
            found[variable] = f"/{at.name}"
    return found


def _path(pointer: Pointer, pointers: list[Pointer], environ: Mapping[str, str]) -> str:
    """The path that comes before a call's own: as its owner says, or as a variable of the same form says."""
    same = [pointer, *(each for each in pointers if each.url == pointer.url)]
    said: Iterator[str] = (url for each in same if (url := _said(environ, each.variable)))
    return origin_of(next(said, pointer.url))[1]


def _provider_at(origin: str) -> Provider | None:
    """Whose prices count there: programs of one provider are often pointed at another one."""
    host = urlsplit(origin).hostname
    return next(
        (each for each in PROVIDERS if not each.local and urlsplit(each.base_url).hostname == host), None
    )


def _key_variables(provider: Provider) -> tuple[str, ...]:
    bearer = _BEARER_VARIABLES.get(provider.id)
    return (*provider.key_variables, bearer) if bearer else provider.key_variables


def _is_key(name: str, value: str, secrets: Collection[str]) -> bool:
    """Whether it is a real key: by its name, by its form, or the same as one that we know."""
    if name in _OF_ACCOUNTS:
        return False
    known = name in _NOT_SERVED or any(name in each.key_variables for each in PROVIDERS)
    return bool(value.strip()) and (known or value in secrets or bool(_KEY_FORM.fullmatch(value.strip())))


def _said(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name, "").strip() or None
