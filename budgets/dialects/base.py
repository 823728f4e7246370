"""What every dialect can do. A dialect is one provider API's wire format; it is pure and knows no sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from budgets.asks import Ask
from budgets.usage import Usage


@dataclass(frozen=True, slots=True)
class Reported:
    """What a provider's reply, or as much of its stream as has come, says about what was used."""

    # The model that served, as the reply names it.
    model: str | None
    # `None` when no usage block was seen.
    usage: Usage | None
    # The provider's id of the reply.
    reply_id: str | None = None
    service_tier: str | None = None
    # Where it was worked on, as the provider names it; `None`: the reply does not say.
    region: str | None = None
    # The reply is whole: a plain reply, or a stream whose end was seen.
    finished: bool = True
    # The text of the answer (all of it that came), to be counted when usage is missing; never stored.
    text: str = field(default="", repr=False)
    # What else was written and is billed as output: reasoning that was shown, refusals, tool calls.
    # Counted beside `text` when usage is missing; never stored.
    aside: str = field(default="", repr=False)
    # What other models used inside this call, by their names: they have prices of their own and are not
    # in `usage` (Anthropic's advisor tool).
    others: tuple[tuple[str, Usage], ...] = ()


class StreamReader(Protocol):
    """Reads one stream as it arrives, in pieces of any size."""

    def feed(self, piece: bytes) -> str:
        """Take the next bytes; give back the answer text that they complete (often empty)."""
        ...

    def reported(self) -> Reported:
        """
        What the stream has said so far. May be asked at any time.

        Raises:
            UnreadableReplyError: a usage block came and cannot be trusted. `feed` never raises it, so
                that a caller still gets the rest of the answer.
        """
        ...


class Dialect(Protocol):
    """One wire format: requests in, usage out."""

    @property
    def name(self) -> str:
        """`openai-chat`, `anthropic-messages`."""
        ...

    @property
    def path(self) -> str:
        """Where calls go, below the provider's base URL: `/chat/completions`, `/v1/messages`."""
        ...

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers that a call needs, the key among them when there is one."""
        ...

    def build_request(
        self,
        *,
        model: str,
        messages: list[dict[str, Any]],
        system: str | None,
        temperature: float | None,
        stream: bool,
    ) -> dict[str, Any]:
        """A request body. *messages* are `{"role", "content"}` as both dialects have them."""
        ...

    def read_request(self, body: Mapping[str, Any]) -> Ask:
        """
        What *body* asks for.

        Raises:
            InvalidValueError: it is no request of this dialect; the message names the field.
        """
        ...

    def limit_output(self, body: Mapping[str, Any], tokens: int) -> dict[str, Any]:
        """
        A copy of *body* whose answers have at most *tokens* tokens.

        A limit that the caller set is lowered, never raised.

        Raises:
            InvalidValueError: lowering would make the request invalid.
        """
        ...

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body* that makes a stream carry its usage, where the dialect must be asked."""
        ...

    def read_reply(self, body: Mapping[str, Any]) -> Reported:
        """
        What a plain reply reports. A reply without a usage block has `usage=None`.

        Raises:
            UnreadableReplyError: the usage is there and cannot be trusted (negative, text, NaN, huge).
        """
        ...

    def read_stream(self) -> StreamReader:
        """A reader for one stream."""
        ...

    def read_error(self, body: bytes) -> str:
        """The provider's own words from an error body, one line; the raw text (cut) if it is not its JSON."""
        ...
