"""Every error says what happened, has a stable code, and survives the way between processes."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

import pytest

from budgets import errors
from budgets.errors import BudgetError


def kinds(base: type[BudgetError] = BudgetError) -> Iterator[type[BudgetError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


# The command line has one of its own, which is not in the tree.
KINDS = [kind for kind in dict.fromkeys(kinds()) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_is_its_sentence(kind: type[BudgetError]) -> None:
    """Also where it is a `KeyError`, which would show it in quotes."""
    error = kind("ann has no budget", hint="create one", user="ann")
    assert str(error) == error.message == "ann has no budget"
    assert (error.hint, error.values) == ("create one", {"user": "ann"})
    assert kind("ann has no budget").hint is None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_can_be_sent_to_another_process(kind: type[BudgetError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what", hint="do", left_usd="1.00")))
    assert type(error) is kind
    assert (error.message, error.hint, error.values) == ("what", "do", {"left_usd": "1.00"})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_says_when_it_is_raised(kind: type[BudgetError]) -> None:
    assert "code" in vars(kind)
    assert kind.__doc__
    if kind is not BudgetError:
        assert kind.__doc__.strip().startswith("Raised ")


def test_codes_are_words_and_each_is_used_once() -> None:
    codes = [kind.code for kind in KINDS]
    assert all(re.fullmatch("[a-z_]+", code) for code in codes)
    assert len(set(codes)) == len(codes)


def test_the_tree_at_the_top_of_the_file_is_the_tree() -> None:
    """A name in the drawing is as deep as its class, below the class that it stands under."""
    assert errors.__doc__ is not None
    above: list[str] = []
    drawn = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"(?P<lines>[ │├└─]*)(?P<name>[A-Z][A-Za-z]*Error)\b", line)
        if found is None:
            continue
        depth = (len(found["lines"]) - 4) // 4
        above[depth:] = [found["name"]]
        drawn[found["name"]] = above[depth - 1] if depth else None
    true = {
        kind.__name__: next((base.__name__ for base in kind.__bases__ if issubclass(base, BudgetError)), None)
        for kind in KINDS
    }
    assert drawn == true


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InvalidValueError, ValueError),
        (errors.UnknownUserError, KeyError),
        (errors.UnknownHoldError, KeyError),
        (errors.UnknownEntryError, KeyError),
        (errors.UnknownPriceError, LookupError),
        (errors.UnreadableReplyError, ValueError),
    ],
)
def test_some_are_what_python_would_raise(kind: type[BudgetError], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)
