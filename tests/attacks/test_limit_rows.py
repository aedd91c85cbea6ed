"""What waits, grows or repeats has a limit, and those who reach it are alone with it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from gateway.app import App
from gateway.framing import StrictHttpProtocol, strict_http
from ledger.books import ChargeState
from tests.attacks.rig import PRICES, Target, attacked, read_reply
from tests.charging import Stores
from tests.gateway.serving import until

pytestmark = pytest.mark.anyio


def limited(**changes: int) -> Callable[[App], type[StrictHttpProtocol]]:
    """The gateway's own protocol with other limits, so that tests reach them soon."""

    def protocol(app: App) -> type[StrictHttpProtocol]:
        usual = app.protocol()
        return strict_http(replace(usual.limits, **changes), usual.witness)

    return protocol


@asynccontextmanager
async def held_open(target: Target, count: int, data: bytes = b"") -> AsyncIterator[None]:
    """Keep so many connections, each having sent this much and no more."""
    writers = []
    try:
        for _ in range(count):
            _, writer = await target.connect()
            writer.write(data)
            writers.append(writer)
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


# Size


@pytest.mark.parametrize(
    ("lines", "path", "status"),
    [
        ([b"x: y"] * 200, b"/costly", 431),
        ([b"x: " + b"y" * 65_536], b"/costly", 431),
        ([b"x: " + b"y" * 7_000] * 6, b"/costly", 431),
        ([], b"/costly?" + b"q" * 16_384, 414),
    ],
    ids=["200 headers", "a header of 64 KiB", "headers of 42 KiB", "a target of 16 KiB"],
)
async def test_a_head_that_is_too_large_is_refused_before_any_charge(
    target: Target, lines: list[bytes], path: bytes, status: int
) -> None:
    async with target.unharmed():
        reply = await target.say(target.request(path, *lines))
        await target.refused(reply, status, closed=True)


async def test_a_body_too_large_by_its_own_word_is_413_before_any_hold(target: Target) -> None:
    async with target.unharmed():
        reply = await target.say(
            target.request(b"/costly", b"content-length: 1001", method=b"POST", body=b"x" * 1_001)
        )
        await target.refused(reply, 413, "body-too-large", closed=False)


async def test_a_body_that_grows_too_large_is_413_and_its_hold_is_void(target: Target) -> None:
    async with target.charged(0) as seen:
        reader, writer = await target.connect()
        writer.write(
            target.request(b"/costly", b"transfer-encoding: chunked", method=b"POST")
            + b"1\r\na\r\n"
        )
        await until(lambda: target.echo.seen)
        writer.write(b"3e8\r\n%b\r\n0\r\n\r\n" % (b"x" * 1_000))
        reply = await read_reply(reader)
        await target.refused(reply, 413, "body-too-large")
        writer.transport.abort()
    charge = await target.gateway.charge(seen[0].request_id)
    assert (charge.state, charge.reason) == (ChargeState.VOID, "body-rejected")


async def test_a_client_that_sends_a_far_too_large_body_first_can_still_read_the_413(
    target: Target,
) -> None:
    """Closing while it sends would reset the connection, and the reason would be lost."""
    body = b"x" * 8_000_000
    async with target.unharmed():
        reader, writer = await target.connect()
        writer.write(target.request(b"/costly", b"content-length: %d" % len(body), method=b"POST"))
        for at in range(0, len(body), 65_536):
            writer.write(body[at : at + 65_536])
            await writer.drain()
        reply = await read_reply(reader)
        await target.refused(reply, 413, "body-too-large")
        assert await reader.read() == b""
        writer.transport.abort()


# Time


async def test_a_head_that_never_ends_is_408_and_holds_nothing(stores: Stores) -> None:
    quick = limited(head_ms=500, sweep_ms=20)
    async with attacked(stores, http=quick) as target, target.unharmed():
        reader, writer = await target.connect()
        for byte in target.request(b"/costly")[:40]:
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        reply = await read_reply(reader)
        await target.refused(reply, 408, "request-timeout")
        assert await reader.read() == b""
        writer.transport.abort()


@pytest.mark.parametrize("path", [b"/costly", b"/search"])
@pytest.mark.parametrize("expects", [True, False])
async def test_a_body_that_stops_is_408_and_void(
    stores: Stores, path: bytes, expects: bool
) -> None:
    lines = [b"content-length: 20", b"content-type: application/json"]
    lines += [b"expect: 100-continue"] if expects else []
    quick = limited(body_ms=1_000, sweep_ms=20)
    # Where the price is in the body nobody is asked before it is there.
    forwarded = int(path == b"/costly")
    async with (
        attacked(stores, http=quick) as target,
        target.charged(0, forwarded=forwarded),
    ):
        reader, writer = await target.connect()
        writer.write(target.request(path, *lines, method=b"POST"))
        if expects:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"{")
        reply = await read_reply(reader)
        await target.refused(reply, 408, "request-timeout")
        assert await reader.read() == b""
        writer.transport.abort()


SLOW = {
    "a head": b"GET /costly HTTP/1.1\r\nhost: a\r\nx: ",
    "a body": b"POST /free HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx",
    "chunks": b"POST /free HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nx",
    "silence": b"",
}


