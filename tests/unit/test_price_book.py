"""The price book: what ships is what the source says, found by name; the owner's own prices win."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import genai_prices.data
import pytest

from budgets.errors import ConfigError, InvalidValueError, UnknownPriceError
from budgets.prices import build, bundled, from_genai, from_litellm, open_book
from budgets.prices.bundled import BundledBook
from budgets.prices.overlay import read_overlay, set_price
from budgets.pricing import STANDARD, PriceBook, cost
from budgets.usage import UNITS, Usage, priced_for

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return open_book()


def _lines() -> list[bytes]:
    return bundled.PATH.read_bytes().splitlines()[1:]


# ---- the data ----


def _header() -> dict[str, Any]:
    return json.loads(bundled.PATH.read_bytes().partition(b"\n")[0])


def test_the_header_names_what_it_was_made_from() -> None:
    inputs = {each["name"]: each for each in _header()["inputs"]}
    assert inputs.keys() == {"genai-prices", "litellm"}
    assert inputs["litellm"]["version"] == "1.109.1"
    assert {each["licence"] for each in inputs.values()} == {"MIT"}
    source = Path(genai_prices.data.__file__).read_bytes()
    assert inputs["genai-prices"]["sha256"] == hashlib.sha256(source).hexdigest()
    assert inputs["genai-prices"]["version"] == importlib.metadata.version("genai-prices")


def test_everything_of_the_first_source_is_in_the_file_as_it_reads_today() -> None:
    lines = {raw["id"]: raw for raw in map(json.loads, _lines())}
    for model in from_genai.models():
        line = lines[model["id"]]
        assert "of" not in line
        assert line["sheets"] == model["sheets"]
        assert line.get("tiers") == model.get("tiers")
        # At AWS a name that the other source prices by its region is lent to a line of its own.
        assert sorted((*line["names"], *line.get("lent", ()))) == model["names"]
        assert "lent" not in line or line["id"].startswith("aws/")


def test_the_files_rebuild_to_the_same_bytes() -> None:
    path = os.environ.get("BUDGET_PRICE_MAP")
    if path is None:
        pytest.skip("set BUDGET_PRICE_MAP to litellm's wheel, or the price map out of it, to rebuild")
    known = next(each for each in _header()["inputs"] if each["name"] == "litellm")
    raw = from_litellm.read(Path(path))
    if hashlib.sha256(raw).hexdigest() != known["sha256"]:
        pytest.skip(f"BUDGET_PRICE_MAP is not the map of litellm {known['version']}")
    built = build.build(raw, known["version"], date.fromisoformat(_header()["day"]))
    assert built.prices == build.PRICES.read_text("utf-8")
    assert built.disagreements == build.DISAGREEMENTS.read_text("utf-8")


# Only ever lowered: a build that adds to them stops here, for somebody to look at each.
MOST_DISAGREEMENTS = 337


def test_disagreements_do_not_grow() -> None:
    head, *rows = build.DISAGREEMENTS.read_text("utf-8").splitlines()
    assert head.split("\t") == ["model", "key", "unit", "ours", "theirs", "why"]
    assert len(rows) <= MOST_DISAGREEMENTS
    assert rows == sorted(set(rows))
    known = {json.loads(line)["id"] for line in _lines()}
    for row in rows:
        model, _, unit, ours, theirs, _ = row.split("\t")
        assert model in known
        assert unit in UNITS
        assert ours != theirs


def test_no_price_has_the_dirt_of_floats() -> None:
    """Twelve digits say any price; more of them are what a float or a division left behind."""
    for line in _lines():
        for number in re.findall(rb'"([0-9]+(?:\.[0-9]+)?)"', line.partition(b'"sheets"')[2]):
            assert len(number.replace(b".", b"").lstrip(b"0")) <= 12, line


def test_every_line_parses_and_the_lines_are_sorted() -> None:
    known = [bundled.parse(line) for line in _lines()]
    names = [f"{each.provider}/{each.model}" for each in known]
    assert len(names) > 5000
    assert names == sorted(set(names))
    assert all(each.names and any(sheet.rows for sheet in each.sheets) for each in known)


def test_every_line_is_found_by_its_own_name(book: PriceBook) -> None:
    for line in _lines():
        full = json.loads(line)["id"]
        found = book.find(full.partition("/")[2], provider=full.partition("/")[0], at=NOON)
        assert f"{found.provider}/{found.model}" == full


def test_the_version_names_the_data(book: PriceBook) -> None:
    digest = hashlib.sha256(b"".join(line + b"\n" for line in _lines())).hexdigest()[:8]
    assert book.version == f"genai-prices-0.2.3+{digest}"


def test_prices_say_where_they_come_from(book: PriceBook) -> None:
    assert all(row.source.startswith("https://") for row in book.find("gpt-4o", at=NOON).rows)


# ---- against the source ----

CURRENT = [
    "openai/gpt-4o",
    "openai/gpt-4o-mini",
    "openai/gpt-4.1",
    "openai/gpt-5",
    "openai/gpt-5.4",
    "openai/gpt-5.6-sol",
    "openai/gpt-6-sol",
    "openai/gpt-6.1-terra",
    "openai/o3",
    "openai/o4-mini",
    "anthropic/claude-3-5-haiku-latest",
    "anthropic/claude-opus-4-1",
    "anthropic/claude-opus-4-6",
    "anthropic/claude-opus-5-5",
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-sonnet-5-5",
    "anthropic/claude-haiku-4-5",
    "anthropic/claude-haiku-5-5",
    "google/gemini-2.0-flash",
    "google/gemini-2.5-flash",
    "google/gemini-2.5-flash-lite",
    "google/gemini-3.8-flash",
    "google/claude-sonnet-4-5",
    "mistral/mistral-large-4",
    "mistral/mistral-small-latest",
    "deepseek/deepseek-chat",
    "deepseek/deepseek-v4-pro",
    "groq/openai/gpt-oss-120b",
    "groq/llama-3.1-8b-instant",
    "x-ai/grok-4.7",
    "x-ai/grok-code-fast-1",
    "cohere/command-a",
    "openrouter/anthropic/claude-sonnet-4.5",
    "openrouter/google/gemini-2.5-flash",
    "together/zai-org/GLM-5.3",
]

# Three sizes: an ordinary call, one exactly on the tier that most have, one above every tier.
SIZES = (12_347, 200_000, 1_234_567)


def _theirs(full: str, at: datetime, **tokens: int) -> Fraction:
    """The source package's own sum in dollars, exactly."""
    from genai_prices import calc_price
    from genai_prices.types import Usage as TheirUsage

    provider, _, model = full.partition("/")
    found = calc_price(TheirUsage(**tokens), model, provider_id=provider, genai_request_timestamp=at)
    assert isinstance(found.total_price, Decimal)
    return Fraction(found.total_price)


