"""Generated requests: splitting changes nothing, and what is passed on is read by all alike."""

from contextlib import suppress
from typing import Any

import h11
import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.framing import Framing, FramingLimits
from gateway.framing.framing import Phase
from tests.gateway.framed import Reader, Reading

# Small limits, so that generated requests meet them.
LIMITS = FramingLimits(
    request_line_bytes=80, head_bytes=300, header_lines=6, chunk_line_bytes=24, trailer_bytes=60
)
END = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b" \r\n"])
HEADER = st.sampled_from(
    [
        b"Host: a",
        b"Host: a:80",
        b"host:b",
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Content-Length: 3, 3",
        b"Content-Length: +3",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked ",
        b"Transfer-Encoding:\tchunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding : chunked",
        b"Connection: close",
        b"Connection: upgrade",
        b"Upgrade: h2c",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"X: y",
        b"X:",
        b" folded",
        b"X: a\0b",
        b"X: \xff",
        b"X: " + b"y" * 70,
    ]
)
FIRST = st.builds(
    lambda method, target, version: b" ".join([method, target, version]),
    st.sampled_from([b"GET", b"POST", b"HEAD", b"OPTIONS", b"TRACE", b"BREW", b"get"]),
    st.sampled_from(
        [b"/", b"/a?b=%zz", b"//a", b"*", b"http://a/", b"/a b", b"/" + b"a" * 70, b"/#"]
    ),
    st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 "]),
)
BODY = st.lists(
    st.sampled_from(
        [
            b"abc",
            b"3\r\nabc\r\n",
            b"3;x\r\nabc\r\n",
            b"0\r\n\r\n",
            b"0\r\nX: y\r\n\r\n",
            b"0x1\r\n",
            b"\r\n",
            b"4\r\nabc\r\n",
            b"0\r\n",
        ]
    ),
    max_size=4,
).map(b"".join)
LIKELY = st.builds(
    lambda first, headers, body: (
        first + b"\r\nHost: a\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body
    ),
    FIRST,
    st.lists(HEADER, max_size=3),
    BODY,
)
# Well-formed, but for what a coincidence of the parts makes of them.
FRAMED = st.sampled_from(
    [
        (b"", b""),
        (b"Content-Length: 0\r\n", b""),
        (b"content-length:3\r\n", b"abc"),
        (b"Content-Length:\t5 \r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"transfer-encoding:CHUNKED \r\n", b"03;x=y\r\nabc\r\n000\r\nX: y\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    ]
)
HARMLESS = st.sampled_from(
    [
        b"Connection: close",
        b"Connection: Upgrade",
        b"Upgrade: h2c",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"Keep-Alive: 5",
        b"X: \xff \x80",
        b"X:",
        b"Content-Length-2: 9",
        b"X-Transfer-Encoding: chunked",
        b"Trailer: X",
    ]
)
GOOD = st.builds(
    lambda start, host, before, framed, after: (
        start
        + b"\r\n"
        + host
        + b"".join(line + b"\r\n" for line in before)
        + framed[0]
        + b"".join(line + b"\r\n" for line in after)
        + b"\r\n"
        + framed[1]
    ),
    st.sampled_from([b"GET / HTTP/1.1", b"POST //a?b=%zz HTTP/1.1", b'PUT /\\"{} HTTP/1.0']),
    st.sampled_from([b"Host: a\r\n", b"hOST:[::1]:80\r\n"]),
    st.lists(HARMLESS, max_size=2),
    FRAMED,
    st.lists(HARMLESS, max_size=1),
)
WILD = st.builds(
    lambda first, end, headers, body: (
        first + end + b"".join(name + stop for name, stop in headers) + b"\r\n" + body
    ),
    FIRST,
    END,
    st.lists(st.tuples(HEADER, END), max_size=8),
    BODY,
)
STREAM = st.lists(
    st.one_of(GOOD, GOOD, LIKELY, WILD, st.binary(max_size=30)), min_size=1, max_size=3
).map(b"".join)


def verdict(pieces: list[bytes]) -> tuple[bytes, Any, Phase]:
    """All that is read when every answer comes at once."""
    reader = Reader(Framing(LIMITS))
    for piece in pieces:
        reader.feed(piece)
    return reader.written(), reader.framing.refusal, reader.framing.phase


@settings(max_examples=400, deadline=None)
@given(STREAM, st.data())
def test_the_verdict_does_not_depend_on_how_the_bytes_were_split(
    stream: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    whole = verdict([stream])

    assert verdict(pieces) == whole
    assert verdict([stream[at : at + 1] for at in range(len(stream))]) == whole


class Asked(Reader):
    """Answers each request at once, as a connection does, and goes on to the next."""

    def feed(self, data: bytes) -> None:
        self._take(self.framing.feed(data))
        self._answer()

    def _answer(self) -> None:
        while self.framing.phase is Phase.COMPLETE:
            self.next()
            if self.framing.head is None or self.framing.head.block.last:
                break


class AskedAgain(Asked):
    """Tries whether a piece is the request before once more, and whether it may just rest."""

    met = 0

    def next(self) -> None:
        if not self.framing.rest():
            super().next()

    def feed(self, data: bytes) -> None:
        head = self.framing.again(data)
        if head is None:
            super().feed(data)
            return
        self.met += 1
        self.readings.append(Reading(head))
        self.readings[-1].complete = True
        self._answer()


REQUEST = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200 + b"\r\n\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"",
    ]
)
PIECES = st.lists(
    st.builds(
        lambda piece, often, more: [piece] * often + more,
        st.one_of(REQUEST, REQUEST, GOOD, LIKELY),
        st.integers(1, 3),
        st.one_of(st.just([]), REQUEST.map(lambda one: [one[:20], one[20:]])),
    ),
    max_size=6,
).map(lambda lists: [piece for some in lists for piece in some])


