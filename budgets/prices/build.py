"""
Makes `prices.jsonl` and `disagreements.tsv` from two public price sets and the hand-kept `limits.jsonl`.

    python -m budgets.prices.build litellm-1.109.1-....whl 2026-11-22

The first set is the installed `genai-prices`; the argument is `litellm`'s wheel, or the JSON map out of it.
The day, by itself today's, is the one whose prices the map has.
The same input and day give the same bytes. Nothing here runs in use. The rules, with their reasons, stand in
docs/explanation/prices.md.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

from budgets.clock import utc_now
from budgets.prices import from_genai, from_litellm
from budgets.prices.cleaning import Usd
from budgets.prices.from_litellm import Entry
from budgets.prices.names import stems, whole_names
from budgets.pricing import STANDARD
from budgets.usage import UNITS

_HERE = Path(__file__).parent
PRICES, DISAGREEMENTS, LIMITS = (
    _HERE / name for name in ("prices.jsonl", "disagreements.tsv", "limits.jsonl")
)

# What is known of a model besides its prices, in the order of the file.
_FACTS = ("context_window", "max_output_tokens", "reasoning")

# Filled in only where these agree: what is built on other prices belongs to other prices.
_AGREED = ("input", "output")

# A name here says its region, which genai-prices' rules lump together: a price of that very name counts.
_NAMES_SAY_REGIONS = frozenset({"aws"})

_COLUMNS = ("model", "key", "unit", "ours", "theirs", "why")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One price that the sources give differently."""

    model: str
    # The other source's name for it.
    key: str
    unit: str
    ours: str
    theirs: str
    why: str


@dataclass(frozen=True, slots=True)
class Built:
    """What a build makes."""

    prices: str
    disagreements: str


class _Index:
    """The lines made so far, by provider and name."""

    def __init__(self, lines: Sequence[dict[str, Any]]) -> None:
        self._by_name: dict[tuple[str, str], dict[str, Any]] = {}
        for line in lines:
            self.add(line)

    def add(self, line: dict[str, Any]) -> None:
        provider, _, model = line["id"].partition("/")
        self._by_name |= {(provider, name): line for name in (model.lower(), *line["names"])}

    def find(self, provider: str, model: str) -> dict[str, Any] | None:
        """As the book finds it, see `bundled`."""
        name = model.lower()
        for key in (*whole_names(name), *stems(name)):
            if (found := self._by_name.get((provider, key))) is not None:
                return found
        return None


def build(raw_map: bytes, map_version: str, today: date) -> Built:
    """
    The texts of the two files, from the installed `genai-prices` and *raw_map*.

    The map has the prices of one day, *today*, which is compared with that day's in the other set.

    Raises:
        ValueError: a source holds something that the rules do not know, or `limits.jsonl` names a model that
            is not there.
    """
    import importlib.metadata

    limits = _limits()
    lines, disagreements = _merged([dict(line) for line in from_genai.models()], raw_map, today)
    if missing := limits.keys() - {line["id"] for line in lines}:
        raise ValueError(f"limits.jsonl names models that are not there: {', '.join(sorted(missing))}")
    first = _package_input(importlib.metadata.version("genai-prices"))
    inputs = [first, _map_input(raw_map, map_version)]
    text = _assembled(lines, limits, from_genai.pages(), inputs, today)
    return Built(text, _report(disagreements))


def rebuilt(header: Mapping[str, Any], lines: Iterable[dict[str, Any]], raw_map: bytes, today: date) -> str:
    """
    A book like that of *header* and *lines*, with what the price map *raw_map* says *today* in the place of
    what its own map said.

    Raises:
        InvalidValueError: it is no price map.
    """
    # As they were before the map: what it added is dropped, and the names that it took come back.
    first = [
        {key: value for key, value in line.items() if key not in ("also", "lent")}
        | {"names": sorted((*line["names"], *line.get("lent", ())))}
        for line in lines
        if "of" not in line
    ]
    merged, _ = _merged(first, raw_map, today)
    inputs = [each for each in header["inputs"] if each["name"] != "litellm"]
    return _assembled(merged, {}, header["pages"], [*inputs, _map_input(raw_map, "imported")], today)


