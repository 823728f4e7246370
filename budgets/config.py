"""
Settings: what the caller says, else the environment, else the file, else the default.

The file is `config.toml` in the platform's configuration folder (`BUDGET_CONFIG` names another).
Nothing is read at import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from budgets.errors import ConfigError, InvalidValueError
from budgets.records import DEFAULT_OUTPUT_TOKENS

APP = "budget"
DEFAULT_PROJECT = "default"

# Setting -> the variable that sets it. The file uses the setting's own name.
VARIABLES: Mapping[str, str] = {
    "store": "BUDGET_STORE",
    "project": "BUDGET_PROJECT",
    "user": "BUDGET_USER",
    "prices": "BUDGET_PRICES",
    "prices_url": "BUDGET_PRICES_URL",
    "on_expiry": "BUDGET_ON_EXPIRY",
    "durability": "BUDGET_DURABILITY",
    "default_output_tokens": "BUDGET_DEFAULT_OUTPUT_TOKENS",
    "patience_seconds": "BUDGET_PATIENCE_SECONDS",
    "cut": "BUDGET_CUT",
    "allow_background": "BUDGET_ALLOW_BACKGROUND",
    "on_threshold": "BUDGET_ON_THRESHOLD",
    "key": "BUDGET_KEY",
}

# Tables of the file that a gateway reads (`budgets.gateway.configured`); no variable sets them.
TABLES = ("upstreams", "models", "users")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are and how the engine behaves."""

    # The store's file, or the address of the server that keeps it.
    store: Path | str
    project: str
    # Whose budget is meant when nobody says; `None`: the project's only user.
    user: str | None
    # The owner's own prices.
    prices: Path
    # The configuration file that was looked for; it need not exist.
    file: Path
    # Where `prices update` looks for a newer book; `None`: in the `genai-prices` package that is installed.
    prices_url: str | None = None
    # What becomes of the holds of a process that died.
    on_expiry: Literal["unconfirmed", "release"] = "unconfirmed"
    # `process`: holds are safe from a killed process, not from a power cut. Charges always are.
    durability: Literal["power", "process"] = "power"
    # The output limit for a request that has none, in tokens.
    default_output_tokens: int = DEFAULT_OUTPUT_TOKENS
    # How long a call may wait for running calls to settle.
    patience_seconds: int = 30
    # How a gateway ends a stream that outgrows its hold: as an answer at its limit, or with an error.
    cut: Literal["length", "error"] = "length"
    # A gateway forwards answers in the background; their holds stay until they are whole.
    allow_background: bool = False
    # Who is told of a threshold: a program by its arguments, or a web address; `None`: nobody but the caller.
    on_threshold: tuple[str, ...] | str | None = None
    # What the server that keeps the store knows us by; a secret.
    key: str | None = field(default=None, repr=False)
    # Those of `TABLES` that the file has, as it has them.
    tables: Mapping[str, Any] = field(default_factory=dict)
    # Setting -> where its value came from, in words; those that are missing have their default.
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def server(self) -> str | None:
        """The address of the server that keeps the store; `None`: it is a file."""
        return self.store if isinstance(self.store, str) else None

    @property
    def user_from(self) -> str | None:
        """Where `user` came from, in words."""
        return self.sources.get("user")


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
    file = settings_file(environ)
    return settings_of(parse(read_text(file), file), file, environ, store=store, project=project)


