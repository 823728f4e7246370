"""The gateway's HTTP side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from budgets.dialects import by_name, reading
from budgets.errors import BudgetError, InvalidValueError
from budgets.gateway.callers import Caller, forwarded_headers, presented_key
from budgets.gateway.forwarding import forward
from budgets.gateway.incoming import Incoming
from budgets.gateway.passing import House
from budgets.gateway.places import Place, place_of
from budgets.gateway.refusals import Refusal, refusal, refusal_of
from budgets.money import shown
from budgets.upstream import OutgoingCall

# A request with many pictures in it; providers take 20 to 100 MB.
MOST_REQUEST_BYTES = 100 * 1024 * 1024


class GatewayHandler:
    """
    Answers every request at the gateway.

    Args:
        house: What all calls share.
        find_caller: Whose key that is; `None`: nobody's.
    """

    def __init__(
        self,
        house: House,
        find_caller: Callable[[str], Caller | None],
    ) -> None:
        self._house = house
        self._find_caller = find_caller

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request, whatever it is."""
        target, path = self._house.targets.split(request.rel_url.raw_path)
        place = place_of(request.method, path)
        dialect = place.dialect if place is not None else _likely_dialect(request.headers)
        try:
            found = await self._answered(request, target, path, place, dialect)
        except BudgetError as error:
            found = refusal_of(error, dialect)
        if isinstance(found, Refusal):
            return web.json_response(found.body, status=found.status, headers=_without_type(found.headers))
        return found

    async def _answered(
        self, request: web.Request, target: str | None, path: str, place: Place | None, dialect: str
    ) -> web.StreamResponse | Refusal:
        headers = {name.lower(): value for name, value in request.headers.items()}
        key, query = presented_key(headers, request.rel_url.raw_query_string)
        caller = self._find_caller(key) if key else None
        if caller is None:
            said = "this key is not known here" if key else "there is no key with this call"
            return refusal(401, f"{said}; nothing was sent", dialect, code="unknown_key", headers=_NO_RETRY)
        if headers.get("upgrade", "").lower() == "websocket":
            said = "WebSockets are not metered; the same call by POST is"
            return refusal(426, said, dialect, code="not_metered", headers={"upgrade": "HTTP/1.1"})
        if place is None:
            said = f"{request.method} {shown(path)} is no call that can be metered; nothing was sent"
            return refusal(404, said, dialect, code="not_metered", headers=_NO_RETRY)
        if place.kind == "refused":
            said = f"{place.words}: not metered, so not forwarded; nothing was sent"
            return refusal(404, said, dialect, code="not_metered", headers=_NO_RETRY)
        if query:
            path = f"{path}?{query}"
        if place.kind == "metered":
            raw = await _body(request)
            body = reading.parse_object(raw)
            if body is None:
                raise InvalidValueError("the request is no JSON object", hint="nothing was sent")
            spoken = by_name(dialect)
            asked = spoken.received(path, body)
            if asked is None:
                raise InvalidValueError(f"{shown(path)} is no address of {dialect}", hint="nothing was sent")
            _check_model(caller, asked)
            reply = _Reply(request)
            await forward(self._house, Incoming(caller, target, path, headers, spoken, asked, raw), reply)
            return reply.response
        return await self._free(request, caller, target, path, headers, place)

    async def _free(
        self,
        request: web.Request,
        caller: Caller,
        target: str | None,
        path: str,
        headers: Mapping[str, str],
        place: Place,
    ) -> web.StreamResponse | Refusal:
        """Forward a call that its provider does not bill."""
        if place.kind == "owned":
            owned = self._house.owners.target_of(place.words, caller.user)
            if owned is None or target not in (None, owned):
                said = f"there is no reply {shown(place.words)} of yours here"
                return refusal(404, said, place.dialect, code="unknown_reply", headers=_NO_RETRY)
            target = owned
        raw = await _body(request)
        body = reading.parse_object(raw) or {}
        chosen = self._house.targets.candidates(target, str(body.get("model", "")))[0]
        chosen.check_key()
        outgoing = OutgoingCall(
            chosen.provider.id,
            chosen.origin + path,
            forwarded_headers(headers, chosen, place.dialect),
            raw,
            method=request.method,
        )
        async with self._house.upstream.send(outgoing) as answer:
            reply = _Reply(request)
            await reply.whole(answer.status, answer.headers, await answer.read())
            return reply.response


_NO_RETRY = {"x-should-retry": "false"}

# Of the answer's headers, those that this side of it writes itself.
_OURS = frozenset(("content-length", "date", "server"))


class _Reply:
    """See `budgets.gateway.forwarding.Reply`."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._response: web.StreamResponse | None = None

    @property
    def response(self) -> web.StreamResponse:
        assert self._response is not None, "a call that was made was answered"
        return self._response

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self._response = web.Response(status=status, headers=_passed(headers), body=body)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._response = web.StreamResponse(status=status, headers=_passed(headers))
        await self._response.prepare(self._request)

    async def piece(self, piece: bytes) -> None:
        await self.response.write(piece)

    def break_off(self) -> None:
        if self._request.transport is not None:
            self._request.transport.close()


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    """The provider's headers, but for those about its connection and its length, which are ours."""
    return {
        name: value for name, value in headers.items() if name not in ("content-length", "date", "server")
    }


def _without_type(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-type"}


async def _body(request: web.Request) -> bytes:
    """The request's bytes; what was packed in a usual way was unpacked on arrival."""
    return await request.read()


def _check_model(caller: Caller, asked: Mapping[str, Any]) -> None:
    model = asked.get("model")
    if caller.models is not None and model not in caller.models:
        raise InvalidValueError(
            f"{caller.user} may not ask for {shown(str(model))}",
            hint=f"allowed: {', '.join(caller.models)}",
            model=model,
        )


def _likely_dialect(headers: Mapping[str, str]) -> str:
    """Whose errors the client of an unknown path most likely reads."""
    if "anthropic-version" in headers:
        return "anthropic-messages"
    return "gemini" if "x-goog-api-key" in headers else "openai-chat"
