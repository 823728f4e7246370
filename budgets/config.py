"""
Settings: what the caller says, else the environment, else the file, else the default.

The file is `config.toml` in the platform's configuration folder (`BUDGET_CONFIG` names another).
Nothing is read at import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from budgets.errors import ConfigError

APP = "budget"
DEFAULT_PROJECT = "default"

# Setting -> the variable that sets it. The file uses the setting's own name.
VARIABLES: Mapping[str, str] = {
    "store": "BUDGET_STORE",
    "project": "BUDGET_PROJECT",
    "user": "BUDGET_USER",
    "prices": "BUDGET_PRICES",
    "on_expiry": "BUDGET_ON_EXPIRY",
    "durability": "BUDGET_DURABILITY",
    "default_output_tokens": "BUDGET_DEFAULT_OUTPUT_TOKENS",
    "patience_seconds": "BUDGET_PATIENCE_SECONDS",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are and how the engine behaves."""

    # The store's file.
    store: Path
    project: str
    # Whose budget is meant when nobody says; `None`: the project's only user.
    user: str | None
    # The owner's own prices.
    prices: Path
    # The configuration file that was looked for; it need not exist.
    file: Path
    # What becomes of the holds of a process that died.
    on_expiry: Literal["unconfirmed", "release"] = "unconfirmed"
    # `process`: holds are safe from a killed process, not from a power cut. Charges always are.
    durability: Literal["power", "process"] = "power"
    # The output limit for a request that has none, in tokens.
    default_output_tokens: int = 8_192
    # How long a call may wait for running calls to settle.
    patience_seconds: int = 30
    # Where `user` came from, in words.
    user_from: str | None = None


def load_settings(
    environ: Mapping[str, str], *, store: str | None = None, project: str | None = None
) -> Settings:
    """
    The settings in force.

    Args:
        environ: The environment.
        store: What the caller said, which wins.
        project: The same.

    Raises:
        ConfigError: the file cannot be read, or a value cannot be used.
    """
    file = _file(environ)
    written = _read(file)
    unknown = sorted(set(written) - set(VARIABLES))
    if unknown:
        raise ConfigError(
            f"{file} has a setting that does not exist: {unknown[0]}",
            hint=f"the settings are {', '.join(VARIABLES)}",
            file=str(file),
        )

    def value(name: str, said: str | None = None) -> tuple[Any, str] | tuple[None, None]:
        if said is not None:
            return said, "the command line"
        if environ.get(VARIABLES[name]):
            return environ[VARIABLES[name]], VARIABLES[name]
        if name in written:
            return written[name], str(file)
        return None, None

    chosen_store, store_from = value("store", store)
    chosen_project, project_from = value("project", project)
    user, user_from = value("user")
    prices, prices_from = value("prices")
    return Settings(
        store=_path(chosen_store, store_from)
        if chosen_store is not None
        else _data_folder() / "budgets.sqlite",
        project=_text(chosen_project, project_from) if chosen_project is not None else DEFAULT_PROJECT,
        user=_text(user, user_from) if user is not None else None,
        user_from=user_from,
        prices=_path(prices, prices_from) if prices is not None else file.parent / "prices.toml",
        file=file,
        on_expiry=cast(
            "Literal['unconfirmed', 'release']",
            _choice(*value("on_expiry"), choices=("unconfirmed", "release")),
        ),
        durability=cast(
            "Literal['power', 'process']", _choice(*value("durability"), choices=("power", "process"))
        ),
        default_output_tokens=_whole(*value("default_output_tokens"), default=8_192, least=1),
        patience_seconds=_whole(*value("patience_seconds"), default=30, least=0),
    )


def _file(environ: Mapping[str, str]) -> Path:
    if environ.get("BUDGET_CONFIG"):
        return Path(environ["BUDGET_CONFIG"]).expanduser()
    import platformdirs

    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.toml"


def _data_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir(APP, appauthor=False))


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"{file} cannot be read: {error}", hint="mend the file or move it away", file=str(file)
    )


def _text(value: Any, source: str | None) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{source} has {value!r} where a text is needed", hint="put it in quotes")
    return value


def _path(value: Any, source: str | None) -> Path:
    try:
        return Path(_text(value, source)).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{source} has {value!r}, and there is no such home folder", hint="write the path out"
        ) from error


def _choice(value: Any, source: str | None, *, choices: tuple[str, ...]) -> str:
    if value is None:
        return choices[0]
    if value not in choices:
        raise ConfigError(f"{source} has {value!r}", hint=f"one of {', '.join(choices)}")
    return str(value)


def _whole(value: Any, source: str | None, *, default: int, least: int) -> int:
    if value is None:
        return default
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if type(number) is not int or number < least:
        raise ConfigError(f"{source} has {value!r}", hint=f"a whole number, {least} or more")
    return number
