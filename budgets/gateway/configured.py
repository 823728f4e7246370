"""
The tables of the configuration file that say where a gateway may call: `upstreams`, `models`, and `users`.

Keys are never in the file: it names the variables that hold them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from budgets import providers
from budgets.addresses import on_this_machine
from budgets.dialects import NAMES
from budgets.errors import ConfigError, InvalidValueError, UnknownPriceError
from budgets.gateway.targets import Target, family, origin_of
from budgets.money import shown
from budgets.pricing import PriceBook
from budgets.providers import Provider

_UPSTREAM = ("name", "provider", "base_url", "key_variable", "dialect", "deployments")
_MODEL = ("deployments", "aliases")
_DEPLOYMENT = ("upstream", "model", "weight")
_USER = ("models",)

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}", re.ASCII)
# First segments of paths that are not an upstream's.
_TAKEN = frozenset(("v1", "v1beta", "v2", "get_budget", "set_budget", "healthz", "readyz", "metrics", "docs"))
_HEAVIEST = 1_000


@dataclass(frozen=True, slots=True)
class Deployment:
    """One place that serves a model."""

    # Its `model` is the name there.
    target: Target
    # Its share of the calls, against the other deployments of the model.
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Configuration:
    """Where a gateway may call."""

    upstreams: tuple[Target, ...]
    # Name -> who serves it, aliases among the names; `None`: whatever the upstreams have, by its own name.
    models: Mapping[str, tuple[Deployment, ...]] | None = None
    # User -> the only names that the user may ask for; who is not here may ask for any.
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def configuration(tables: Mapping[str, Any], environ: Mapping[str, str]) -> Configuration:
    """
    What the tables say; without `upstreams`, every provider that is not on one's own machine.

    Args:
        tables: The file's tables of those names, as TOML has them.
        environ: Where the keys are.

    Raises:
        ConfigError: a value cannot be used; it says which.
    """
    upstreams = _upstreams(tables["upstreams"], environ) if "upstreams" in tables else _known(environ)
    models = _models(tables["models"], upstreams) if "models" in tables else None
    return Configuration(tuple(upstreams.values()), models, _allowed(tables.get("users", {}), models))


def missing_in(found: Configuration, book: PriceBook, at: datetime) -> Iterator[str]:
    """What its models lack before they can be called, in sentences: keys and prices."""
    deployments = dict.fromkeys(
        (each.target.name, each.target.model or "")
        for each in chain.from_iterable((found.models or {}).values())
    )
    deployments |= dict.fromkeys((each.name, name) for each in found.upstreams for name in each.deployments)
    upstreams = {each.name: each for each in found.upstreams}
    for name in dict.fromkeys(name for name, _ in deployments):
        if upstreams[name].missing_key:
            variables = " or ".join(upstreams[name].missing_key)
            yield f"{variables} is not set here, and the upstream {name} needs it"
    for name, deployment in deployments:
        provider = upstreams[name].provider
        model = upstreams[name].deployments.get(deployment, deployment)
        try:
            book.find(model, provider=None if provider.local else provider.id, at=at)
        except UnknownPriceError:
            if not provider.bills_in_reply:
                yield f"{model} at {name} has no price, so it is refused; `budget prices set` gives it one"


def _known(environ: Mapping[str, str]) -> dict[str, Target]:
    """Every provider of the table, as its usual variables have it."""
    try:
        return {
            each.id: _target(each.id, each, providers.base_url(each, environ), environ)
            for each in providers.PROVIDERS
            if not each.local
        }
    except InvalidValueError as error:
        raise ConfigError(error.message, hint=error.hint) from error


def _upstreams(rows: Any, environ: Mapping[str, str]) -> dict[str, Target]:
    if not isinstance(rows, list) or not rows:
        raise ConfigError("upstreams is no list of tables", hint="begin each one with [[upstreams]]")
    found: dict[str, Target] = {}
    for number, row in enumerate(rows, 1):
        where = f"upstream {number}"
        _check_keys(row, _UPSTREAM, where)
        name = _text(row, "name", where)
        if name is None or not _NAME.fullmatch(name) or name in _TAKEN or name in found:
            raise ConfigError(
                f"{where} has the name {shown(str(name))}",
                hint="a name of its own: up to 40 small letters, digits, dots, and hyphens;"
                f" not {', '.join(sorted(_TAKEN))}",
            )
        found[name] = _upstream(name, row, f"the upstream {name}", environ)
    return found


def _upstream(name: str, row: Mapping[str, Any], where: str, environ: Mapping[str, str]) -> Target:
    said = _text(row, "provider", where)
    url, variable, dialect = (_text(row, key, where) for key in ("base_url", "key_variable", "dialect"))
    if dialect is not None and dialect not in NAMES:
        raise ConfigError(f"{where} has the dialect {shown(dialect)}", hint=f"one of {', '.join(NAMES)}")
    try:
        provider = providers.named(said or name)
    except InvalidValueError as error:
        if said is not None or url is None:
            raise ConfigError(
                f"{where} has no base_url, and {shown(said or name)} is no provider that is known here",
                hint=f"add base_url, or provider: {error.hint}",
            ) from error
        # Nobody has its prices but its owner.
        provider = Provider(name, dialect or "openai-chat", url, documentation="", local=variable is None)
    if dialect is not None and dialect != provider.dialect:
        provider = replace(provider, dialect=dialect, other_base_urls={})
    if url is not None:
        provider = replace(provider, base_url=url.rstrip("/"), other_base_urls={})
    if variable is not None:
        provider = replace(provider, key_variables=(variable,))
    try:
        target = replace(
            _target(name, provider, provider.base_url, environ, wanted=variable is not None),
            deployments=_deployments(row, where),
        )
    except InvalidValueError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error
    parts = urlsplit(provider.base_url)
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"the base_url of {where} has more than an address and a path",
            hint="name the variable that holds the key with key_variable",
        )
    if provider.key_variables and parts.scheme == "http" and not on_this_machine(parts.hostname or ""):
        raise ConfigError(
            f"the key of {where} would travel unprotected", hint="give a base_url that begins with https://"
        )
    return target


def _deployments(row: Mapping[str, Any], where: str) -> dict[str, str]:
    """Azure's: the model that each deployment is."""
    table = row.get("deployments", {})
    if not isinstance(table, Mapping):
        raise ConfigError(
            f"{where} has {table!r} as its deployments",
            hint='the model that each one is: { "my-deployment" = "gpt-4o-mini" }',
        )
    return {name: _text(table, name, f"deployments of {where}") or name for name in table}


