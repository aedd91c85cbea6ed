"""Responses made up at random: splitting changes nothing, and h11 reads what is accepted alike."""

import asyncio
import re
from typing import cast

import h11
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.upstream import UpstreamError, UpstreamLimits
from gateway.upstream.connection import Connection
from gateway.upstream.response import Seen

LIMITS = UpstreamLimits(head_bytes=400, header_lines=6, informational=2)

FIRST = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 8
    + [b"HTTP/1.1 404 ", b"HTTP/1.1 204 X", b"HTTP/1.1 304 X", b"HTTP/1.1 103 X", b"HTTP/1.1 100 X"]
    + [b"HTTP/1.0 200 OK", b"HTTP/1.1 101 X", b"HTTP/1.1 20 X", b"HTTP/2.0 200 X", b"nonsense"]
)
HEADER = st.sampled_from(
    [
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Content-Length: 3, 3",
        b"Content-Length: +3",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding : chunked",
        b"Connection: close",
        b"Upgrade: x",
        b"X: y",
        b"X:",
        b" folded",
        b"X: a\0b",
        b"X: " + b"y" * 150,
    ]
)
END = st.sampled_from([b"\r\n"] * 15 + [b"\n", b"\r", b"\r\r\n"])
BODY = st.lists(
    st.sampled_from(
        [
            b"abc",
            b"3\r\nabc\r\n",
            b"3;x\r\nabc\r\n",
            b"0\r\n\r\n",
            b"0\r\nX: y\r\n\r\n",
            b"\r\n",
            b"0",
        ]
    ),
    max_size=4,
).map(b"".join)
MESSAGE = st.builds(
    lambda first, end, headers, body: (
        first + end + b"".join(name + stop for name, stop in headers) + b"\r\n" + body
    ),
    FIRST,
    END,
    st.lists(st.tuples(HEADER, END), max_size=4),
    BODY,
)
STREAM = st.lists(MESSAGE, min_size=1, max_size=3).map(b"".join)


class Unplugged:
    """A transport that leads nowhere."""

    closing = False

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def read(pieces: list[bytes], *, head_only: bool, eof: bool) -> tuple[object, ...]:
    """All that can be told of a response, and whether the connection may be used again."""
    connection = Connection(asyncio.get_running_loop(), LIMITS, lambda _: None)
    transport = Unplugged()
    connection.connection_made(cast("asyncio.Transport", transport))
    connection.begin(head_only=head_only, timeout_s=60)
    connection.request_written()
    for piece in pieces:
        if not transport.closing:
            connection.data_received(piece)
    if eof or transport.closing:
        connection.connection_lost(None)
    body, response = b"", connection.response
    try:
        if not response.head_done and connection.error is None:
            return ("no head yet",)
        if not response.head_done and connection.error is not None:
            raise connection.error
        while response.done or connection.error or response.buffered:
            piece = await connection.read()
            if not piece:
                break
            body += piece
    except UpstreamError as error:
        return type(error), body if response.head_done else b""
    return response.status, response.headers, body, response.done, connection.finish()


@settings(max_examples=300, deadline=None)
@given(STREAM, st.booleans(), st.booleans(), st.data())
def test_what_is_read_does_not_depend_on_how_it_was_split(
    stream: bytes, head_only: bool, eof: bool, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    split = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]

    async def compare() -> None:
        whole = await read([stream], head_only=head_only, eof=eof)
        parts = await read(split, head_only=head_only, eof=eof)
        single = await read(
            [stream[at : at + 1] for at in range(len(stream))], head_only=head_only, eof=eof
        )
        assert whole == parts == single

    asyncio.run(compare())


def as_h11_reads(stream: bytes, *, head_only: bool) -> tuple[object, ...]:
    connection = h11.Connection(h11.CLIENT)
    method = b"HEAD" if head_only else b"GET"
    connection.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(stream)
    connection.receive_data(b"")
    body, head = b"", None
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return head.status_code, list(head.headers), body
        else:
            assert isinstance(event, h11.InformationalResponse)


