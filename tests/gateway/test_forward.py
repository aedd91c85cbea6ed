"""One request up, one answer down, over real sockets on both sides; and how it ended."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.asgi import Receive, Scope, Send, turn_of
from gateway.forward import WHOLE_BYTES, Exchange
from gateway.framing import StrictHttpProtocol
from gateway.headers import Headers
from gateway.outcome import End
from gateway.presence import Presence
from gateway.request import Request
from gateway.upstream import H1Client, UpstreamRequest
from ledger.ports import SystemClock
from tests.gateway.serving import RawClient, raw_client, serving, until
from tests.upstreams import (
    Connection,
    Script,
    Step,
    Upstream,
    answer,
    cut,
    huge,
    misbehaving_upstream,
    pause,
    read_head,
    read_request,
    reset,
    silence,
    swallow,
    wait_for,
)

pytestmark = pytest.mark.anyio

GET = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"


class Seen:
    """A meter that only remembers."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""

    def head(self, status: int, headers: Headers) -> None:
        self.status = status

    def feed(self, chunk: bytes) -> None:
        self.body += chunk


class Passing:
    """The smallest gateway: passes everything on, remembers how each request ended."""

    def __init__(
        self,
        client: H1Client,
        upstream: Upstream,
        *,
        meter: Seen | None,
        linger_s: float | None,
        max_body: int | None,
    ) -> None:
        self.client = client
        self.upstream = upstream
        self.meter = meter
        self.linger_s = linger_s
        self.max_body = max_body
        self.presence = Presence(SystemClock())
        self.ends: asyncio.Queue[tuple[End, int]] = asyncio.Queue()
        self.told: list[tuple[int, bool]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(turn_of(scope, receive, send))
        exchange = Exchange(request, meter=self.meter, tell=self.tell)
        upward = UpstreamRequest(
            method=request.method,
            target=request.raw_path,
            headers=[],
            body=request.body(self.max_body),
            body_bytes=request.body_bytes,
        )
        end = await exchange.run(
            self.client, upward, self.upstream, self.presence, linger_s=self.linger_s
        )
        self.ends.put_nowait((end, exchange.status))
        if exchange.failed is not None and not exchange.started:
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body", "body": b"failed"})

    def tell(self, status: int, whole: bool) -> Headers:
        self.told.append((status, whole))
        return [(b"farebox-told", b"yes")]

    async def end(self) -> tuple[End, int]:
        async with asyncio.timeout(10):
            return await self.ends.get()


@asynccontextmanager
async def passing(
    script: Script,
    *,
    meter: Seen | None = None,
    linger_s: float | None = None,
    max_body: int | None = None,
    timeout_ms: int = 5_000,
) -> AsyncIterator[tuple[Passing, RawClient, Upstream]]:
    client = H1Client()
    async with misbehaving_upstream(script, timeout_ms=timeout_ms) as upstream:
        app = Passing(client, upstream, meter=meter, linger_s=linger_s, max_body=max_body)
        sweep = asyncio.create_task(app.presence.run())
        try:
            async with serving(app) as url, raw_client(url) as raw:
                yield app, raw, upstream
        finally:
            sweep.cancel()
            await client.aclose()


async def body_of(client: RawClient, head: bytes) -> bytes:
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await client.reader.readexactly(length)


async def test_an_answer_passes_with_our_headers() -> None:
    async with passing([read_request(), answer(201, b"made", b"x-own: 1")]) as (app, client, _):
        await client.send(GET)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 201")
        assert b"x-own: 1\r\n" in head
        assert b"farebox-told: yes\r\n" in head
        assert await body_of(client, head) == b"made"
        assert await app.end() == (End.COMPLETE, 201)


async def test_an_empty_answer_with_a_length_ends() -> None:
    async with passing([read_request(), answer(200)]) as (app, client, _):
        await client.send(GET)
        assert b"content-length: 0" in await client.head()
        assert await app.end() == (End.COMPLETE, 200)


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\netag: a\r\n\r\n"),
    ],
)
async def test_an_answer_without_body_leaves_the_connection_usable(
    method: bytes, reply: bytes
) -> None:
    async with passing([read_request(), reply, read_request(), answer(200, b"two")]) as (
        app,
        client,
        _,
    ):
        await client.send(method + b" /x HTTP/1.1\r\nhost: a\r\n\r\n")
        await client.head()
        assert (await app.end())[0] is End.COMPLETE
        await client.send(GET)
        assert await body_of(client, await client.head()) == b"two"