def _target(
    name: str, provider: Provider, url: str, environ: Mapping[str, str], *, wanted: bool = False
) -> Target:
    """
    The upstream at *url*.

    Args:
        wanted: It needs its key, although it is on one's own machine.
    """
    origin, path = origin_of(url)
    bases = {family(provider.dialect): path}
    if url == provider.base_url:
        bases |= {family(name): origin_of(other)[1] for name, other in provider.other_base_urls.items()}
    keys = (environ.get(variable, "").strip() for variable in provider.key_variables)
    key = next((each for each in keys if each), None)
    missing = provider.key_variables if key is None and (wanted or not provider.local) else ()
    return Target(name, provider, origin, key, missing_key=missing, bases=bases)


def _models(table: Any, upstreams: Mapping[str, Target]) -> dict[str, tuple[Deployment, ...]]:
    found: dict[str, tuple[Deployment, ...]] = {}
    for name, row in _tables(table, "models"):
        where = f"the model {name}"
        _check_keys(row, _MODEL, where)
        rows = row.get("deployments")
        if not isinstance(rows, list) or not rows:
            raise ConfigError(
                f"{where} has no deployments", hint='for instance deployments = [{ upstream = "openai" }]'
            )
        deployments = tuple(_deployment(name, each, where, upstreams) for each in rows)
        places = {(each.target.name, each.target.model) for each in deployments}
        if len(places) < len(deployments):
            raise ConfigError(f"{where} has a deployment twice", hint="give it once, with a larger weight")
        for each in (name, *_texts(row, "aliases", where)):
            if each in found or (each != name and each in table):
                raise ConfigError(
                    f"{shown(each)} is the name of two models", hint="give each a name of its own"
                )
            found[each] = deployments
    return found


def _deployment(name: str, row: Any, where: str, upstreams: Mapping[str, Target]) -> Deployment:
    _check_keys(row, _DEPLOYMENT, f"a deployment of {where}")
    upstream = _text(row, "upstream", where)
    if upstream is None or upstream not in upstreams:
        raise ConfigError(
            f"{where} names the upstream {shown(str(upstream))}", hint=f"one of {', '.join(upstreams)}"
        )
    model = _text(row, "model", where) or name
    known = upstreams[upstream].deployments
    if known and model not in known:
        raise ConfigError(
            f"{where} names {shown(model)}, which is no deployment of the upstream {upstream}",
            hint=f"one of {', '.join(known)}; or add it to the upstream's deployments",
        )
    weight = row.get("weight", 1)
    if type(weight) is not int or not 1 <= weight <= _HEAVIEST:
        raise ConfigError(f"{where} has the weight {weight!r}", hint=f"a whole number from 1 to {_HEAVIEST}")
    return Deployment(replace(upstreams[upstream], model=model), weight)


def _allowed(table: Any, models: Mapping[str, tuple[Deployment, ...]] | None) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for user, row in _tables(table, "users"):
        where = f"the user {user}"
        _check_keys(row, _USER, where)
        names = _texts(row, "models", where)
        if models is not None:
            unknown = next((each for each in names if each not in models), None)
            if unknown is not None:
                raise ConfigError(
                    f"{where} may ask for {shown(unknown)}, which is no model here",
                    hint=f"one of {', '.join(models)}",
                )
            # Under another of its names it is the same model.
            names = [each for each in models if any(models[each] is models[name] for name in names)]
        found[user] = tuple(names)
    return found


def _tables(table: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{name} is no table", hint=f"begin each of its entries with [{name}.NAME]")
    yield from table.items()


def _check_keys(row: Any, known: Sequence[str], where: str) -> None:
    if not isinstance(row, Mapping):
        raise ConfigError(f"{where} is no table", hint=f"it has {', '.join(known)}")
    for key in row:
        if key not in known:
            raise ConfigError(
                f"{where} has {shown(key)}, which does not exist", hint=f"it has {', '.join(known)}"
            )


def _text(row: Mapping[str, Any], key: str, where: str) -> str | None:
    value = row.get(key)
    if value is not None and (not isinstance(value, str) or not value.strip() or not value.isprintable()):
        raise ConfigError(f"{where} has {value!r} as its {key}", hint="a text in quotes")
    return value


def _texts(row: Mapping[str, Any], key: str, where: str) -> list[str]:
    values = row.get(key, [])
    if not isinstance(values, list) or not all(isinstance(each, str) and each for each in values):
        raise ConfigError(f"{where} has {values!r} as its {key}", hint='a list of texts: ["one", "two"]')
    return values
