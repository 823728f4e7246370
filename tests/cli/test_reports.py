"""Reports on the command line: cost, tree, projects, history, export, and lists of users."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from budgets_cli.rows import COLUMNS

from budgets.money import parse_usd

if TYPE_CHECKING:
    from conftest import Budget


@pytest.fixture
def team(budget: Budget) -> Budget:
    """A team with two members, and somebody else; each has spent something, at several times."""
    budget.done("create", "--user", "team-a", "--total", "100", "--every", "month")
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month", "--parent", "team-a")
    budget.done("create", "--user", "bob", "--parent", "team-a")
    budget.done("create", "--user", "eve", "--total", "3", "--timezone", "Asia/Tokyo", "--every", "day")
    for user, amount, model, at in (
        ("ann", "1.00", "gpt-4o", "2026-10-31"),
        ("ann", "2.50", "gpt-4o", "2026-11-03"),
        ("bob", "4.000000001", "m", "2026-11-03T23:59"),
        ("ann", "0.25", "m", "2026-11-20"),
        ("eve", "3.00", "gpt-4o", "2026-11-22"),
    ):
        id_ = f"{user}-{at}"
        budget.done("charge", "--user", user, "--amount", amount, "--model", model, "--at", at, "--id", id_)
    return budget


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# cost


def test_cost_by_day_of_a_stretch(team: Budget) -> None:
    ended = team.done("cost", "--user", "team-a", "--by", "day", "--since", "2026-11-03")
    assert ended.out.splitlines()[0] == "team-a has spent $6.750000001 since 2026-11-03 00:00 UTC"
    assert lines(ended.out)[1:] == [["DAY", "SPENT"], ["2026-11-03", "$6.500000001"], ["2026-11-20", "$0.25"]]


@pytest.mark.parametrize(
    ("argv", "rows"),
    [
        pytest.param(
            ("--by", "user"), {"bob": "4.000000001", "ann": "3.75", "eve": "3.00"}, id="the project"
        ),
        pytest.param(
            ("--by", "user", "--under", "team-a"), {"bob": "4.000000001", "ann": "2.75"}, id="below a team"
        ),
        pytest.param(
            ("--by", "user", "--under", "team-a", "--period", "last"), {"ann": "1.00"}, id="last month"
        ),
        pytest.param(
            ("--by", "model", "--under", "team-a"), {"m": "4.250000001", "gpt-4o": "2.50"}, id="by model"
        ),
        pytest.param(
            ("--by", "model", "--user", "ann", "--since", "2026-11-03", "--until", "2026-11-20"),
            {"gpt-4o": "2.50"},
            id="half-open",
        ),
        pytest.param(("--by", "day", "--user", "bob", "--until", "2026-11-03"), {}, id="nothing"),
    ],
)
def test_rows_of_cost(team: Budget, argv: tuple[str, ...], rows: dict[str, str]) -> None:
    by = argv[1]
    document = team.done("cost", *argv, "--json").document
    assert [(row[by], row["spent_usd"]) for row in document["rows"]] == list(rows.items())
    assert document["by"] == by
    assert sum(map(parse_usd, rows.values())) == parse_usd(document["spent_usd"])
    assert sum(map(parse_usd, document["models"].values())) == parse_usd(document["spent_usd"])


def test_days_are_read_and_shown_in_the_zone_of_the_limit(team: Budget) -> None:
    """Midnight in Tokyo is 15:00 UTC of the day before."""
    team.done("charge", "--user", "eve", "--amount", "1", "--at", "2026-11-20T15:00:00Z")
    ended = team.done(
        "cost", "--user", "eve", "--by", "day", "--since", "2026-11-21", "--until", "2026-11-22"
    )
    first = "eve has spent $1.00 from 2026-11-21 00:00 Asia/Tokyo until 2026-11-22 00:00 Asia/Tokyo"
    assert ended.out.splitlines()[0] == first
    assert ["2026-11-21", "$1.00"] in lines(ended.out)


def test_the_last_period_is_named(team: Budget) -> None:
    said = team.done("cost", "--user", "ann", "--period", "last").out.splitlines()[0]
    wanted = "$1.00 of $10.00 every month from 2026-10-01 00:00 UTC until 2026-11-01 00:00 UTC"
    assert said == f"ann has spent {wanted}"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(("--by", "week"), "--by takes model, day, or user", id="another kind"),
        pytest.param(("--period", "next"), "--period takes current or last", id="another period"),
        pytest.param(("--period", "last", "--since", "2026-11-01"), "both say when", id="two times"),
        pytest.param(("--under", "team-a", "--user", "ann"), "both name a budget", id="two budgets"),
        pytest.param(("--user", "ann", "--since", "soon"), '--since: "soon" is not a date', id="no date"),
        pytest.param(
            ("--user", "ann", "--since", "2026-11-02", "--until", "2026-11-02"), "is empty", id="no time"
        ),
    ],
)
def test_a_cost_that_cannot_be_meant(team: Budget, argv: tuple[str, ...], message: str) -> None:
    ended = team("cost", *argv)
    assert ended.code == 2
    assert message in ended.err
    assert "hint:" in ended.err


# list-users


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        pytest.param((), ["ann", "bob", "eve", "team-a"], id="all"),
        pytest.param(("--under", "team-a"), ["ann", "bob"], id="below a team"),
        pytest.param(("--over", "100%"), ["eve"], id="used up"),
        pytest.param(("--over", "27.5"), ["ann", "eve"], id="exactly, without the sign"),
        pytest.param(("--over", "27.500001%", "--under", "team-a"), [], id="a little more"),
    ],
)
def test_users_are_chosen(team: Budget, argv: tuple[str, ...], names: list[str]) -> None:
    team.clock.set(datetime.fromisoformat("2026-11-22T10:00:00+00:00"))
    assert team.done("list-users", *argv).out.split() == names
    assert team.done("list-users", *argv, "--json").document["users"] == names


@pytest.mark.parametrize("text", ["most", "-5%", "1e2", "９０%", "90%%"])
def test_a_share_that_is_none(team: Budget, text: str) -> None:
    ended = team("list-users", f"--over={text}")
    assert (ended.code, "is not a percentage" in ended.err) == (2, True)


# tree


def test_a_tree_in_a_pipe_is_plain(team: Budget) -> None:
    out = team.done("tree").out
    assert [line.split("  ")[-1] for line in out.splitlines()[1:2]] == ["no limit"]
    assert [line[:11].rstrip() for line in out.splitlines()] == [
        "USER",
        "(project)",
        "  eve",
        "  team-a",
        "    ann",
        "    bob",
    ]
    assert out.isascii()


def test_a_tree_on_a_terminal_has_branches_and_bars(team: Budget) -> None:
    out = team.done("tree", terminal=True, COLUMNS="80", NO_COLOR="1").out
    assert "└─ team-a" in out
    assert "   ├─ ann" in out
    assert "   └─ bob" in out
    assert "━" in out


def test_a_tree_that_is_cut_says_how_many_are_below(team: Budget) -> None:
    out = team.done("tree", "--depth", "1").out
    assert "team-a (+2 below)" in out
    assert "ann" not in out
    top = team.done("tree", "--depth", "1", "--json").document["tree"]
    assert [(each["user"], each["below"], each["children"]) for each in top["children"]] == [
        ("eve", 0, []),
        ("team-a", 2, []),
    ]


def test_a_part_of_the_tree(team: Budget) -> None:
    top = team.done("tree", "--under", "team-a", "--json").document["tree"]
    assert (top["user"], [each["user"] for each in top["children"]]) == ("team-a", ["ann", "bob"])
    assert team("tree", "--under", "nobody").code == 1


def test_an_empty_tree_says_how_to_begin(budget: Budget) -> None:
    ended = budget.done("tree")
    assert (ended.out, "budget create" in ended.err) == ("", True)
    assert budget.done("tree", "--json").document["tree"] is None


# projects


def test_projects_with_what_was_spent_in_them(team: Budget) -> None:
    team.done("create", "--project", "other", "--user", "zoe", "--total", "1")
    ended = team.done("projects")
    assert lines(ended.out)[1][:3] == ["default", "4", "$10.750000001"]
    assert lines(ended.out)[2][:3] == ["other", "1", "$0.00"]


def test_a_store_without_projects_says_how_to_begin(budget: Budget) -> None:
    ended = budget.done("projects")
    assert (ended.out, "budget create" in ended.err) == ("", True)


# history


def happened(budget: Budget, *argv: str) -> list[str]:
    return [each["what"] for each in budget.done("history", *argv, "--json").document["entries"]]


def test_history_tells_what_happened_in_words(budget: Budget) -> None:
    budget.done("create", "--user", "team-a", "--total", "100")
    budget.done("create", "--user", "ann", "--total", "10", "--every", "month")
    budget.done("set", "--user", "ann", "--total", "20", "--parent", "team-a")
    budget.done("set", "--user", "ann", "--every", "week", "--timezone", "Europe/Berlin")
    budget.done("set", "--user", "ann", "--freeze")
    budget.done("charge", "--user", "ann", "--amount", "25", "--id", "c1", "--note", "by hand")
    budget.done("correct", "c1", "--amount", "-1", "--note", "a mistake")
    budget.done("reset", "--user", "ann", "--yes")
    engine = budget.engine()
    engine.hold("team-a", parse_usd("1"), model="m", hold_id="h1")
    engine.release("h1", reason="it failed")
    engine.store.close()
    told = happened(budget, "--user", "ann")
    assert told[::-1][:3] == [
        "period opened: until 2026-12-01T00:00:00Z",
        "created: $10.00 every month",
        "moved, limit changed: from (project) to team-a; from $10.00 every month to $20.00 every month",
    ]
    for wanted in (
        "limit changed: from $20.00 every month to $20.00 every week in Europe/Berlin",
        "frozen",
        "charged: by hand",
        "above its limit: charged without a hold",
        "corrected: c1; a mistake",
        "reset",
    ):
        assert wanted in told
    assert "hold released: it failed" in happened(budget)
    assert happened(budget, "--limit", "1") == ["hold released: it failed"]


def test_history_pages_until_there_is_no_more(team: Budget) -> None:
    everything = team.done("history", "--limit", "1000", "--json").document
    assert everything["next_before"] is None
    found: list[Any] = []
    place: tuple[str, ...] = ()
    while True:
        document = team.done("history", "--limit", "4", *place, "--json").document
        found += document["entries"]
        if document["next_before"] is None:
            break
        place = ("--before", document["next_before"])
    assert found == everything["entries"]
    ended = team.done("history", "--limit", "4")
    assert ended.err == f"older entries: budget history --limit 4 --before {found[3]['id']}\n"
    assert len(ended.out.splitlines()) == 5


def test_lines_of_history_come_oldest_first(team: Budget) -> None:
    streamed = [json.loads(line) for line in team.done("history", "--jsonl").out.splitlines()]
    assert streamed[::-1] == team.done("history", "--limit", "1000", "--json").document["entries"]
    of_ann = [json.loads(line) for line in team.done("history", "--user", "ann", "--jsonl").out.splitlines()]
    assert {each["user"] for each in of_ann} == {"ann"}


def test_no_money_of_history_is_a_number(team: Budget) -> None:
    text = team.done("history", "--json").out
    assert "_nanos" not in text
    created = next(e for e in json.loads(text)["entries"] if e["what"].startswith("created: $10.00"))
    assert created["detail"]["after"]["limits"][0]["total_usd"] == "10.00"


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        pytest.param(("--limit", "0"), 2, id="none"),
        pytest.param(("--limit", "10001"), 2, id="too many"),
        pytest.param(("--jsonl", "--json"), 2, id="two forms"),
        pytest.param(("--jsonl", "--before", "x"), 2, id="a stream has no pages"),
        pytest.param(("--before", "nothing"), 1, id="no such entry"),
        pytest.param(("--user", "nobody"), 1, id="no such user"),
        pytest.param(("--user", "nobody", "--jsonl"), 1, id="no such user to stream"),
    ],
)
def test_a_history_that_cannot_be_told(team: Budget, argv: tuple[str, ...], code: int) -> None:
    ended = team("history", *argv)
    assert ended.code == code
    assert ended.document["error"] if "--json" in argv else "hint:" in ended.err


# export


def exported(budget: Budget, *argv: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(budget.done("export", *argv).out)))


def test_an_export_adds_up_and_comes_in_the_order_of_calls(team: Budget) -> None:
    team.done("correct", "ann-2026-11-03", "--amount", "-0.5", "--note", "a mistake")
    found = exported(team)
    assert list(found[0]) == list(COLUMNS["csv"])
    assert [each["at"] for each in found] == sorted(each["at"] for each in found)
    assert [(each["kind"], each["user"], each["amount_usd"]) for each in found] == [
        ("charge", "ann", "1.00"),
        ("charge", "ann", "2.50"),
        ("correction", "ann", "-0.50"),
        ("charge", "bob", "4.000000001"),
        ("charge", "ann", "0.25"),
        ("charge", "eve", "3.00"),
    ]
    assert found[2]["corrects"] == "ann-2026-11-03"


@pytest.mark.parametrize(
    ("argv", "amounts"),
    [
        pytest.param(("--since", "2026-11-03", "--until", "2026-11-20"), ["2.50", "4.000000001"], id="time"),
        pytest.param(("--user", "ann"), ["1.00", "2.50", "0.25"], id="user"),
        pytest.param(("--user", "team-a"), [], id="a team's own calls"),
        pytest.param(("--under", "team-a"), ["1.00", "2.50", "4.000000001", "0.25"], id="below a team"),
        pytest.param(("--under", "eve", "--since", "2026-11-22"), ["3.00"], id="in the zone of the limit"),
    ],
)
def test_what_is_exported_is_chosen(team: Budget, argv: tuple[str, ...], amounts: list[str]) -> None:
    assert [each["amount_usd"] for each in exported(team, *argv)] == amounts
    rows = [json.loads(line) for line in team.done("export", *argv, "--format", "jsonl").out.splitlines()]
    assert [row["amount_usd"] for row in rows] == amounts
    assert [row["BilledCost"] for row in exported(team, *argv, "--format", "focus")] == amounts
    assert team.done("export", *argv, "--json").document["rows"] == rows


def test_a_focus_row_has_the_list_price_before_a_discount(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("prices", "set", "--discount", "33.3%", "--from", "2026-01-01")
    budget.done("charge", "--model", "gpt-4o-mini", "--input-tokens", "1", "--output-tokens", "7")
    (row,) = exported(budget, "--format", "focus")
    # 0.667 x 4,350 nanos, rounded up; and not 2,902 / 0.667, for the sum was exact before it was rounded.
    assert (row["BilledCost"], row["ListCost"]) == ("0.000002902", "0.00000435")


def test_a_focus_row(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    counts = ("--input-tokens", "1000", "--output-tokens", "200")
    budget.done("charge", "--user", "ann", "--model", "gpt-4o-mini", *counts, "--id", "c1")
    (row,) = exported(budget, "--format", "focus")
    assert list(row) == list(COLUMNS["focus"])
    wanted = {
        "BilledCost": "0.00027",
        "EffectiveCost": "0.00027",
        "BillingCurrency": "USD",
        "BillingPeriodStart": "2026-11-01T00:00:00Z",
        "BillingPeriodEnd": "2026-12-01T00:00:00Z",
        "ChargePeriodStart": "2026-11-22T09:00:00Z",
        "ChargePeriodEnd": "2026-11-22T09:00:01Z",
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ProviderName": "openai",
        "SkuId": "openai/gpt-4o-mini",
        "ConsumedQuantity": "1200",
        "ConsumedUnit": "Tokens",
        "SubAccountId": "ann",
        "x_EntryId": "c1",
        "x_Counted": "reported",
    }
    assert {name: row[name] for name in wanted} == wanted
    assert json.loads(row["Tags"]) == {"user": "ann", "path": ["ann"]}


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        pytest.param("=cmd()", "'=cmd()", id="a formula"),
        pytest.param("@sum", "'@sum", id="an at"),
        pytest.param("-2+3", "'-2+3", id="a minus"),
        pytest.param("＝1", "'＝1", id="a wide one"),
        pytest.param('a\nb,"c"\x1b[31m\u202e', 'a\\nb,"c"\\x1b[31m\\u202e', id="control characters"),
        pytest.param("ärger", "ärger", id="an ordinary one"),
    ],
)
def test_a_name_in_csv_is_harmless(budget: Budget, name: str, cell: str) -> None:
    engine = budget.engine()
    engine.create(name)
    engine.store.close()
    budget.done("charge", f"--user={name}", "--amount", "1")
    budget.done("export", "--output", "x.csv")
    text = (budget.folder / "x.csv").read_text("utf-8")
    assert len(text.splitlines()) == 2
    assert next(csv.DictReader(StringIO(text)))["user"] == cell
    # JSON has the name itself.
    assert json.loads(budget.done("export", "--format", "jsonl").out)["user"] == name


def test_a_file_is_replaced_only_when_somebody_agrees(team: Budget) -> None:
    file = team.folder / "x.csv"
    assert team.done("export", "--output", "x.csv").err == "wrote 5 charges and corrections to x.csv\n"
    whole = file.read_text("utf-8")
    file.write_text("mine")
    assert team("export", "--output", "x.csv").code == 2
    assert team("export", "--output", "x.csv", answer="n\n").code != 0
    assert file.read_text() == "mine"
    team.done("export", "--output", "x.csv", answer="y\n")
    assert file.read_text("utf-8") == whole == team.done("export").out
    document = team.done("export", "--output", "x.csv", "--yes", "--json").document
    assert {name: document[name] for name in ("file", "count", "rows")} == {
        "file": "x.csv",
        "count": 5,
        "rows": None,
    }


def test_an_export_that_fails_leaves_the_old_file(team: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    from budgets.stores.sqlite_reading import SqliteReading

    file = team.folder / "x.csv"
    file.write_text("mine")
    true = SqliteReading.spending

    def spending(*args: Any, **more: Any) -> Any:
        if more["after"] is not None:
            raise OSError(5, "Input/output error")
        return true(*args, **more)

    monkeypatch.setattr(SqliteReading, "spending", spending)
    assert team("export", "--output", "x.csv", "--yes").code == 1
    assert file.read_text() == "mine"
    assert [path.name for path in team.folder.iterdir() if path.name.startswith("x.csv")] == ["x.csv"]


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(("--format", "xml"), id="another format"),
        pytest.param(("--user", "ann", "--under", "team-a"), id="two budgets"),
        pytest.param(("--output", "nowhere/x.csv"), id="no such folder"),
        pytest.param(("--output", ".", "--yes"), id="a folder"),
        pytest.param(("--since", "2026-11-02", "--until", "2026-11-01"), id="no time"),
    ],
)
def test_an_export_that_cannot_be_meant(team: Budget, argv: tuple[str, ...]) -> None:
    ended = team("export", *argv)
    assert (ended.code, ended.out) == (2, "")
    assert "hint:" in ended.err


def test_an_export_of_nothing_has_its_columns(budget: Budget) -> None:
    assert budget.done("export").out == ",".join(COLUMNS["csv"]) + "\n"
    assert budget.done("export", "--format", "jsonl").out == ""


def test_a_person_who_waits_for_an_export_sees_how_far_it_is(
    budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budgets_cli.progress._QUIET_SECONDS", -1.0)
    budget.done("create", "--user", "ann", "--total", "10")
    budget.done("charge", "--amount", "0.001", "--id", "c")
    engine = budget.engine()
    (charge,) = engine.charges("ann")
    with engine.store.transaction("default") as txn:
        txn.append(replace(charge, id=f"c{number}") for number in range(1_000))
    engine.store.close()
    ended = budget.done("export", "--output", "x.csv", terminal=True)
    assert "exporting: 1,000" in ended.err
    assert ended.err.endswith("wrote 1,001 charges and corrections to x.csv\n")
    # Where the rows themselves run over the terminal, nothing is written between them.
    assert "exporting" not in budget.done("export", terminal=True).err


def test_every_column_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "export.md").read_text("utf-8")
    tables = [line for line in page.splitlines() if line.startswith("| `")]
    named = {name for line in tables for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == {name for columns in COLUMNS.values() for name in columns}
