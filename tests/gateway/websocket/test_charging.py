"""What a WebSocket costs: each slice of it a charge of its own, held before the last is captured."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.stores import EmbeddedRedis
from gateway.websocket import WebSocketLimits
from ledger.books import ChargeState
from ledger.charges import Charge
from tests.charging import WINDOW, Charging, Customer, Stores, charging, fresh_stores
from tests.gateway.serving import until
from tests.gateway.websocket.conftest import PRICES
from tests.websockets import (
    BINARY,
    CLOSE,
    TEXT,
    WsBackend,
    WsClient,
    connected,
    frame_bytes,
    ws_backend,
)

pytestmark = pytest.mark.anyio

SHORT = WebSocketLimits(slice_ms=900, lead_ms=600, retry_ms=20, close_ms=1_000)


@pytest.fixture(scope="module")
async def quick(
    postgres_server: str, template_database: str, redis_url: str, backend: WsBackend
) -> AsyncIterator[Charging]:
    """A gateway whose slices last 0.9 s; each is priced as of 60 s, and costs by its time."""
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        charging(stores, PRICES, upstream=backend.url, websockets=SHORT) as gateway,
    ):
        yield gateway


async def charges_of(gateway: Charging, customer: Customer) -> list[Charge]:
    """All charges of a customer, oldest first, once everything is settled and posted."""
    await gateway.quiet()
    await gateway.settled()
    async with gateway.ledger.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT id FROM charges WHERE account_id = $1 ORDER BY id", customer.account
        )
    return [await gateway.charge(row["id"].hex()) for row in rows]


def told(charges: list[Charge]) -> list[tuple[Any, ...]]:
    return [(one.state.name, one.captured, one.reason, one.measured) for one in charges]


async def echo(client: WsClient, text: bytes = b"hello") -> None:
    await client.send(TEXT, text)
    assert await client.message() == text


# One slice


async def test_a_short_connection_is_one_charge_by_its_time(
    gateway: Charging, backend: WsBackend
) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/live?room=7", customer.headers) as client:
        assert client.status == 101
        assert client.headers["farebox-balance"] == "8"
        await echo(client)
        assert await client.close() == (1000, "")
    charge = await gateway.charge(client.headers["farebox-request-id"])
    assert (charge.state, charge.captured, charge.held) == (ChargeState.CAPTURED, 1, 2)
    assert (charge.reason, charge.status, charge.record) == ("delivered", 101, {"room": "7"})
    assert await gateway.available(customer) == 9
    head = backend.heads[-1]
    assert head["farebox-request-id"] == client.headers["farebox-request-id"]
    assert customer.secret not in str(head)


async def test_the_log_says_how_many_bytes_a_connection_was_sent(gateway: Charging) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/flat", customer.headers) as client:
        await echo(client, b"x" * 100)
        assert await client.close() == (1000, "")
    await gateway.quiet()

    name = client.headers["farebox-request-id"]
    [line] = [line for line in await gateway.logged() if line["id"] == name]
    # A frame of 100 bytes has a head of two; the Close is two and its code.
    assert (line["status"], line["sent_bytes"]) == (101, 102 + 4)


@pytest.mark.parametrize(("path", "cost"), [("/once", 5), ("/flat", 3)])
async def test_a_connection_has_a_price_of_its_own(gateway: Charging, path: str, cost: int) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, path, customer.headers) as client:
        await echo(client)
        await client.close()
    assert [one.captured for one in await charges_of(gateway, customer)] == [cost]


async def test_a_handshake_that_the_backend_refuses_is_its_own_and_costs_nothing(
    gateway: Charging,
) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/no/403", customer.headers) as client:
        assert (client.status, client.body) == (403, b"not today")
        assert client.headers["farebox-cost"] == "0"
    assert told(await charges_of(gateway, customer)) == [("VOID", 0, "status", None)]
    assert await gateway.available(customer) == 10


async def test_a_backend_that_is_not_there_costs_nothing(gateway: Charging) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/gone", customer.headers) as client:
        assert client.status == 502
    assert told(await charges_of(gateway, customer)) == [("VOID", 0, "upstream-refused", None)]


async def test_without_credits_there_is_no_handshake(gateway: Charging, backend: WsBackend) -> None:
    customer = await gateway.customer(credits=1)
    seen = len(backend.heads)
    async with connected(gateway.url, "/live", customer.headers) as client:
        assert client.status == 402
        assert b"insufficient-credits" in client.body
    assert len(backend.heads) == seen


@pytest.mark.parametrize(
    ("path", "more", "status", "name"),
    [
        ("/live", {}, 401, b"key-missing"),
        ("/live", {"x-api-key": "fbx_" + "0" * 49}, 401, b"key-invalid"),
        ("/live", {"upgrade": ""}, 426, b"upgrade-required"),
        ("/live", {"upgrade": "h2c"}, 426, b"upgrade-required"),
        ("/plain", {}, 400, b"upgrade-refused"),
    ],
)
async def test_a_handshake_is_refused_as_any_request(
    gateway: Charging, path: str, more: dict[str, str], status: int, name: bytes
) -> None:
    async with connected(gateway.url, path, more) as client:
        assert (client.status, name in client.body) == (status, True)


async def test_a_connection_has_no_idempotency_key(gateway: Charging) -> None:
    """It is a chain of charges, and cannot be repeated."""
    customer = await gateway.customer(credits=100)
    headers = {**customer.headers, "idempotency-key": "a"}
    async with connected(gateway.url, "/live", headers) as client:
        assert (client.status, b"idempotency-key-invalid" in client.body) == (400, True)
    assert await charges_of(gateway, customer) == []


async def test_a_free_connection_is_not_charged_and_a_public_one_needs_no_key(
    gateway: Charging,
) -> None:
    customer = await gateway.customer()
    for path, headers in (("/free", customer.headers), ("/open", {})):
        async with connected(gateway.url, path, headers) as client:
            assert client.headers["farebox-cost"] == "0"
            await echo(client)
            await client.close()
    assert await charges_of(gateway, customer) == []


async def test_what_is_watched_is_counted_and_free(gateway: Charging) -> None:
    customer = await gateway.customer()
    async with connected(gateway.url, "/seen", customer.headers) as client:
        for _ in range(3):
            await echo(client)
        await client.close()
    assert told(await charges_of(gateway, customer)) == [("OBSERVED", 0, None, [3])]


async def test_a_client_that_vanishes_pays_for_the_time(gateway: Charging) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/live", customer.headers) as client:
        await echo(client)
        client.vanish()
    [charge] = await charges_of(gateway, customer)
    assert (charge.captured, charge.reason) == (1, "client-gone")


async def test_a_backend_that_dies_gives_the_slice_back(
    gateway: Charging, backend: WsBackend
) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/live", customer.headers) as client:
        await echo(client)
        backend.kill()
        assert await client.closing() == (None, "")
    assert [one[:3] for one in told(await charges_of(gateway, customer))] == [
        ("VOID", 0, "upstream-cut")
    ]


async def test_a_message_over_max_body_closes_with_1009(gateway: Charging) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/small", customer.headers) as client:
        await client.send(TEXT, b"a" * 101)
        assert await client.closing() == (1009, "the message is too large")


# The chain


async def test_a_long_connection_is_a_chain_of_charges(quick: Charging) -> None:
    customer = await quick.customer(credits=100)
    async with connected(quick.url, "/live", customer.headers) as client:
        await until(lambda: customer_holds(quick, customer) >= 4)
        await echo(client)
        await client.close()
    charges = await charges_of(quick, customer)
    first, *rest = charges
    used = [one for one in charges if one.reason != "unused"]
    assert len(used) >= 3
    assert {one.captured for one in used} == {1}
    # Every slice but the last lasts exactly as long as it may: no time is paid twice, none is free.
    assert {tuple(one.measured or ()) for one in used[:-1]} == {(900,)}
    assert first.note is None
    assert {one.note for one in rest} == {f"continues {first.id.hex()}"}
    assert await quick.available(customer) == 100 - len(used)


def open_holds(gateway: Charging, customer: Customer) -> list[bytes]:
    """The ids of this account's holds."""
    open_now = gateway.ledger.holds._open.values()
    return [held.id for held, order in open_now if order.account == customer.account]