@settings(max_examples=300, deadline=None)
@given(STREAM, st.booleans())
def test_a_whole_response_is_what_h11_reads_too(stream: bytes, head_only: bool) -> None:
    # httptools skips an empty line between an interim response and the next, h11 refuses it.
    assume(not re.search(rb"1(00|03) X\r\n(.+\r\n)*\r\n\r\n", stream))

    async def compare() -> None:
        told = await read([stream], head_only=head_only, eof=True)
        if isinstance(told[0], int) and told[3]:
            assert told[:3] == as_h11_reads(stream, head_only=head_only)

    asyncio.run(compare())


class Hearing:
    """A listener that takes a whole answer, or declines it."""

    def __init__(self, *, takes: bool) -> None:
        self.takes = takes
        self.told: tuple[object, ...] | None = None

    def answered(self, seen: Seen, body: bytes) -> bool:
        if self.takes:
            self.told = (seen.status, seen.headers, body, True)
        return self.takes

    def news(self) -> None:
        pass


OFTEN = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
USE = st.tuples(
    st.sampled_from(["taken", "taken", "declined", "GET", "HEAD"]),
    st.one_of(
        st.sampled_from([OFTEN + b"\r\nabc", OFTEN + b"\r\nabc", OFTEN + b"\r\nxyz"]),
        st.sampled_from(
            [
                OFTEN + b"\r\n",
                OFTEN + b"\r\nabcd",
                OFTEN + b"Connection: close\r\n\r\nabc",
                OFTEN + b"Keep-Alive: timeout=9\r\n\r\nabc",
                b"HTTP/1.1 103 X\r\n\r\n" + OFTEN + b"\r\nabc",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                b"",
            ]
        ),
        MESSAGE,
    ),
    st.lists(st.integers(0, 60), max_size=1),
)


def use(connection: Connection, way: str, data: bytes, cuts: list[int]) -> tuple[object, ...]:
    """All that one use tells: of its response, its end, and whether another may follow."""
    listener = Hearing(takes=way == "taken")
    if way in ("GET", "HEAD"):
        connection.begin(head_only=way == "HEAD", timeout_s=60)
        connection.request_written()
    else:
        connection.send(b"GET / HTTP/1.1\r\n\r\n", 60, listener)
    for piece in (data[: cuts[0]], data[cuts[0] :]) if cuts else (data,):
        if piece and not connection.transport.is_closing():
            connection.data_received(piece)
    response = connection.response
    told = listener.told or (
        response.status if response.head_done else 0,
        response.headers if response.head_done else [],
        response.take(),
        response.done,
    )
    return (*told, connection.error is None, connection.finish(), connection.keep_s)


@settings(max_examples=300, deadline=None)
@given(st.lists(USE, min_size=2, max_size=6))
def test_what_is_told_does_not_depend_on_the_uses_before(
    uses: list[tuple[str, bytes, list[int]]],
) -> None:
    """Nor on who hears of it: a new connection tells the same to who reads."""

    def connect() -> Connection:
        connection = Connection(asyncio.get_running_loop(), LIMITS, lambda _: None)
        connection.connection_made(cast("asyncio.Transport", Unplugged()))
        return connection

    async def compare() -> None:
        connection = connect()
        assert use(connection, "GET", OFTEN + b"\r\nabc", [])[-2]
        for way, data, cuts in uses:
            new = use(connect(), "HEAD" if way == "HEAD" else "GET", data, cuts)
            assert use(connection, way, data, cuts) == new
            if not new[-2]:
                return  # it is not used again

    asyncio.run(compare())


@pytest.mark.anyio
async def test_what_comes_behind_an_answer_that_was_declined_ends_the_connection() -> None:
    connection = Connection(asyncio.get_running_loop(), LIMITS, lambda _: None)
    connection.connection_made(cast("asyncio.Transport", Unplugged()))
    assert use(connection, "GET", OFTEN + b"\r\nabc", [])[-2]
    connection.send(b"GET / HTTP/1.1\r\n\r\n", 60, Hearing(takes=False))
    connection.data_received(OFTEN + b"\r\nabc")
    connection.listener = None  # it leaves it to who reads
    connection.data_received(b"d")
    assert (connection.response.done, connection.finish()) == (True, False)
