"""
The client in use and httpx, which stands behind the same door: same answers to what a backend says.

Where they differ, the one in use refuses: it must never pass on what httpx would not, nor take
a part of an answer for the whole.
"""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.upstream import (
    H1Client,
    UpstreamClient,
    UpstreamError,
    UpstreamInvalid,
    UpstreamLimits,
    UpstreamRequest,
)
from gateway.upstream.httpx_client import HttpxClient
from tests.upstreams import Connection, Upstream, cut, misbehaving_upstream

pytestmark = pytest.mark.anyio

EXAMPLES = int(os.environ.get("FAREBOX_EXAMPLES", "250"))


@dataclass(repr=False)
class Pair:
    """Both clients, and a backend that says the same to each."""

    own: UpstreamClient
    httpx: UpstreamClient
    upstream: Upstream
    says: list[bytes]

    async def answers(self, method: bytes, pieces: list[bytes]) -> tuple[object, object]:
        self.says[:] = pieces
        self.upstream.heads.clear()
        return await self._ask(self.own, method), await self._ask(self.httpx, method)

    async def _ask(self, client: UpstreamClient, method: bytes) -> object:
        try:
            async with client.send(UpstreamRequest(method, b"/", []), self.upstream) as response:
                body = b"".join([piece async for piece in response.chunks()])
                return response.status, list(map(_spelt, response.headers)), body
        except UpstreamError as error:
            return type(error)


def _spelt(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """The coding's name in one spelling: h11 gives it in lower case."""
    name, value = header
    return name, value.lower() if name == b"transfer-encoding" else value


@pytest.fixture(scope="module")
async def pair() -> AsyncIterator[Pair]:
    says: list[bytes] = []

    async def play(connection: Connection) -> None:
        await connection.read_head()
        for piece in says:
            await connection.send(piece)
        await cut()(connection)

    limits = UpstreamLimits(sweep_ms=20)
    own, other = H1Client(limits), HttpxClient(limits)
    async with misbehaving_upstream(play) as upstream:
        yield Pair(own, other, upstream, says)
        await own.aclose()
        await other.aclose()


OK = b"HTTP/1.1 200 OK\r\n"
BEHAVIOURS = {
    "a length": OK + b"content-length: 2\r\n\r\nhi",
    "an empty body": OK + b"content-length: 0\r\n\r\n",
    "chunks": OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunks with an extension": OK + b"transfer-encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n",
    "chunks with a trailer": OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n",
    "until the end": OK + b"\r\nhi",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nhi",
    "an interim answer": b"HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"
    + OK
    + b"content-length: 2\r\n\r\nhi",
    "no content": b"HTTP/1.1 204 None\r\nx: y\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Same\r\ncontent-length: 99\r\n\r\n",
    "no reason": b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nhi",
    "headers twice": OK + b"set-cookie: a=1\r\nSet-Cookie: b=2\r\ncontent-length: 2\r\n\r\nhi",
    "bytes beyond ASCII": OK + b"x: \xc3\xa4\xff\r\ncontent-length: 2\r\n\r\nhi",
    "compressed": OK + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x8b\x08",
    "cut by length": OK + b"content-length: 9\r\n\r\nhi",
    "cut amid a chunk": OK + b"transfer-encoding: chunked\r\n\r\n9\r\nhi",
    "cut between chunks": OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
    "nothing": b"",
    "half a head": OK + b"content-le",
    "a length and chunks": OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi",
    "another coding": OK + b"transfer-encoding: gzip\r\n\r\nhi",
    "no HTTP": b"hello there, this is no HTTP\r\n\r\n",
    "an endless head": OK + b"x: y\r\n" * 30_000 + b"\r\n",
}


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_both_clients_give_the_same_answer(pair: Pair, name: str, method: bytes) -> None:
    own, other = await pair.answers(method, [BEHAVIOURS[name]])
    assert own == other


LINES = st.sampled_from(
    [
        b"content-length: 3",
        b"Content-Length: 5",
        b"content-length: 0",
        b"content-length: 3, 3",
        b"content-length: x",
        b"transfer-encoding: chunked",
        b"Transfer-Encoding: Chunked",
        b"transfer-encoding: gzip, chunked",
        b"connection: close",
        b"connection: keep-alive",
        b"keep-alive: timeout=3",
        b"content-type: text/plain",
        b"set-cookie: a=b",
        b"x:",
        b"x: \xff",
        b"x : y",
        b" folded",
        b"upgrade: h2c",
        b"trailer: x",
        b"x: a\0b",
    ]
)
FIRST = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 6
    + [b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 Not", b"HTTP/1.1 500 Oh"]
    + [
        b"HTTP/1.1 200",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 101 S",
        b"HTTP/2.0 200 OK",
        b"ICY 200 OK",
    ]
)
BODIES = st.sampled_from(
    [
        b"",
        b"abc",
        b"abcde",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"3;x=y\r\nabc\r\n0\r\nx: y\r\n\r\n",
        b"3\r\nabc\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n",
        b"ffffffffffffffffff\r\n",
        b"-1\r\n",
    ]
)
ANSWERS = st.builds(
    lambda first, lines, end, body: end.join([first, *lines, b"", b""]) + body,
    FIRST,
    st.lists(LINES, max_size=4),
    st.sampled_from([b"\r\n"] * 9 + [b"\n"]),
    BODIES,
)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ANSWERS, st.sampled_from([b"GET", b"GET", b"HEAD"]), st.integers(0, 200))
async def test_where_the_clients_differ_ours_refuses(
    pair: Pair, answer: bytes, method: bytes, at: int
) -> None:
    own, other = await pair.answers(method, [answer[:at], answer[at:]])
    assert own in (other, UpstreamInvalid), other
