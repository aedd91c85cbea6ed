"""A worker stays awake for a request that is alone in it, and for no other."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.busy_poll import Awaited
from tests.gateway.fast_path.rig import Warm, client_of, get
from tests.gateway.serving import until
from tests.upstreams import Connection, answer

pytestmark = pytest.mark.anyio


@contextmanager
def expected(warm: Warm) -> Iterator[list[str]]:
    """Gather what the worker stayed awake for."""
    fast, names = warm.fast, []
    usual = fast.poll.expect

    def expect(awaited: Awaited) -> None:
        known = {id(fast.answers): "redis", id(fast.requests): "client"}
        names.append(known.get(id(awaited), "backend"))
        usual(awaited)

    fast.poll.expect = expect
    try:
        yield names
    finally:
        del fast.poll.expect


async def test_for_one_request_it_awaits_redis_the_backend_and_the_next(warm: Warm) -> None:
    customer = await warm.customer()
    async with client_of(warm.gateway) as client:
        with expected(warm) as names:
            for _ in range(3):
                assert (await client.ask(get(customer, "/ok"))).status == 200
    assert names == ["redis", "backend", "client"] * 3
    await warm.spent(customer, 3)


async def test_for_a_metered_one_redis_and_the_backend(warm: Warm) -> None:
    customer = await warm.customer()
    warm.backend.plays["/chat"] = answer(200, b'{"total": 7}', b"content-type: application/json")
    request = get(customer, "/chat", "content-length: 2", method="POST") + b"{}"
    async with client_of(warm.gateway) as client:
        with expected(warm) as names:
            assert (await client.ask(request)).value("farebox-cost") == "7"
    assert names == ["redis", "backend"]


async def test_an_answer_that_the_main_flow_reads_has_come_in_time(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await warm.customer()
    warm.backend.plays["/chat"] = answer(200, b'{"total": 7}', b"content-type: application/json")
    request = get(customer, "/chat", "content-length: 2", method="POST") + b"{}"
    [pool], poll = warm.fast.upstreams._pools.values(), warm.fast.poll
    await until(lambda: not poll._turning)
    monkeypatch.setattr(poll, "_limit_s", 60.0)
    pool.responses = Awaited()
    async with client_of(warm.gateway) as client:
        assert (await client.ask(request)).value("farebox-cost") == "7"
        await until(lambda: not poll._turning)
    assert pool.responses.came
    assert (pool.responses.missed, pool.responses.rests) == (0, 0)


async def test_a_stream_has_come_in_time_with_its_head(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it pauses behind that."""
    customer = await warm.customer()
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    go_on = asyncio.Event()

    async def pausing(connection: Connection) -> None:
        await connection.send(head)
        await go_on.wait()
        await connection.send(b"0\r\n\r\n")

    warm.backend.plays["/chat"] = pausing
    [pool], poll = warm.fast.upstreams._pools.values(), warm.fast.poll
    await until(lambda: not poll._turning)
    monkeypatch.setattr(poll, "_limit_s", 60.0)
    pool.responses = Awaited()
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/chat", method="POST"))
        await client.raw.head()
        assert pool.responses.came
        await until(lambda: not poll._turning)
        assert (pool.responses.missed, pool.responses.rests) == (0, 0)
        go_on.set()
        await client.raw.reader.readexactly(5)
    await warm.spent(customer, 50)


async def test_beside_another_request_it_sleeps(warm: Warm) -> None:
    customer = await warm.customer(at_once=2)
    go_on = asyncio.Event()

    async def when_told(connection: Connection) -> None:
        await go_on.wait()
        await connection.send(answer(200, b"ok"))

    warm.backend.plays["/ten"] = when_told
    async with client_of(warm.gateway) as first, client_of(warm.gateway) as second:
        await first.raw.send(get(customer, "/ten"))
        await warm.held()
        await warm.backend.upstream.saw(1)
        with expected(warm) as names:
            for _ in range(3):
                assert (await second.ask(get(customer, "/ok"))).status == 200
        assert names == []
        go_on.set()
        assert (await first.answer()).status == 200
    await warm.spent(customer, 13)
