"""
`BudgetManager`: budgets for the users of one project, with the methods of LiteLLM's class of that name.

The sums are the engine's, in the store that the command line uses; floats are made at this border only, and
each knows its exact amount. Where the original is at fault, this does what its documentation promises;
docs/how-to/move-from-litellm.md lists every difference.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, Self, cast

from budgets import metering
from budgets.asks import Ask
from budgets.completing.stamps import stamp_of
from budgets.config import Settings, load_settings
from budgets.dialects import by_name
from budgets.dialects.shapes import dialect_of_reply
from budgets.dropin import user_cost
from budgets.dropin.dollars import Usd, nanos_of
from budgets.dropin.foreign import ForeignBudgets, is_ours
from budgets.engine import Change, LimitTerms
from budgets.engine.api import EngineApi
from budgets.errors import InvalidValueError, ServerError, UnreadableReplyError
from budgets.money import Nanos, shown
from budgets.periods import NEVER, PeriodRule, Unit
from budgets.plain import plain
from budgets.records import BudgetStatus, Charge
from budgets.server_link import Link
from budgets.usage import Usage
from budgets.wiring import connect, open_api, open_desk

_UNIT_OF: Mapping[str, Unit] = {"daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}


class Projection(Usd):
    """What a user will have spent once a prompt is sent; in `most` the longest answer is counted, too."""

    __slots__ = ("most",)

    most: Usd

    def __new__(cls, nanos: Nanos, most: Nanos | None = None) -> Self:
        self = super().__new__(cls, nanos)
        self.most = Usd(nanos if most is None else most)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (self.nanos, self.most.nanos)


class BudgetManager:
    """
    Budgets for the users of one project. Safe to share between threads; processes share the store.

    Every change is in the store when its method returns. A user is a text, or a whole number that stands for
    its decimal text. An unknown user is an `UnknownUserError`, which is a `KeyError`.

    Args:
        project_name: The namespace of users.
        client_type: `local`: the store that the command line uses. `hosted`: a server at *api_base*, which is
            asked at once whose it is. One that has only LiteLLM's two endpoints keeps sums and no more, which
            a warning says.
        api_base: The server's address; else `BUDGET_API_BASE`. For `hosted` only.
        headers: For `hosted` only: `Authorization: Bearer KEY` has the key to a `budget` server, else
            `BUDGET_KEY`; it gets no other header. Another server gets these, and never `BUDGET_KEY`.

    Raises:
        InvalidValueError: another *client_type*, or `hosted` without an address.
        ConfigError: a setting, or the address, cannot be used.
        ServerError: no server answers at *api_base*.
    """

    def __init__(
        self,
        project_name: str,
        client_type: str = "local",
        api_base: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._engine: EngineApi | ForeignBudgets = _engine_for(project_name, client_type, api_base, headers)

    @classmethod
    def on(cls, engine: EngineApi) -> Self:
        """A manager on an engine that is open already; its project is the engine's."""
        made = cls.__new__(cls)
        made._engine = engine  # noqa: SLF001 - its own
        return made

    @property
    def engine(self) -> EngineApi:
        """
        The engine below: holds, several limits, parents, reports, exact amounts.

        Raises:
            ServerError: there is none, for the server is not ours.
        """
        if isinstance(self._engine, ForeignBudgets):
            raise ServerError(
                f"{self._engine.address} keeps sums alone: no holds, no entries, and no engine",
                hint="keep the budgets on a server of ours, which `budget serve` starts",
                address=self._engine.address,
            )
        return self._engine

    @property
    def user_dict(self) -> dict[str, dict[str, Any]]:
        """Every user's record as it stands now. A copy: changing it changes nothing."""
        return {user: self._record(user) for user in self.get_users()}

    # Budgets

    def create_budget(
        self,
        total_budget: float,
        user: str,
        duration: Literal["daily", "weekly", "monthly", "yearly"] | None = None,
        created_at: float | None = None,
    ) -> dict[str, Any]:
        """
        Make a budget, or change the one that is there, whose spend stays.

        Its periods go by the calendar from that moment on: a month from January 31 ends on February 28.

        Args:
            total_budget: US dollars, from 0 to a billion.
            duration: How long a period is; `None`: it never starts anew.
            created_at: When the first period starts, in seconds since 1970; `None`: now, or for a budget that
                is there, as it was, or else when that was made.

        Raises:
            InvalidValueError: one of them cannot be meant. Nothing was changed.
        """
        name, total = _name(user), nanos_of(total_budget, "total_budget")
        if duration is not None and duration not in _UNIT_OF:
            raise InvalidValueError(
                f"duration is {shown(str(duration))}", hint=f"one of {', '.join(_UNIT_OF)}, or None for none"
            )
        anchor = _moment(created_at) if created_at is not None else None
        rule = _rule(duration, anchor or self._engine.clock())
        there, new = self._engine.create(name, LimitTerms(total, rule), if_missing=True)
        if not new:
            was = there.limits[0].rule
            if anchor is None and (was.every, was.unit) == (rule.every, rule.unit):
                rule = was
            elif anchor is None:
                # Periods that began now would give back what was spent.
                rule = _rule(duration, there.created_at)
            self._engine.change(name, Change(total_nanos=total, rule=rule))
        return self._record(name)

    def is_valid_user(self, user: str) -> bool:
        """Whether the user has a budget."""
        return self._engine.budget(_name(user)) is not None

    def get_users(self) -> list[str]:
        """Every user's name, sorted; those of archived budgets as well."""
        return self._engine.users(archived=True)

    def get_total_budget(self, user: str) -> float:
        """
        The user's limit in US dollars; infinite where only others' limits hold.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return user_cost.total_of(self._status(user))

    # Costs

    def get_current_cost(self, user: str) -> Usd:
        """
        What the user has spent in the current period.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return Usd(_spent(self._status(user)))

    def get_model_cost(self, user: str) -> dict[str, Usd]:
        """
        The same by model; empty where nothing was spent.

        Raises:
            UnknownUserError: the user has no budget.
        """
        return {model: Usd(nanos) for model, nanos in self._status(user).models.items()}

    def projected_cost(self, model: str, messages: list[Any], user: str) -> Projection:
        """
        What the user will have spent in the current period once *messages* are sent.

        The prompt is counted whole: framing, parts, tool calls, images. The answer is not in it, for nobody
        knows its length; `most` of what this gives back has the longest one that may come.

        Raises:
            UnknownUserError: the user has no budget.
            UnknownPriceError: the model has no price.
            InvalidValueError: these are no messages.
        """
        spent = _spent(self._status(user))
        body = {"model": model, "messages": [plain(message) for message in messages]}
        quote = self._engine.quote(by_name("openai-chat").read_request(body))
        return Projection(spent + quote.prompt_nanos, spent + quote.most_nanos)

    def update_cost(
        self,
        user: str,
        completion_obj: Any = None,
        model: str | None = None,
        input_text: str | None = None,
        output_text: str | None = None,
    ) -> dict[str, dict[str, Any]]:
        """
        Charge a call that was made: its reply, or the model and the texts.

        A reply that `budgets.completion` has charged to this user already is answered again and not charged
        twice. Any other is charged each time.

        Args:
            completion_obj: A reply of any provider that is read here: LiteLLM's or an SDK's object, a dict.
            model: With texts, whose prices count; with a reply, where that does not say.
            input_text: Counted as one message of a user. Empty texts count, as nothing or little.
            output_text: Counted as text.

        Returns:
            `{"user": record}`.

        Raises:
            UnknownUserError: the user has no budget. Nothing was charged.
            UnknownPriceError: the model has no price. Nothing was charged.
            UnreadableReplyError: the reply does not say what was used. Nothing was charged.
            InvalidValueError: neither a reply nor texts, or both; or no reply of a known shape.
        """
        name = _name(user)
        self._status(name)
        if completion_obj is None:
            self._engine.charge(name, self._counted(model, input_text, output_text))
        elif input_text is not None or output_text is not None:
            raise InvalidValueError(
                "a reply and texts are two costs", hint="give completion_obj, or model with the texts"
            )
        elif (stamp := stamp_of(completion_obj)) is not None:
            self._engine.charge(name, stamp.charge, charge_id=stamp.charge_id)
        else:
            self._engine.charge(name, self._replied(completion_obj, model))
        return {"user": self._record(name)}

    def _counted(self, model: str | None, given: str | None, answered: str | None) -> Charge:
        if not model or (given is None and answered is None):
            raise InvalidValueError(
                "there is nothing to charge",
                hint="give completion_obj, or model, input_text, and output_text",
            )
        engine = self._engine
        provider = engine.book.find(model, at=engine.clock()).provider
        how, read = "", 0
        if given is not None:
            count = engine.counter.count(Ask("openai-chat", model, (given,), messages=1), provider=provider)
            how, read = count.how, count.likely
        written = engine.counter.count_text(answered or "", provider=provider, model=model)
        usage = Usage.of(how=how or written.how, input=read, output=written.likely)
        cost = engine.cost(usage, model=model)
        return Charge(cost.nanos, cost.prices.model, usage, cost.pins(), how=usage.how)

    def _replied(self, reply: Any, model: str | None) -> Charge:
        body = plain(reply)
        dialect = dialect_of_reply(body) if isinstance(body, Mapping) else None
        if dialect is None:
            raise InvalidValueError(
                "completion_obj is no reply of a known provider",
                hint="give the object or the dict that the call gave back; of a stream, the texts",
            )
        try:
            reported = by_name(dialect).read_reply(cast("Mapping[str, Any]", body))
            return metering.priced(self._engine, reported, asked=model, provider=_seller(reply))
        except UnreadableReplyError as error:
            hint = "nothing was charged; give model, input_text, and output_text instead"
            raise UnreadableReplyError(error.message, hint=hint, **error.values) from error

    # Periods

    def reset_cost(self, user: str) -> dict[str, dict[str, Any]]:
        """
        Start a new period of the user now. What was spent stays in the history.

        Raises:
            UnknownUserError: the user has no budget.
        """
        self._engine.reset(_name(user))
        return {"user": self._record(user)}

    def reset_on_duration(self, user: str) -> None:
        """
        Write down the periods that the clock has opened; costs are right without it.

        Raises:
            UnknownUserError: the user has no budget.
        """
        self._status(user)
        self._engine.reset_due()

    def update_budget_all_users(self) -> None:
        """The same for all users."""
        self._engine.reset_due()

    # The file of old

    def save_data(self) -> dict[str, str]:
        """Nothing is left to save: every change is in the store when its method returns."""
        return {"status": "success"}

    def load_data(self) -> None:
        """Nothing is left to load: every answer comes from the store."""

    def _status(self, user: str) -> BudgetStatus:
        return self._engine.status(_name(user))

    def _record(self, user: str) -> dict[str, Any]:
        return user_cost.record_of(self._status(user))


