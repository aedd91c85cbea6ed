"""A head that came before is remembered, and read as if it was not."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstream import UpstreamInvalid
from gateway.upstream.limits import UpstreamLimits
from gateway.upstream.response import ResponseReader

LIMITS = UpstreamLimits(header_lines=5, head_bytes=200, informational=2)
FIRST = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 4
    + [b"HTTP/1.1 200 ", b"HTTP/1.1 404 Not", b"HTTP/1.1 204 No", b"HTTP/1.0 200 OK", b"HTTP/1.1 103 E"]
)  # fmt: skip
LINE = st.sampled_from(
    [
        b"Content-Length: 2",
        b"content-length: 2",
        b"Content-Length: 0",
        b"Content-Length: 02",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"X: a",
        b"X: a ",
        b"X:",
        b"X: " + b"y" * 150,
        b"no header",
    ]
)
HEAD = st.builds(
    lambda first, lines: b"\r\n".join([first, *lines, b"", b""]), FIRST, st.lists(LINE, max_size=4)
)
USUAL = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 OK\r\nContent-Length: 2\r\n\r\n",
    ]
)
BODY = st.sampled_from(
    [b"ok", b"ok", b"", b"o", b"okay", b"X: a\r\n\r\n", b"2\r\nok\r\n0\r\n\r\n", b"x" * 22]
)
RESPONSE = st.tuples(
    st.one_of(USUAL, USUAL, HEAD).flatmap(lambda head: BODY.map(lambda body: head + body)),
    st.lists(st.integers(0, 120), max_size=2),
    st.sampled_from([False] * 9 + [True]),
)


def read(reader: ResponseReader, data: bytes, cuts: list[int], *, head_only: bool) -> Any:
    """All that a connection learns of one response."""
    reader.begin(head_only=head_only)
    error = ""
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    try:
        for start, end in pairwise(places):
            if start < end:
                reader.feed(data[start:end])
    except UpstreamInvalid as invalid:
        error = str(invalid)
    seen = (reader.status, list(reader.headers), reader.started, reader.head_done, reader.buffered)
    ends = (reader.done, reader.keep, reader.keep_s, reader.dirty)
    return (*seen, *ends, reader.take(), error)


@settings(max_examples=500, deadline=None)
@given(st.lists(RESPONSE, max_size=8))
def test_a_remembered_head_is_read_as_a_new_one(
    responses: list[tuple[bytes, list[int], bool]],
) -> None:
    """Whatever came before it on the connection, and however it comes."""
    reader = ResponseReader(LIMITS)
    for data, cuts, head_only in responses:
        found = read(reader, data, cuts, head_only=head_only)
        assert found == read(ResponseReader(LIMITS), data, cuts, head_only=head_only)
        if not reader.done or reader.dirty or not reader.keep:
            reader = ResponseReader(LIMITS)  # such a connection is not used again


@pytest.mark.parametrize("between", [b"HTTP/1.1 404 Not\r\nContent-Length: 2\r\n\r\nno", None])
def test_what_was_made_of_a_head_goes_with_it(between: bytes | None) -> None:
    """And with no other: one response between is enough for it to be made anew."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    reader = ResponseReader(LIMITS)
    read(reader, head + b"ok", [], head_only=False)
    assert reader.seen is not None
    reader.seen.below = b"made"
    if between is not None:
        read(reader, between, [], head_only=False)
        assert reader.seen is not None
        assert reader.seen.below is None
    read(reader, head + b"ko", [], head_only=False)
    assert reader.seen is not None
    assert reader.seen.below == (b"made" if between is None else None)


def test_what_is_not_usual_is_not_remembered() -> None:
    reader = ResponseReader(LIMITS)
    for data, cuts in (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", [20]),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []),
        (b"HTTP/1.1 204 No\r\n\r\n", []),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", []),
    ):
        read(reader, data, cuts, head_only=False)
        assert (reader.done, reader.seen) == (True, None)


def test_how_long_the_upstream_keeps_a_connection_is_remembered_with_its_head() -> None:
    reader = ResponseReader(LIMITS)
    kept = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=%d, max=9\r\nContent-Length: 2\r\n\r\nok"
    told = []
    for data in (kept % 5, kept % 5, kept % 7, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"):
        read(reader, data, [], head_only=False)
        assert reader.seen is not None
        told.append(reader.keep_s)
    assert told == [5, 5, 7, None]


@settings(max_examples=500, deadline=None)
@given(st.lists(RESPONSE, max_size=8))
def test_what_is_seen_again_is_what_would_be_read(
    responses: list[tuple[bytes, list[int], bool]],
) -> None:
    """`again` speaks only of a response that is whole, and tells what a new reader tells."""
    reader = ResponseReader(LIMITS)
    for data, _, _ in responses:
        reader.begin(head_only=False)
        again = reader.again(data)
        read_anew = read(ResponseReader(LIMITS), data, [], head_only=False)
        if again is not None:
            head = (again.status, again.headers, True, True, again.length)
            ends = (True, again.keep, again.keep_s, False)
            assert read_anew == (*head, *ends, data[again.head_bytes :], "")
        assert read(reader, data, [], head_only=False) == read_anew
        if not reader.done or reader.dirty or not reader.keep:
            reader = ResponseReader(LIMITS)  # such a connection is not used again


def test_only_a_whole_response_behind_the_usual_head_is_seen_again() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    reader = ResponseReader(LIMITS)
    assert reader.again(head + b"ok") is None
    read(reader, head + b"ok", [], head_only=False)
    reader.begin(head_only=False)
    for _ in range(2):  # nothing is noted of it
        assert reader.again(head + b"ko") is reader.again(head + b"ok") is not None
    for other in (head, head + b"o", head + b"okay", head.replace(b"200", b"201") + b"ok"):
        assert reader.again(other) is None
    reader.feed(head[:9])
    assert reader.again(head + b"ok") is None