async def test_pieces_pass_as_they_come() -> None:
    """Server-sent events are not gathered: the first is there while the second is not yet made."""
    go_on = asyncio.Event()
    script = [
        read_request(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\ndata1\r\n",
        wait_for(go_on),
        b"5\r\ndata2\r\n0\r\n\r\n",
    ]
    async with passing(script) as (app, client, _):
        await client.send(GET)
        await client.head()
        assert await client.reader.readexactly(10) == b"5\r\ndata1\r\n"
        go_on.set()
        assert await client.reader.readexactly(15) == b"5\r\ndata2\r\n0\r\n\r\n"
        assert await app.end() == (End.COMPLETE, 200)


async def test_a_body_goes_up_as_it_comes() -> None:
    async with passing([read_request(), answer(200, b"ok")]) as (_, client, upstream):
        await client.send(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc")
        await client.send(b"def")
        await body_of(client, await client.head())
        assert upstream.bodies == [b"abcdef"]


async def test_a_body_of_unknown_length_goes_up_in_chunks() -> None:
    async with passing([read_request(), answer(200, b"ok")]) as (_, client, upstream):
        await client.send(
            b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        await body_of(client, await client.head())
        assert upstream.bodies == [b"abc"]
        assert b"transfer-encoding: chunked" in upstream.heads[0].lower()


async def test_a_body_that_outgrows_its_limit_ends_the_request() -> None:
    async with passing([read_request(), answer()], max_body=4) as (app, client, upstream):
        await client.send(
            b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n"
        )
        assert (await client.head()).startswith(b"HTTP/1.1 502")
        assert (await app.end())[0] is End.BODY_REJECTED
        assert upstream.bodies == []


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ([read_request(), cut()], End.RESET),
        ([read_request(), reset()], End.RESET),
        ([read_request(), b"nonsense\r\n\r\n"], End.INVALID),
        ([read_request(), silence()], End.TIMEOUT),
    ],
)
async def test_an_upstream_that_fails_before_its_head_can_be_explained(
    script: Script, end: End
) -> None:
    async with passing(script, timeout_ms=300) as (app, client, _):
        await client.send(GET)
        assert (await client.head()).startswith(b"HTTP/1.1 502")
        assert await app.end() == (end, 0)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_seen_to_break_off(reply: bytes) -> None:
    async with passing([read_request(), reply, cut()]) as (app, client, _):
        await client.send(GET)
        await client.head()
        assert await app.end() == (End.CUT, 200)
        rest = await client.rest()
        assert b"half" in rest
        assert not rest.endswith(b"0\r\n\r\n")


async def test_an_upstream_that_falls_silent_amid_its_answer_timed_out() -> None:
    reply = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
    async with passing([read_request(), reply, silence()], timeout_ms=300) as (app, client, _):
        await client.send(GET)
        await client.head()
        assert await app.end() == (End.TIMEOUT, 200)
        assert await client.rest() == b"half"


async def test_a_client_that_leaves_ends_a_request_priced_before() -> None:
    async with passing([read_request(), swallow()], timeout_ms=30_000) as (app, client, upstream):
        await client.send(GET)
        await until(lambda: upstream.heads)
        await client.leave()
        assert await app.end() == (End.GONE_LATER, 0)
        async with asyncio.timeout(5):
            await upstream.ended.wait()


async def test_a_client_that_leaves_amid_the_answer_is_seen_to_have_left() -> None:
    reply = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
    async with passing([read_request(), reply, silence()], timeout_ms=30_000) as (app, client, _):
        await client.send(GET)
        await client.head()
        client.vanish()
        assert await app.end() == (End.GONE_LATER, 200)


async def test_a_client_that_cuts_its_own_body_left_later() -> None:
    """The upstream has the head by then."""
    async with passing([read_head(), silence()], timeout_ms=30_000) as (app, client, upstream):
        await client.send(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc")
        await until(lambda: upstream.heads)
        client.vanish()
        assert await app.end() == (End.GONE_LATER, 0)


async def test_a_metered_request_is_read_on_for_after_its_client_left() -> None:
    go_on = asyncio.Event()
    meter = Seen()
    script = [read_request(), wait_for(go_on), answer(200, b"usage")]
    async with passing(script, meter=meter, linger_s=10) as (app, client, upstream):
        await client.send(GET)
        await until(lambda: upstream.heads)
        await client.leave()
        await until(lambda: any(watch.gone for watch in app.presence.watched))
        go_on.set()
        assert await app.end() == (End.GONE_LATER, 200)
        assert meter.body == b"usage"


async def test_reading_on_has_a_limit() -> None:
    script = [read_request(), silence()]
    async with passing(script, meter=Seen(), linger_s=0.2, timeout_ms=30_000) as (app, client, up):
        await client.send(GET)
        await until(lambda: up.heads)
        await client.leave()
        assert await app.end() == (End.GONE_LATER, 0)


async def test_a_small_metered_answer_is_known_before_its_head() -> None:
    meter = Seen()
    async with passing([read_request(), answer(200, b"{}")], meter=meter) as (app, client, _):
        await client.send(GET)
        assert await body_of(client, await client.head()) == b"{}"
        assert app.told == [(200, True)]
        assert meter.body == b"{}"


async def test_a_large_metered_answer_is_not_waited_for() -> None:
    meter = Seen()
    body = b"x" * (WHOLE_BYTES + 1)
    async with passing([read_request(), answer(200, body)], meter=meter) as (app, client, _):
        await client.send(GET)
        assert await body_of(client, await client.head()) == body
        assert app.told == [(200, False)]
        assert meter.body == body


EVENT = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\ndata1\r\n"


async def test_a_stream_is_written_before_it_is_metered(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read a piece before would keep the client waiting, for the first one above all."""
    done = []

    class Noting(Seen):
        def head(self, status: int, headers: Headers) -> None:
            done.append(b"head metered")
            super().head(status, headers)

        def feed(self, piece: bytes) -> None:
            done.append(b"metered " + piece)
            super().feed(piece)

    write = StrictHttpProtocol.write

    def noting(connection: StrictHttpProtocol, data: bytes) -> None:
        done.append(b"written " + data[-7:-2])
        write(connection, data)

    monkeypatch.setattr(StrictHttpProtocol, "write", noting)
    go_on = asyncio.Event()
    meter = Noting()
    script = [read_request(), EVENT, wait_for(go_on), b"5\r\ndata2\r\n0\r\n\r\n"]
    async with passing(script, meter=meter) as (app, client, _):
        await client.send(GET)
        await client.head()
        assert await client.reader.readexactly(10) == b"5\r\ndata1\r\n"
        go_on.set()
        assert await app.end() == (End.COMPLETE, 200)
    first, second = done.index(b"written data1"), done.index(b"written data2")
    assert done[first:][:3] == [b"written data1", b"head metered", b"metered data1"]
    assert done[second:][:2] == [b"written data2", b"metered data2"]


@pytest.mark.parametrize(
    ("then", "timeout_ms", "end"),
    [(cut(), 30_000, End.CUT), (reset(), 30_000, End.CUT), (silence(), 300, End.TIMEOUT)],
)
async def test_a_stream_that_breaks_off_was_metered_to_its_last_piece(
    then: Step, timeout_ms: int, end: End
) -> None:
    meter = Seen()
    go_on = asyncio.Event()
    script = [read_request(), EVENT, wait_for(go_on), then]
    async with passing(script, meter=meter, timeout_ms=timeout_ms) as (app, client, _):
        await client.send(GET)
        await client.head()
        await client.reader.readexactly(10)
        go_on.set()
        assert await app.end() == (end, 200)
        assert (meter.status, meter.body) == (200, b"data1")


@pytest.mark.parametrize("event", [EVENT, EVENT.removesuffix(b"5\r\ndata1\r\n")])
async def test_a_stream_read_on_for_in_vain_was_metered_to_its_last_piece(event: bytes) -> None:
    """Also where only its head had come: a price may follow from that."""
    meter = Seen()
    script = [read_request(), event, silence()]
    async with passing(script, meter=meter, linger_s=0.2, timeout_ms=30_000) as (app, client, _):
        await client.send(GET)
        await client.head()
        await client.leave()
        assert await app.end() == (End.GONE_LATER, 200)
        assert (meter.status, meter.body) == (200, b"data1" if event == EVENT else b"")


async def test_a_client_that_has_its_answer_and_leaves_was_served() -> None:
    async with passing([read_request(), pause(0.2), answer(200, b"all")]) as (app, client, _):
        await client.send(b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert (await client.rest()).endswith(b"all")
        assert await app.end() == (End.COMPLETE, 200)


MANY = 96 * 1024 * 1024
ROOM_KB = 24 * 1024  # buffers of three sockets and the pieces in hand; far below what passes


def peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_a_large_answer_passes_in_little_memory() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % MANY
    async with passing([read_request(), head, huge(MANY)]) as (app, client, _):
        before_kb = peak_kb()
        await client.send(GET)
        await client.head()
        left = MANY
        while left:
            left -= len(await client.reader.read(65_536))
        assert await app.end() == (End.COMPLETE, 200)
        assert peak_kb() - before_kb < ROOM_KB


async def test_a_large_body_passes_in_little_memory() -> None:
    async def play(connection: Connection) -> None:
        await connection.read_head()
        left = MANY
        while left:
            left -= len(await connection.reader.read(65_536))
        await connection.send(answer(200, b"ok"))

    async with passing(play) as (app, client, _):
        before_kb = peak_kb()
        await client.send(b"PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % MANY)
        block = bytes(65_536)
        for _ in range(MANY // len(block)):
            await client.send(block)
        assert await body_of(client, await client.head()) == b"ok"
        assert await app.end() == (End.COMPLETE, 200)
        assert peak_kb() - before_kb < ROOM_KB


async def test_a_refused_connection_can_be_explained() -> None:
    async with passing([]) as (app, client, upstream):
        upstream.port = 1
        await client.send(GET)
        assert (await client.head()).startswith(b"HTTP/1.1 502")
        assert await app.end() == (End.REFUSED, 0)
