"""What only the client in use does: stricter than httpx, both ways at once, repeats, limits."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.upstream import (
    H1Client,
    UpstreamBusy,
    UpstreamInvalid,
    UpstreamLimits,
    UpstreamRefused,
    UpstreamRequest,
    UpstreamReset,
    UpstreamTimeout,
)
from gateway.upstream.connection import Connection as UpstreamConnection
from gateway.upstream.pool import Pool
from tests.gateway.upstream.test_conformance import CHUNKED, OK, body_of, fetch, get
from tests.upstreams import (
    Connection,
    Step,
    answer,
    cut,
    forever,
    misbehaving_upstream,
    read_head,
    read_request,
    reset,
    silence,
    swallow,
    trickle,
    wait_for,
)

pytestmark = pytest.mark.anyio

INVALID: dict[str, bytes] = {
    "two equal lengths": OK + b"content-length: 1\r\ncontent-length: 1\r\n\r\na",
    "a list of equal lengths": OK + b"content-length: 1, 1\r\n\r\na",
    "a length and chunks": OK
    + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "chunks and a length": OK
    + b"transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "chunked twice": OK + b"transfer-encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "gzip, chunked": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 with chunks": b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/2.0 in words": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "a continued header": OK + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n",
    "a status above 599": b"HTTP/1.1 600 X\r\ncontent-length: 0\r\n\r\n",
    "an interim response with a length": b"HTTP/1.1 103 X\r\ncontent-length: 1\r\n\r\n" + answer(),
    "an interim response in chunks": b"HTTP/1.1 103 X\r\ntransfer-encoding: chunked\r\n\r\n"
    + answer(),
    "too many interim responses": b"HTTP/1.1 103 X\r\n\r\n" * 9 + answer(),
    "too many header lines": OK + b"x: y\r\n" * 200 + b"content-length: 0\r\n\r\n",
    "17 digits of a chunk": CHUNKED + b"F" * 17 + b"\r\n",
    "a bare line feed after a chunk": CHUNKED + b"1\r\na\n0\r\n\r\n",
    "endless trailers": CHUNKED + b"0\r\n" + b"x: y\r\n" * 60_000,
    "an endless trailer": CHUNKED + b"0\r\nx: " + b"a" * 400_000,
    "an endless extension": CHUNKED + b"1;" + b"a" * 400_000,
}


@pytest.mark.parametrize("name", INVALID)
async def test_it_is_invalid(own: H1Client, name: str) -> None:
    async with misbehaving_upstream([read_request(), INVALID[name]]) as upstream:
        with pytest.raises(UpstreamInvalid):
            await fetch(own, upstream)


async def test_a_head_over_the_limit_is_invalid_in_pieces_too(own: H1Client) -> None:
    head = OK + b"x: " + b"a" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n"
    async with misbehaving_upstream([read_request(), trickle(head, 1_000)]) as upstream:
        with pytest.raises(UpstreamInvalid):
            await fetch(own, upstream)


@pytest.mark.parametrize("more", [b"x", answer(200, b"evil"), b"HTTP/1.1 100 C\r\n\r\n"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_bytes_after_a_response_never_become_another(
    own: H1Client, more: bytes, method: bytes
) -> None:
    whole = OK + b"content-length: 0\r\n\r\n"
    scripts = [[read_request(), whole + more], [read_request(), answer(200, b"good")]]
    async with misbehaving_upstream(scripts=scripts) as upstream:
        assert await fetch(own, upstream, get(method=method)) == (200, b"")
        assert await fetch(own, upstream) == (200, b"good")


# Repeats


def dying() -> list[list[Step]]:
    """Connections: the first answers once and dies at the second request; the next is good."""
    first: list[Step] = [read_request(), answer(200, b"1"), read_request(), cut()]
    return [first, [forever(read_request(), answer(200, b"2"))]]


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
async def test_an_idempotent_request_without_body_is_repeated_on_a_fresh_connection(
    own: H1Client, method: bytes
) -> None:
    async with misbehaving_upstream(scripts=dying()) as upstream:
        await fetch(own, upstream)

        status, _ = await fetch(own, upstream, get(method=method))

        assert (status, upstream.connections, len(upstream.heads)) == (200, 2, 3)


@pytest.mark.parametrize(
    "request_",
    [
        UpstreamRequest(b"POST", b"/", []),
        UpstreamRequest(b"PATCH", b"/", []),
        UpstreamRequest(b"POST", b"/", [], b"abc"),
        UpstreamRequest(b"PUT", b"/", [], b"abc"),
        UpstreamRequest(b"QUERY", b"/", []),
    ],
)
async def test_any_other_request_is_never_sent_twice(
    own: H1Client, request_: UpstreamRequest
) -> None:
    async with misbehaving_upstream(scripts=dying()) as upstream:
        await fetch(own, upstream)

        with pytest.raises(UpstreamReset):
            await fetch(own, upstream, request_)

        assert (upstream.connections, len(upstream.heads)) == (1, 2)


async def test_a_streamed_body_is_never_sent_twice(own: H1Client) -> None:
    async with misbehaving_upstream(scripts=dying()) as upstream:
        await fetch(own, upstream)

        with pytest.raises(UpstreamReset):
            await fetch(own, upstream, UpstreamRequest(b"PUT", b"/", [], body_of(b"a")))

        assert len(upstream.heads) == 2


async def test_a_fresh_connection_that_dies_is_no_reason_to_repeat(own: H1Client) -> None:
    async with misbehaving_upstream([read_request(), cut()]) as upstream:
        with pytest.raises(UpstreamReset):
            await fetch(own, upstream)

        assert upstream.connections == 1


async def test_a_response_that_has_begun_is_no_reason_to_repeat(own: H1Client) -> None:
    script = [read_request(), answer(), read_request(), b"HTTP/1.1 2", cut()]
    async with misbehaving_upstream(script) as upstream:
        await fetch(own, upstream)

        with pytest.raises(UpstreamReset):
            await fetch(own, upstream)

        assert upstream.connections == 1


async def test_a_request_is_repeated_only_once(own: H1Client) -> None:
    script = [read_request(), answer(), read_request(), cut()]
    async with misbehaving_upstream(scripts=[script, [read_request(), cut()]]) as upstream:
        await fetch(own, upstream)

        with pytest.raises(UpstreamReset):
            await fetch(own, upstream)

        assert upstream.connections == 2


@pytest.mark.parametrize("end", [cut(), reset()])
async def test_a_post_does_not_go_out_on_a_connection_known_to_be_dead(
    own: H1Client, end: Step
) -> None:
    gone = asyncio.Event()

    async def tell(connection: Connection) -> None:
        gone.set()

    scripts = [[read_request(), answer(), end, tell], [read_request(), answer(200, b"2")]]
    async with misbehaving_upstream(scripts=scripts) as upstream:
        await fetch(own, upstream)
        await gone.wait()

        assert await fetch(own, upstream, get(method=b"POST")) == (200, b"2")
        assert len(upstream.heads) == 2


async def test_an_idle_connection_is_closed_before_the_upstream_would() -> None:
    own = H1Client(UpstreamLimits(keep_ms=40, sweep_ms=10))
    async with misbehaving_upstream([read_request(), answer(), swallow()]) as upstream:
        await fetch(own, upstream)

        await upstream.ended.wait()
    await own.aclose()


# Both ways at once


async def test_an_early_refusal_stops_the_body(own: H1Client) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield bytes(1_000)
            await asyncio.sleep(0)

    async with misbehaving_upstream([read_head(), answer(413, b"no"), swallow()]) as upstream:
        async with own.send(UpstreamRequest(b"POST", b"/", [], endless()), upstream) as response:
            at_head = sent
            assert [piece async for piece in response.chunks()] == [b"no"]
        await upstream.ended.wait()

    # One more piece may have been asked for when the head came; none after.
    assert sent <= at_head + 1


async def test_the_connection_of_an_early_answer_is_not_used_again(own: H1Client) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async with misbehaving_upstream([read_head(), answer(200, b"b"), swallow()]) as upstream:
        assert await fetch(own, upstream, UpstreamRequest(b"POST", b"/", [], stuck())) == (
            200,
            b"b",
        )

        await upstream.ended.wait()


async def test_request_and_response_bodies_may_pass_each_other(own: H1Client) -> None:
    turns = asyncio.Queue[bytes | None]()

    async def body() -> AsyncIterator[bytes]:
        while (piece := await turns.get()) is not None:
            yield piece

    async def echo(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(CHUNKED)
        while (line := await connection.reader.readuntil(b"\r\n")) != b"0\r\n":
            await connection.send(line + await connection.reader.readuntil(b"\r\n"))
        await connection.send(b"0\r\n\r\n")

    async with (
        misbehaving_upstream(echo) as upstream,
        own.send(UpstreamRequest(b"POST", b"/", [], body()), upstream) as response,
    ):
        pieces = response.chunks()
        for piece in (b"a", b"b"):
            turns.put_nowait(piece)
            assert await anext(pieces) == piece
        turns.put_nowait(None)
        assert [piece async for piece in pieces] == []


@pytest.mark.parametrize(("said", "word"), [(3, "longer"), (5, "shorter")])
async def test_a_body_of_another_length_than_said_is_an_error_of_the_caller(
    own: H1Client, said: int, word: str
) -> None:
    request = UpstreamRequest(b"POST", b"/", [], body_of(b"ab", b"cd"), said)
    async with misbehaving_upstream([read_head(), silence()]) as upstream:
        with pytest.raises(ValueError, match=word):
            await fetch(own, upstream, request)


async def test_a_slow_client_is_not_the_upstreams_fault(own: H1Client) -> None:
    more = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        await more.wait()
        yield b"b"

    request = UpstreamRequest(b"POST", b"/", [], body())
    async with misbehaving_upstream([read_request(), answer()], timeout_ms=300) as upstream:
        task = asyncio.create_task(fetch(own, upstream, request))
        done, _ = await asyncio.wait([task], timeout=0.8)
        assert not done
        more.set()

        assert await task == (200, b"")


# The pool


async def test_a_full_queue_refuses_at_once() -> None:
    own = H1Client(UpstreamLimits(waiting=1, wait_ms=10_000))
    async with misbehaving_upstream([read_request(), silence()]) as upstream:
        upstream.max_connections = 1
        first, second = (asyncio.create_task(fetch(own, upstream)) for _ in range(2))
        await upstream.saw()

        with pytest.raises(UpstreamBusy):
            await fetch(own, upstream)

        await own.aclose()
        told = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(error) for error in told] == [UpstreamRefused, UpstreamRefused]


async def test_places_survive_cancelled_waiters(own: H1Client) -> None:
    go_on = asyncio.Event()
    script = [forever(read_request(), wait_for(go_on), answer(200, b"a"))]
    async with misbehaving_upstream(script) as upstream:
        upstream.max_connections = 2
        tasks = [asyncio.create_task(fetch(own, upstream)) for _ in range(40)]
        await upstream.saw(2)
        for task in tasks[::3]:
            task.cancel()
        go_on.set()
        told = await asyncio.gather(*tasks, return_exceptions=True)

        assert sum(result == (200, b"a") for result in told) == 26
        assert await fetch(own, upstream) == (200, b"a")
        pool = own.pool_of(upstream)
        assert (pool.busy, pool.places <= 2) == (0, True)


async def test_places_survive_every_way_to_fail(own: H1Client) -> None:
    scripts = [
        [read_request(), reset()],
        [reset()],
        [read_request(), b"nonsense\r\n\r\n"],
        [read_request(), OK + b"content-length: 5\r\n\r\na", cut()],
        [forever(read_request(), answer(200, b"a"))],
    ]
    async with misbehaving_upstream(scripts=scripts) as upstream:
        upstream.max_connections = 1
        for _ in range(4):
            with pytest.raises(Exception, match=r"\w"):
                await fetch(own, upstream, get(method=b"POST"))

        assert await fetch(own, upstream) == (200, b"a")


async def test_a_connection_that_dies_before_it_is_used_is_replaced(own: H1Client) -> None:
    script = [forever(read_request(), answer(200, b"a"))]
    async with misbehaving_upstream(script) as upstream:
        upstream.max_connections = 1
        async with own.send(get(), upstream) as response:
            connection = response._connection
            assert connection is not None
            waiting = asyncio.create_task(fetch(own, upstream, get(method=b"POST")))
            await asyncio.wait([waiting], timeout=0.05)
        # The waiter has been given the connection but has not had its turn yet.
        connection.transport.abort()

        assert await waiting == (200, b"a")
        assert (upstream.connections, own.pool_of(upstream).places) == (2, 1)


async def test_a_request_of_which_nothing_was_sent_is_sent_on_another_connection(
    own: H1Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lend, lent = Pool.connection, 0

    async def lend_a_dead_one_first(pool: Pool, *, surely: bool) -> UpstreamConnection:
        nonlocal lent
        connection = await lend(pool, surely=surely)
        lent += 1
        if lent == 1:
            connection.transport.abort()
        return connection

    monkeypatch.setattr(Pool, "connection", lend_a_dead_one_first)
    async with misbehaving_upstream([read_request(), answer(200, b"a")]) as upstream:
        assert await fetch(own, upstream, get(method=b"POST")) == (200, b"a")
        assert len(upstream.heads) == 1


async def test_a_handshake_that_never_ends_is_told(own: H1Client) -> None:
    async with misbehaving_upstream([silence()]) as upstream:
        upstream.scheme = "https"
        upstream.connect_timeout_ms = 50
        with pytest.raises(UpstreamTimeout) as told:
            await fetch(own, upstream)

    assert told.value.phase == "connect"


async def test_closing_waits_for_what_is_under_way(own: H1Client) -> None:
    go_on = asyncio.Event()
    script = [read_request(), OK + b"content-length: 1\r\n\r\n", wait_for(go_on), b"a"]
    async with misbehaving_upstream(script) as upstream:
        task = asyncio.create_task(fetch(own, upstream))
        await upstream.saw()
        closing = asyncio.create_task(own.aclose(drain_ms=5_000))
        await asyncio.sleep(0)
        go_on.set()

        await closing
        assert await task == (200, b"a")


async def test_closing_cuts_what_takes_too_long(own: H1Client) -> None:
    async with misbehaving_upstream([read_request(), silence()]) as upstream:
        task = asyncio.create_task(fetch(own, upstream))
        await upstream.saw()

        await own.aclose(drain_ms=20)

        with pytest.raises(UpstreamRefused):
            await task


@pytest.mark.parametrize("told", [b"timeout=1", b"timeout=1, max=100", b'max=5, timeout="0"'])
async def test_a_connection_the_upstream_closes_soon_is_not_kept(told: bytes) -> None:
    own = H1Client(UpstreamLimits(keep_ms=600_000, sweep_ms=10))
    script = [read_request(), answer(200, b"", b"keep-alive: " + told), swallow()]
    async with misbehaving_upstream(script) as upstream, asyncio.timeout(10):
        await fetch(own, upstream)
        await upstream.ended.wait()
        await fetch(own, upstream)
        assert upstream.connections == 2
    await own.aclose()


async def test_a_connection_is_given_up_before_the_time_the_upstream_tells() -> None:
    own = H1Client(UpstreamLimits(keep_ms=600_000, early_ms=1_960, sweep_ms=10))
    script = [read_request(), answer(200, b"", b"keep-alive: timeout=2"), swallow()]
    async with misbehaving_upstream(script) as upstream, asyncio.timeout(10):
        await fetch(own, upstream)
        await upstream.ended.wait()  # after 40 ms
    await own.aclose()


async def test_a_long_time_told_does_not_outlast_our_own() -> None:
    own = H1Client(UpstreamLimits(keep_ms=40, sweep_ms=10))
    script = [read_request(), answer(200, b"", b"keep-alive: timeout=3600"), swallow()]
    async with misbehaving_upstream(script) as upstream:
        await fetch(own, upstream)
        await upstream.ended.wait()
    await own.aclose()
