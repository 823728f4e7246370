"""What the budget asked a stream for, and the program did not, does not reach the program."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from budgets.passages import passage_of

SAID = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
FILTERED = b'data: {"choices": [], "prompt_filter_results": []}\n\n'
USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 5}}\n\n'
DONE = b"data: [DONE]\n\n"


def passed(stream: bytes, size: int, *, asked: bool = True) -> bytes:
    passage = passage_of(SimpleNamespace(asked_for_usage=asked))  # type: ignore[arg-type]
    found = b"".join(passage.feed(stream[start : start + size]) for start in range(0, len(stream), size))
    return found + passage.rest()


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_only_the_event_of_usage_alone_is_hidden(size: int, end: bytes) -> None:
    stream, wanted = (
        b"".join(events).replace(b"\n", end)
        for events in ((FILTERED, SAID, b": ping\n\n", USAGE, DONE), (FILTERED, SAID, b": ping\n\n", DONE))
    )
    assert passed(stream, size) == wanted


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_stream_that_breaks_off_comes_as_far_as_it_came(size: int) -> None:
    assert passed(SAID + b'data: {"choi', size) == SAID + b'data: {"choi'
    assert passed(SAID + USAGE.rstrip(), size) == SAID


def test_who_asked_gets_it() -> None:
    assert passed(SAID + USAGE + DONE, 7, asked=False) == SAID + USAGE + DONE


def test_usage_that_nobody_asked_for_is_not_named_either() -> None:
    told = SAID.replace(b"}]}", b'}], "usage": null}')
    assert passed(told + USAGE + DONE, 10_000) == SAID + DONE
