"""The framing in front of a real uvicorn, over real sockets."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from gateway.framing import FramingLimits, StrictHttpProtocol, strict_http

pytestmark = pytest.mark.anyio

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
BAD = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
QUICK = FramingLimits(head_ms=100, body_ms=100, stall_ms=200, linger_ms=500, sweep_ms=10)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: the workers' is uvloop, whose transports behave differently at the ends."""
    return "asyncio", {"use_uvloop": request.param}


class Served:
    """A running server, and what its application saw."""

    def __init__(self) -> None:
        self.port = 0
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []
        self.disconnects = 0
        self.ended = asyncio.Event()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, *pieces: bytes) -> bytes:
        """Send these, and give all that comes until the server closes."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        try:
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what the request was taken for."""
        self.scopes.append(scope)
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                self.ended.set()
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.bodies.append(body)
        said = b"%s %s" % (scope["method"].encode(), scope["raw_path"])
        await send(start(len(said)))
        await send({"type": "http.response.body", "body": said})


def start(length: int) -> dict[str, Any]:
    headers = [(b"content-length", b"%d" % length)]
    return {"type": "http.response.start", "status": 200, "headers": headers}


@asynccontextmanager
async def serving(
    app: App | None = None, *, http: type[asyncio.Protocol] = StrictHttpProtocol, **options: Any
) -> AsyncIterator[Served]:
    served = Served()
    config = uvicorn.Config(
        app or served.echo,
        port=0,
        http=http,
        ws="none",
        interface="asgi3",
        proxy_headers=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        **options,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    served.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        await server.shutdown()


def closing(request: bytes) -> bytes:
    return request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


async def test_the_application_gets_the_target_as_it_was_written() -> None:
    async with serving() as served:
        await served.exchange(closing(GET % b"a/%2e%2e//b;c?d=%zz&d=?"))

    scope = served.scopes[0]
    assert (scope["raw_path"], scope["query_string"]) == (b"/a/%2e%2e//b;c", b"d=%zz&d=?")


@pytest.mark.parametrize(
    "path", [b"/evil.example/x", b"\\evil", b":80/", b"a:b@c", b"[", b"?", b"a%00"]
)
async def test_no_path_is_taken_for_another_host(path: bytes) -> None:
    async with serving() as served:
        await served.exchange(closing(GET % path))

    assert served.scopes[0]["raw_path"] == (b"/" + path).partition(b"?")[0]


async def test_header_names_are_lower_case_in_order_with_duplicates() -> None:
    request = (
        b"GET / HTTP/1.1\r\nX-B: 2\r\nHost: a\r\nConnection: close\r\nx-A: 1 \r\nX-b: 3\r\n\r\n"
    )
    async with serving() as served:
        await served.exchange(request)

    assert served.scopes[0]["headers"] == [
        (b"x-b", b"2"),
        (b"host", b"a"),
        (b"connection", b"close"),
        (b"x-a", b"1 "),
        (b"x-b", b"3"),
    ]


async def test_a_refused_request_never_reaches_the_application() -> None:
    async with serving() as served:
        answer = await served.exchange(BAD)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(body)["charged"] == 0
    assert served.scopes == []


async def test_requests_sent_ahead_are_answered_one_by_one_in_order() -> None:
    async with serving() as served:
        answer = await served.exchange(
            GET % b"n1"
            + b"POST /n2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            + b"POST /n3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\ny: z\r\n\r\n"
            + closing(GET % b"n4")
        )

    assert [answer.count(b"/n%d" % number) for number in (1, 2, 3, 4)] == [1, 1, 1, 1]
    assert answer.index(b"/n1") < answer.index(b"/n2") < answer.index(b"/n3") < answer.index(b"/n4")
    assert served.bodies == [b"", b"abc", b"a", b""]
    assert not any(name == b"y" for name, _ in served.scopes[2]["headers"])


async def test_a_refusal_comes_after_the_answers_before_it() -> None:
    async with serving() as served:
        answer = await served.exchange((GET % b"1") * 3 + BAD + GET % b"4")

    assert answer.count(b"GET /1") == 3
    assert answer.rindex(b"GET /1") < answer.index(b"400 Bad Request")
    assert len(served.scopes) == 3


async def test_ten_thousand_requests_sent_ahead_are_all_answered() -> None:
    async with serving() as served:
        answer = await served.exchange((GET % b"1") * 10_000 + closing(GET % b"2"))

    assert answer.count(b"200 OK") == 10_001


async def test_a_malformed_chunk_ends_the_request_for_the_application() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving() as served:
        answer = await served.exchange(head + b"1\r\na\r\nx\r\n")
        await served.ended.wait()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert (served.bodies, served.disconnects) == ([], 1)


async def test_a_body_without_a_byte_ends_with_its_head() -> None:
    chunked = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    async with serving() as served:
        answer = await served.exchange(closing(chunked))

    assert answer.endswith(b"POST /a")
    assert served.bodies == [b""]


async def test_a_malformed_chunk_after_the_answer_began_cuts_it() -> None:
    told = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(9))
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with serving(app) as served:
        reader, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await reader.readuntil(b"abc")
        writer.write(b"x\r\n")

        assert await reader.read() == b""
        await told.wait()
        writer.close()


