"""Reading the public price map, reconciling it with the first source, and taking a book in from outside."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from budgets.errors import ConfigError, InvalidValueError, PriceSourceError, UnknownPriceError
from budgets.prices import build, bundled, from_litellm, imported_path, importing, open_book
from budgets.prices.bundled import BundledBook
from budgets.prices.cleaning import text
from budgets.prices.overlay import set_price
from budgets.pricing import cost
from budgets.usage import Usage

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "cleaned"),
    [
        ("2.9999900000000002", "2.99999"),
        ("0.18000000000000002", "0.18"),
        ("0.0416666666666667", "0.04166666667"),
        ("1.0199999999988", "1.02"),
        ("0.123456789012", "0.123456789012"),
        ("0.018750", "0.01875"),
        ("15", "15"),
        ("100", "100"),
        ("1E+2", "100"),
        ("0.000", "0"),
    ],
)
def test_the_dirt_of_floats_is_taken_off(number: str, cleaned: str) -> None:
    assert text(Decimal(number)) == cleaned


@pytest.mark.parametrize("number", ["-1", "NaN", "Infinity"])
def test_what_is_no_price_stops_the_build(number: str) -> None:
    with pytest.raises(ValueError, match="no price"):
        text(Decimal(number))


def _entry(key: str = "deepinfra/new", **fields: Any) -> list[from_litellm.Entry]:
    entry = {"litellm_provider": "deepinfra", "mode": "chat", **fields}
    return [*from_litellm.entries(json.dumps({key: entry}).encode())]


@pytest.mark.parametrize(
    ("field", "price", "unit", "expected"),
    [
        ("input_cost_per_token", 1.5e-07, "input", "0.15"),
        ("cache_creation_input_token_cost_above_1hr", 6e-06, "cache_write_1h", "6"),
        ("input_cost_per_second", 0.000283333333333, "input_seconds", "1.02"),
        ("output_cost_per_image", 0.04, "images", "0.04"),
        ("ocr_cost_per_page", 0.003, "pages", "0.003"),
        ("input_cost_per_character", 1.5e-05, "input_characters", "15"),
        ("output_cost_per_pixel", 1.9e-08, "pixels", "0.019"),
        ("input_cost_per_query", 0.001, "queries", "0.001"),
    ],
)
def test_a_price_of_the_map_is_given_for_so_many(field: str, price: float, unit: str, expected: str) -> None:
    (entry,) = _entry(**{field: price})
    assert entry.usd == {unit: expected}


def test_steps_and_tiers_are_read_from_the_names_of_keys() -> None:
    (entry,) = _entry(
        input_cost_per_token=1e-06,
        input_cost_per_token_above_200k_tokens=2e-06,
        input_cost_per_token_batches=5e-07,
        input_cost_per_token_above_200k_tokens_batches=1e-06,
        output_cost_per_token_priority=9e-06,
    )
    assert entry.usd == {"input": {"0": "1", "200000": "2"}}
    assert entry.tiers["batch"] == {"input": {"0": "0.5", "200000": "1"}}
    assert entry.tiers["priority"] == {"output": "9"}


def test_steps_of_a_list_are_read_too() -> None:
    (entry,) = _entry(
        tiered_pricing=[
            {"range": [0, 256000.0], "input_cost_per_token": 5e-08},
            {"range": [256000.0, 1000000.0], "input_cost_per_token": 2.5e-07},
        ]
    )
    assert entry.usd == {"input": {"0": "0.05", "256000": "0.25"}}


def test_nothing_is_not_a_price_where_the_map_does_not_know() -> None:
    assert _entry(input_cost_per_token=0.0, output_cost_per_token=0.0) == []
    (chat,) = _entry(input_cost_per_token=1e-06, output_cost_per_token=0.0)
    assert chat.usd == {"input": "1"}
    (embedding,) = _entry(input_cost_per_token=1e-06, output_cost_per_token=0.0, mode="embedding")
    assert embedding.usd == {"input": "1", "output": "0"}


def test_a_search_costs_the_dearest_of_its_sizes() -> None:
    sizes = {"search_context_size_low": 0.005, "search_context_size_high": 0.012}
    (entry,) = _entry(input_cost_per_token=1e-06, search_context_cost_per_query=sizes)
    assert entry.usd["web_searches"] == "0.012"


def test_prices_by_size_are_models_of_their_own() -> None:
    small, plain = _entry(
        "fal_ai/video",
        litellm_provider="fal_ai",
        output_cost_per_second=0.1,
        output_cost_per_second_480p=0.05,
    )
    assert (small.model, small.usd) == ("480p/video", {"output_seconds": "180"})
    assert (plain.model, plain.usd) == ("video", {"output_seconds": "360"})


@pytest.mark.parametrize(
    ("key", "provider", "full"),
    [
        ("vertex_ai/gemini-x", "vertex_ai-language-models", "google/gemini-x"),
        ("gemini/gemini-x", "gemini", "google/gemini-x"),
        ("bedrock/us-east-1/m.x-v1:0", "bedrock", "aws/us-east-1/m.x-v1:0"),
        ("us.m.x-v1:0", "bedrock_converse", "aws/us.m.x-v1:0"),
        ("azure_ai/x", "azure_ai", "azure/x"),
        ("xai/grok-x", "xai", "x-ai/grok-x"),
        ("gpt-x", "openai", "openai/gpt-x"),
        ("sail/moonshotai/K", "sail", "sail/moonshotai/K"),
    ],
)
def test_a_seller_has_one_name(key: str, provider: str, full: str) -> None:
    (entry,) = _entry(key, litellm_provider=provider, input_cost_per_token=1e-06)
    assert f"{entry.provider}/{entry.model}" == full


def test_uplift_is_read_by_region() -> None:
    (entry,) = _entry(
        input_cost_per_token=1e-06,
        regional_processing_uplift_multiplier_eu=1.1,
        provider_specific_entry={"us": 1.1},
    )
    assert entry.uplift == {"eu": "1.1", "us": "1.1"}


def test_the_map_is_read_out_of_the_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "litellm-9.9.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("litellm/model_prices_and_context_window_backup.json", b"{}")
    assert from_litellm.read(wheel) == b"{}"
    assert build.map_version(wheel, "known") == "9.9.9"
    assert build.map_version(tmp_path / "map.json", "known") == "known"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other", b"")
    with pytest.raises(InvalidValueError, match="no price map"):
        from_litellm.read(wheel)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b"\xff", b'{"m": {"litellm_provider": "x", "input_cost_per_token": "a"}}']
)
def test_what_is_no_price_map_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidValueError):
        [*from_litellm.entries(raw)]


# ---- reconciling ----


def _map(**more: dict[str, Any]) -> bytes:
    return json.dumps({key.replace("__", "/"): value for key, value in more.items()}).encode()


def _line(**more: Any) -> dict[str, Any]:
    return {
        "id": "openai/gpt-x",
        "names": ["gpt-x", "^gpt-x"],
        "sheets": [
            {"usd": {"input": "1", "output": "4"}},
            {"from": "2026-05-01", "usd": {"input": "2", "output": "8"}},
        ],
        **more,
    }


HEADER = {"inputs": [{"name": "genai-prices", "version": "0"}], "pages": {"openai": "https://openai.example"}}
OPENAI = {"litellm_provider": "openai", "mode": "chat"}


def _rebuilt(raw: bytes, *lines: dict[str, Any]) -> BundledBook:
    return BundledBook(data=build.rebuilt(HEADER, lines or (_line(),), raw, NOON.date()).encode())


def test_the_first_source_wins_and_the_other_fills_where_they_agree() -> None:
    agreeing = {
        **OPENAI,
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 8e-06,
        "cache_read_input_token_cost": 2e-07,
        "input_cost_per_token_priority": 4e-06,
        "source": "https://other.example",
    }
    book = _rebuilt(json.dumps({"gpt-x-2026-05-01": agreeing}).encode())
    now = book.find("gpt-x", at=NOON)
    assert {row.unit: row.picos for row in now.rows if row.tier == "standard"} == {
        "input": 2_000_000,
        "output": 8_000_000,
        "cached_input": 200_000,
    }
    assert {row.source for row in now.rows} == {"https://openai.example", "https://other.example"}
    assert now.tiers == ("standard", "priority")
    before = book.find("gpt-x", at=datetime(2026, 4, 30, tzinfo=UTC))
    assert {row.unit for row in before.rows} == {"input", "output"}, "what is known of today is not of then"


def test_what_is_filled_in_ends_with_the_price_it_was_built_on() -> None:
    """The map knows the prices of one day; when ours change, what it says of the rest is of the past."""
    line = _line()
    line["sheets"].append({"from": "2027-01-01", "usd": {"input": "4", "output": "16"}})
    raw = {**OPENAI, "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06}
    raw["input_cost_per_token_priority"] = 4e-06
    book = _rebuilt(json.dumps({"gpt-x": raw}).encode(), line)
    assert book.find("gpt-x", at=datetime(2026, 12, 31, 23, 59, tzinfo=UTC)).tiers == ("standard", "priority")
    after = book.find("gpt-x", at=datetime(2027, 1, 1, tzinfo=UTC))
    assert after.tiers == ("standard",)
    assert after.row("input", 1).picos == 4_000_000


def test_nothing_is_filled_in_from_a_price_that_differs() -> None:
    differing = {
        **OPENAI,
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 8e-06,
        "cache_read_input_token_cost": 2e-07,
    }
    book = _rebuilt(json.dumps({"gpt-x": differing}).encode())
    assert {row.unit: row.picos for row in book.find("gpt-x", at=NOON).rows} == {
        "input": 2_000_000,
        "output": 8_000_000,
    }


def test_at_aws_a_name_that_says_its_region_has_its_own_price() -> None:
    aws = {"litellm_provider": "bedrock_converse", "mode": "chat", "output_cost_per_token": 8e-06}
    line = {
        "id": "aws/regional.m",
        "names": ["m", "us.m"],
        "sheets": [{"usd": {"input": "2.2", "output": "8.8"}}],
    }
    raw = json.dumps({"m": {**aws, "input_cost_per_token": 2e-06}}).encode()
    once = build.rebuilt(HEADER, (line,), raw, NOON.date())
    book = BundledBook(data=once.encode())
    assert book.find("m", provider="aws", at=NOON).row("input", 1).picos == 2_000_000
    assert book.find("us.m", provider="aws", at=NOON).row("input", 1).picos == 2_200_000
    again = build.rebuilt(book.header, book.raw_lines(), raw, NOON.date())
    assert again.partition("\n")[2] == once.partition("\n")[2], "taking the same map in again changes nothing"


def test_a_name_that_two_models_claim_stops_the_build() -> None:
    with pytest.raises(ValueError, match="gpt-x is claimed by"):
        _rebuilt(b"{}", _line(), _line(id="openai/other"))


# ---- books from outside ----


def test_a_book_file_is_taken_as_it_is() -> None:
    assert importing.read_book(bundled.PATH, bundled.bundled(), NOON.date()) == bundled.PATH.read_bytes()


def test_a_damaged_book_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    path.write_bytes(bundled.PATH.read_bytes().replace(b'"input": "2.5"', b'"input": "0.1"', 1))
    with pytest.raises(InvalidValueError, match="damaged"):
        importing.read_book(path, bundled.bundled(), NOON.date())


def test_a_book_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    body = b'{"id": "openai/gpt-x", "prices": []}\n'
    header = {**bundled.bundled().header, "digest": hashlib.sha256(body).hexdigest()[:8]}
    path.write_bytes(json.dumps(header).encode() + b"\n" + body)
    with pytest.raises(InvalidValueError, match="line 2 is not understood"):
        importing.read_book(path, bundled.bundled(), NOON.date())


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        importing.read_book(tmp_path / "none", bundled.bundled(), NOON.date())


def test_an_imported_book_is_in_use_under_ones_own_prices(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    raw = _map(
        deepinfra__new={
            "litellm_provider": "deepinfra",
            "input_cost_per_token": 1e-06,
            "output_cost_per_token": 2e-06,
        }
    )
    with pytest.raises(UnknownPriceError):
        open_book(own).find("deepinfra/new", at=NOON)
    source = tmp_path / "map.json"
    source.write_bytes(raw)
    importing.install(imported_path(own), importing.read_book(source, bundled.bundled(), NOON.date()))
    found = open_book(own).find("deepinfra/new", at=NOON)
    assert cost(Usage.of(input=1, output=1), found).exact_picos == 3_000_000
    assert found.book_version != bundled.bundled().version
    set_price(own, "deepinfra/new", prices={"input": "5", "output": "5"}, now=NOON)
    assert open_book(own).find("deepinfra/new", at=NOON).row("input", 1).picos == 5_000_000


def test_an_imported_book_that_is_broken_says_how_to_go_back(tmp_path: Path) -> None:
    imported_path(tmp_path / "prices.toml").write_text("not a book\n")
    with pytest.raises(ConfigError, match="not a price book") as caught:
        open_book(tmp_path / "prices.toml").find("gpt-4o", at=NOON)
    assert "import --bundled" in (caught.value.hint or "")


def test_the_difference_of_two_books_names_every_price() -> None:
    old = _rebuilt(b"{}")
    new = _rebuilt(
        b"{}",
        _line(sheets=[{"usd": {"input": "3", "output": "8"}}]),
        _line(id="openai/gpt-y", names=["gpt-y"]),
    )
    found = importing.difference(old, new, NOON)
    assert (found.added, found.gone) == (("openai/gpt-y",), ())
    (change,) = found.changed
    assert change == ("openai/gpt-x", importing.Change("input", "standard", 0, 2_000_000, 3_000_000))


def test_a_difference_begins_with_what_weighs_most() -> None:
    def book(**usd: str) -> BundledBook:
        lines = [
            _line(id=f"openai/{name}", names=[name], sheets=[{"usd": {"input": each}}])
            for name, each in usd.items()
        ]
        return _rebuilt(b"{}", *lines)

    old = book(a="1", b="1", c="4", d="8", e="0", f="1")
    new = book(a="1.1", b="3", c="1", d="7", e="1", f="1")
    found = importing.difference(old, new, NOON)
    assert [(name, each.kind) for name, each in found.changed] == [
        ("openai/e", "dearer"),
        ("openai/b", "dearer"),
        ("openai/a", "dearer"),
        ("openai/c", "cheaper"),
        ("openai/d", "cheaper"),
    ]
    assert [each.factor for _, each in found.changed] == [None, 3, Fraction(11, 10), 4, Fraction(8, 7)]
    unit = importing.difference(book(a="1"), _rebuilt(b"{}", _line(id="openai/a", names=["a"])), NOON)
    assert [each.kind for _, each in unit.changed] == ["dearer", "priced"]


# ---- the installed package ----


def test_the_same_package_makes_the_same_book_again() -> None:
    """What the map filled in, and what only it knows, is not lost when the first source is read anew."""
    book = bundled.bundled()
    version = next(each["version"] for each in book.inputs if each["name"] == "genai-prices")
    assert book.made is not None
    again = build.renewed(book.header, book.raw_lines(), version, book.made)
    assert again.partition("\n")[2] == bundled.PATH.read_text("utf-8").partition("\n")[2]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Another version of the package, with these models."""

    def installed(version: str, *lines: dict[str, Any]) -> None:
        monkeypatch.setattr("importlib.metadata.version", lambda _: version)
        monkeypatch.setattr("budgets.prices.from_genai.models", lambda: iter(lines))

    return installed