def renewed(header: Mapping[str, Any], lines: Iterable[dict[str, Any]], version: str, today: date) -> str:
    """
    A book like that of *header* and *lines*, with what the installed `genai-prices` of that *version* says in
    the place of what its own first source said.

    What the map filled in stays where the price that it was filled in for stayed; what only the map knew
    stays until the package knows it.

    Raises:
        ValueError: the package holds something that the rules do not know.
    """
    fresh = [dict(line) for line in from_genai.models()]
    index = _Index(fresh)
    for old in lines:
        provider, _, model = old["id"].partition("/")
        new = index.find(provider, model)
        if new is not None and new["id"] == old["id"]:
            _keep_filled(new, old, today)
        elif "of" in old and (
            new is None or (provider in _NAMES_SAY_REGIONS and not _same_today(old, new, today))
        ):
            fresh.append(old)
    # A name belongs to one line: those of the map's own lines were taken from the package's before.
    own = {(each["id"].partition("/")[0], name) for each in fresh if "of" in each for name in each["names"]}
    for line in fresh:
        provider = line["id"].partition("/")[0]
        lent = [] if "of" in line else [name for name in line["names"] if (provider, name) in own]
        if lent:
            line["names"] = [name for name in line["names"] if name not in lent]
            line["lent"] = lent
            if "also" in line:
                # In the order of the file.
                line["also"] = line.pop("also")
    others = [each for each in header["inputs"] if each["name"] != "genai-prices"]
    pages = {**header["pages"], **from_genai.pages()}
    return _assembled(fresh, _limits(), pages, [_package_input(version), *others], today)


def _keep_filled(new: dict[str, Any], old: Mapping[str, Any], today: date) -> None:
    """What the book had besides, where it still belongs to the line."""
    for fact in _FACTS:
        if fact in old:
            new.setdefault(fact, old[fact])
    if "also" in old and _same_today(old, new, today):
        new["also"] = old["also"]


def _same_today(old: Mapping[str, Any], new: Mapping[str, Any], today: date) -> bool:
    was, now = (_sheet_of(each, today)["usd"] for each in (old, new))
    return all(was.get(unit) == now.get(unit) for unit in _AGREED)


def _limits() -> dict[str, dict[str, Any]]:
    return {each["id"]: each for each in map(json.loads, LIMITS.read_text("utf-8").splitlines())}


def _package_input(version: str) -> dict[str, str]:
    import genai_prices.data

    return {
        "name": "genai-prices",
        "version": version,
        "licence": "MIT",
        "sha256": hashlib.sha256(Path(genai_prices.data.__file__).read_bytes()).hexdigest(),
    }


def _map_input(raw_map: bytes, version: str) -> dict[str, str]:
    return {
        "name": "litellm",
        "version": version,
        "licence": "MIT",
        "sha256": hashlib.sha256(raw_map).hexdigest(),
    }


def _merged(
    lines: list[dict[str, Any]], raw_map: bytes, today: date
) -> tuple[list[dict[str, Any]], list[Disagreement]]:
    """The lines of the first source, filled and followed by those that only the map has."""
    disagreements: list[Disagreement] = []
    index, taken = _Index(lines), {line["id"] for line in lines}
    covered: dict[str, list[Entry]] = {}
    for entry in _by_preference(from_litellm.entries(raw_map)):
        known = index.find(entry.provider, entry.model)
        regional = (
            known is not None
            and known["id"] in taken
            and entry.provider in _NAMES_SAY_REGIONS
            and not _agrees(_sheet_of(known, today)["usd"], entry)
        )
        if known is None or regional:
            line = _own_line(entry)
            lines.append(line)
            index.add(line)
            if known is not None and (name := entry.model.lower()) in known["names"]:
                known["names"] = [each for each in known["names"] if each != name]
                known["lent"] = sorted((*known.get("lent", ()), name))
        elif known["id"] in taken:
            covered.setdefault(known["id"], []).append(entry)
        else:
            disagreements += _compared(known, known["sheets"][0]["usd"], entry, "two entries of one map")
    for line in lines:
        if line["id"] in covered:
            disagreements += _filled(line, covered[line["id"]], today)
    return lines, disagreements