async def test_an_upgrade_to_h2c_is_answered_as_http_1_1() -> None:
    request = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
    async with serving() as served:
        answer = await served.exchange(request)

    assert answer.endswith(b"\r\n\r\nGET /a")
    assert not any(name == b"upgrade" for name, _ in served.scopes[0]["headers"])


async def test_an_upgrade_to_h2c_keeps_its_body() -> None:
    request = b"POST /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    async with serving() as served:
        await served.exchange(request)

    assert served.bodies == [b"abc"]


async def test_a_websocket_handshake_reaches_the_application_and_ends_the_connection() -> None:
    request = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with serving() as served:
        answer = await served.exchange(request + b"\x81\x05hello" + GET % b"b")

    assert (b"upgrade", b"websocket") in served.scopes[0]["headers"]
    assert b"\r\nconnection: close\r\n" in answer
    assert len(served.scopes) == 1


async def test_a_100_is_sent_when_the_application_asks_for_the_body() -> None:
    async with serving() as served:
        reader, writer = await served.connect()
        writer.write(
            b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        await reader.readuntil(b"POST /a")
        writer.close()

    assert served.bodies == [b"abc"]


async def test_a_refused_client_can_read_why_even_while_it_sends() -> None:
    async with serving() as served:
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"a" * 5_000_000)

        answer = await reader.readuntil(b"}")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("began", [b"G", GET[:-2] % b"a", b"\r"])
async def test_a_head_that_does_not_end_is_told_or_let_go(began: bytes) -> None:
    async with serving(http=strict_http(QUICK)) as served:
        answer = await served.exchange(began)

    assert answer[:13] == (b"" if began == b"\r" else b"HTTP/1.1 408 ")


async def test_a_head_that_comes_slowly_has_no_more_time_than_one_that_stops() -> None:
    async with serving(http=strict_http(QUICK)) as served:
        reader, writer = await served.connect()
        told = asyncio.create_task(reader.read())
        while not told.done():
            writer.write(b"GET /" if not served.scopes else b"a")
            await asyncio.wait([told], timeout=0.01)
        writer.close()

    assert (await told).startswith(b"HTTP/1.1 4")


async def test_a_silent_connection_is_closed_without_a_word() -> None:
    async with serving(http=strict_http(QUICK)) as served:
        assert await served.exchange() == b""


async def test_a_body_that_stops_is_told_to_both_sides() -> None:
    async with serving(http=strict_http(QUICK)) as served:
        answer = await served.exchange(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"
        )
        await served.ended.wait()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert (served.bodies, served.disconnects) == ([], 1)


