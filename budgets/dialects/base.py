"""What every dialect can do. A dialect is one provider API's wire format; it is pure and knows no sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from budgets.asks import Ask
from budgets.dialects.sse import Event
from budgets.pricing import Picos
from budgets.usage import Usage

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Sent(NamedTuple):
    """A request as it goes out."""

    # Below the provider's base URL, the query with it.
    path: str
    body: Mapping[str, Any]


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
    # Where it was processed, when that has a price of its own: `us`.
    region: str | None = None
    # What the provider itself says that the call costs, where that is the whole bill: exact pico-dollars.
    billed_picos: Picos | None = None
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
    # What `text` says is a guardrail's, in the place of the model, which wrote nothing.
    guarded: bool = False

    @property
    def leaves_out_answer(self) -> bool:
        """The usage says that nothing was written, and an answer is there: it is not what is billed."""
        if self.usage is None or self.guarded or self.billed_picos is not None:
            return False
        return not self.usage.output_tokens and bool(self.text or self.aside)


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

    def cut_here(self, output_tokens: int) -> list[Event] | None:
        """
        The events that end the stream here as this dialect ends an answer at its limit, open parts first.

        For a caller who has every whole event that was fed. `None`: the answer is complete, and what is still
        to come only says so. An empty list: this wire has no end that could be written by anybody else.

        Args:
            output_tokens: How many tokens were written so far, where the end says that.
        """
        ...


class Dialect(Protocol):
    """
    One wire format: requests in, usage out.

    A request always names its `model`, and says `stream` when it wants one. Where the wire has these in the
    address instead of the body, `sent` and `received` move them.
    """

    @property
    def name(self) -> str:
        """`openai-chat`, `anthropic-messages`, `gemini` ..."""
        ...

    @property
    def stream_types(self) -> tuple[str, ...]:
        """The content types that an answer asked for as a stream comes in, when it is one."""
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
        """A request body. *messages* are `{"role", "content"}`, each content a text."""
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

    def sent(self, body: Mapping[str, Any]) -> Sent:
        """Where the request *body* goes, and what of it goes there."""
        ...

    def received(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The request that *body* is when it was sent to *path*; `None`: not one of this dialect."""
        ...

    def ask_for_usage(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of *body* that makes a stream carry its usage, where the dialect must be asked."""
        ...

    def read_reply(self, body: Mapping[str, Any], headers: Mapping[str, str] = NO_HEADERS, /) -> Reported:
        """
        What a plain reply reports. A reply without a usage block has `usage=None`.

        Args:
            body: The reply.
            headers: Its HTTP headers, names in lower case: some providers count there.

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
