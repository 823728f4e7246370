"""How text is laid out: names, tables, widths, moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from budgets_cli.env import Env
from budgets_cli.harmless import harmless, shown_name
from budgets_cli.tables import Column, Share, Table, drawn_lines, plain_lines
from budgets_cli.words import since, until, when

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)

TABLE = Table(
    (Column("USER"), Column("LEFT", right=True), Column("USED", keep=2), Column("AT", keep=1)),
    (
        ("ann", "$10.00", Share(0), "2026-12-01 00:00 UTC"),
        ("[red]日本🎉", "$0.0000315", Share(100), "never"),
        ("\x1b[31mx\u202e", "-$1.20", Share(99), ""),
    ),
)


class Terminal(StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _env(stdout: StringIO, **environ: str) -> Env:
    return Env((), StringIO(), stdout, StringIO(), environ)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("ann", "ann", id="plain"),
        pytest.param("Zoë 日本 🎉", "Zoë 日本 🎉", id="letters and emoji"),
        pytest.param("👩‍🚀", "👩‍🚀", id="joined emoji"),
        pytest.param("a\x1b[31m", r"a\x1b[31m", id="an escape"),
        pytest.param("a\tb\r\nc\x00\x7f", r"a\tb\r\nc\x00\x7f", id="control characters"),
        pytest.param("\u202e\u2066\u200f\ufeff", r"\u202e\u2066\u200f\ufeff", id="bidirectional marks"),
        pytest.param("a\u2028b\x85c", r"a\u2028b\x85c", id="line ends"),
        pytest.param("\udcff", r"\udcff", id="broken Unicode"),
        pytest.param("a\u00a0b", r"a\xa0b", id="a space that is none"),
    ],
)
def test_what_is_not_seen_is_spelled_out(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_the_project_has_a_name_of_its_own() -> None:
    assert shown_name("") == "(project)"


def test_a_plain_table_is_aligned_by_cells() -> None:
    assert list(plain_lines(TABLE, width=None)) == [
        "USER                   LEFT  USED  AT",
        "ann                  $10.00  0%    2026-12-01 00:00 UTC",
        "[red]日本🎉      $0.0000315  100%  never",
        r"\x1b[31mx\u202e      -$1.20  99%",
    ]


def test_a_drawn_table_has_bars_and_no_markup() -> None:
    lines = list(drawn_lines(TABLE, width=80, colour=False, unicode=True))
    assert lines == [
        "USER                   LEFT  USED          AT",
        "ann                  $10.00  ────────────  2026-12-01 00:00 UTC",
        "[red]日本🎉      $0.0000315  ━━━━━━━━━━━━  never",
        r"\x1b[31mx\u202e      -$1.20  ━━━━━━━━━━━─",
    ]


def test_a_bar_is_drawn_with_what_the_stream_knows() -> None:
    lines = list(drawn_lines(TABLE, width=80, colour=False, unicode=False))
    assert lines[2].split()[2] == "============"
    assert lines[3].split()[2] == "===========-"


def test_colour_is_used_only_where_it_is_wanted() -> None:
    assert any("\x1b[" in line for line in drawn_lines(TABLE, width=80, colour=True, unicode=True))
    assert not any("\x1b[" in line for line in drawn_lines(TABLE, width=80, colour=False, unicode=True))


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        pytest.param(80, ["USER", "LEFT", "USED", "AT"], id="all"),
        pytest.param(60, ["USER", "LEFT", "USED"], id="one less"),
        pytest.param(30, ["USER", "LEFT"], id="those that always stay"),
    ],
)
def test_a_narrow_terminal_loses_columns_and_never_figures(width: int, titles: list[str]) -> None:
    lines = list(drawn_lines(TABLE, width=width, colour=False, unicode=True))
    assert lines[0].split() == titles
    assert "$0.0000315" in lines[2]


def test_a_long_name_gives_way_to_the_figures() -> None:
    table = Table((Column("USER"), Column("LEFT", right=True)), (("x" * 100, "$10.00"),))
    _, row = drawn_lines(table, width=60, colour=False, unicode=True)
    assert row == "x" * 51 + "…" + "  $10.00"


@pytest.mark.parametrize(
    ("stdout", "environ", "width"),
    [
        pytest.param(StringIO(), {}, None, id="a pipe has none"),
        pytest.param(StringIO(), {"COLUMNS": "100"}, 100, id="COLUMNS says"),
        pytest.param(Terminal(), {"COLUMNS": "20"}, 60, id="never under 60"),
        pytest.param(Terminal(), {"COLUMNS": "1000"}, 200, id="never over 200"),
        pytest.param(Terminal(), {"COLUMNS": "wide"}, 80, id="COLUMNS that says nothing"),
    ],
)
def test_the_width_of_text(stdout: StringIO, environ: dict[str, str], width: int | None) -> None:
    assert _env(stdout, **environ).width == width


@pytest.mark.parametrize(
    ("stdout", "environ", "drawn", "coloured"),
    [
        pytest.param(Terminal(), {}, True, True, id="a terminal"),
        pytest.param(Terminal(), {"NO_COLOR": "1"}, True, False, id="NO_COLOR wins"),
        pytest.param(Terminal(), {"TERM": "dumb"}, False, False, id="a dumb terminal"),
        pytest.param(StringIO(), {}, False, False, id="a pipe"),
    ],
)
def test_what_a_stream_may_show(
    stdout: StringIO, environ: dict[str, str], drawn: bool, coloured: bool
) -> None:
    env = _env(stdout, **environ)
    assert (env.drawn, env.coloured(stdout)) == (drawn, coloured)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        pytest.param(timedelta(days=8, hours=15), "8 days", id="days"),
        pytest.param(timedelta(days=2), "2 days", id="two days"),
        pytest.param(timedelta(days=1, hours=23), "47 hours", id="less than two days"),
        pytest.param(timedelta(hours=1), "1 hour", id="an hour"),
        pytest.param(timedelta(minutes=59), "59 minutes", id="minutes"),
        pytest.param(timedelta(minutes=1), "1 minute", id="a minute"),
        pytest.param(timedelta(seconds=59), "less than a minute", id="seconds"),
    ],
)
def test_how_long_it_is(length: timedelta, words: str) -> None:
    assert until(NOW + length, NOW) == f"in {words}"
    assert since(NOW - length, NOW) == f"{words} ago"


def test_now_is_now() -> None:
    assert (until(NOW, NOW), since(NOW, NOW)) == ("now", "now")


def test_a_moment_is_said_in_its_zone() -> None:
    assert when(NOW, "UTC") == "2026-11-22 09:00 UTC"
    assert when(NOW, "Asia/Tokyo") == "2026-11-22 18:00 Asia/Tokyo"