def _assembled(
    lines: Sequence[dict[str, Any]],
    limits: Mapping[str, Mapping[str, Any]],
    known_pages: Mapping[str, str],
    inputs: Sequence[Mapping[str, str]],
    today: date,
) -> str:
    pages = _pages(lines, known_pages)
    for line in lines:
        if line.get("page") == pages[line["id"].partition("/")[0]]:
            del line["page"]
    ordered = sorted((_with_limits(line, limits) for line in lines), key=lambda line: str(line["id"]))
    _refuse_twins(ordered)
    body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in ordered)
    header = {
        "source": inputs[0]["name"],
        "version": inputs[0]["version"],
        "digest": hashlib.sha256(body.encode()).hexdigest()[:8],
        # The day whose prices the sources were asked for.
        "day": today.isoformat(),
        "inputs": [*inputs],
        "pages": pages,
    }
    return json.dumps(header) + "\n" + body


def _by_preference(entries: Iterator[Entry]) -> list[Entry]:
    """A name that says its seller counts before one that does not, and the shorter before the longer."""
    return sorted(entries, key=lambda entry: (entry.key == entry.model, len(entry.key), entry.key))


def _own_line(entry: Entry) -> dict[str, Any]:
    """A model that only the map knows."""
    tiers = {tier: [{"usd": usd}] for tier, usd in sorted(entry.tiers.items()) if tier != STANDARD}
    facts = {each: getattr(entry, each) for each in _FACTS}
    return {
        "id": f"{entry.provider}/{entry.model}",
        "names": [entry.model.lower()],
        **{each: value for each, value in facts.items() if value},
        "of": "litellm",
        "sheets": [{"usd": entry.usd}],
        **({"tiers": tiers} if tiers else {}),
        **({"uplift": dict(entry.uplift)} if entry.uplift else {}),
        **({"page": entry.page} if entry.page else {}),
    }


def _filled(line: dict[str, Any], entries: list[Entry], today: date) -> Iterator[Disagreement]:
    """
    Put under `also` what the first entry that agrees knows beyond the line; tell where they differ.

    Both speak of the prices of today, so what is filled in holds as long as today's sheet.
    """
    sheet = _sheet_of(line, today)
    tiers = {
        tier: each["usd"]
        for tier, sheets in line.get("tiers", {}).items()
        if (each := _last(sheets, today)) is not None
    }
    ends = min((each["from"] for each in line["sheets"] if each.get("from", "") > f"{today}"), default=None)
    for entry in entries:
        yield from _compared(line, sheet["usd"], entry, "two sources")
    agreeing = [entry for entry in entries if _agrees(sheet["usd"], entry)]
    if not agreeing or any("hours" in each for each in line["sheets"]):
        return
    best = min(agreeing, key=lambda entry: (entry.model.lower() not in line["names"], entry.key))
    for tier in sorted(tiers.keys() & best.tiers.keys()):
        yield from _compared(line, tiers[tier], best, f"two sources, {tier}", tier=tier)
    usd = {unit: price for unit, price in best.usd.items() if unit not in sheet["usd"]}
    if "requests" in sheet["usd"]:
        # The fee of a call has its search in it.
        usd.pop("web_searches", None)
    if usd.get("reasoning") == sheet["usd"].get("output"):
        usd.pop("reasoning", None)
    more = {
        tier: {"usd": each}
        for tier, each in sorted(best.tiers.items())
        if tier != STANDARD and tier not in line.get("tiers", {})
    }
    for fact in ("context_window", "max_output_tokens"):
        if getattr(best, fact) and fact not in line:
            line[fact] = getattr(best, fact)
    if usd or more or best.uplift:
        line["also"] = {
            **({"from": sheet["from"]} if "from" in sheet else {}),
            **({"to": ends} if ends is not None else {}),
            **({"usd": usd} if usd else {}),
            **({"tiers": {tier: each["usd"] for tier, each in more.items()}} if more else {}),
            **({"uplift": dict(best.uplift)} if best.uplift else {}),
            **({"page": best.page} if best.page else {}),
        }


def _sheet_of(line: Mapping[str, Any], today: date) -> dict[str, Any]:
    """The sheet of that day, those for certain hours apart; the first where none has begun."""
    sheet: dict[str, Any] = _last(line["sheets"], today) or line["sheets"][0]
    return sheet


def _last(sheets: Sequence[dict[str, Any]], today: date) -> dict[str, Any] | None:
    begun = [each for each in sheets if "hours" not in each and each.get("from", "") <= f"{today}"]
    return begun[-1] if begun else None


