"""Header lines that a connection repeats are read once, and mean what they meant the first time."""

from collections.abc import AsyncIterator

import pytest

from gateway.framing import Framing, FramingLimits
from tests.charging import Charging, Stores, charging
from tests.gateway.framed import Reader
from tests.gateway.serving import RawClient, raw_client

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams:
  one: { url: "{api}", headers: { x-token: one } }
  two: { url: "{api}", headers: { x-token: two } }
routes:
  - { path: /ok, methods: [GET, POST], upstream: one, price: 1 }
  - { path: /echo, methods: [GET], upstream: two, price: 1 }
  - { path: /open, methods: [GET], upstream: one, price: 0, public: true }
"""


@pytest.fixture
async def gateway(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Charging]:
    async with charging(Stores(database_url, redis_url, namespace), PRICES) as running:
        yield running


async def ask(client: RawClient, line: str, *headers: str) -> int:
    await client.send("\r\n".join((f"{line} HTTP/1.1", *headers, "", "")).encode())
    head = await client.head()
    length = next(
        int(value)
        for name, _, value in (one.partition(b": ") for one in head.split(b"\r\n"))
        if name.lower() == b"content-length"
    )
    await client.reader.readexactly(length)
    return int(head.split(b" ")[1])


async def test_each_route_gets_its_own_lines(gateway: Charging) -> None:
    customer = await gateway.customer(100)
    headers = ("Host: api", f"Authorization: Bearer {customer.secret}", "X-Mine: a")
    async with raw_client(gateway.url) as client:
        for path in ("/ok", "/ok", "/echo", "/open", "/ok"):
            assert await ask(client, f"GET {path}", *headers) == 200
    told = [dict(head[2]) for head in gateway.backend.heads]
    assert [one["x-token"] for one in told] == ["one", "one", "two", "one", "one"]
    assert [one["x-mine"] for one in told] == ["a"] * 5
    assert ["farebox-key" in one for one in told] == [True, True, True, False, True]
    assert len({one["farebox-request-id"] for one in told}) == 5


async def test_another_key_is_another_customer(gateway: Charging) -> None:
    rich, poor = await gateway.customer(100), await gateway.customer(0)
    async with raw_client(gateway.url) as client:
        for customer, status in ((rich, 200), (rich, 200), (poor, 402), (rich, 200)):
            key = f"Authorization: Bearer {customer.secret}"
            assert await ask(client, "GET /ok", "Host: api", key) == status


async def test_a_changed_header_reaches_the_backend(gateway: Charging) -> None:
    customer = await gateway.customer(100)
    key = f"Authorization: Bearer {customer.secret}"
    async with raw_client(gateway.url) as client:
        for value in ("a", "a", "b", "a"):
            await ask(client, "GET /ok", "Host: api", key, f"X-Mine: {value}")
    assert [dict(head[2])["x-mine"] for head in gateway.backend.heads] == ["a", "a", "b", "a"]


def test_the_same_lines_are_one_block_and_only_then() -> None:
    reader = Reader(Framing(FramingLimits()))
    for lines in (b"Host: a\r\n", b"Host: a\r\n", b"host: a\r\n", b"Host: a\r\nX: 1\r\n"):
        reader.feed(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")
    blocks = [reading.head.block for reading in reader.readings]
    assert blocks[0] is blocks[1]
    assert len({id(block) for block in blocks}) == 3


def test_the_same_lines_in_an_older_version_are_judged_anew() -> None:
    reader = Reader(Framing(FramingLimits()))
    lines = b"Host: a\r\nConnection: keep-alive\r\n\r\n"
    reader.feed(b"GET / HTTP/1.1\r\n" + lines)
    reader.feed(b"GET / HTTP/1.0\r\n" + lines)
    first, second = (reading.head.block for reading in reader.readings)
    assert (first.old, first.last) == (False, False)
    assert (second.old, second.last) == (True, True)


def test_a_repeated_length_frames_each_body() -> None:
    reader = Reader(Framing(FramingLimits()))
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
    reader.feed(request + b"ab" + request + b"cd")
    assert [reading.body for reading in reader.readings] == [b"ab", b"cd"]