def customer_holds(gateway: Charging, customer: Customer) -> int:
    """How many holds this account has had: each opens under a new id."""
    seen = _seen.setdefault(customer.account, set())
    seen.update(open_holds(gateway, customer))
    return len(seen)


_seen: dict[int, set[bytes]] = {}


async def test_the_next_slice_is_held_before_the_last_is_captured(quick: Charging) -> None:
    customer = await quick.customer(credits=100)
    async with connected(quick.url, "/live", customer.headers) as client:
        held = []

        def two_at_once() -> bool:
            held.append(len(open_holds(quick, customer)))
            return 2 in held and held[-1] == 1 and customer_holds(quick, customer) >= 2

        await until(two_at_once)
        assert 0 not in held  # at no moment is the connection unpaid
        await client.close()


async def test_when_the_credits_are_used_up_it_is_closed_with_1008(quick: Charging) -> None:
    customer = await quick.customer(credits=4)
    async with connected(quick.url, "/live", customer.headers) as client:
        await echo(client)
        assert await client.closing() == (1008, "insufficient-credits")
        await client.end()
    charges = await charges_of(quick, customer)
    # Two were held ahead, twice; each slice took one. With a hold of 2 beside them there is 1 left.
    assert [one[:3] for one in told(charges)] == [("CAPTURED", 1, "delivered")] * 2
    assert await quick.available(customer) == 2