def _agrees(usd: Mapping[str, Any], entry: Entry) -> bool:
    shared = [unit for unit in _AGREED if unit in usd and unit in entry.usd]
    return bool(shared) and all(_base(usd[unit]) == _base(entry.usd[unit]) for unit in shared)


def _base(price: str | Mapping[str, str]) -> Fraction:
    return Fraction(price if isinstance(price, str) else price["0"])


def _compared(
    line: Mapping[str, Any], usd: Mapping[str, Any], entry: Entry, why: str, *, tier: str = STANDARD
) -> Iterator[Disagreement]:
    theirs: Usd = entry.tiers.get(tier, {})
    for unit in UNITS:
        if unit in usd and unit in theirs and usd[unit] != theirs[unit]:
            ours, other = _shown(usd[unit]), _shown(theirs[unit])
            if ours != other:
                yield Disagreement(line["id"], entry.key, unit, ours, other, why)


def _shown(price: str | Mapping[str, str]) -> str:
    if isinstance(price, str):
        return price
    return " ".join(f"{price[above]}>{above}" if above != "0" else price[above] for above in price)


def _pages(lines: Sequence[Mapping[str, Any]], known: Mapping[str, str]) -> dict[str, str]:
    """Each provider's page: the known one, else the one that most of its models name, else none."""
    pages = dict(known)
    named: dict[str, Counter[str]] = {}
    for line in lines:
        counts = named.setdefault(line["id"].partition("/")[0], Counter())
        if "page" in line:
            counts[line["page"]] += 1
    for provider, counts in named.items():
        if not pages.get(provider):
            pages[provider] = min(counts, key=lambda page: (-counts[page], page), default="")
    return dict(sorted(pages.items()))


def _with_limits(line: Mapping[str, Any], limits: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The line in its order; the hand-kept facts win over both sources."""
    provider, _, model = line["id"].partition("/")
    # OpenRouter sells a maker's model under <maker>/<model>, with points for dashes in Claude's.
    aliases = (line["id"], model, model.replace(".", "-")) if provider == "openrouter" else (line["id"],)
    known = next((limits[each] for each in aliases if each in limits), {})
    facts = {**line, **known}
    return {
        "id": line["id"],
        "names": line["names"],
        **{each: facts[each] for each in _FACTS if facts.get(each)},
        **{key: value for key, value in line.items() if key not in ("id", "names", *_FACTS)},
    }


def _refuse_twins(models: Sequence[Mapping[str, Any]]) -> None:
    """A name or stem that two models of one provider claim would be found by the order of lines."""
    seen: dict[tuple[str, str], str] = {}
    for line in models:
        for name in line["names"]:
            other = seen.setdefault((line["id"].partition("/")[0], name), line["id"])
            if other != line["id"]:
                raise ValueError(f"{name} is claimed by {other} and {line['id']}")


def _report(disagreements: Sequence[Disagreement]) -> str:
    rows = sorted(
        "\t".join((each.model, each.key, each.unit, each.ours, each.theirs, each.why))
        for each in disagreements
    )
    return "\t".join(_COLUMNS) + "\n" + "".join(row + "\n" for row in dict.fromkeys(rows))


def map_version(path: Path, known: str) -> str:
    """The version that a wheel's name says; of a bare map the one of the last build."""
    found = re.match(r"litellm-([0-9][0-9a-z.]*)-", path.name)
    return found[1] if found is not None else known


def main(argv: Sequence[str]) -> int:
    """Write both files."""
    if len(argv) not in (1, 2):
        sys.stderr.write("usage: python -m budgets.prices.build LITELLM-WHEEL-OR-MAP [DAY]\n")
        return 2
    path = Path(argv[0])
    today = date.fromisoformat(argv[1]) if len(argv) == 2 else utc_now().date()
    header = json.loads(PRICES.read_text("utf-8").partition("\n")[0])
    last = next((each["version"] for each in header["inputs"] if each["name"] == "litellm"), "unknown")
    built = build(from_litellm.read(path), map_version(path, last), today)
    PRICES.write_text(built.prices, "utf-8")
    DISAGREEMENTS.write_text(built.disagreements, "utf-8")
    sys.stdout.write(f"{PRICES.name}: {built.prices.count(chr(10)) - 1} models\n")
    sys.stdout.write(f"{DISAGREEMENTS.name}: {built.disagreements.count(chr(10)) - 1} lines\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