async def test_a_client_waiting_for_a_100_is_not_late() -> None:
    go_on = asyncio.Event()
    bodies = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        bodies.append((await receive())["body"])
        await send(start(0))
        await send({"type": "http.response.body"})

    async with serving(app, http=strict_http(QUICK)) as served:
        reader, writer = await served.connect()
        writer.write(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        early = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        await asyncio.wait([early], timeout=0.4)
        assert not early.done()
        go_on.set()
        await early
        writer.write(b"abc")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert bodies == [b"abc"]


async def test_a_kept_connection_is_let_go_in_time() -> None:
    async with serving(http=strict_http(QUICK), timeout_keep_alive=0) as served:
        answer = await served.exchange(GET % b"a")

    assert answer.endswith(b"GET /a")


async def test_a_client_that_does_not_read_is_let_go() -> None:
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(1 << 40))
        while not gone.is_set():
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
            if scope["extensions_gone"]():
                gone.set()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        watcher = asyncio.create_task(receive_until_gone(receive))
        await app({**scope, "extensions_gone": watcher.done}, receive, send)

    async def receive_until_gone(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(watched, http=strict_http(QUICK)) as served:
        _, writer = await served.connect()
        writer.transport.pause_reading()
        writer.write(GET % b"a")

        await gone.wait()
        writer.transport.abort()


async def test_reading_stops_while_the_application_is_slow() -> None:
    go_on = asyncio.Event()
    taken = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal taken
        await go_on.wait()
        while True:
            message = await receive()
            taken += len(message["body"])
            if not message["more_body"]:
                break
        await send(start(0))
        await send({"type": "http.response.body"})

    size = 64 << 20
    async with serving(app) as served:
        reader, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        writer.write(bytes(size))
        sending = asyncio.create_task(writer.drain())
        await asyncio.wait([sending], timeout=0.3)
        # Far more than socket buffers hold is still with the client.
        assert writer.transport.get_write_buffer_size() > size // 2
        go_on.set()
        await sending
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert taken == size


async def write_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(65_536))
        await writer.drain()


async def test_a_huge_body_passes_in_little_memory() -> None:
    size, block = 256 << 20, bytes(64 * 1024)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(size))
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            body = {"type": "http.response.body", "body": message["body"], "more_body": more}
            await send(body)

    async def upload(writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(size // len(block)):
            writer.write(b"10000\r\n" + block + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async with serving(app) as served:
        reader, writer = await served.connect()
        tracemalloc.start()
        sending = asyncio.create_task(upload(writer))
        await reader.readuntil(b"\r\n\r\n")
        left = size
        while left:
            left -= len(await reader.read(256 * 1024))
        await sending
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        writer.close()

    assert peak_bytes < 4 << 20


async def test_the_rest_of_a_body_answered_early_is_read_only_so_far() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(2))
        await send({"type": "http.response.body", "body": b"no"})

    async with serving(app) as served:
        reader, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n")
        await reader.readuntil(b"no")
        with pytest.raises(ConnectionError):
            await write_for_ever(writer)
        writer.close()


async def test_a_connection_goes_on_after_a_short_body_answered_early() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(2))
        await send({"type": "http.response.body", "body": b"no"})

    async with serving(app) as served:
        reader, writer = await served.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        await reader.readuntil(b"no")
        writer.write(b"abc" + closing(GET % b"b"))

        assert (await reader.read()).endswith(b"no")
        writer.close()


class CountingWrites:
    """Counts what reaches the transport."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


async def test_an_answers_head_and_body_are_one_write() -> None:
    seen: list[CountingWrites] = []

    class Counted(StrictHttpProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            seen.append(CountingWrites(transport))
            super().connection_made(seen[-1])  # type: ignore[arg-type]

    async with serving(http=Counted) as served:
        await served.exchange(closing(GET % b"a"))

    assert [each.writes for each in seen] == [1]


async def test_a_server_that_stops_lets_the_answer_under_way_end() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        await send(start(2))
        await send({"type": "http.response.body", "body": b"ok"})

    async with serving(app) as served:
        reading = asyncio.create_task(served.exchange(GET % b"a"))
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, go_on.set)

    assert (await reading).endswith(b"ok")
