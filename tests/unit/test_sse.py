from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets.dialects.sse import Event, SseSplitter


def _split(data: bytes, *sizes: int) -> list[Event]:
    splitter = SseSplitter()
    events = []
    for size in sizes:
        events += splitter.feed(data[:size])
        data = data[size:]
    return events + splitter.feed(data)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: a\n\n", [Event("message", "a")], id="lf"),
        pytest.param(b"data: a\r\n\r\n", [Event("message", "a")], id="crlf"),
        pytest.param(b"data: a\r\r", [Event("message", "a")], id="cr"),
        pytest.param(
            b"data: a\r\n\ndata: b\r\r\n", [Event("message", "a"), Event("message", "b")], id="mixed"
        ),
        pytest.param(
            b"event: x\ndata: a\n\ndata: b\n\n", [Event("x", "a"), Event("message", "b")], id="name"
        ),
        pytest.param(b"data: a\ndata: b\n\n", [Event("message", "a\nb")], id="two data lines"),
        pytest.param(b"data:a\n\ndata:  b\n\n", [Event("message", "a"), Event("message", " b")], id="spaces"),
        pytest.param(b": waiting\n\ndata: a\n: waiting\n\n", [Event("message", "a")], id="comments"),
        pytest.param(b"\n\n\ndata: a\n\n\n", [Event("message", "a")], id="blank lines"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event("message", "a")], id="byte order mark"),
        pytest.param(b"event: ping\n\ndata: a\n\n", [Event("message", "a")], id="a name without data"),
        pytest.param(b"id: 7\nretry: 9\ndata: a\n\n", [Event("message", "a")], id="other fields"),
        pytest.param(b"data\n\n", [Event("message", "")], id="a field without a colon"),
        pytest.param(b"data: a\n\ndata: b\n", [Event("message", "a")], id="an event that never ended"),
        pytest.param("data: é👋\n\n".encode(), [Event("message", "é👋")], id="more than ascii"),
        pytest.param(b"data: \xff\n\n", [Event("message", "�")], id="bytes that are no text"),
        pytest.param(
            "data: a\u2028b\x85c\x0bd\n\n".encode(),
            [Event("message", "a\u2028b\x85c\x0bd")],
            id="not line ends",
        ),
    ],
)
def test_a_stream_is_cut_into_its_events(stream: bytes, events: list[Event]) -> None:
    assert _split(stream) == events
    assert _split(stream, *[1] * len(stream)) == events


@given(
    parts=st.lists(st.sampled_from(["data: a", "data: {}", "event: x", ": c", "", "", "é"]), max_size=12),
    ends=st.lists(st.sampled_from(["\n", "\r", "\r\n"]), min_size=12, max_size=12),
    sizes=st.lists(st.integers(0, 5), max_size=40),
)
def test_how_a_stream_is_cut_into_pieces_changes_nothing(
    parts: list[str], ends: list[str], sizes: list[int]
) -> None:
    data = "".join(part + end for part, end in zip(parts, ends, strict=False)).encode()
    assert _split(data, *sizes) == _split(data)


def test_an_event_does_not_show_its_data() -> None:
    assert "secret" not in repr(Event("message", "a secret"))
