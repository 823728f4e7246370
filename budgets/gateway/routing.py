"""Which upstream a call goes to: by the name in its path, or by its model, in turn and around failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from budgets import providers
from budgets.errors import InvalidValueError
from budgets.gateway.configured import Configuration, Deployment
from budgets.gateway.targets import Target, family
from budgets.money import shown

# A deployment that fails is left alone for so long, twice as long after each failure that follows.
_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 60.0

_MOST_NAMED = 20


@dataclass(slots=True)
class _State:
    """How it goes with one deployment."""

    running: int = 0
    # Whose turn it is among those that are as busy; it is paid back when the turn has come.
    credit: int = 0
    # Failures since it last went well, and until when it is left alone.
    failures: int = 0
    until: float = 0


class Routes:
    """
    The targets of a configuration, by model. See `Targets`. Used in one thread.

    Of a model's deployments the one with the fewest running calls for its weight is first; those that are as
    busy take turns by weight. Those that failed come last, until they have cooled down.

    Args:
        configuration: Where calls may go.
        sold: Provider and model of everything that has a price; asked where no models are configured.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        sold: Callable[[], Iterable[tuple[str, str]]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstreams = {each.name: each for each in configuration.upstreams}
        self._by_provider: dict[str, Target] = {}
        for each in configuration.upstreams:
            # Azure's deployments have names of their owner's.
            if each.deployments:
                continue
            self._by_provider.setdefault(each.provider.id, each)
        self._models = configuration.models
        self._sold = sold
        self._clock = clock
        self._states = {
            (each.target.name, each.target.model): _State()
            for deployments in (configuration.models or {}).values()
            for each in deployments
        }

    def split(self, path: str) -> tuple[str | None, str]:
        """See `Targets.split`."""
        name, slash, rest = path.removeprefix("/").partition("/")
        return (name, slash + rest) if name in self._upstreams else (None, path)

    def candidates(self, name: str | None, model: str, dialect: str) -> Sequence[Target]:
        """See `Targets.candidates`."""
        if name is not None:
            return (self._upstreams[name],)
        if self._models is None:
            return (self._by_own_name(model),)
        deployments = self._models.get(model)
        if deployments is None:
            named = ", ".join(list(self._models)[:_MOST_NAMED])
            raise InvalidValueError(
                f"{shown(model)} is no model here", hint=f"ask for one of {named}", model=model
            )
        speaking = [each for each in deployments if family(dialect) in each.target.bases]
        if not speaking:
            spoken = ", ".join(sorted({each.target.provider.dialect for each in deployments}))
            raise InvalidValueError(
                f"{shown(model)} is not served in {dialect}", hint=f"call it in {spoken}", model=model
            )
        # Without its key it is of no use; where none has one, the first says what is missing.
        usable = [each for each in speaking if not each.target.missing_key] or speaking
        return [each.target for each in self._ordered(usable)]

    def names(self) -> Sequence[str]:
        """See `Targets.names`."""
        if self._models is not None:
            return list(self._models)
        usable = {name for name, each in self._by_provider.items() if not each.missing_key}
        described = [
            f"{each.name}/{deployment}"
            for each in self._upstreams.values()
            if not each.missing_key
            for deployment in each.deployments
        ]
        sold = (_whole_name(provider, model) for provider, model in self._sold() if provider in usable)
        return [*described, *sold]

    def begun(self, target: Target) -> None:
        """See `Targets.begun`."""
        if (state := self._state(target)) is not None:
            state.running += 1

    def ended(self, target: Target, *, well: bool) -> None:
        """See `Targets.ended`."""
        state = self._state(target)
        if state is None:
            return
        state.running -= 1
        now = self._clock()
        if well:
            state.failures, state.until = 0, 0
        elif now >= state.until:
            # Calls that ran together and failed together are one failure.
            state.until = now + min(_FIRST_SECONDS * 2**state.failures, _LONGEST_SECONDS)
            state.failures += 1

    def _ordered(self, deployments: Sequence[Deployment]) -> list[Deployment]:
        if len(deployments) == 1:
            return list(deployments)
        now = self._clock()
        states = [self._states[each.target.name, each.target.model] for each in deployments]
        total = sum(each.weight for each in deployments)
        for each, state in zip(deployments, states, strict=True):
            state.credit = min(state.credit + each.weight, total)
        order = sorted(
            range(len(deployments)),
            key=lambda at: (
                max(states[at].until - now, 0),
                states[at].running / deployments[at].weight,
                -states[at].credit,
            ),
        )
        states[order[0]].credit -= total
        return [deployments[at] for at in order]

    def _by_own_name(self, model: str) -> Target:
        """Who has it, by the upstream's name in front of it, or as the only one who gives such names."""
        prefix, slash, rest = model.partition("/")
        if slash and rest and prefix in self._upstreams:
            return replace(self._upstreams[prefix], model=rest)
        provider, name = providers.find_provider(model, None)
        target = self._by_provider.get(provider.id)
        if target is None:
            raise InvalidValueError(
                f"{provider.id} serves {shown(model)}, and is no upstream here",
                hint=f"there are {', '.join(self._upstreams)}",
                model=model,
            )
        return replace(target, model=name)

    def _state(self, target: Target) -> _State | None:
        """`None`: there is no choice of it, so nothing is counted."""
        return self._states.get((target.name, target.model))


def _whole_name(provider: str, model: str) -> str:
    """The name by which that provider's model is found here."""
    try:
        found, name = providers.find_provider(model, None)
    except InvalidValueError:
        return f"{provider}/{model}"
    return model if (found.id, name) == (provider, model) else f"{provider}/{model}"