async def test_credits_that_come_in_time_keep_it_open(quick: Charging) -> None:
    customer = await quick.customer(credits=2)
    async with connected(quick.url, "/live", customer.headers) as client:
        await quick.give(customer, 50)
        await until(lambda: customer_holds(quick, customer) >= 3)
        await echo(client)
        assert await client.close() == (1000, "")


async def test_a_key_that_is_revoked_ends_it_with_its_slice(quick: Charging) -> None:
    customer = await quick.customer(credits=100)
    async with connected(quick.url, "/once", customer.headers) as client:
        await quick.revoke(customer)
        assert await client.closing() == (1008, "key-invalid")
    assert [one.captured for one in await charges_of(quick, customer)] == [5]


async def test_a_connection_counts_once_however_long(quick: Charging) -> None:
    customer = await quick.customer(credits=5)
    async with connected(quick.url, "/once", customer.headers) as client:
        await until(lambda: not open_holds(quick, customer))  # the first slice is over and paid
        await echo(client)
        assert await client.close() == (1000, "")
    assert [one.captured for one in await charges_of(quick, customer)] == [5]


async def test_a_flat_price_is_due_for_each_slice(quick: Charging) -> None:
    customer = await quick.customer(credits=8)
    async with connected(quick.url, "/flat", customer.headers) as client:
        assert await client.closing() == (1008, "insufficient-credits")
    assert {one[:3] for one in told(await charges_of(quick, customer))} == {
        ("CAPTURED", 3, "delivered")
    }
    assert await quick.available(customer) == 2


# Messages


async def test_messages_roll_to_the_next_hold_and_none_is_free(
    gateway: Charging, backend: WsBackend
) -> None:
    customer = await gateway.customer(credits=100)
    async with connected(gateway.url, "/chat", customer.headers) as client:
        for number in range(35):
            await echo(client, b"%d" % number)
        await client.close()
    charges = [one for one in await charges_of(gateway, customer) if one.reason != "unused"]
    assert [one.captured for one in charges] == [10, 10, 10, 5]
    assert [one.measured for one in charges] == [[10], [10], [10], [5]]
    assert await gateway.available(customer) == 65


async def test_a_message_nobody_can_pay_never_reaches_the_backend(
    gateway: Charging, backend: WsBackend
) -> None:
    customer = await gateway.customer(credits=25)
    before = backend.messages["/deaf"]
    async with connected(gateway.url, "/deaf", customer.headers) as client:
        for _ in range(40):
            await client.send(TEXT, b"x")
        assert await client.closing() == (1008, "insufficient-credits")
        await client.end()
    assert backend.messages["/deaf"] - before == 20  # two holds of ten; 5 cannot cover a third
    assert sum(one.captured for one in await charges_of(gateway, customer)) == 20
    assert await gateway.available(customer) == 5


async def test_a_burst_in_one_piece_is_counted_to_the_message(
    gateway: Charging, backend: WsBackend
) -> None:
    customer = await gateway.customer(credits=1_000)
    before = backend.messages["/deaf"]
    async with connected(gateway.url, "/deaf", customer.headers) as client:
        await client.raw(frame_bytes(TEXT, b"x") * 503 + frame_bytes(CLOSE, b"\x03\xe8"))
        assert await client.closing() == (1000, "")
    assert backend.messages["/deaf"] - before == 503
    charges = await charges_of(gateway, customer)
    assert sum(one.captured for one in charges) == 503
    assert max(one.captured for one in charges) == 10
    assert await gateway.available(customer) == 497


