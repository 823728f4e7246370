"""Entries as people and scripts read them: what happened, to whom, why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from budgets.clock import iso
from budgets.money import format_usd, money

from .harmless import shown_name

if TYPE_CHECKING:
    from budgets.records import Entry


class Fact(NamedTuple):
    """What happened, in a few words, and what else there is to say about it; often nothing."""

    what: str
    more: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.more}" if self.more else self.what


def fact(entry: Entry) -> Fact:
    """What an entry says."""
    detail = entry.detail
    match entry.kind:
        case "charge":
            return Fact("charged late" if detail.get("late") else "charged", _joined(_charged(entry)))
        case "correction":
            return Fact("corrected", _joined((detail["corrects"], detail.get("note") or "")))
        case "opened":
            end = detail["period_end"]
            return Fact("period opened", f"until {end}" if end else "without an end")
        case "limit_changed":
            changes = list(_changes(detail["before"], detail["after"]))
            return Fact(
                ", ".join(dict.fromkeys(each.what for each in changes)) or "nothing changed",
                _joined(each.more for each in changes),
            )
        case "boosted":
            return Fact("boosted", "in this period only")
        case "threshold":
            return Fact(f"reached {detail['percent']}%", "of what may be spent in the period")
        case "expired":
            return Fact("hold expired", detail.get("reason") or "")
        case "released":
            return Fact("hold released", detail.get("reason") or "")
        case "overrun":
            return Fact("above its limit", detail["cause"])


def fact_document(entry: Entry) -> dict[str, Any]:
    """An entry as every document has it."""
    return {
        "id": entry.id,
        "kind": entry.kind,
        "what": str(fact(entry)),
        "user": entry.user or None,
        "path": [name or None for name in entry.path],
        "model": entry.model,
        "amount_usd": format_usd(entry.nanos),
        "at": iso(entry.at),
        "recorded_at": iso(entry.recorded_at),
        "detail": _in_usd(entry.detail),
    }


def _charged(entry: Entry) -> Iterator[str]:
    detail = entry.detail
    usage = dict(detail.get("usage") or {})
    how = usage.pop("how", None) or detail.get("how")
    counts = ", ".join(f"{count:,} {unit}" for unit, count in usage.items())
    yield f"{counts} ({how})" if counts else ""
    if (entry.recorded_at - entry.at).total_seconds() >= 60:
        yield f"for a call at {iso(entry.at)}"
    yield detail.get("note") or ""


def _changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Iterator[Fact]:
    if before is None:
        terms = [_limit(limit) for limit in after["limits"] if limit["total_nanos"] is not None]
        parent = f"below {shown_name(after['parent'])}" if after["parent"] else ""
        yield Fact("created", _joined((" and ".join(terms) or "no limit of its own", parent)))
        return
    for name, set_, unset in (("frozen", "frozen", "unfrozen"), ("archived", "archived", "unarchived")):
        if bool(before.get(name)) != bool(after.get(name)):
            yield Fact(set_ if after.get(name) else unset)
    if before["parent"] != after["parent"]:
        was, now = (shown_name(each["parent"] or "") for each in (before, after))
        yield Fact("moved", f"from {was} to {now}")
    yield from _limit_changes(before["limits"], after["limits"])


def _limit_changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Iterator[Fact]:
    old, new = ({limit["id"]: limit for limit in limits} for limits in (before, after))
    for limit_id, limit in old.items():
        if limit_id not in new and limit["total_nanos"] is not None:
            yield Fact("limit dropped", _limit(limit))
    for limit_id, limit in new.items():
        was = old.get(limit_id)
        if was is None:
            if limit["total_nanos"] is not None:
                yield Fact("limit added", _limit(limit))
            continue
        if any(was[name] != limit[name] for name in ("total_nanos", "every", "timezone", "anchor")):
            yield Fact("limit changed", f"from {_limit(was)} to {_limit(limit)}")
        if was["reset_at"] != limit["reset_at"]:
            yield Fact("reset")
        warns = limit.get("warn_at") or []
        if (was.get("warn_at") or []) != warns:
            yield Fact(
                "warnings changed", f"at {', '.join(f'{each}%' for each in warns)}" if warns else "none"
            )


def _limit(terms: Mapping[str, Any]) -> str:
    """The terms of a limit as an entry keeps them: `$10.00 every month`, the zone where it is not UTC."""
    if terms["total_nanos"] is None:
        return "no limit"
    amount = money(terms["total_nanos"])
    if terms["every"] == "never":
        return f"{amount} in all"
    anchor = f" from {terms['anchor'].removesuffix('T00:00:00')}" if terms["anchor"] else ""
    zone = f" in {terms['timezone']}" if terms["timezone"] != "UTC" else ""
    return f"{amount} every {terms['every']}{anchor}{zone}"


def _in_usd(value: Any) -> Any:
    """The same with money as documents have it: decimal text in names that end with `_usd`."""
    if isinstance(value, Mapping):
        return {
            name.removesuffix("_nanos") + "_usd" if name.endswith("_nanos") else name: (
                format_usd(each) if name.endswith("_nanos") and each is not None else _in_usd(each)
            )
            for name, each in value.items()
        }
    return [_in_usd(each) for each in value] if isinstance(value, list) else value


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(part for part in parts if part)
