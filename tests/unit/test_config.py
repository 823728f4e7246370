"""Settings: what the caller says, else the environment, else the file, else the default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from budgets.config import VARIABLES, Settings, load_settings
from budgets.errors import ConfigError

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads settings with this text in the file and these variables; nothing else of the machine counts."""

    def loaded(text: str | None = None, *, said: dict[str, str] | None = None, **variables: str) -> Settings:
        file = tmp_path / "config.toml"
        if text is not None:
            file.write_text(text, "utf-8")
        return load_settings({"BUDGET_CONFIG": str(file), **variables}, **(said or {}))

    return loaded


def test_without_anything_there_are_defaults(load: Load, tmp_path: Path) -> None:
    found = load()
    assert (found.store.name, found.project, found.user) == ("budgets.sqlite", "default", None)
    assert found.store.is_absolute()
    assert found.prices == tmp_path / "prices.toml"
    assert found.file == tmp_path / "config.toml"
    assert (found.on_expiry, found.durability) == ("unconfirmed", "power")
    assert (found.default_output_tokens, found.patience_seconds) == (8_192, 30)


def test_no_data_file_is_put_in_the_current_folder(load: Load) -> None:
    assert Path.cwd() not in load().store.parents


def test_what_is_said_wins_over_the_environment_and_that_over_the_file(load: Load) -> None:
    text = 'store = "/file/s"\nproject = "from-file"\nuser = "ann"'
    assert load(text).store == Path("/file/s")
    assert load(text, BUDGET_STORE="/env/s").store == Path("/env/s")
    said = {"store": "/said/s", "project": "said"}
    found = load(text, BUDGET_STORE="/env/s", BUDGET_PROJECT="from-env", said=said)
    assert (found.store, found.project) == (Path("/said/s"), "said")
    assert load(text, BUDGET_STORE="").store == Path("/file/s"), "an empty variable says nothing"


def test_a_user_says_where_it_came_from(load: Load, tmp_path: Path) -> None:
    assert load().user_from is None
    assert load('user = "ann"').user_from == str(tmp_path / "config.toml")
    found = load('user = "ann"', BUDGET_USER="bob")
    assert (found.user, found.user_from) == ("bob", "BUDGET_USER")


def test_a_path_may_begin_at_home(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/elsewhere")
    assert load(BUDGET_STORE="~/s").store == Path("/elsewhere/s")


def test_every_setting_can_be_set_in_both_places(load: Load) -> None:
    values = {
        "store": "/s",
        "project": "p",
        "user": "u",
        "prices": "/prices",
        "prices_url": "https://example.com/prices.jsonl",
        "on_expiry": "release",
        "durability": "process",
        "default_output_tokens": 5,
        "patience_seconds": 0,
        "cut": "error",
        "on_threshold": "https://example.com/hook",
        "key": "bk_1",
    }
    # It has a form of its own in a file.
    assert {*values, "allow_background"} == set(VARIABLES)
    text = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    by_file = load(text)
    by_environment = load("", **{VARIABLES[name]: str(value) for name, value in values.items()})
    for name, value in values.items():
        assert str(getattr(by_file, name)) == str(getattr(by_environment, name)) == str(value)


def test_a_switch_is_on_or_off_in_both_places(load: Load) -> None:
    assert load().allow_background is False
    assert load("allow_background = true").allow_background is True
    assert load("allow_background = true", BUDGET_ALLOW_BACKGROUND="false").allow_background is False
    assert load("", BUDGET_ALLOW_BACKGROUND="true").allow_background is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stoer = '/s'", "stoer"),
        ("store = 5", "5"),
        ("store = ''", "''"),
        ("project = ['a']", "['a']"),
        ("store = 'http://example.com'", "not this machine"),
        ("key = 'a b'", "a key that is none"),
        ("on_expiry = 'maybe'", "maybe"),
        ("durability = true", "True"),
        ("default_output_tokens = 0", "0"),
        ("default_output_tokens = 1.5", "1.5"),
        ("default_output_tokens = true", "True"),
        ("patience_seconds = -1", "-1"),
        ("cut = 'short'", "short"),
        ("allow_background = 1", "has 1"),
        ("allow_background = 'yes'", "yes"),
        ("allow_background = []", "[]"),
        ("on_threshold = 5", "5"),
        ("on_threshold = []", "[]"),
        ("on_threshold = ['', 'a']", "['', 'a']"),
        ("on_threshold = ['a', 5]", "['a', 5]"),
        ("on_threshold = 'say \"it'", "No closing quotation"),
        ("on_threshold = 'https://example.com/a hook'", "a hook"),
        ("store = ", "cannot be read"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_source(load: Load, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(text)
    assert "config.toml" in refused.value.message
    assert said in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("'notify --to \"the team\"'", ("notify", "--to", "the team"), id="a text is split"),
        pytest.param("['notify', 'the team']", ("notify", "the team"), id="arguments stay as they are"),
        pytest.param("'HTTPS://example.com/Hook'", "https://example.com/Hook", id="an address"),
        pytest.param("'httpie'", ("httpie",), id="a program whose name begins like an address"),
    ],
)
def test_who_is_told_of_thresholds_is_a_program_or_an_address(load: Load, text: str, found: object) -> None:
    assert load().on_threshold is None
    assert load(f"on_threshold = {text}").on_threshold == found


@pytest.mark.parametrize("value", ["many", "1.5", "-1", "1e3"])
def test_a_variable_that_is_no_whole_number_is_named(load: Load, value: str) -> None:
    with pytest.raises(ConfigError, match="BUDGET_PATIENCE_SECONDS"):
        load(BUDGET_PATIENCE_SECONDS=value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = [1"], ids=["no UTF-8", "no TOML"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings({"BUDGET_CONFIG": str(file)})


def test_a_folder_in_the_files_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings({"BUDGET_CONFIG": str(tmp_path)})