async def test_of_many_frames_each_is_paid_once(gateway: Charging, backend: WsBackend) -> None:
    """FAREBOX_FRAMES says how many."""
    frames = int(os.environ.get("FAREBOX_FRAMES", "20000"))
    customer = await gateway.customer(credits=WINDOW)
    before = backend.messages["/stream"]
    async with connected(gateway.url, "/stream", customer.headers) as client:
        piece = frame_bytes(TEXT, b"x" * 20) * 1_000
        for _ in range(frames // 1_000):
            await client.raw(piece)
        await client.send(CLOSE, b"\x03\xe8")
        async with asyncio.timeout(60 + frames / 1_000):
            await client.reader.read()
    assert backend.messages["/stream"] - before == frames
    charges = await charges_of(gateway, customer)
    assert sum(one.captured for one in charges) == frames
    assert {one.uncollected for one in charges} == {0}
    assert await gateway.available(customer) == WINDOW - frames
    print(f"{frames} messages in {len(charges)} charges, each paid once")


async def test_bytes_of_the_backend_roll_too(gateway: Charging) -> None:
    customer = await gateway.customer(credits=100)
    async with connected(gateway.url, "/bytes", customer.headers) as client:
        for _ in range(25):
            await echo(client, b"x" * 1_000)
        await client.close()
    charges = [one for one in await charges_of(gateway, customer) if one.reason != "unused"]
    assert sum(one.captured + (one.uncollected or 0) for one in charges) == 25
    assert sum(one.uncollected or 0 for one in charges) <= len(charges)  # at most a message each
    assert len(charges) >= 2


async def test_a_huge_frame_is_cut_where_nobody_pays_for_the_rest(gateway: Charging) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/bytes", customer.headers) as client:
        await client.send(BINARY, bytes(8 << 20))
        assert await client.closing() == (None, "")
    [charge] = await charges_of(gateway, customer)
    assert (charge.captured, charge.reason) == (10, "uncollected")
    assert (charge.uncollected or 0) < 2_000  # kilobytes: what was under way, not the whole frame


async def test_a_frame_under_way_ends_before_the_close(gateway: Charging) -> None:
    customer = await gateway.customer(credits=10)
    async with connected(gateway.url, "/bytes", customer.headers) as client:
        await client.send(BINARY, bytes(100_000))
        assert len(await client.message()) == 100_000
        assert await client.closing() == (1008, "insufficient-credits")


async def test_time_and_messages_share_a_hold(gateway: Charging) -> None:
    """At 20 a second and a hold of 10, a slice lasts half a second, or less with messages."""
    customer = await gateway.customer(credits=200)
    async with connected(gateway.url, "/mixed", customer.headers) as client:
        await echo(client)
        await until(lambda: customer_holds(gateway, customer) >= 3)
        await client.close()
    charges = [one for one in await charges_of(gateway, customer) if one.reason != "unused"]
    assert {one.uncollected for one in charges} == {0}
    assert max(one.captured for one in charges) <= 10


# What dies


async def test_while_redis_is_gone_it_goes_on_for_the_slice_and_is_closed_with_1013(
    database_url: str, namespace: str, folder: Any
) -> None:
    redis = EmbeddedRedis(folder)
    redis.start()
    try:
        stores = Stores(database_url, redis.url, namespace)
        limits = WebSocketLimits(slice_ms=3_000, lead_ms=1_500, retry_ms=50)
        async with (
            ws_backend() as backend,
            charging(stores, PRICES, upstream=backend.url, websockets=limits) as gateway,
        ):
            customer = await gateway.customer(credits=100)
            async with connected(gateway.url, "/live", customer.headers) as client:
                redis.kill()
                await echo(client, b"still paid for")
                assert await client.closing() == (1013, "ledger-unavailable")
            redis.start()
            charges = await charges_of(gateway, customer)
            assert sum(one.captured for one in charges) == 1
            assert {one.state.name for one in charges} <= {"CAPTURED", "VOID"}
    finally:
        redis.stop()
