"""The mark on a reply that says that it was charged, so that nobody charges it twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from budgets.errors import InvalidValueError
from budgets.money import format_usd, parse_usd
from budgets.records import Charge, Entry
from budgets.usage import Usage

# The field of a reply that has it.
FIELD = "budget"


@dataclass(frozen=True, slots=True)
class Stamp:
    """A charge that was made, by its id."""

    charge_id: str
    charge: Charge


def document(entry: Entry, project: str | None) -> dict[str, Any]:
    """
    The field of a reply: what was charged, and to whom.

    Args:
        project: Where it is booked; `None`: nowhere, so it has no id under which it could be charged again.
    """
    booked = project is not None
    return {
        "charge_id": entry.id if booked else None,
        "user": entry.user if booked else None,
        "project": project,
        "cost_usd": format_usd(entry.nanos),
        "model": entry.model,
        "usage": entry.detail.get("usage"),
    }


def stamp_of(reply: Any) -> Stamp | None:
    """
    The stamp on a reply, its dictionary, or a stream that was read to its end; `None`: it has none.

    Raises:
        InvalidValueError: it has one that is damaged.
    """
    found = reply.get(FIELD) if isinstance(reply, Mapping) else getattr(reply, FIELD, None)
    if not isinstance(found, Mapping) or found.get("charge_id") is None:
        return None
    try:
        usage = dict(found["usage"]) if found["usage"] is not None else None
        charge = Charge(
            parse_usd(found["cost_usd"]), found["model"], Usage.of(**usage) if usage is not None else None
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidValueError(
            f"the field {FIELD} of the reply is not as it was",
            hint="give the reply as `budgets.completion` gave it, or without that field",
        ) from error
    return Stamp(str(found["charge_id"]), charge)