def _engine_for(
    project: str, client_type: str, api_base: str | None, headers: Mapping[str, str] | None
) -> EngineApi | ForeignBudgets:
    """What a manager stands on: an engine on this machine's store, or a server's, or another's dictionary."""
    if client_type == "local":
        if api_base is not None or headers is not None:
            raise InvalidValueError(
                "a local manager has no server",
                hint='leave out api_base and headers, or say client_type="hosted"',
            )
        return open_api(_settings(project))
    if client_type != "hosted":
        raise InvalidValueError(f"client_type is {shown(str(client_type))}", hint='"local" or "hosted"')
    address = api_base or os.environ.get("BUDGET_API_BASE")
    if not address:
        raise InvalidValueError(
            "a hosted manager needs the address of a server",
            hint="give api_base, or set BUDGET_API_BASE; nobody else's server is asked instead",
        )
    settings = _settings(project)
    if is_ours(address):
        return connect(replace(settings, key=_bearer(headers) or settings.key), address)
    link = Link(address, None, headers=headers)
    warnings.warn(
        f"{link.address} is no budget server: it keeps sums, and may lose what two programs save at once",
        # The line that makes the manager.
        stacklevel=3,
    )
    return ForeignBudgets(link, project=project, desk=open_desk(settings))


def _bearer(headers: Mapping[str, str] | None) -> str | None:
    """The key that `headers` carry as `Authorization: Bearer KEY`; a server of ours wants no other header."""
    for name, value in (headers or {}).items():
        scheme, _, key = value.partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "bearer":
            return key.strip()
    return None


