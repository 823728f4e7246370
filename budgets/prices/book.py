"""The price book in use: the owner's prices over the bundled ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path

from budgets.clock import aware_utc
from budgets.prices.bundled import PATH, BundledBook, Known, keep
from budgets.prices.discounts import Discount, discount_of
from budgets.prices.names import provider_id
from budgets.prices.overlay import Overlay, OwnPrice
from budgets.pricing import ModelPrices, Price, unknown_model


class LayeredBook:
    """
    The owner's prices first, under the name asked for or under the name the bundled data has for it.

    An own price replaces all of a model's bundled prices, never single units of them; what is known of the
    model besides (its window, its output limit) stays, where the owner does not say otherwise.
    A discount is on what the bundled data has; an own price is what the owner pays, and has none.
    """

    def __init__(self, own: Overlay, path: Path = PATH) -> None:
        self._own = own
        self._bundled = BundledBook(path, suffix=f"+own-{own.digest}")
        # The same answer of the bundled book, at the same discount, is the same answer here.
        self._discounted: dict[tuple[str, str | None], tuple[ModelPrices, Fraction, ModelPrices]] = {}

    @property
    def version(self) -> str:
        """The bundled version, and a hash of the owner's prices."""
        return self._bundled.version

    def find(self, model: str, *, provider: str | None = None, at: datetime) -> ModelPrices:
        """See `PriceBook.find`."""
        at = aware_utc(at)
        if not self._own.rows:
            return self._after_discount(self._bundled.find(model, provider=provider, at=at), provider, at)
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
            return self._after_discount(self._bundled.find(model, provider=provider, at=at), provider, at)
        return self._answer(model, provider, known, found)

    def discount(self, provider: str, at: datetime) -> Discount | None:
        """The discount on *provider*'s list prices at *at* (aware); `None`: there is none."""
        return discount_of(self._own.discounts, provider, aware_utc(at))

    def _after_discount(self, listed: ModelPrices, provider: str | None, at: datetime) -> ModelPrices:
        discount = discount_of(self._own.discounts, listed.provider, at)
        if discount is None or not discount.percent:
            return listed
        key = (listed.asked, provider)
        kept = self._discounted.get(key)
        if kept is not None and kept[0] is listed and kept[1] == discount.percent:
            return kept[2]
        found = replace(listed, discount_percent=discount.percent)
        keep(self._discounted, key, (listed, discount.percent, found))
        return found

    def _answer(
        self,
        model: str,
        provider: str | None,
        known: Known | None,
        found: tuple[OwnPrice, tuple[Price, ...]],
    ) -> ModelPrices:
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

    @property
    def made(self) -> date | None:
        """See `BundledBook.made`."""
        return self._bundled.made

    def current(self, at: datetime) -> Iterator[ModelPrices]:
        """Every model that has a price at *at* (aware): the owner's first, then those they do not replace."""
        own: set[tuple[str, str]] = set()
        for provider, model in dict.fromkeys((row.provider, row.model) for row in self._own.rows):
            if self._own.find(model, provider=provider, at=aware_utc(at)) is not None:
                found = self.find(model, provider=provider, at=at)
                own.add((found.provider, found.model.lower()))
                yield found
        for found in self._bundled.current(at):
            if (found.provider, found.model.lower()) not in own:
                discount = self.discount(found.provider, at)
                yield found if discount is None else replace(found, discount_percent=discount.percent)

    def history(self, model: str, *, provider: str | None = None) -> tuple[Price, ...]:
        """All rows of a model, those before and after now among them; the owner's, where there are any."""
        matches = self._bundled.matches(model, provider=provider)
        own = self._own.history(model, provider=provider)
        if own is None and len(matches) == 1:
            own = self._own.history(matches[0].model, provider=matches[0].provider)
        return self._bundled.history(model, provider=provider) if own is None else own

    def nearest(self, model: str) -> list[str]:
        """See `PriceBook.nearest`."""
        import difflib

        own = {row.model.lower(): row.model for row in self._own.rows}
        close = [own[name] for name in difflib.get_close_matches(model.strip().lower(), own, n=3, cutoff=0.6)]
        return [*close, *(name for name in self._bundled.nearest(model) if name not in close)][:3]
