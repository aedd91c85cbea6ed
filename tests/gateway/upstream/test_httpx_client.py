"""Where the reference client is known to differ; should one of these fail, it got better."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.upstream import UpstreamRequest, UpstreamReset
from gateway.upstream.httpx_client import HttpxClient
from tests.gateway.upstream.test_conformance import CHUNKED, OK, fetch, get
from tests.upstreams import (
    answer,
    cut,
    misbehaving_upstream,
    read_head,
    read_request,
    swallow,
)

pytestmark = pytest.mark.anyio

TOLERATED: dict[str, tuple[bytes, bytes]] = {
    "two equal lengths": (OK + b"content-length: 1\r\ncontent-length: 1\r\n\r\na", b"a"),
    "a list of equal lengths": (OK + b"content-length: 1, 1\r\n\r\na", b"a"),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 1\n\na", b"a"),
    "a continued header": (OK + b"x: a\r\n b\r\ncontent-length: 1\r\n\r\na", b"a"),
    "17 digits of a chunk": (
        CHUNKED + b"0" * 16 + b"1\r\na\r\n0\r\n\r\n",
        b"a",
    ),
}


@pytest.fixture
async def httpx_client() -> AsyncIterator[HttpxClient]:
    client = HttpxClient()
    yield client
    await client.aclose()


@pytest.mark.parametrize("name", TOLERATED)
async def test_it_tolerates_what_the_other_client_calls_invalid(
    httpx_client: HttpxClient, name: str
) -> None:
    response, body = TOLERATED[name]
    async with misbehaving_upstream([read_request(), response]) as upstream:
        assert await fetch(httpx_client, upstream) == (200, body)


async def test_it_never_repeats_a_request(httpx_client: HttpxClient) -> None:
    script = [read_request(), answer(), read_request(), cut()]
    async with misbehaving_upstream(scripts=[script, [read_request(), answer()]]) as upstream:
        await fetch(httpx_client, upstream)

        with pytest.raises(UpstreamReset):
            await fetch(httpx_client, upstream, get())


async def test_it_sends_a_body_to_its_end_even_when_refused(httpx_client: HttpxClient) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(50):
            sent += 1
            yield bytes(1_000)
            await asyncio.sleep(0)

    request = UpstreamRequest(b"POST", b"/", [], body())
    async with misbehaving_upstream([read_head(), answer(413, b"no"), swallow()]) as upstream:
        assert await fetch(httpx_client, upstream, request) == (413, b"no")

    assert sent == 50
