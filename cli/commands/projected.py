"""`budget projected`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from ..exits import DONE, exit_code
from ..options import Model, Provider, User
from ..prompting import Messages, Prompt, RequestFile, System, read_request
from ..results import Result, error_document, left_document
from ..session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from budgets.engine.reading import Outlook
    from budgets.errors import BudgetExceededError
    from budgets.money import Nanos

    from ..tables import Table

EXAMPLES = """
budget projected --user ann --model gpt-4o-mini --prompt "Name three rivers"
budget projected --user ann --model claude-sonnet-4-5 --messages messages.json
budget projected --user ann --request request.json --check --json
budget projected --user ann --model gpt-4o-mini --prompt "Name three rivers" --explain
"""

Explain: TypeAlias = Annotated[bool, typer.Option("--explain", help="Show how the most adds up.")]
Check: TypeAlias = Annotated[
    bool, typer.Option("--check", help="End with exit code 3 where it does not fit (75: not now).")
]


@dataclass(frozen=True)
class Projected(Result):
    """What a call would cost that is not made."""

    outlook: Outlook
    # Why it would not be let through; `None`: it would.
    refused: BudgetExceededError | None
    # The exit code says whether it fits.
    checked: bool
    now: datetime
    # With how the most adds up.
    explained: bool = False
    command = "projected"

    @property
    def exit_code(self) -> int:
        """A refusal is the answer that was asked for, unless --check asks for more."""
        return exit_code(self.refused) if self.checked and self.refused is not None else DONE

    @property
    def projected_nanos(self) -> Nanos:
        """What is spent in the current period, and the prompt on top."""
        primary = self.outlook.status.primary
        return self.outlook.quote.prompt_nanos + (primary.totals.spent_nanos if primary else 0)

    @property
    def affordable_output_tokens(self) -> int | None:
        """How many output tokens what is left buys beside the prompt; `None`: nothing limits them."""
        left = self.outlook.status.left.nanos
        return None if left is None else self.outlook.quote.affordable_output_tokens(left)

    def document(self) -> dict[str, Any]:
        """See `Result`."""
        from budgets.explaining import of_quote
        from budgets.money import format_usd

        from ..sums import sum_document

        quote, status = self.outlook.quote, self.outlook.status
        return {
            "user": status.budget.user,
            "model": quote.model,
            "provider": quote.provider,
            "input_tokens": quote.input_tokens,
            "input_tokens_most": quote.input_tokens_most,
            "counted": quote.counted,
            "counted_most": quote.counted_most or quote.counted,
            "prompt_cost_usd": format_usd(quote.prompt_nanos),
            "projected_usd": format_usd(self.projected_nanos),
            "most_usd": format_usd(quote.most_nanos),
            "output_limit": quote.output_limit,
            "output_limited_by": quote.limited_by,
            "fits": self.refused is None,
            "affordable_output_tokens": self.affordable_output_tokens,
            "bounded": quote.bounded,
            "unbounded_by": list(quote.unbounded),
            **left_document(status.left),
            "refusal": error_document(self.refused) if self.refused is not None else None,
            "explanation": sum_document(of_quote(quote)) if self.explained else None,
        }

    def text(self) -> Iterator[str | Table]:
        """See `Result`."""
        from budgets.explaining import of_quote
        from budgets.money import money

        from ..harmless import shown_name
        from ..sums import sum_blocks
        from ..words import LIMITED_BY, left_words

        quote, status = self.outlook.quote, self.outlook.status
        user = status.budget.user
        yield f"{quote.provider}/{quote.model} for {shown_name(user)}"
        yield f"prompt          {money(quote.prompt_nanos)}: {quote.input_tokens:,} tokens, {quote.counted}"
        yield f"spent + prompt  {money(self.projected_nanos)}"
        yield (
            f"most            {money(quote.most_nanos)}: {quote.input_tokens_most:,} tokens at most,"
            f" {quote.counted_most or quote.counted}"
        )
        yield f"                and {quote.output_limit:,} of output ({LIMITED_BY[quote.limited_by]})"
        if quote.unbounded:
            yield f"                the provider may read more than is sent: {', '.join(quote.unbounded)}"
        yield f"left            {left_words(status.left, user, self.now)}"
        affordable = self.affordable_output_tokens
        if affordable is not None:
            yield f"                that buys {affordable:,} tokens of output beside the prompt"
        yield f"fits            {'yes' if self.refused is None else 'no'}"
        if self.explained:
            yield ""
            yield "The most adds up so:"
            yield from sum_blocks(of_quote(quote))

    def messages(self) -> Iterator[str]:
        """See `Result`."""
        if self.refused is not None:
            yield f"it does not fit: {self.refused.message}"
            if self.refused.hint:
                yield f"hint: {self.refused.hint}"


def projected(
    session: Session,
    user: User = None,
    model: Model = None,
    provider: Provider = None,
    prompt: Prompt = None,
    messages: Messages = None,
    system: System = None,
    request: RequestFile = None,
    check: Check = False,
    explain: Explain = False,
) -> Projected:
    """
    Show what a call would cost, without making it.

    The prompt is counted here, offline. The most is what would be held: the upper count of the prompt and
    the longest answer. Give one of --prompt, --messages, and --request.
    """
    wanted = read_request(
        session.env,
        model=model,
        provider=provider,
        prompt=prompt,
        messages=messages,
        system=system,
        request=request,
    )
    engine, name = session.engine, session.user(user)
    # What a process held that is gone may stand in the way, and is told apart from what waiting frees.
    engine.expire()
    quote = engine.quote(wanted.ask(), provider=wanted.price_provider)
    outlook = engine.outlook(name, quote)
    refused = None
    if outlook.refusal is not None:
        from budgets.engine.refusing import refused as in_words

        refused = in_words(outlook.refusal)
    return Projected(outlook, refused, check, session.env.clock(), explain)
