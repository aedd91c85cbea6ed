"""A body's size does not matter: what is held at once is bounded both ways."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.upstream import H1Client, UpstreamLimits, UpstreamRequest
from tests.gateway.upstream.test_conformance import OK
from tests.upstreams import (
    Connection,
    answer,
    huge,
    misbehaving_upstream,
    read_head,
    read_request,
    silence,
)

pytestmark = pytest.mark.anyio

BODY_BYTES = int(os.environ.get("FAREBOX_TEST_BODY_MIB", "256")) << 20
# The buffer's limit, one read of the loop on top, the joined copy of both, and the backend's own.
ALLOWED_BYTES = 4 << 20


@pytest.fixture
def peak() -> Iterator[None]:
    """Fail if more was allocated at once than is allowed."""
    tracemalloc.start()
    yield
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < ALLOWED_BYTES


@pytest.mark.usefixtures("peak")
async def test_a_huge_response_passes_in_little_memory(own: H1Client) -> None:
    head = OK + b"content-length: %d\r\n\r\n" % BODY_BYTES
    taken = 0
    async with (
        misbehaving_upstream([read_request(), head, huge(BODY_BYTES)]) as upstream,
        own.send(UpstreamRequest(b"GET", b"/", []), upstream) as response,
    ):
        async for piece in response.chunks():
            taken += len(piece)

    assert taken == BODY_BYTES


@pytest.mark.usefixtures("peak")
async def test_a_huge_request_passes_in_little_memory(own: H1Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        block = bytes(64 * 1024)
        for _ in range(BODY_BYTES // len(block)):
            yield block

    request = UpstreamRequest(b"POST", b"/", [], body(), BODY_BYTES)
    taken = 0

    async def play(connection: Connection) -> None:
        nonlocal taken
        await connection.read_head()
        while taken < BODY_BYTES:
            taken += len(await connection.reader.read(256 * 1024))
        await connection.send(answer(200, b"ok"))

    async with (
        misbehaving_upstream(play) as upstream,
        own.send(request, upstream) as response,
    ):
        assert [piece async for piece in response.chunks()] == [b"ok"]

    assert taken == BODY_BYTES


async def test_an_upstream_is_not_read_faster_than_the_client_takes(own: H1Client) -> None:
    limit = UpstreamLimits().buffer_bytes
    size = 64 << 20
    sent = 0

    async def play(connection: Connection) -> None:
        nonlocal sent
        await connection.read_head()
        await connection.send(OK + b"content-length: %d\r\n\r\n" % size)
        for _ in range(size // 65_536):
            await connection.send(bytes(65_536))
            sent += 65_536

    async with (
        misbehaving_upstream(play) as upstream,
        own.send(UpstreamRequest(b"GET", b"/", []), upstream) as response,
    ):
        pieces = response.chunks()
        await asyncio.sleep(0.3)
        # What is not with us fills the sockets' buffers, a few MiB, and the rest waits.
        assert sent < size // 2
        assert len(await anext(pieces)) <= limit + 256 * 1024


async def test_a_client_is_not_read_faster_than_the_upstream_takes(own: H1Client) -> None:
    asked = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 65_536
            yield bytes(65_536)

    async with misbehaving_upstream([read_head(), silence()], timeout_ms=60_000) as upstream:
        sending = asyncio.create_task(
            own.send(UpstreamRequest(b"POST", b"/", [], body()), upstream).__aenter__()
        )
        await upstream.saw()
        await asyncio.wait([sending], timeout=0.3)
        sending.cancel()
        await asyncio.wait([sending])

    assert asked < 64 << 20