async def test_slow_clients_stop_nobody_and_are_cut_off(stores: Stores) -> None:
    """200 connections hang in the middle of something while others are served as ever."""
    quick = limited(head_ms=1_500, body_ms=1_500, sweep_ms=50)
    async with attacked(stores, http=quick) as target, AsyncExitStack() as hanging:
        for slow in SLOW.values():
            await hanging.enter_async_context(held_open(target, 50, slow))
        upload = target.request(b"/upload", b"content-length: 9", method=b"POST", body=b"x")
        stalled = [await target.connect() for _ in range(10)]
        for _, writer in stalled:
            writer.write(upload)

        async with target.gateway.http.stream("GET", f"{target.gateway.url}/farebox/livez"):
            pass
        for _ in range(20):
            assert (await target.say(target.request(b"/cheap"))).status == 200

        for reader, writer in stalled:
            assert (await read_reply(reader)).status == 408
            writer.transport.abort()
        connections = target.gateway.app.protocol()._crowds
        await until(lambda: all(len(crowd) == 0 for crowd in connections.values()), 20)
        assert await target.available() == 1_000 - 20


# Number


async def test_one_address_has_a_cap_of_connections_and_gets_its_place_back(
    stores: Stores,
) -> None:
    async with attacked(stores, connections_per_address=20) as target:
        async with held_open(target, 20):
            reply = await target.say(b"")
            await target.refused(reply, 429, "too-many-connections", closed=True)
            assert reply.value("retry-after")
        await until(lambda: not _crowded(target))
        assert (await target.say(target.request(b"/cheap"))).status == 200


async def test_a_trusted_proxy_has_no_cap_for_many_stand_behind_it(stores: Stores) -> None:
    prices = PRICES + "trusted_proxies: [127.0.0.1]\n"
    async with (
        attacked(stores, prices, connections_per_address=5) as target,
        held_open(target, 20),
    ):
        assert (await target.say(target.request(b"/cheap"))).status == 200


async def test_all_together_have_a_cap(stores: Stores) -> None:
    async with attacked(stores, connections=10) as target, held_open(target, 10):
        await target.refused(await target.say(b""), 503, "server-full", closed=True)


def _crowded(target: Target) -> bool:
    return any(len(crowd) for crowd in target.gateway.app.protocol()._crowds.values())


async def test_what_is_sent_ahead_waits_and_is_charged_one_by_one(target: Target) -> None:
    async with target.charged(100, forwarded=100):
        reader, writer = await target.connect()
        writer.write(
            target.request(b"/cheap") * 99 + target.request(b"/cheap", b"connection: close")
        )
        said = await reader.read()
        writer.transport.abort()
    assert said.count(b"HTTP/1.1 200") == 100
    ids = {line["id"] for line in await target.gateway.logged() if line["captured"] == 1}
    assert len(ids) == 100


async def test_a_free_route_hammered_is_limited_by_the_key(stores: Stores) -> None:
    prices = PRICES + "limits: { per_key: { requests: 10, per: minute } }\n"
    async with attacked(stores, prices) as target:
        async with target.charged(0, forwarded=10):
            replies = [await target.say(target.request(b"/free")) for _ in range(30)]
        assert [reply.status for reply in replies] == [200] * 10 + [429] * 20
        assert json.loads(replies[-1].body)["charged"] == 0
        assert {reply.value("farebox-balance") for reply in replies[:10]} == {"1000"}


async def test_slow_uploads_leave_connections_to_the_backend_for_others(stores: Stores) -> None:
    """Half of an upstream's connections may wait for clients; the others serve whole requests."""
    prices = PRICES.replace("timeout: 5s", "timeout: 5s, max_connections: 8")
    async with attacked(stores, prices) as target:
        upload = target.request(
            b"/costly", b"transfer-encoding: chunked", method=b"POST", body=b"1\r\nx\r\n"
        )
        async with target.charged(9, forwarded=13):
            slow = [await target.connect() for _ in range(12)]
            for at, (_, writer) in enumerate(slow):
                writer.write(upload)
                if at < 4:
                    await until(lambda at=at: len(target.echo.seen) == at + 1)
            for reader, _ in slow[4:]:
                reply = await read_reply(reader)
                await target.refused(reply, 503, "upstream-busy")
            for _ in range(5):
                assert (await target.say(target.request(b"/cheap"))).status == 200
            # A body that came with its head is whole: nobody is waited for.
            lines = (b"content-length: 1", b"x: y")
            for _ in range(4):
                reply = await target.say(
                    target.request(b"/cheap", *lines, method=b"POST", body=b"x")
                )
                assert reply.status == 200
            for reader, writer in slow[:4]:
                writer.write(b"zz\r\n")  # malformed: void
                assert (await read_reply(reader)).status == 400
            for _, writer in slow:
                writer.transport.abort()


async def test_a_body_that_stops_after_its_answer_gets_no_second_one(stores: Stores) -> None:
    """A 408 behind the answer would be taken for the answer to the client's next request."""
    quick = limited(body_ms=300, sweep_ms=20)
    async with attacked(stores, http=quick) as target, target.unharmed():
        reader, writer = await target.connect()
        writer.write(target.request(b"/none", b"content-length: 9", method=b"POST", body=b"x"))
        await target.refused(await read_reply(reader), 404, "no-route")
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.transport.abort()