def settings_of(
    written: Mapping[str, Any],
    file: Path,
    environ: Mapping[str, str],
    *,
    store: str | None = None,
    project: str | None = None,
) -> Settings:
    """
    The settings, were *written* in the file.

    Raises:
        ConfigError: a value cannot be used, or there is no such setting.
    """
    unknown = sorted(set(written) - set(VARIABLES) - set(TABLES))
    if unknown:
        raise ConfigError(
            f"{file} has a setting that does not exist: {unknown[0]}",
            hint=f"the settings are {', '.join(VARIABLES)}, and the tables {', '.join(TABLES)}",
            file=str(file),
        )

    sources: dict[str, str] = {}

    def value(name: str, said: str | None = None) -> tuple[Any, str] | tuple[None, None]:
        if said is not None:
            found, sources[name] = said, "the command line"
        elif environ.get(VARIABLES[name]):
            found, sources[name] = environ[VARIABLES[name]], VARIABLES[name]
        elif name in written:
            found, sources[name] = written[name], str(file)
        else:
            return None, None
        return found, sources[name]

    chosen_store, store_from = value("store", store)
    chosen_project, project_from = value("project", project)
    user, user_from = value("user")
    prices, prices_from = value("prices")
    key, key_from = value("key")
    return Settings(
        store=_file_or_server(chosen_store, store_from)
        if chosen_store is not None
        else _data_folder() / "budgets.sqlite",
        project=_text(chosen_project, project_from) if chosen_project is not None else DEFAULT_PROJECT,
        user=_text(user, user_from) if user is not None else None,
        prices=_path(prices, prices_from) if prices is not None else file.parent / "prices.toml",
        file=file,
        prices_url=_address(*value("prices_url")),
        on_expiry=cast(
            "Literal['unconfirmed', 'release']",
            _choice(*value("on_expiry"), choices=("unconfirmed", "release")),
        ),
        durability=cast(
            "Literal['power', 'process']", _choice(*value("durability"), choices=("power", "process"))
        ),
        default_output_tokens=_whole(*value("default_output_tokens"), default=DEFAULT_OUTPUT_TOKENS, least=1),
        patience_seconds=_whole(*value("patience_seconds"), default=30, least=0),
        cut=cast("Literal['length', 'error']", _choice(*value("cut"), choices=("length", "error"))),
        allow_background=_yes_or_no(*value("allow_background")),
        on_threshold=_program_or_address(*value("on_threshold")),
        key=_secret(key, key_from) if key is not None else None,
        tables={name: written[name] for name in TABLES if name in written},
        sources=sources,
    )


def settings_file(environ: Mapping[str, str]) -> Path:
    """The configuration file that is looked for; it need not exist."""
    if environ.get("BUDGET_CONFIG"):
        return Path(environ["BUDGET_CONFIG"]).expanduser()
    import platformdirs

    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.toml"


def _data_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir(APP, appauthor=False))


def read_text(file: Path) -> str:
    """
    The configuration file's text with its own line ends; empty when there is no file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error


def parse(text: str, file: Path) -> dict[str, Any]:
    """
    What the configuration file says.

    Raises:
        ConfigError: it is not TOML.
    """
    if not text:
        return {}
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


def _file_or_server(value: Any, source: str | None) -> Path | str:
    text = _text(value, source)
    if not text.lower().startswith(("http:", "https:")):
        return _path(text, source)
    # Most stores are files, and the way to a server takes a while to load.
    from budgets.server_link import checked_address

    try:
        return checked_address(text)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error.message}", hint=error.hint) from error


def _secret(value: Any, source: str | None) -> str:
    """A key as it can stand in a header; never shown."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(f"{source} has a key that is none", hint="copy it whole, without spaces")
    return value


def _path(value: Any, source: str | None) -> Path:
    try:
        return Path(_text(value, source)).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{source} has {value!r}, and there is no such home folder", hint="write the path out"
        ) from error


def _address(value: Any, source: str | None) -> str | None:
    if value is None:
        return None
    from budgets.addresses import protected

    try:
        return protected(_text(value, source))
    except InvalidValueError as error:
        raise ConfigError(f"{source}: {error.message}", hint=error.hint) from error


def _program_or_address(value: Any, source: str | None) -> tuple[str, ...] | str | None:
    """An address as text; a program as its arguments, which a text is split into as a shell would."""
    if value is None:
        return None
    if isinstance(value, str) and value.lower().startswith(("http://", "https://")):
        # As `http.client` has it: a space or a line end would be part of the request.
        if any(character <= " " or character == "\x7f" for character in value):
            raise ConfigError(f"{source} has {value!r}", hint="an address has no spaces")
        return value.partition(":")[0].lower() + value[value.index(":") :]
    if isinstance(value, str):
        import shlex

        try:
            value = shlex.split(value)
        except ValueError as error:
            raise ConfigError(f"{source} has {value!r}: {error}", hint="close the quotes") from error
    words = value if isinstance(value, list) and all(isinstance(each, str) for each in value) else []
    if not words or not words[0] or any("\x00" in each for each in words):
        raise ConfigError(
            f"{source} has {value!r} where a program or an address is needed",
            hint='for instance "notify --budget", ["notify", "--budget"], or "https://example.com/hook"',
        )
    return tuple(words)


def _choice(value: Any, source: str | None, *, choices: tuple[str, ...]) -> str:
    if value is None:
        return choices[0]
    if value not in choices:
        raise ConfigError(f"{source} has {value!r}", hint=f"one of {', '.join(choices)}")
    return str(value)


def _yes_or_no(value: Any, source: str | None) -> bool:
    if value is None:
        return False
    if value in ("true", "false"):
        return bool(value == "true")
    if not isinstance(value, bool):
        raise ConfigError(f"{source} has {value!r}", hint="true or false")
    return value


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