def _usd(picos: Fraction | int) -> Fraction:
    return Fraction(picos) / 10**12


def _like(ours: Fraction, theirs: Fraction) -> bool:
    """The same sum, save for the dirt that was taken off prices of more than twelve digits."""
    return abs(ours - theirs) <= theirs / 10**9


# The first source has more than twelve digits of one of its prices.
CLEANED = {"openrouter/google/gemini-2.5-flash"}


def _first_sources_units(full: str) -> set[str]:
    line = next(each for each in map(json.loads, _lines()) if each["id"] == full)
    return set(line["sheets"][-1]["usd"])


@pytest.mark.parametrize("full", CURRENT)
def test_sums_equal_the_sources_before_rounding(book: PriceBook, full: str) -> None:
    found = book.find(full, at=NOON)
    assert f"{found.provider}/{found.model}" == full
    own = _first_sources_units(full)
    for tokens in SIZES:
        plain = cost(Usage.of(input=tokens, output=789), found)
        assert _usd(plain.exact_picos) == _theirs(full, NOON, input_tokens=tokens, output_tokens=789)
        reads: dict[str, int] = {"cached_input": tokens // 3} if "cached_input" in own else {}
        writes: dict[str, int] = {
            unit: tokens // 7 for unit in ("cache_write", "cache_write_1h") if unit in own
        }
        mixed = {"input": tokens - sum(reads.values()) - sum(writes.values()), **reads, **writes, "output": 3}
        theirs = {
            "cache_read_tokens": reads.get("cached_input", 0),
            "cache_write_tokens": sum(writes.values()),
        }
        if "cache_write_1h" in own:
            theirs["cache_write_1h_tokens"] = writes["cache_write_1h"]
        expected = _theirs(full, NOON, input_tokens=tokens, output_tokens=3, **theirs)
        ours = _usd(cost(Usage.of(how="reported", **mixed), found).exact_picos)
        assert ours == expected or (full in CLEANED and _like(ours, expected))


def _units(raw: dict[str, Any]) -> set[str]:
    return {unit for sheet in raw["sheets"] for unit in sheet["usd"]}


def test_every_models_plain_sum_equals_the_sources(book: PriceBook) -> None:
    from genai_prices.data import providers
    from genai_prices.types import Usage as TheirUsage

    theirs = {f"{seller.id}/{model.id}": (seller, model) for seller in providers for model in seller.models}
    counts = {"input": 250_001, "output": 77}
    for line in _lines():
        raw = json.loads(line)
        if "of" in raw:
            continue
        seller, model = theirs[raw["id"]]
        found = book.find(model.id, provider=seller.id, at=NOON)
        priced = {unit: count for unit, count in counts.items() if unit in _units(raw)}
        if "requests" in _units(raw):
            priced["requests"] = 1
        expected = model.calc_price(
            TheirUsage(input_tokens=counts["input"], output_tokens=counts["output"]),
            seller,
            genai_request_timestamp=NOON,
        )
        ours = cost(Usage.of(how="reported", **priced), found)
        assert _like(_usd(ours.exact_picos), Fraction(expected.total_price)), raw["id"]


@pytest.mark.parametrize(
    ("full", "at"),
    [
        ("anthropic/claude-sonnet-4-6", datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC)),
        ("anthropic/claude-sonnet-4-6", datetime(2026, 3, 13, tzinfo=UTC)),
        ("openai/gpt-5.6-sol", datetime(2026, 8, 20, 23, tzinfo=UTC)),
        ("openai/gpt-5.6-sol", datetime(2026, 8, 21, tzinfo=UTC)),
        ("deepseek/deepseek-v4-pro", datetime(2026, 11, 20, 0, 59, 59, tzinfo=UTC)),
        ("deepseek/deepseek-v4-pro", datetime(2026, 11, 20, 1, tzinfo=UTC)),
        ("deepseek/deepseek-v4-pro", datetime(2026, 11, 20, 4, tzinfo=UTC)),
        ("deepseek/deepseek-v4-pro", datetime(2026, 11, 20, 9, 59, 59, tzinfo=UTC)),
        ("deepseek/deepseek-chat", datetime(2026, 11, 22, 9, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_call_takes_the_price_of_its_moment(book: PriceBook, full: str, at: datetime) -> None:
    found = cost(Usage.of(input=300_000, output=100), book.find(full, at=at))
    assert _usd(found.exact_picos) == _theirs(full, at, input_tokens=300_000, output_tokens=100)


def test_a_price_that_changed_has_a_start_and_an_end(book: PriceBook) -> None:
    day = date(2026, 3, 13)
    before = book.find("claude-opus-4-6", at=datetime(2026, 3, 1, tzinfo=UTC))
    after = book.find("claude-opus-4-6", at=NOON)
    assert {(row.starts, row.ends) for row in before.rows} == {(None, day)}
    assert {(row.starts, row.ends) for row in after.rows if row.tier == STANDARD} == {(day, None)}


def test_a_peak_price_says_its_hours(book: PriceBook) -> None:
    peak = book.find("deepseek-v4-pro", at=NOON.replace(day=20, hour=2))
    assert peak.row("input", 1).picos == 2 * book.find("deepseek-v4-pro", at=NOON).row("input", 1).picos
    hours = peak.rows[0].hours
    assert hours is not None
    assert [str(each) for each in hours] == ["01:00:00", "04:00:00"]


@pytest.mark.parametrize(
    ("day", "hour", "dearer"),
    [
        pytest.param(date(2026, 11, 20), 9, True, id="Friday, at the peak"),
        pytest.param(date(2026, 11, 21), 1, False, id="Saturday"),
        pytest.param(date(2026, 11, 22), 9, False, id="Sunday"),
        pytest.param(date(2026, 11, 23), 0, False, id="Monday, before the peak"),
        pytest.param(date(2026, 11, 23), 1, True, id="Monday, at the peak"),
        pytest.param(date(2026, 8, 14), 1, False, id="the Friday before there were peaks"),
        pytest.param(date(2026, 8, 17), 1, True, id="the first day of peaks"),
    ],
)
def test_deepseeks_peaks_are_on_weekdays_and_began_on_a_day(
    book: PriceBook, day: date, hour: int, dearer: bool
) -> None:
    """https://api-docs.deepseek.com/quick_start/pricing; the first source cannot say it in its data."""
    at = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    plain = 435_000 if day < date(2026, 8, 17) else 660_000
    row = book.find("deepseek-v4-pro", at=at).row("input", 1)
    assert row.picos == plain * (1 + dearer)
    assert row.weekdays == dearer


def test_a_window_of_the_day_ends_no_price(book: PriceBook) -> None:
    """A window that began before a price does not end it."""
    row = book.find("deepseek-v4-flash", at=NOON).row("input", 1)
    assert (row.starts, row.ends) == (date(2026, 9, 10), None)


def test_a_naive_moment_is_refused(book: PriceBook) -> None:
    with pytest.raises(InvalidValueError):
        book.find("gpt-4o", at=datetime(2026, 11, 22, 12))


# ---- names ----


@pytest.mark.parametrize(
    ("asked", "full"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("GPT-4o", "openai/gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("gpt-4o-2024-05-13", "openai/gpt-4o-2024-05-13"),
        ("gpt-5.2-20251211", "openai/gpt-5.2"),
        ("gpt-6-sol-2026-09-22", "openai/gpt-6-sol"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x1", "openai/ft:gpt-4o-mini"),
        ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5"),
        ("claude-sonnet-4-20250514", "anthropic/claude-sonnet-4-0"),
        ("claude-3-5-sonnet@20240620", "anthropic/claude-3-5-sonnet"),
        ("anthropic/claude-opus-4.5", "anthropic/claude-opus-4-5"),
        ("claude-4-opus", "anthropic/claude-opus-4-0"),
        ("gemini/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("models/gemini-2.5-pro-preview-05-06", "google/gemini-2.5-pro"),
        ("google/gemini-2.0-flash-001", "google/gemini-2.0-flash"),
        ("xai/grok-4", "x-ai/grok-4-0709"),
        ("deepseek-chat", "deepseek/deepseek-chat"),
        ("mistral/mistral-large-latest", "mistral/mistral-large"),
        ("groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("groq/llama-3.1-8b-instant", "groq/llama-3.1-8b-instant"),
        # A maker's "deepseek-r1" must not catch another model that only begins so.
        ("groq/deepseek-r1-distill-llama-70b", "groq/deepseek-r1-distill-llama-70b"),
        ("kimi-k3", "moonshotai/kimi-k3"),
        ("bedrock/us.amazon.nova-lite-v1:0", "aws/us.amazon.nova-lite-v1:0"),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", "aws/anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("azure/eu/gpt-4o-mini", "azure/eu/gpt-4o-mini"),
        ("vertex_ai/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("openrouter/openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("fireworks_ai/accounts/fireworks/models/kimi-k3", "fireworks/kimi-k3"),
        ("fireworks/kimi-k3", "fireworks/kimi-k3"),
        # Where the first source says "contains", the name is known behind every region.
        (
            "bedrock/eu.anthropic.claude-3-haiku-20240307-v1:0",
            "aws/regional.anthropic.claude-3-haiku-20240307-v1:0",
        ),
        ("openai.gpt-oss-120b-1:0", "aws/openai.gpt-oss-120b-1:0"),
        ("bedrock/converse/us.amazon.nova-lite-v1:0", "aws/us.amazon.nova-lite-v1:0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
            "aws/us.amazon.nova-lite-v1:0",
        ),
    ],
)
def test_a_name_finds_its_model(book: PriceBook, asked: str, full: str) -> None:
    found = book.find(asked, at=NOON)
    assert f"{found.provider}/{found.model}" == full
    assert found.asked == asked


def test_claude_by_its_bare_name_is_anthropics(book: PriceBook) -> None:
    """Google sells it too, partly under other dates and prices."""
    for line in _lines():
        raw = json.loads(line)
        if raw["id"].startswith("google/claude"):
            for name in raw["names"]:
                if name.endswith("@default"):
                    # Google alone writes a name so.
                    continue
                assert book.find(name.lstrip("^@"), at=NOON).provider == "anthropic"


def test_a_provider_restricts_the_search(book: PriceBook) -> None:
    assert book.find("openai/gpt-4o", provider="openrouter", at=NOON).provider == "openrouter"
    assert book.find("openai/gpt-4o", provider="openai", at=NOON).provider == "openai"
    assert book.find("gemini-2.5-flash", provider="gemini", at=NOON).provider == "google"
    with pytest.raises(UnknownPriceError):
        book.find("gpt-4o", provider="groq", at=NOON)
    with pytest.raises(UnknownPriceError):
        book.find("groq/llama-3.1-8b-instant", provider="openai", at=NOON)


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "input",
        "gpt-7",
        "my-gpt-4o",
        "gpt-4o-2031-01-01",
        "gpt-4o-turbo-deluxe",
        "gemini-1.5-flash-9b",
        "gemini-2.5-pro-preview-tts-9",
        "claude-opus-4-5-5",
        "us-antarctica.anthropic.claude-sonnet-4-5",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/0a1b2c",
        "converse/gpt-4o",
        "sample_spec",
        '"',
    ],
)
def test_an_unknown_name_is_an_error_and_never_a_guess(book: PriceBook, asked: str) -> None:
    with pytest.raises(UnknownPriceError):
        book.find(asked, at=NOON)


def test_an_unknown_name_comes_with_the_nearest_and_the_command(book: PriceBook) -> None:
    with pytest.raises(UnknownPriceError) as caught:
        book.find("gpt-4oo", at=NOON)
    assert str(caught.value) == 'no price for "gpt-4oo"'
    assert caught.value.values == {"model": "gpt-4oo", "nearest": book.nearest("gpt-4oo")}
    assert book.nearest("gpt-4oo")[0] == "openai/gpt-4o"
    assert caught.value.hint is not None
    assert "openai/gpt-4o" in caught.value.hint
    assert "budget prices set gpt-4oo --input USD --output USD" in caught.value.hint
    assert "--free" in caught.value.hint


def test_a_hostile_name_does_not_become_a_command(book: PriceBook) -> None:
    with pytest.raises(UnknownPriceError) as caught:
        book.find("x; rm -rf ~\n", at=NOON)
    assert caught.value.hint is not None
    assert "rm" not in caught.value.hint
    with pytest.raises(UnknownPriceError) as caught:
        book.find("$(reboot)", at=NOON)
    assert caught.value.hint is not None
    assert "'$(reboot)'" in caught.value.hint


def test_a_name_at_several_hosts_must_be_qualified(book: PriceBook) -> None:
    with pytest.raises(UnknownPriceError) as caught:
        book.find("openai/gpt-oss-120b", at=NOON)
    assert "groq/openai/gpt-oss-120b" in caught.value.values["nearest"]
    assert caught.value.hint is not None
    assert "say by whom" in caught.value.hint
    assert "`budget prices list --search openai/gpt-oss-120b`" in caught.value.hint
    assert len(caught.value.hint) < 300 < len(str(caught.value.values["nearest"]))


@pytest.mark.parametrize("asked", ["deepseek/deepseek-r1:free", "somebody/heard-of-by-nobody:free"])
def test_openrouters_free_variants_cost_nothing(book: PriceBook, asked: str) -> None:
    found = book.find(f"openrouter/{asked}", at=NOON)
    assert (found.provider, found.model) == ("openrouter", asked)
    assert cost(Usage.of(input=1000, cached_input=9, output=5, reasoning=3), found).nanos == 0
    with pytest.raises(UnknownPriceError):
        # A plugin's search is billed all the same.
        cost(Usage.of(web_searches=1), found)


def test_free_is_a_word_of_openrouter_alone(book: PriceBook) -> None:
    for asked in ("gpt-4o:free", "openai/gpt-4o:free", "groq/llama-3.1-8b-instant:free"):
        with pytest.raises(UnknownPriceError):
            book.find(asked, at=NOON)


def test_what_is_known_besides_prices(book: PriceBook) -> None:
    small, thinker = book.find("gpt-4o-mini", at=NOON), book.find("o3", at=NOON)
    assert (small.context_window, small.max_output_tokens, small.reasoning) == (128_000, 16_384, False)
    assert (thinker.max_output_tokens, thinker.reasoning) == (100_000, True)
    assert book.find("openrouter/openai/o3", at=NOON).reasoning
    assert book.find("gpt-3.5-turbo-instruct", at=NOON).max_output_tokens == 4096


def test_a_look_up_parses_only_the_lines_that_hold_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    whole = bundled.parse

    def counting(line: bytes) -> bundled.Known:
        parsed.append(line)
        return whole(line)

    monkeypatch.setattr(bundled, "parse", counting)
    fresh = BundledBook()
    fresh.find("gpt-4o-mini", at=NOON)
    assert 1 <= len(parsed) <= 8
    fresh.find("gpt-4o-mini", at=NOON.replace(hour=13))
    assert len(parsed) <= 8
    # A word that stands in every line, but names no model.
    parsed.clear()
    with pytest.raises(UnknownPriceError):
        fresh.find("output", at=NOON)
    assert parsed == []


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_MOST_KEPT", 3)
    fresh = BundledBook()
    for number in range(10):
        assert fresh.matches(f"no-such-model-{number}") == ()
    assert len(fresh._kept) <= 3


# ---- the owner's own prices ----


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "prices.toml"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_without_a_file_the_book_is_the_bundled_one(own: Path, book: PriceBook) -> None:
    assert open_book(own).version == book.version
    assert not own.parent.exists()


def test_an_own_price_wins_and_the_rest_stays_known(own: Path, book: PriceBook) -> None:
    set_price(own, "gpt-4o", prices={"input": "1", "output": "2.5"}, now=NOON)
    layered = open_book(own)
    assert layered.version.startswith(book.version + "+own-")
    for asked in ("gpt-4o", "openai/gpt-4o", "gpt-4o-2024-08-06"):
        found = layered.find(asked, at=NOON)
        assert cost(Usage.of(input=2, output=2), found).exact_picos == 7_000_000
        assert (found.provider, found.context_window, found.max_output_tokens) == ("openai", 128_000, 16_384)
        assert (found.book_version, found.asked) == (layered.version, asked)
    assert layered.find("gpt-4o-mini", at=NOON).rows == book.find("gpt-4o-mini", at=NOON).rows
    assert layered.find("gpt-4o-mini", at=NOON).book_version == layered.version


def test_an_own_price_replaces_all_units(own: Path) -> None:
    """A bundled cache price beside an own input price would be neither's."""
    set_price(own, "gpt-4o", prices={"input": "1", "output": "2"}, now=NOON)
    line = cost(Usage.of(cached_input=1), open_book(own).find("gpt-4o", at=NOON)).lines[0]
    assert (line.priced_as, line.picos, line.row.source) == ("input", 1_000_000, "your own prices")


def test_own_prices_have_their_days(own: Path, book: PriceBook) -> None:
    _write(
        own,
        """
        [[price]]
        model = "gpt-4o"
        from = "2026-12-01"
        input = "9"
        [[price]]
        model = "gpt-4o"
        from = 2026-11-01
        input = "7"
        [[price]]
        model = "gpt-4o"
        from = 2026-11-10T06:00:00Z
        input = "8"
        """,
    )
    layered = open_book(own)

    def rate(month: int, day: int, hour: int = 0) -> object:
        return layered.find("gpt-4o", at=datetime(2026, month, day, hour, tzinfo=UTC)).row("input", 1).picos

    assert rate(10, 31) == book.find("gpt-4o", at=NOON).row("input", 1).picos
    assert [rate(11, 1), rate(11, 10, 5), rate(11, 10, 6), rate(12, 1)] == [
        7 * 10**6,
        7 * 10**6,
        8 * 10**6,
        9 * 10**6,
    ]
    row = layered.find("gpt-4o", at=NOON).rows[0]
    assert (row.starts, row.ends) == (datetime(2026, 11, 10, 6, tzinfo=UTC), date(2026, 12, 1))


def test_of_two_own_prices_for_one_day_the_lower_one_counts(own: Path) -> None:
    """That is how a typing mistake is corrected by the command line."""
    for usd in ("10", "1"):
        set_price(own, "m", prices={"input": usd}, starts=date(2026, 11, 1), now=NOON)
    assert open_book(own).find("m", at=NOON).row("input", 1).picos == 10**6


def test_a_second_own_price_starts_now_and_keeps_history(own: Path) -> None:
    set_price(own, "local", prices={"input": "1"}, now=NOON)
    set_price(own, "local", prices={"input": "3"}, now=NOON)
    layered = open_book(own)
    rates = [layered.find("local", at=NOON.replace(hour=hour)).row("input", 1).picos for hour in (11, 12)]
    assert rates == [10**6, 3 * 10**6]


def test_an_own_price_can_be_for_one_provider_only(own: Path) -> None:
    set_price(own, "gpt-4o", provider="openrouter", prices={"input": "1"}, now=NOON)
    set_price(own, "azure-thing", provider="azure", prices={"input": "4"}, now=NOON)
    layered = open_book(own)
    assert layered.find("gpt-4o", at=NOON).row("input", 1).picos == 2_500_000
    assert layered.find("gpt-4o", provider="openrouter", at=NOON).row("input", 1).picos == 10**6
    for name, provider in (("azure-thing", None), ("azure/azure-thing", None), ("azure-thing", "azure")):
        assert layered.find(name, provider=provider, at=NOON).provider == "azure"
    with pytest.raises(UnknownPriceError):
        layered.find("azure-thing", provider="openai", at=NOON)


def test_a_free_model_is_free_and_named(own: Path) -> None:
    set_price(own, "llama-on-my-desk", free=True, context_window=8192, reasons=True, now=NOON)
    found = open_book(own).find("llama-on-my-desk", provider="local", at=NOON)
    assert (found.free, found.provider, found.context_window, found.reasoning) == (True, "local", 8192, True)
    assert cost(Usage.of(input=10**6, output=5), found).nanos == 0


def test_an_unknown_name_suggests_own_models_too(own: Path) -> None:
    set_price(own, "llama-on-my-desk", free=True, now=NOON)
    with pytest.raises(UnknownPriceError) as caught:
        open_book(own).find("llama-on-my-desc", at=NOON)
    assert caught.value.values["nearest"][0] == "llama-on-my-desk"


def test_setting_keeps_hand_edits_to_the_letter(own: Path) -> None:
    by_hand = '# our prices\n\n[[price]]  # negotiated\nmodel = "a"   \ninput="1"'
    _write(own, by_hand)
    set_price(own, "b", prices={"input": "2", "output": "3"}, max_output_tokens=99, now=NOON)
    text = own.read_text("utf-8")
    assert text == by_hand + '\n\n[[price]]\nmodel = "b"\ninput = "2"\noutput = "3"\nmax_output_tokens = 99\n'
    assert [row.model for row in read_overlay(own).rows] == ["a", "b"]
    assert sorted(each.name for each in own.parent.iterdir()) == ["prices.toml", "prices.toml.lock"]


def test_setting_through_a_link_keeps_the_link(own: Path, tmp_path: Path) -> None:
    set_price(own, "a", free=True, now=NOON)
    link = tmp_path / "link.toml"
    link.symlink_to(own)
    set_price(link, "b", free=True, now=NOON)
    assert link.is_symlink()
    assert [row.model for row in read_overlay(own).rows] == ["a", "b"]


def test_a_name_with_quotes_and_newlines_survives(own: Path) -> None:
    strange = 'a"b\\c\nd\u00e9'
    set_price(own, strange, free=True, now=NOON)
    assert read_overlay(own).rows[0].model == strange


def test_concurrent_setters_lose_nothing(own: Path) -> None:
    def work(number: int) -> None:
        set_price(own, f"model-{number}", prices={"input": "1"}, now=NOON)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {row.model for row in read_overlay(own).rows} == {f"model-{number}" for number in range(8)}


def test_the_own_version_changes_with_prices_and_not_with_comments(own: Path) -> None:
    versions = []
    for text in (
        '[[price]]\nmodel="a"\ninput="1"',
        '# x\n[[price]]\nmodel = "a"\ninput = "1"\n',
        '[[price]]\nmodel="a"\ninput="2"',
    ):
        versions.append(open_book(_write(own, text)).version)
    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('model = "a"\ninput = 0.15', "TOML number"),
        ('model = "a"\ninput = 3', "TOML number"),
        ('model = "a"\ninput = "0,15"', "not a price"),
        ('model = "a"\ninput = "-1"', "not a price"),
        ('input = "1"', "names no model"),
        ('model = " "\ninput = "1"', "names no model"),
        ('model = "a"', "needs either"),
        ('model = "a"\nfree = true\ninput = "1"', "needs either"),
        ('model = "a"\nfree = "yes"', "needs either"),
        ('model = "a"\ninptu = "1"', "inptu"),
        ('model = "a"\ninput = "1"\nfrom = "soon"', "not a day"),
        ('model = "a"\ninput = "1"\nfrom = 2026-11-01T06:00:00', "no time zone"),
        ('model = "a"\ninput = "1"\nfrom = 3', "from is 3"),
        ('model = "a"\ninput = "1"\ncontext_window = "8k"', "context_window"),
        ('model = "a"\ninput = "1"\nmax_output_tokens = 0', "max_output_tokens"),
        ('model = "a"\ninput = "1"\nreasons = 1', "reasons"),
        ('model = "a"\ninput = "1"\nprovider = 3', "provider"),
    ],
)
def test_an_own_price_that_cannot_be_meant_is_refused_with_its_place(
    own: Path, table: str, said: str
) -> None:
    _write(own, f'[[price]]\nmodel = "fine"\nfree = true\n[[price]]\n{table}\n')
    with pytest.raises(ConfigError) as caught:
        open_book(own)
    assert "price 2" in str(caught.value)
    assert said in str(caught.value)
    assert caught.value.hint


def test_the_hint_for_a_toml_number_shows_the_quotes(own: Path) -> None:
    _write(own, '[[price]]\nmodel = "a"\ninput = 0.15\n')
    with pytest.raises(ConfigError) as caught:
        open_book(own)
    assert caught.value.hint is not None
    assert 'input = "0.15"' in caught.value.hint


@pytest.mark.parametrize(
    "text", ["[[price]", 'price = "1"', "[prices]\n", "price = [1]", 'x = 1\n[[price]]\nmodel="a"']
)
def test_a_file_of_another_kind_is_refused(own: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        open_book(_write(own, text))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        open_book(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="cannot read"):
        open_book(tmp_path / "latin.toml")


def test_nothing_is_written_when_the_price_or_the_file_is_wrong(own: Path) -> None:
    with pytest.raises(InvalidValueError):
        set_price(own, "a", prices={"input": "cheap"}, now=NOON)
    assert not own.exists()
    broken = "price = [1]\n"
    _write(own, broken)
    with pytest.raises(ConfigError):
        set_price(own, "a", prices={"input": "1"}, now=NOON)
    assert own.read_text("utf-8") == broken


def test_every_unit_can_be_priced_by_its_owner(own: Path) -> None:
    set_price(own, "m", prices=dict.fromkeys(UNITS, "1"), now=NOON)
    found = open_book(own).find("m", at=NOON)
    each = cost(Usage.of(how="reported", **dict.fromkeys(UNITS, 1)), found)
    assert each.exact_picos == sum(Fraction(10**12, priced_for(unit)) for unit in UNITS)
