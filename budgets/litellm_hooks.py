"""
A callback by which LiteLLM's own calls are held and charged.

What LiteLLM lets a callback do was measured with 1.106.2: the hook before an async call may change and refuse
it; before a blocking call nothing that a callback raises is heard.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from budgets import providers
from budgets.dialects import by_name
from budgets.dialects.reading import parse_object
from budgets.doors import AtOnce, Awaited, at_once
from budgets.errors import BudgetError, InvalidValueError, UnreadableReplyError
from budgets.holdings import provider_refused
from budgets.metering import Doubt, Ending, Metering, Request, Settle
from budgets.metering_engine import MeteringEngine
from budgets.open_call import OpenCall, begin
from budgets.plain import plain
from budgets.providers import Provider

_log = logging.getLogger("budgets")

# What LiteLLM calls the calls that are metered, and the dialect that it speaks to its callers in each.
_DIALECTS = {
    "completion": "openai-chat",
    "acompletion": "openai-chat",
    "embedding": "openai-embeddings",
    "aembedding": "openai-embeddings",
}


def litellm_callback(engine: MeteringEngine, *, user: str) -> Any:
    """
    A callback that meters what LiteLLM calls: `litellm.callbacks = [litellm_callback(engine, user="ann")]`.

    Async completions and embeddings are held before they leave and get an output limit where they have none;
    what does not fit is refused, and not tried again. Other async calls are refused. LiteLLM lets nobody
    refuse a blocking call: it is held where it fits, charged in any case, and a warning says that it did not
    fit. The charge is made by LiteLLM's success event, a moment after the reply. Of a stream that is not read
    to its end, and of a try that LiteLLM's own `num_retries` makes, it tells nobody: their holds stay, and
    are unconfirmed when the process has ended.

    Args:
        engine: Where the budget is kept.
        user: Whose budget it is.

    Raises:
        InvalidValueError: litellm is not installed.
        UnknownUserError: the user has no budget.
    """
    try:
        from litellm.integrations.custom_logger import CustomLogger
    except ImportError as error:
        raise InvalidValueError("litellm is not installed", hint="pip install litellm") from error
    engine.status(user)
    calls = _Calls(engine, user)

    class BudgetCallback(CustomLogger):  # type: ignore[misc, unused-ignore]
        """Tells the budget of each call."""

        async def async_pre_call_deployment_hook(
            self, kwargs: dict[str, Any], call_type: Any
        ) -> dict[str, Any]:
            return await calls.before(kwargs, str(getattr(call_type, "value", call_type)))

        def log_pre_api_call(self, model: str, messages: Any, kwargs: dict[str, Any]) -> None:
            calls.leaving(model, messages, kwargs)

        # LiteLLM also says when the call began and ended.

        def log_success_event(
            self, kwargs: dict[str, Any], response_obj: Any, *_: object, **__: object
        ) -> None:
            calls.succeeded(kwargs, response_obj)

        async def async_log_success_event(
            self, kwargs: dict[str, Any], response_obj: Any, *_: object, **__: object
        ) -> None:
            calls.succeeded(kwargs, response_obj)

        def log_failure_event(self, kwargs: dict[str, Any], *_: object, **__: object) -> None:
            calls.failed(kwargs)

        async def async_log_failure_event(self, kwargs: dict[str, Any], *_: object, **__: object) -> None:
            calls.failed(kwargs)

    return BudgetCallback()


class _Calls:
    """The calls that LiteLLM has begun, by its ids."""

    def __init__(self, engine: MeteringEngine, user: str) -> None:
        self._engine = engine
        self._user = user
        self._now = AtOnce(engine, engine.keeper)
        self._later = Awaited(engine, engine.keeper)
        # `None`: it did not fit, and left all the same.
        self._begun: dict[str, tuple[OpenCall | None, Metering]] = {}

    async def before(self, kwargs: dict[str, Any], call_type: str) -> dict[str, Any]:
        """Hold an async call; gives its fields as they may be sent."""
        try:
            dialect = _DIALECTS.get(call_type)
            if dialect is None:
                raise InvalidValueError(
                    f"LiteLLM's {call_type} cannot be metered",
                    hint="make it without the callback, and record its cost with `budget charge`",
                )
            logged = kwargs["litellm_logging_obj"]
            given = {"messages": logged.messages} if dialect == "openai-chat" else {}
            wanted = self._request(dialect, {**given, **kwargs, "model": logged.model})
            call, metering, outgoing = await begin(self._later, wanted)
        except BudgetError as error:
            raise final(error) from error
        # LiteLLM tells of the last calls when the process ends, and no thread can be begun any more.
        call.through(self._now)
        self._begun[kwargs["litellm_call_id"]] = (call, metering)
        changed = {name: value for name, value in outgoing.items() if wanted.body.get(name) != value}
        return {**kwargs, **changed}

    def leaving(self, model: str, messages: Any, kwargs: Mapping[str, Any]) -> None:
        """A try leaves: a blocking call, or one that LiteLLM makes again without asking."""
        call_id = kwargs["litellm_call_id"]
        dialect = _DIALECTS.get(str(kwargs.get("call_type")))
        if call_id in self._begun or dialect is None:
            return
        given = {"messages": messages} if dialect == "openai-chat" else {"input": kwargs.get("input")}
        fields = {**given, **kwargs.get("optional_params", {}), "model": model}
        wanted = self._request(dialect, fields, provider=kwargs.get("custom_llm_provider"))
        try:
            call, metering, _ = at_once(begin(self._now, wanted))
        except BudgetError as error:
            _log.warning("a call of %s is made all the same: %s", self._user, error)
            self._begun[call_id] = (None, Metering(self._engine, wanted))
        else:
            self._begun[call_id] = (call, metering)

    def succeeded(self, kwargs: Mapping[str, Any], reply: Any) -> None:
        """It was answered, or its stream read to the end."""
        call, metering = self._begun.pop(kwargs["litellm_call_id"], (None, None))
        if metering is None:
            return
        if kwargs.get("cache_hit"):
            if call is not None:
                at_once(call.release("answered from LiteLLM's cache"))
            return
        ending = _ending(metering, reply)
        if call is not None:
            at_once(call.write(ending))
        elif isinstance(ending, Settle):
            self._engine.charge(self._user, ending.charge, charge_id=kwargs["litellm_call_id"])

    def failed(self, kwargs: Mapping[str, Any]) -> None:
        """It was refused, or broke off."""
        call, _ = self._begun.pop(kwargs["litellm_call_id"], (None, None))
        if call is None:
            return
        error = kwargs.get("exception")
        why = type(error).__name__
        if provider_refused(error):
            at_once(call.release(f"the provider refused: {why}"))
        else:
            at_once(call.doubt(why))

    def _request(self, dialect: str, fields: Mapping[str, Any], *, provider: str | None = None) -> Request:
        import litellm

        model = str(fields["model"])
        name = provider
        if name is None:
            model, name, _, _ = litellm.get_llm_provider(
                model,
                custom_llm_provider=fields.get("custom_llm_provider"),
                api_base=fields.get("api_base"),
            )
        body = plain({key: value for key, value in fields.items() if not key.startswith("litellm_")})
        return Request(self._user, _served(name), "", None, {**body, "model": model}, spoken=dialect)


def final(error: BudgetError) -> BudgetError:
    """
    The same error, as one that LiteLLM does not try again after.

    With `num_retries` it calls again after any exception but an `ImportError`, and does not ask the hook a
    second time: the call that was refused would be made.
    """
    kind = type(error)
    made = type(kind.__name__, (kind, ImportError), {"__doc__": kind.__doc__, "__module__": kind.__module__})
    found = made(error.message, hint=error.hint, **error.values)
    assert isinstance(found, BudgetError), "it is of the error's own class as well"
    return found


def _served(name: str) -> Provider:
    try:
        return providers.named(name)
    except InvalidValueError:
        # One that only LiteLLM speaks to. Prices, where there are any, are known by its name.
        return Provider(name, "openai-chat", "", "https://docs.litellm.ai/docs/providers")


def _ending(metering: Metering, reply: Any) -> Ending:
    body = parse_object(json.dumps(plain(reply), default=str))
    try:
        if body is None:
            raise UnreadableReplyError("LiteLLM gave a reply that is no object")
        usage = body.get("usage")
        if isinstance(usage, dict) and not usage.get("total_tokens"):
            # Of a stream whose provider was not asked for its usage, LiteLLM says that it used nothing.
            del body["usage"]
        metering.read_reported(by_name(metering.dialect.name).read_reply(body))
        return metering.finish()
    except UnreadableReplyError as error:
        return Doubt(error.message, error)
