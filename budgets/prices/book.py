"""The price book in use: the owner's prices over the bundled ones."""

from __future__ import annotations

from datetime import datetime

from budgets.clock import aware_utc
from budgets.prices.bundled import BundledBook
from budgets.prices.names import provider_id
from budgets.prices.overlay import Overlay
from budgets.pricing import ModelPrices, unknown_model


class LayeredBook:
    """
    The owner's prices first, under the name asked for or under the name the bundled data has for it.

    An own price replaces all of a model's bundled prices, never single units of them; what is known of the
    model besides (its window, its output limit) stays, where the owner does not say otherwise.
    """

    def __init__(self, own: Overlay) -> None:
        self._own = own
        self._bundled = BundledBook(suffix=f"+own-{own.digest}")

    @property
    def version(self) -> str:
        """The bundled version, and a hash of the owner's prices."""
        return self._bundled.version

    def find(self, model: str, *, provider: str | None = None, at: datetime) -> ModelPrices:
        """See `PriceBook.find`."""
        at = aware_utc(at)
        matches = self._bundled.matches(model, provider=provider)
        known = matches[0] if len(matches) == 1 else None
        found = self._own.find(model, provider=provider, at=at)
        if found is None and known is not None:
            found = self._own.find(known.model, provider=known.provider, at=at)
        if found is None and not matches:
            if provider is None and len(sellers := self._own.sellers(model)) == 1:
                found = self._own.find(model, provider=sellers[0], at=at)
            if found is None:
                raise unknown_model(model, self.nearest(model))
        if found is None:
            return self._bundled.find(model, provider=provider, at=at)
        own, rows = found
        seller = own.provider or (known.provider if known else provider and provider_id(provider))
        return ModelPrices(
            provider=seller or "own",
            model=own.model,
            asked=model,
            rows=rows,
            book_version=self.version,
            context_window=own.context_window or (known.context_window if known else None),
            max_output_tokens=own.max_output_tokens or (known.max_output_tokens if known else None),
            reasoning=own.reasons if own.reasons is not None else known is not None and known.reasoning,
            free=own.free,
        )

    def nearest(self, model: str) -> list[str]:
        """See `PriceBook.nearest`."""
        import difflib

        own = {row.model.lower(): row.model for row in self._own.rows}
        close = [own[name] for name in difflib.get_close_matches(model.strip().lower(), own, n=3, cutoff=0.6)]
        return [*close, *(name for name in self._bundled.nearest(model) if name not in close)][:3]
