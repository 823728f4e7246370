"""The gateway's HTTP side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from budgets.dialects import by_name, reading
from budgets.errors import AccessDeniedError, BudgetError, InvalidValueError
from budgets.gateway import listing
from budgets.gateway.callers import Caller, forwarded_headers, is_signed, presented_key
from budgets.gateway.deployments import asked_at
from budgets.gateway.forwarding import forward
from budgets.gateway.incoming import Incoming
from budgets.gateway.packing import Unread, unpacked
from budgets.gateway.passing import House
from budgets.gateway.places import Place, is_plain, place_of
from budgets.gateway.refusals import Refusal, refusal, refusal_of
from budgets.gateway.targets import Target, family
from budgets.money import shown
from budgets.upstream import OutgoingCall

# A request with many pictures in it; providers take 20 to 100 MB.
MOST_REQUEST_BYTES = 100 * 1024 * 1024


class GatewayHandler:
    """
    Answers every request at the gateway.

    Args:
        house: What all calls share.
        find_caller: Whose key that is; empty: the call has none; `None`: nobody's.
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
        caller = self._find_caller(key or "")
        if caller is None and is_signed(headers):
            said = (
                "this call is signed, and what a budget needs would break its signature;"
                " use an API key of Bedrock's (AWS_BEARER_TOKEN_BEDROCK); nothing was sent"
            )
            return refusal(401, said, dialect, code="signed", headers=_NO_RETRY)
        if caller is None:
            said = "this key is not known here" if key else "there is no key with this call"
            return refusal(401, f"{said}; nothing was sent", dialect, code="unknown_key", headers=_NO_RETRY)
        if headers.get("upgrade", "").lower() == "websocket":
            said = "WebSockets are not metered; the same call by POST is"
            return refusal(426, said, dialect, code="not_metered", headers={"upgrade": "HTTP/1.1"})
        if not is_plain(path):
            said = f"{shown(path)} may mean one thing here and another there; nothing was sent"
            return refusal(404, said, dialect, code="not_metered", headers=_NO_RETRY)
        if place is None:
            said = f"{request.method} {shown(path)} is no call that can be metered; nothing was sent"
            return refusal(404, said, dialect, code="not_metered", headers=_NO_RETRY)
        if place.kind == "refused":
            said = f"{place.words}: not metered, so not forwarded; nothing was sent"
            return refusal(404, said, dialect, code="not_metered", headers=_NO_RETRY)
        if query:
            path = f"{path}?{query}"
        raw = await _body(request)
        if isinstance(raw, Unread):
            said = f"{raw.words}; nothing was sent"
            return refusal(raw.status, said, dialect, code="unread_request", headers=_NO_RETRY)
        if place.kind == "metered":
            body = reading.parse_object(raw)
            if body is None:
                raise InvalidValueError("the request is no JSON object", hint="nothing was sent")
            spoken = by_name(dialect)
            received = spoken.received(path, body)
            if received is None:
                raise InvalidValueError(f"{shown(path)} is no address of {dialect}", hint="nothing was sent")
            asked = asked_at(path, received)
            _check_model(caller, asked)
            reply = _Reply(request)
            await forward(self._house, Incoming(caller, target, path, headers, spoken, asked, raw), reply)
            return reply.response
        if target is None and request.method == "GET" and place.kind == "free":
            names = await asyncio.to_thread(self._house.targets.names)
            if names is not None:
                return _listed(names, caller, path, _likely_dialect(headers, place.dialect))
        return await self._free(request, caller, target, path, headers, place, raw)

    async def _free(
        self,
        request: web.Request,
        caller: Caller,
        target: str | None,
        path: str,
        headers: Mapping[str, str],
        place: Place,
        raw: bytes,
    ) -> web.StreamResponse | Refusal:
        """Forward a call that its provider does not bill."""
        if place.kind == "owned":
            owned = self._house.owners.target_of(place.words, caller.user)
            if owned is None or target not in (None, owned):
                said = f"there is no reply {shown(place.words)} of yours here"
                return refusal(404, said, place.dialect, code="unknown_reply", headers=_NO_RETRY)
            target = owned
        body = reading.parse_object(raw) or {}
        # A path has the method behind the model: `models/gemini-2.5-pro:countTokens`.
        model = str(body.get("model") or (listing.named_in(path) or "").rpartition(":")[0])
        chosen = self._house.targets.candidates(target, model, place.dialect)[0]
        chosen.check_key()
        dialect = _spoken_at(chosen, place.dialect)
        renamed = chosen.renamed(body) if "model" in body else body
        outgoing = OutgoingCall(
            chosen.provider.id,
            chosen.address(path, dialect),
            forwarded_headers(headers, chosen, dialect),
            raw if renamed is body else json.dumps(renamed, ensure_ascii=False).encode("utf-8", "replace"),
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

    def break_off(self, *, at_once: bool = False) -> None:
        transport = self._request.transport
        if transport is None:
            return
        if at_once:
            transport.abort()
        else:
            transport.close()


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    """The provider's headers, but for those about its connection and its length, which are ours."""
    return {
        name: value for name, value in headers.items() if name not in ("content-length", "date", "server")
    }


def _without_type(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "content-type"}


async def _body(request: web.Request) -> bytes | Unread:
    """The request's bytes, unpacked."""
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return Unread(413, f"the request is larger than {MOST_REQUEST_BYTES} bytes")
    except web.RequestPayloadError:
        return Unread(400, "the request did not come whole")
    return unpacked(raw, request.headers.get("content-encoding", ""), at_most=MOST_REQUEST_BYTES)


def _check_model(caller: Caller, asked: Mapping[str, Any]) -> None:
    model = asked.get("model")
    if caller.models is not None and model not in caller.models:
        raise AccessDeniedError(
            f"{caller.user} may not ask for {shown(str(model))}",
            hint=f"allowed: {', '.join(caller.models)}",
            model=model,
        )


def _likely_dialect(headers: Mapping[str, str], other: str = "openai-chat") -> str:
    """Whose errors and lists the client of a path that many have most likely reads."""
    if "anthropic-version" in headers:
        return "anthropic-messages"
    return "gemini" if "x-goog-api-key" in headers else other


def _listed(names: Sequence[str], caller: Caller, path: str, dialect: str) -> web.StreamResponse | Refusal:
    """What the caller may ask for, or the one that the path names."""
    allowed = [name for name in names if caller.models is None or name in caller.models]
    wanted = listing.named_in(path)
    if wanted is None:
        return web.json_response(listing.list_document(allowed, dialect))
    if wanted not in allowed:
        said = f"{shown(wanted)} is no model that may be asked for here"
        return refusal(404, said, dialect, code="unknown_model", headers=_NO_RETRY)
    return web.json_response(listing.model_document(wanted, dialect))


def _spoken_at(target: Target, dialect: str) -> str:
    """A list of models stands at the same address in two dialects; the key does not go in the same header."""
    if family(dialect) == "openai" and family(target.provider.dialect) != "openai":
        return target.provider.dialect
    return dialect