def _settings(project: str) -> Settings:
    if not project or not isinstance(project, str):
        raise InvalidValueError("a project's name cannot be empty", hint="give project_name a text")
    return load_settings(os.environ, project=project)


def _rule(duration: str | None, anchor: datetime) -> PeriodRule:
    """Periods of that length, one of which starts at *anchor*; of `None`, the one that never ends."""
    if duration is None:
        return NEVER
    return PeriodRule(1, _UNIT_OF[duration], anchor=anchor.astimezone(UTC).replace(tzinfo=None))


def _name(user: Any) -> str:
    """The user's name as text: JSON made one of a number, too."""
    if isinstance(user, str):
        return user
    if type(user) is int:
        return str(user)
    raise InvalidValueError(f"user is {shown(repr(user))}, not a name", hint="give a text or a whole number")


def _moment(created_at: Any) -> datetime:
    wrong = InvalidValueError(
        f"created_at is {shown(repr(created_at))}", hint="give seconds since 1970, as time.time() does"
    )
    if isinstance(created_at, bool) or not isinstance(created_at, int | float):
        raise wrong
    try:
        found = datetime.fromtimestamp(created_at, UTC)
    except (ValueError, OverflowError, OSError):
        raise wrong from None
    if not 1970 <= found.year < 9000:
        raise wrong
    return found


def _spent(status: BudgetStatus) -> Nanos:
    return status.primary.totals.spent_nanos if status.primary is not None else 0


def _seller(reply: Any) -> str | None:
    """Whom LiteLLM called, which the reply's own fields do not say."""
    hidden = getattr(reply, "_hidden_params", None)
    found = hidden.get("custom_llm_provider") if isinstance(hidden, Mapping) else None
    return found if isinstance(found, str) else None