def read_by(reader: Reader, pieces: list[bytes]) -> tuple[bytes, int, Any, Phase, int]:
    for piece in pieces:
        reader.feed(piece)
    framing = reader.framing
    complete = sum(reading.complete for reading in reader.readings)
    return reader.written(), complete, framing.refusal, framing.phase, framing.kept_bytes


@settings(max_examples=400, deadline=None)
@given(PIECES)
def test_a_request_that_is_taken_once_more_is_read_as_ever(pieces: list[bytes]) -> None:
    """What `again` and `rest` do is what `feed` and `next` would, in any order with these."""
    usual, again = Asked(Framing(LIMITS)), AskedAgain(Framing(LIMITS))
    assert read_by(again, pieces) == read_by(usual, pieces)
    for ours, theirs in zip(again.readings, usual.readings, strict=True):
        assert ours.head.block.headers == theirs.head.block.headers


def test_only_the_very_same_bytes_are_taken_once_more() -> None:
    reader = AskedAgain(Framing(FramingLimits()))
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    large = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 5_000 + b"\r\n\r\n"
    for piece, met in (
        (b"", 0), (request, 0), (request, 1), (b"", 1), (request * 2, 1), (request, 2), (request, 3),
        (large, 3), (large, 3), (request, 3), (b"\r\n", 3), (request, 3), (request, 4),
    ):  # fmt: skip
        reader.feed(piece)
        assert reader.met == met
    assert len(reader.readings) == 11


class _Seen:
    """What httptools makes of one request."""

    def __init__(self) -> None:
        self.target = b""
        self.body = b""
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        assert not self.complete, "two requests where the framing saw one"
        self.complete = True


def as_httptools_reads(request: bytes) -> tuple[bytes, bytes, bytes]:
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    with suppress(httptools.HttpParserUpgrade):  # a WebSocket handshake ends with its head
        parser.feed_data(request)
    assert seen.complete
    return parser.get_method(), seen.target, seen.body


def as_h11_reads(request: bytes) -> tuple[bytes, bytes, bytes]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(request)
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert connection.trailing_data[0] == b""
    return head.method, head.target, body


@settings(max_examples=400, deadline=None)
@given(st.one_of(GOOD, GOOD, LIKELY, WILD))
def test_what_is_read_is_read_alike_by_httptools_and_h11(stream: bytes) -> None:
    framing = Framing(LIMITS)
    reader = Reader(framing)

    reader.feed(stream)

    for reading in reader.readings:
        if reading.complete:
            ours = reading.head.method, reading.head.target, reading.body
            assert ours == as_httptools_reads(reading.written()) == as_h11_reads(reading.written())
    assert reader.readings or framing.phase is not Phase.COMPLETE
