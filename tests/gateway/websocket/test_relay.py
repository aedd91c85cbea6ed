"""What passes between the two ends of a WebSocket, at which pace, and how it ends."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from gateway.websocket import WebSocketLimits
from gateway.websocket.relay import Relay
from ledger.charges import Charge
from tests.charging import Charging, Stores, charging, fresh_stores
from tests.gateway.serving import raw_client, until
from tests.gateway.websocket.conftest import PRICES
from tests.upstreams import Connection, Script, misbehaving_upstream, read_request
from tests.websockets import (
    BINARY,
    CLOSE,
    KEY,
    PING,
    PONG,
    TEXT,
    WsBackend,
    WsClient,
    connected,
    frame_bytes,
    ws_backend,
)

pytestmark = pytest.mark.anyio

IMPATIENT = WebSocketLimits(idle_ms=300, pong_ms=600, stall_ms=1_500, close_ms=300)
ACCEPT = b"Bz3qJYTGdOe8gUSpLosEdiLKDrk="  # belongs to KEY
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n"
AGREED = SWITCH + b"upgrade: websocket\r\nsec-websocket-accept: %b\r\n\r\n" % ACCEPT
FEW_BYTES = 1 << 20  # what two transports and one read may hold, with room to spare


@pytest.fixture(scope="module")
async def impatient(
    postgres_server: str, template_database: str, redis_url: str, backend: WsBackend
) -> AsyncIterator[Charging]:
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        charging(stores, PRICES, upstream=backend.url, websockets=IMPATIENT) as gateway,
    ):
        yield gateway


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


async def charge_of(gateway: Charging, client: WsClient) -> Charge:
    return await gateway.charge(client.headers["farebox-request-id"])


def only_relay() -> Relay:
    """The one connection that is open now."""
    [relay] = [one for one in gc.get_objects() if isinstance(one, Relay) and not one.ended]
    return relay


# The handshake


async def test_a_subprotocol_is_agreed_on_and_only_deflate_is_offered(
    gateway: Charging, backend: WsBackend
) -> None:
    customer = await gateway.customer()
    offers = {
        "sec-websocket-protocol": "chat.v1, chat.v2",
        "sec-websocket-extensions": "x-frames; a=1, permessage-deflate; client_max_window_bits",
        "cookie": "a=b; farebox_session=c",
        "origin": "https://page.example",
        **customer.headers,
    }
    async with connected(gateway.url, "/free?room=7", offers) as client:
        assert client.headers["sec-websocket-protocol"] == "chat.v2"
        assert client.headers["sec-websocket-extensions"].startswith("permessage-deflate")
        await client.close()
    seen = backend.heads[-1]
    assert seen["sec-websocket-extensions"] == "permessage-deflate; client_max_window_bits"
    assert (seen["cookie"], seen["origin"]) == ("a=b", "https://page.example")
    assert "authorization" not in seen
    assert seen["sec-websocket-key"] == KEY


async def test_what_is_sent_before_the_answer_is_not_lost(gateway: Charging) -> None:
    customer = await gateway.customer(credits=10)
    early = frame_bytes(TEXT, b"early")
    async with connected(gateway.url, "/live", customer.headers, early=early) as client:
        assert await client.message() == b"early"
        await client.close()


async def test_what_a_refused_handshake_is_followed_by_is_never_a_request(
    gateway: Charging, backend: WsBackend
) -> None:
    customer = await gateway.customer(credits=10)
    seen = len(backend.heads)
    smuggled = b"GET /plain HTTP/1.1\r\nhost: a\r\nx-api-key: %b\r\n\r\n" % customer.secret.encode()
    async with connected(gateway.url, "/no/404", customer.headers, early=smuggled) as client:
        assert client.status == 404
        assert await client.reader.read() == b""
    assert len(backend.heads) == seen + 1


@pytest.mark.parametrize(
    "answer",
    [
        SWITCH + b"upgrade: websocket\r\n\r\n",
        SWITCH + b"upgrade: websocket\r\nsec-websocket-accept: AAAA\r\n\r\n",
        SWITCH + b"upgrade: h2c\r\nsec-websocket-accept: %b\r\n\r\n" % ACCEPT,
        b"HTTP/1.1 101 Some\r\nsec-websocket-accept: %b\r\n\r\n" % ACCEPT,
        AGREED[:-2] + b"sec-websocket-extensions: x-frames\r\n\r\n",
        AGREED[:-2] + b"content-length: 5\r\n\r\nhello",
    ],
    ids=["no accept", "wrong accept", "another protocol", "no upgrade", "unoffered", "a body"],
)
async def test_a_handshake_that_is_none_is_502_and_costs_nothing(
    stores: Stores, answer: bytes
) -> None:
    async with (
        misbehaving_upstream([read_request(), answer]) as upstream,
        charging(stores, PRICES, upstream=upstream.url) as gateway,
    ):
        customer = await gateway.customer(credits=10)
        async with connected(gateway.url, "/live", customer.headers) as client:
            assert (client.status, b"upstream-invalid" in client.body) == (502, True)
        assert (await charge_of(gateway, client)).reason == "upstream-invalid"
        assert await gateway.available(customer) == 10


async def test_a_101_that_nobody_asked_for_is_502(stores: Stores) -> None:
    async with (
        misbehaving_upstream([read_request(), AGREED]) as upstream,
        charging(stores, PRICES, upstream=upstream.url) as gateway,
    ):
        customer = await gateway.customer(credits=10)
        answer = await gateway.get("/plain", customer)
        assert answer.status_code == 502
        assert (await gateway.charge(answer)).captured == 0
        assert b"upgrade" not in upstream.heads[0].lower()


async def test_other_upgrades_are_dropped_and_answered_as_http_1_1(stores: Stores) -> None:
    async with (
        misbehaving_upstream(
            [read_request(), b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]
        ) as up,
        charging(stores, PRICES, upstream=up.url) as gateway,
    ):
        customer = await gateway.customer(credits=10)
        async with raw_client(gateway.url) as client:
            await client.send(
                b"GET /plain HTTP/1.1\r\nhost: a\r\nx-api-key: %b\r\nconnection: upgrade, "
                b"http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n"
                % customer.secret.encode()
            )
            assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert b"http2-settings" not in up.heads[0].lower()
        assert b"upgrade" not in up.heads[0].lower()


# Frames of the upstream


def playing(*frames: bytes) -> Script:
    """A backend that says all in one piece with its handshake."""
    return [read_request(), AGREED + b"".join(frames)]


async def test_what_comes_with_the_101_is_not_lost(stores: Stores) -> None:
    hello = frame_bytes(TEXT, b"hello", mask=None)
    bye = frame_bytes(CLOSE, b"\x03\xe8", mask=None)
    async with (
        misbehaving_upstream(playing(hello, bye)) as upstream,
        charging(stores, PRICES, upstream=upstream.url) as gateway,
    ):
        customer = await gateway.customer(credits=10)
        async with connected(gateway.url, "/live", customer.headers) as client:
            assert await client.message() == b"hello"
            assert await client.closing() == (1000, "")
            await client.end()
        assert (await charge_of(gateway, client)).reason == "delivered"


async def test_a_backend_that_breaks_the_protocol_is_not_paid(stores: Stores) -> None:
    wrong, more = frame_bytes(TEXT, b"masked"), frame_bytes(TEXT, b"more", mask=None)
    async with (
        misbehaving_upstream(playing(wrong, more)) as upstream,
        charging(stores, PRICES, upstream=upstream.url, websockets=IMPATIENT) as gateway,
    ):
        customer = await gateway.customer(credits=10)
        async with connected(gateway.url, "/live", customer.headers) as client:
            # The frame passes, for the client to judge; what follows it does not.
            assert await client.reader.read() == wrong
        assert (await charge_of(gateway, client)).reason == "upstream-invalid"
        assert await gateway.available(customer) == 10


# Silence


async def test_a_silent_client_is_asked_and_its_answer_kept_back(
    impatient: Charging, backend: WsBackend
) -> None:
    customer = await impatient.customer(credits=10)
    async with connected(impatient.url, "/live", customer.headers) as client:
        for _ in range(2):
            ping = await client.frame()
            assert (ping.opcode, ping.payload[:7]) == (PING, b"farebox")
            await client.send(PONG, ping.payload)
        [connection] = backend.open
        await client.send(TEXT, b"still here")
        assert (await client.frame()).payload == b"still here"
        assert connection.protocol.close_rcvd is None
        await client.send(CLOSE, b"\x03\xe8")
        assert await client.closing() == (1000, "")


async def test_a_client_that_does_not_answer_is_gone(impatient: Charging) -> None:
    customer = await impatient.customer(credits=10)
    async with connected(impatient.url, "/live", customer.headers) as client:
        assert await client.closing() == (None, "")
    charge = await charge_of(impatient, client)
    assert (charge.reason, charge.captured) == ("client-gone", 1)


async def test_a_backend_that_does_not_answer_is_not_paid(stores: Stores) -> None:
    async with (
        misbehaving_upstream(playing()) as upstream,
        charging(stores, PRICES, upstream=upstream.url, websockets=IMPATIENT) as gateway,
    ):
        customer = await gateway.customer(credits=10)
        async with connected(gateway.url, "/live", customer.headers) as client:

            async def alive() -> None:
                while True:
                    await client.send(PONG)
                    await asyncio.sleep(0.05)

            living = asyncio.create_task(alive())
            assert await client.closing() == (None, "")
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
        charge = await charge_of(gateway, client)
        assert (charge.reason, charge.captured) == ("upstream-timeout", 0)


# Pace


async def test_a_slow_client_holds_up_the_backend_and_loses_nothing(gateway: Charging) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/flood", customer.headers) as client:
        relay = only_relay()
        await until(lambda: relay.client.full)
        assert not relay.upstream.reading
        assert relay.client.unsent_bytes < FEW_BYTES
        for number in range(2_000):
            message = await client.message()
            assert (len(message), message[:4]) == (16_384, number.to_bytes(4, "big"))
        await client.close()


async def never(_connection: Connection) -> None:
    """Read nothing more."""
    await asyncio.Event().wait()


async def test_a_slow_backend_holds_up_the_client(stores: Stores) -> None:
    async with (
        misbehaving_upstream([read_request(), AGREED, never]) as upstream,
        charging(stores, PRICES, upstream=upstream.url) as gateway,
    ):
        del upstream
        customer = await gateway.customer(credits=10)
        async with connected(gateway.url, "/flat", customer.headers) as client:
            relay = only_relay()
            frame = frame_bytes(BINARY, bytes(1 << 20))

            async def flood() -> None:
                while True:
                    await client.raw(frame)

            flooding = asyncio.create_task(flood())
            await until(lambda: relay.upstream.full and not relay.client.reading)
            assert relay.upstream.unsent_bytes < FEW_BYTES
            flooding.cancel()
            await asyncio.gather(flooding, return_exceptions=True)


async def test_a_client_that_takes_nothing_is_cut_off(impatient: Charging) -> None:
    customer = await impatient.customer(credits=10)
    async with connected(impatient.url, "/flood", customer.headers) as client:
        relay = only_relay()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: relay.ended)
    assert (await charge_of(impatient, client)).reason == "client-gone"


# The end


async def test_a_stopping_server_says_so_and_the_slice_is_charged(stores: Stores) -> None:
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(ws_backend())
        async with charging(stores, PRICES, upstream=backend.url) as gateway:
            customer = await gateway.customer(credits=10)
            client = await stack.enter_async_context(
                connected(gateway.url, "/live", customer.headers)
            )
            await client.send(TEXT, b"hello")
            assert await client.message() == b"hello"
            leaving = asyncio.create_task(goes(client))
        assert await leaving == (1012, "the server is restarting")
        await until(lambda: backend.closes == [1001])
        async with charging(stores, PRICES, upstream=backend.url) as again:
            charge = await charge_of(again, client)
            assert (charge.reason, charge.captured) == ("delivered", 1)


async def goes(client: WsClient) -> tuple[int | None, str]:
    """Wait for a Close and answer it."""
    said = await client.closing()
    await client.end()
    return said


async def test_many_that_vanish_leave_no_hold_and_no_connection(
    gateway: Charging, backend: WsBackend
) -> None:
    customer = await gateway.customer(credits=1_000)

    async def one(number: int) -> None:
        async with connected(gateway.url, "/live", customer.headers) as client:
            for _ in range(number % 3):
                await client.send(TEXT, b"x" * number)
            if number % 2:
                client.vanish()
            else:
                await client.close()

    await asyncio.gather(*(one(number) for number in range(60)))
    await gateway.quiet()
    await gateway.settled()
    await until(lambda: not backend.open)
    assert gateway.ledger.holds._open == {}
    assert await gateway.available(customer) == 1_000 - 60


async def test_a_client_of_the_library_notices_nothing(gateway: Charging) -> None:
    customer = await gateway.customer(credits=10)
    async with connect(
        gateway.url.replace("http", "ws") + "/live",
        additional_headers=customer.headers,
        subprotocols=[Subprotocol("chat.v2")],
        compression="deflate",
        max_size=None,
        proxy=None,
    ) as client:
        assert client.subprotocol == "chat.v2"
        for size in (0, 10, 100_000, 1 << 20):
            await client.send("ä" * size)
            assert await client.recv() == "ä" * size
        await (await client.ping())  # the pong came; how long it took is the machine's affair
        await client.close(4000, "done")
    assert (client.close_code, client.close_reason) == (4000, "done")
