"""Where the gateway may call, with whose key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from budgets.dialects import reading
from budgets.errors import InvalidValueError, MissingKeyError
from budgets.money import shown
from budgets.providers import Provider

# What stands between the server and the dialect's own path, where a client is told only the server.
_USUAL_BASES = {"openai": "/v1", "gemini": "/v1beta"}

# Azure has one address for its older paths, with the deployment in them, and one for its newer ones; clients
# know both. https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle
_AZURE_PATHS = "/openai/"

_MODEL_IN_PATH = re.compile(r"(?<=/)(models?)/[^:]+?(?=:|/converse|/invoke|$)")


def family(dialect: str) -> str:
    """Dialects of one family are spoken under one base URL: `openai` of `openai-chat`."""
    return dialect.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Target:
    """One upstream that may be called."""

    # The first segment of its paths at the gateway: `groq` of `/groq/openai/v1/chat/completions`.
    name: str
    provider: Provider
    # Scheme, host and port; what follows the gateway's own segment is appended.
    origin: str
    # `None`: it wants none, or there is none (see `missing_key`).
    key: str | None = field(default=None, repr=False)
    # The name that the model has there, where it is not the one that callers use.
    model: str | None = None
    # Which variables were looked at, where a key is needed and there is none.
    missing_key: tuple[str, ...] = ()
    # Family of dialects -> the path that its calls have in front there. Empty: callers know it themselves.
    bases: Mapping[str, str] = field(default_factory=dict)
    # The key goes as a bearer token, wherever the dialect would put it.
    bearer: bool = False
    # Azure: the deployments there, and the model that each one is; a deployment's name has no price.
    deployments: Mapping[str, str] = field(default_factory=dict)

    def check_key(self) -> None:
        """Raise `MissingKeyError` where a call cannot succeed for want of a key."""
        if self.missing_key:
            raise MissingKeyError(
                f"there is no key for {self.provider.id}",
                hint=f"set {' or '.join(self.missing_key)} where the gateway is started",
                provider=self.provider.id,
                status=None,
            )

    def renamed(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request as this target wants it: with its own name for the model."""
        return body if self.model in (None, body.get("model")) else {**body, "model": self.model}

    def address(self, path: str, dialect: str) -> str:
        """
        Where a call in *dialect* goes that came to *path*: under the target's own base, where it has one.

        A path of Azure's own is whole already.

        Raises:
            InvalidValueError: it does not speak that.
        """
        if not self.bases or (self.deployments and path.startswith(_AZURE_PATHS)):
            return self.origin + path
        base = self.bases.get(family(dialect))
        if base is None:
            spoken = ", ".join(self.bases)
            raise InvalidValueError(f"{self.name} does not speak {dialect}", hint=f"it speaks {spoken}")
        place, mark, query = path.partition("?")
        for front in (base, _USUAL_BASES.get(family(dialect), "")):
            if front and place.startswith(f"{front}/"):
                place = place.removeprefix(front)
                break
        if self.model is not None:
            place = _MODEL_IN_PATH.sub(lambda found: f"{found[1]}/{reading.escaped(self.model or '')}", place)
        return f"{self.origin}{base}{place}{mark}{query}"


class Targets(Protocol):
    """Which targets there are, and which of them a call should go to."""

    def split(self, path: str) -> tuple[str | None, str]:
        """The target that *path* begins with, `None` where it names none, and the rest of the path."""
        ...

    def candidates(self, name: str | None, model: str, dialect: str) -> Sequence[Target]:
        """
        The targets for one call, the one to try first in front.

        Args:
            name: What `split` found.
            model: The model that is asked for.
            dialect: In which dialect.

        Raises:
            InvalidValueError: nobody serves it.
        """
        ...

    def names(self) -> Sequence[str] | None:
        """The models that may be asked for without a target's name; `None`: there is no such list."""
        ...

    def begun(self, target: Target) -> None:
        """A call goes out to it."""
        ...

    def ended(self, target: Target, *, well: bool) -> None:
        """That call came to its end; not *well*: it was not reached, or was too busy to answer."""
        ...


class ByName:
    """Targets that are called by their own first segment, and by nothing else."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = {target.name: target for target in targets}

    def split(self, path: str) -> tuple[str | None, str]:
        """See `Targets.split`."""
        name, slash, rest = path.removeprefix("/").partition("/")
        return (name, slash + rest) if name in self._targets else (None, path)

    def names(self) -> None:
        """See `Targets.names`."""

    def candidates(self, name: str | None, model: str, _dialect: str, /) -> Sequence[Target]:
        """See `Targets.candidates`."""
        if name is None:
            raise InvalidValueError(
                f"the address does not say which provider serves {shown(model)}",
                hint=f"begin the path with one of {', '.join(f'/{each}' for each in self._targets)}",
            )
        return (self._targets[name],)

    def begun(self, target: Target) -> None:
        """Nothing is counted where there is no choice."""

    def ended(self, target: Target, *, well: bool) -> None:
        """Nothing is counted where there is no choice."""


def origin_of(url: str) -> tuple[str, str]:
    """
    The scheme, host and port of *url*, and its path without a slash at the end.

    Raises:
        InvalidValueError: it is no HTTP address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidValueError(
            f"{shown(url)} is no HTTP address", hint="for instance https://api.openai.com/v1"
        )
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
