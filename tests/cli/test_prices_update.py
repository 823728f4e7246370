"""`budget prices update` and discounts: what a person sees, and that nothing is taken by accident."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from budgets.prices import bundled

if TYPE_CHECKING:
    from conftest import Budget

NEW_MODEL = {
    "litellm_provider": "deepinfra",
    "mode": "chat",
    "input_cost_per_token": 1e-06,
    "output_cost_per_token": 2e-06,
}
MAP = json.dumps({"deepinfra/new-model": NEW_MODEL}).encode()


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], str]]:
    """Serves bytes on this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = [b""]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(served[0])

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def serving(body: bytes) -> str:
        served[0] = body
        return f"http://127.0.0.1:{server.server_port}/prices?key=secret"

    yield serving
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_an_update_is_shown_and_taken(budget: Budget, address: Callable[[bytes], str]) -> None:
    ended = budget.done("prices", "update", "--from", address(MAP), "--yes")
    assert "added   deepinfra/new-model" in ended.out
    assert f"is in use: {budget.folder / 'book.jsonl'}" in ended.out
    assert "secret" not in ended.out + ended.err
    assert budget.done("prices", "show", "deepinfra/new-model", "--json").document["provider"] == "deepinfra"
    again = budget.done("prices", "update", "--from", address(MAP), "--json").document
    assert (again["old"], again["written"], again["source"]) == (again["new"], None, "127.0.0.1")
    back = budget.done("prices", "update", "--from", address(bundled.PATH.read_bytes()), "--yes", "--json")
    assert "deepinfra/new-model" in back.document["gone"]
    assert back.document["new"] == bundled.bundled().version


def test_an_update_asks_first_and_a_dry_run_never(budget: Budget, address: Callable[[bytes], str]) -> None:
    argv = ("prices", "update", "--from", address(MAP))
    ended = budget(*argv)
    assert (ended.code, ended.out) == (2, "")
    assert "--yes" in ended.err
    said_no = budget(*argv, answer="n\n")
    assert said_no.code == 2
    assert "added   deepinfra/new-model" in said_no.err
    looked = budget.done(*argv, "--dry-run", "--yes", "--json").document
    assert (looked["dry_run"], looked["written"], looked["added"]) == (True, None, ["deepinfra/new-model"])
    assert not (budget.folder / "book.jsonl").exists()
    budget.done(*argv, answer="y\n")
    assert (budget.folder / "book.jsonl").exists()


def test_the_address_may_be_a_setting(budget: Budget, address: Callable[[bytes], str]) -> None:
    budget.done("config", "set", "prices_url", address(MAP))
    assert budget.done("prices", "update", "--dry-run", "--json").document["added"] == ["deepinfra/new-model"]
    refused = budget("config", "set", "prices_url", "http://example.com/prices")
    assert refused.code == 1
    assert "unprotected" in refused.err


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>sorry</html>", id="a page"),
        pytest.param(bundled.PATH.read_bytes()[:700_000], id="half a book"),
        pytest.param(MAP[:-10], id="half a map"),
    ],
)
def test_whatever_fails_the_book_stays(budget: Budget, address: Callable[[bytes], str], body: bytes) -> None:
    budget.done("prices", "update", "--from", address(MAP), "--yes")
    before = (budget.folder / "book.jsonl").read_bytes()
    ended = budget("prices", "update", "--from", address(body), "--yes")
    assert ended.code == 2
    assert "stays in use" in ended.err
    assert (budget.folder / "book.jsonl").read_bytes() == before


def test_a_folder_that_cannot_be_written_keeps_the_book(
    budget: Budget, address: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("budgets.prices.importing.replace_text", full)
    ended = budget("prices", "update", "--from", address(MAP), "--yes")
    assert (ended.code, ended.out) == (1, "")
    assert "cannot write" in ended.err
    assert "stays in use" in ended.err
    assert not (budget.folder / "book.jsonl").exists()


def test_without_an_address_the_installed_package_is_asked(
    budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "has no newer prices" in budget.done("prices", "update").out
    monkeypatch.setattr("importlib.metadata.version", lambda _: "99.0.0")
    ended = budget.done("prices", "update", "--yes", "--json").document
    assert (ended["changed"], ended["gone"], ended["added"]) == ([], [], [])
    assert ended["new"].startswith("genai-prices-99.0.0+")
    assert budget.done("prices", "check", "--json").document["book"] == ended["new"]
    assert "has no newer prices" in budget.done("prices", "update").out


def test_a_discount_is_charged_quoted_and_shown(budget: Budget) -> None:
    budget.done("create", "--user", "ann", "--total", "10")
    request = ("projected", "--model", "gpt-4o-mini", "--prompt", "hi", "--json")
    listed = budget.done(*request).document
    written = budget.done("prices", "set", "--discount", "50%", "--provider", "openai")
    assert written.out.startswith("50% off at openai from 2026-11-22T09:00:00Z on, written to ")
    halved = budget.done(*request).document
    assert float(halved["most_usd"]) == float(listed["most_usd"]) / 2
    charged = budget.done("charge", "--model", "gpt-4o-mini", "--input-tokens", "1000000", "--json").document
    assert charged["cost_usd"] == "0.075"
    assert charged["prices"]["discount"] == "50%"
    before = budget.done(
        "charge", "--model", "gpt-4o-mini", "--input-tokens", "1000000", "--at", "2026-11-22T08:59Z", "--json"
    ).document
    assert (before["cost_usd"], "discount" in before["prices"]) == ("0.15", False)
    found = budget.done("prices", "show", "gpt-4o-mini", "--json").document
    assert found["discount"] == {
        "percent": "50%",
        "provider": "openai",
        "from": "2026-11-22T09:00:00Z",
        "to": None,
    }
    assert {(row["price_usd"], row["you_pay_usd"]) for row in found["prices"]} >= {("0.15", "0.075")}
    assert not [row for row in found["other_times"] if row["to"] is None]
    assert "YOU PAY" in budget.done("prices", "show", "gpt-4o-mini").out
    listing = budget.done(
        "prices", "list", "--provider", "openai", "--search", "gpt-4o-mini", "--json"
    ).document
    rates = {each["model"]: each["input_usd"] for each in listing["models"]}
    assert rates["openai/gpt-4o-mini"] == "0.075"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--discount", "10%", "gpt-4o"), "on a whole account"),
        (("--discount", "10%", "--input", "1"), "on a whole account"),
        (("--discount", "10%", "--free"), "on a whole account"),
        (("--discount=-10%",), "--discount: "),
        (("--discount", "100%"), "is not a discount"),
        (("--discount", "5%", "--provider", "nobody"), "no price is of a provider"),
        (("--discount", "5%", "--from", "2026-12-02", "--to", "2026-12-01"), "ends before it begins"),
        (("--input", "1", "--output", "1"), "neither a model nor a discount"),
        (("m", "--free", "--to", "2026-12-01"), "--to is of a discount"),
    ],
)
def test_a_discount_that_cannot_be_meant_is_refused(budget: Budget, argv: tuple[str, ...], said: str) -> None:
    ended = budget("prices", "set", *argv)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert "hint: " in ended.err
    assert not (budget.folder / "prices.toml").exists()
