"""
Every error that this project raises on purpose.

    BudgetError
    ├── InvalidValueError (also ValueError)     a value that cannot be meant: "-5", "1e400", "Mars/Phobos"
    ├── UnknownUserError (also KeyError)        no budget of that name in the project
    ├── UserExistsError                         `create` of a user who has a budget
    ├── BudgetExceededError                     the call does not fit, waiting does not help
    │   ├── BudgetFrozenError                   somebody froze a budget on the path
    │   ├── BudgetArchivedError                 somebody archived a budget on the path
    │   └── BudgetBusyError                     it would fit once running calls settle: try again
    ├── UnknownPriceError (also LookupError)    a model, or a unit of it, without a price
    ├── UnknownHoldError (also KeyError)        no hold of that id
    ├── UnknownEntryError (also KeyError)       no entry of that id
    ├── UnknownKeyError (also KeyError)         no key of that id in the project
    ├── ConflictError                           a known id with other content
    ├── AccessDeniedError                       the key of a request may not do that
    │   └── UnauthenticatedError                no key, a wrong one, or one that is refused
    ├── UnreadableReplyError (also ValueError)  a provider's reply without usage that can be trusted
    ├── ProviderError                           the provider answered 4xx or 5xx, or not at all
    │   └── MissingKeyError                     no key for that provider in the environment
    ├── ConfigError                             a setting that cannot be used
    ├── PriceSourceError                        no newer price book can be had
    └── StoreError                              the store cannot be read or written
        ├── StoreBusyError                      others kept the store locked for too long: try again
        ├── ServerError                         the server that keeps the store did not answer as it should
        ├── StoreTooNewError                    the file was written by a newer version
        └── StoreCorruptError                   the file is damaged, or is not a store

Each has a stable `code`, the values involved, a message that says what happened,
and a `hint` that says what to do next.
The message is one sentence without a period; it is shown after `error: `.
"""

from __future__ import annotations

from typing import Any, ClassVar


class BudgetError(Exception):
    """
    The base of them all.

    Args:
        message: What happened, one sentence, no period.
        hint: What to do next, or `None` where there is nothing useful to say.
        values: What a script wants to know, ready for JSON; money as decimal text in names ending `_usd`.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None, **values: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.values = values

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.values)


def _rebuild(kind: type[BudgetError], message: str, hint: str | None, values: dict[str, Any]) -> BudgetError:
    return kind(message, hint=hint, **values)


def _float(usd: str | None) -> float | None:
    return None if usd is None else float(usd)


class InvalidValueError(BudgetError, ValueError):
    """Raised at the door for a value that cannot be meant."""

    code = "invalid_value"


class UnknownUserError(BudgetError, KeyError):
    """Raised when a user has no budget in this project."""

    code = "unknown_user"


class UserExistsError(BudgetError):
    """Raised by `create` when the user has a budget already."""

    code = "user_exists"


class BudgetExceededError(BudgetError):
    """
    Raised when a call does not fit and waiting would not help.

    `values` has `user` (who asked), `limit_user` and `limit_id` (whose limit binds; `limit_user` is
    `None` for the project), `total_usd`, `boost_usd`, `spent_usd`, `held_usd`, `unconfirmed_usd`,
    `left_usd`, `needed_usd` and `resets_at` (ISO 8601, or `None` when it never resets).
    """

    code = "budget_exceeded"

    @property
    def current_cost(self) -> float | None:
        """What was spent of the limit that binds, as LiteLLM's error has it; exact in `values`."""
        return _float(self.values.get("spent_usd"))

    @property
    def max_budget(self) -> float | None:
        """That limit, as LiteLLM's error has it; `None` where it is not about an amount."""
        return _float(self.values.get("total_usd"))


class BudgetFrozenError(BudgetExceededError):
    """Raised when a budget on the path is frozen: nothing fits until it is unfrozen."""

    code = "budget_frozen"


class BudgetArchivedError(BudgetExceededError):
    """Raised when a budget on the path is archived: nothing fits until it is unarchived."""

    code = "budget_archived"


class BudgetBusyError(BudgetExceededError):
    """Raised when the call would fit once running calls settle: trying again may succeed."""

    code = "busy"


class UnknownPriceError(BudgetError, LookupError):
    """Raised for a model, or a unit of a model, that has no price. Never zero, never a guess."""

    code = "unknown_price"


class UnknownHoldError(BudgetError, KeyError):
    """Raised when no hold, open, unconfirmed or resolved, has that id."""

    code = "unknown_hold"


class UnknownEntryError(BudgetError, KeyError):
    """Raised when no entry has that id."""

    code = "unknown_entry"


class ConflictError(BudgetError):
    """Raised when an id that was used before comes again with other content."""

    code = "conflict"


class UnknownKeyError(BudgetError, KeyError):
    """Raised when no key of the project has that id."""

    code = "unknown_key"


class AccessDeniedError(BudgetError):
    """Raised by a server when the key of a request may not do what it asks for."""

    code = "access_denied"


class UnauthenticatedError(AccessDeniedError):
    """Raised by a server for a request without a key, with a wrong one, or with one that is refused."""

    code = "unauthenticated"


class UnreadableReplyError(BudgetError, ValueError):
    """Raised when a provider's reply has no usage block that can be trusted."""

    code = "unreadable_reply"


class ProviderError(BudgetError):
    """Raised when a provider refuses a call or cannot be reached. `values` has `provider` and `status`."""

    code = "provider_error"


class MissingKeyError(ProviderError):
    """Raised before anything is sent when the environment has no key for the provider."""

    code = "missing_key"


class ConfigError(BudgetError):
    """Raised when a setting, from a file or the environment, cannot be used."""

    code = "config_error"


class PriceSourceError(BudgetError):
    """Raised when no newer price book can be had: no answer, no package, or not one that is understood."""

    code = "price_source"


class StoreError(BudgetError):
    """Raised when the store cannot be read or written: no space, no permission, no such folder."""

    code = "store_error"


class StoreBusyError(StoreError):
    """Raised when others kept the store locked until the deadline. Nothing was written; try again."""

    code = "store_busy"


class ServerError(StoreError):
    """Raised when the server that keeps the store is not reached, or does not answer as it should."""

    code = "server_error"


class StoreTooNewError(StoreError):
    """Raised for a store that a newer version of this program has written. It is never half-read."""

    code = "store_too_new"


class StoreCorruptError(StoreError):
    """Raised for a damaged store, or a file that is none."""

    code = "store_corrupt"


def by_code() -> dict[str, type[BudgetError]]:
    """Every error that is raised on purpose, by its code."""
    found: dict[str, type[BudgetError]] = {}
    pending: list[type[BudgetError]] = [BudgetError]
    while pending:
        kind = pending.pop()
        found[kind.code] = kind
        pending += kind.__subclasses__()
    return found