def test_a_newer_package_takes_the_place_of_the_first_source(package: Callable[..., None]) -> None:
    also = {"usd": {"web_searches": "0.01"}}
    old = BundledBook(
        data=build._assembled(
            [
                _line(also=also, max_output_tokens=5),
                _line(id="openai/gpt-gone", names=["gpt-gone"]),
                _line(id="openai/gpt-moved", names=["gpt-moved"], also=also),
                _line(id="openai/only-the-map", names=["only-the-map"], of="litellm"),
                _line(id="openai/known-now", names=["known-now"], of="litellm"),
            ],
            {},
            HEADER["pages"],
            [{"name": "genai-prices", "version": "0.2.3"}, {"name": "litellm", "version": "1"}],
            NOON.date(),
        ).encode()
    )
    package(
        "0.10.0",
        _line(),
        _line(id="openai/gpt-moved", names=["gpt-moved"], sheets=[{"usd": {"input": "3", "output": "8"}}]),
        _line(id="openai/known-now", names=["known-now"], sheets=[{"usd": {"input": "7", "output": "8"}}]),
    )
    data = importing.installed_book(old, NOON.date())
    assert data is not None
    new = BundledBook(data=data)
    assert {raw["id"] for raw in new.raw_lines()} == {
        "openai/gpt-x",
        "openai/gpt-moved",
        "openai/known-now",
        "openai/only-the-map",
    }
    kept = new.find("gpt-x", at=NOON)
    assert (kept.max_output_tokens, kept.row("web_searches", 0).picos) == (5, 10**10)
    with pytest.raises(UnknownPriceError):
        new.find("gpt-moved", at=NOON).row("web_searches", 0)
    assert new.find("known-now", at=NOON).row("input", 0).picos == 7_000_000
    assert new.version.startswith("genai-prices-0.10.0+")
    assert importing.checked_book(data, "it", old, NOON.date()) == data


def test_an_older_package_or_the_same_is_no_news(package: Callable[..., None]) -> None:
    for version in ("0.2.3", "0.2.2", "0.1.99"):
        package(version, _line())
        assert importing.installed_book(bundled.bundled(), NOON.date()) is None


def test_a_package_of_a_new_shape_is_refused(
    package: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_a_new_shape() -> Iterator[dict[str, Any]]:
        raise ValueError("a price of a new kind: thought_mtok")

    package("9.0.0")
    monkeypatch.setattr("budgets.prices.from_genai.models", of_a_new_shape)
    with pytest.raises(
        PriceSourceError, match=r"genai-prices 9\.0\.0 is not understood: a price of a new kind"
    ):
        importing.installed_book(bundled.bundled(), NOON.date())
