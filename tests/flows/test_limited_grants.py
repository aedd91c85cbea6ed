"""Credits that are limited to some routes, over real sockets: used there first, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis.asyncio

from ledger import charges, controls, grants, verify
from ledger.books import ChargeState
from ledger.controls import Clawback, Grant
from tests.charging import Charging, Customer, Stores, charging
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "{api}", timeout: 2s } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 1, name: plain }
  - { path: /search, methods: [GET], upstream: api, price: 2, name: search }
  - { path: /fail, methods: [GET], upstream: api, price: 2, name: failing }
  - { path: /hang, methods: [GET], upstream: api, price: 2, name: hanging }
  - { path: /free, methods: [GET], upstream: api, price: 0, name: free }
"""


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


@pytest.fixture
async def gateway(stores: Stores) -> AsyncIterator[Charging]:
    async with charging(stores, PRICES) as running:
        yield running
        await running.settled()
        await sound(running)


async def sound(gateway: Charging) -> None:
    """The books add up, and both stores say the same."""
    async with gateway.ledger.database.connection() as connection:
        assert await verify.verify(connection) == []
    assert await gateway.ledger.reconcile() == []


async def give(
    gateway: Charging, customer: Customer, amount: int, *routes: str, **more: Any
) -> int:
    async with gateway.ledger.database.connection() as connection:
        grant = Grant(gateway.type_numbers["credits"], amount, routes=routes, **more)
        added = await grants.give(connection, customer.account, grant, actor="test")
    assert await gateway.ledger.pusher.push(customer.account) == "applied"
    return added.object_id


async def left(gateway: Charging, *lots: int) -> list[int]:
    """What Postgres has in these lots once all is posted."""
    await gateway.settled()
    async with gateway.ledger.database.connection() as connection:
        return [(await grants.get(connection, lot)).remaining for lot in lots]


async def call(gateway: Charging, path: str, customer: Customer) -> tuple[int, int]:
    """Status, and the balance that the answer names: the field, or the problem's."""
    answer = await gateway.get(path, customer)
    if answer.status_code == 402:
        return 402, answer.json()["balance"]
    return answer.status_code, int(answer.headers["farebox-balance"])


async def wipe(stores: Stores) -> None:
    """Redis forgets all that this test keeps in it."""
    client = redis.asyncio.from_url(stores.redis_url)
    keys = [key async for key in client.scan_iter(f"{stores.namespace}:*", count=1_000)]
    await client.delete(*keys)
    await client.aclose()


async def test_limited_credits_are_used_first_and_on_their_route_alone(gateway: Charging) -> None:
    customer = await gateway.customer()
    everywhere = await give(gateway, customer, 3)
    limited = await give(gateway, customer, 5, "search")

    on_search = [await call(gateway, "/search", customer) for _ in range(2)]
    assert await left(gateway, limited, everywhere) == [1, 3]
    elsewhere = [await call(gateway, "/ok", customer) for _ in range(4)]
    again = await call(gateway, "/search", customer)

    assert on_search == [(200, 6), (200, 4)]
    assert elsewhere == [(200, 2), (200, 1), (200, 0), (402, 0)]
    assert again == (402, 1)
    assert await left(gateway, limited, everywhere) == [1, 0]


async def test_a_call_may_take_from_a_limited_lot_and_another(gateway: Charging) -> None:
    customer = await gateway.customer()
    limited, everywhere = (
        await give(gateway, customer, 1, "search"),
        await give(gateway, customer, 5),
    )
    assert await call(gateway, "/search", customer) == (200, 4)
    assert await left(gateway, limited, everywhere) == [0, 4]


async def test_a_free_call_is_told_what_its_route_may_use(gateway: Charging) -> None:
    customer = await gateway.customer()
    await give(gateway, customer, 3)
    await give(gateway, customer, 5, "search")
    await give(gateway, customer, 7, "free", "plain")
    assert await call(gateway, "/free", customer) == (200, 10)


async def test_what_burns_sooner_burns_first_limited_or_not(gateway: Charging) -> None:
    customer = await gateway.customer()
    later = datetime.now(UTC) + timedelta(days=2)
    limited = await give(gateway, customer, 2, "search", "plain", expires_at=later)
    sooner = await give(gateway, customer, 2, expires_at=later - timedelta(days=1))
    urgent = await give(gateway, customer, 2, priority=50)

    seen = []
    for _ in range(3):
        assert (await call(gateway, "/search", customer))[0] == 200
        seen.append(await left(gateway, urgent, sooner, limited))

    assert seen == [[0, 2, 2], [0, 0, 2], [0, 0, 0]]


async def test_a_failed_call_gives_back_to_the_lot_it_took_from(gateway: Charging) -> None:
    customer = await gateway.customer()
    everywhere, limited = (
        await give(gateway, customer, 3),
        await give(gateway, customer, 2, "failing"),
    )
    answer = await gateway.get("/fail", customer)

    assert (answer.status_code, answer.headers["farebox-cost"]) == (500, "0")
    assert await left(gateway, limited, everywhere) == [2, 3]


async def test_200_calls_at_once_use_up_what_their_routes_may_and_no_more(
    gateway: Charging,
) -> None:
    customer = await gateway.customer()
    await give(gateway, customer, 20)
    await give(gateway, customer, 40, "search")
    await give(gateway, customer, 10, "plain")

    answers = await asyncio.gather(
        *(call(gateway, path, customer) for path in ("/ok", "/search") * 100)
    )

    served = {
        path: sum(status == 200 for status, _ in answers[first::2])
        for first, path in enumerate(("/ok", "/search"))
    }
    assert served["/ok"] + 2 * served["/search"] == 70
    assert 10 <= served["/ok"] <= 30
    assert 20 <= served["/search"] <= 30


async def test_a_refund_is_limited_like_what_the_charge_took(gateway: Charging) -> None:
    customer = await gateway.customer()
    await give(gateway, customer, 3, "search")
    await give(gateway, customer, 1)
    first, second = [await gateway.charge(await gateway.get("/search", customer)) for _ in range(2)]

    routes = []
    for charge, amount in ((first, None), (second, 1), (second, 1)):
        async with gateway.ledger.database.connection() as connection:
            done = await charges.refund(
                connection, charge.id, amount=amount, reference=None, actor="test"
            )
            routes.append((await grants.get(connection, done.grant_id)).routes)
    assert await gateway.ledger.pusher.push(customer.account) == "applied"

    # Of the second charge one unit was limited; what was used last came back first.
    assert routes == [["search"], None, ["search"]]
    assert await call(gateway, "/ok", customer) == (200, 0)
    assert await call(gateway, "/search", customer) == (200, 1)


async def test_limited_credits_end_like_others(gateway: Charging) -> None:
    customer = await gateway.customer()
    soon = datetime.now(UTC) + timedelta(seconds=2)
    limited = await give(gateway, customer, 1_000, "search", expires_at=soon)
    assert (await call(gateway, "/search", customer))[0] == 200

    async def has_ended() -> bool:
        return await call(gateway, "/search", customer) == (402, 0)

    await until(has_ended)
    await give(gateway, customer, 1)
    assert await call(gateway, "/ok", customer) == (200, 0)
    assert await left(gateway, limited) == [0]


async def test_a_limited_grant_is_taken_back_from_its_lot_then_others_then_as_debt(
    gateway: Charging,
) -> None:
    customer = await gateway.customer()
    limited, other = await give(gateway, customer, 5, "search"), await give(gateway, customer, 4)
    assert await call(gateway, "/search", customer) == (200, 7)

    async def take_back(amount: int) -> None:
        async with gateway.ledger.database.connection() as connection:
            claim = Clawback(gateway.type_numbers["credits"], amount, grant_id=limited)
            await controls.add(connection, customer.account, claim, "test", None, "test")
        assert await gateway.ledger.pusher.push(customer.account) == "applied"

    await take_back(4)
    assert await left(gateway, limited, other) == [0, 3]
    await take_back(5)
    assert await call(gateway, "/ok", customer) == (402, -2)
    await give(gateway, customer, 3, "search")  # pays the debt first
    assert await call(gateway, "/search", customer) == (402, 1)
    assert await call(gateway, "/ok", customer) == (402, 0)


async def test_limits_outlive_a_loss_of_redis_also_of_what_is_held(
    gateway: Charging, stores: Stores
) -> None:
    """The lot is held to the last unit when Redis forgets it, and comes back as it was."""
    customer = await gateway.customer()
    limited = await give(gateway, customer, 2, "hanging")
    await give(gateway, customer, 1, "plain")
    under_way = asyncio.create_task(gateway.get("/hang", customer))

    async def is_held() -> bool:
        async with gateway.ledger.database.connection() as connection:
            return bool(
                await charges.find(
                    connection, account_id=customer.account, states=[ChargeState.OPEN]
                )
            )

    await until(is_held)
    await wipe(stores)
    assert (await under_way).status_code == 504

    assert await left(gateway, limited) == [2]
    assert await call(gateway, "/search", customer) == (402, 0)
    assert await call(gateway, "/ok", customer) == (200, 0)
    assert await call(gateway, "/free", customer) == (200, 0)
    under_way = asyncio.create_task(gateway.get("/hang", customer))
    await until(is_held)
    assert await call(gateway, "/hang", customer) == (402, 0)
    assert (await under_way).status_code == 504


async def test_32_limited_lots_keep_no_other_credits_waiting(gateway: Charging) -> None:
    customer = await gateway.customer()
    for _ in range(33):
        await give(gateway, customer, 1, "search")
    everywhere = await give(gateway, customer, 1)

    assert await call(gateway, "/ok", customer) == (200, 0)
    assert await left(gateway, everywhere) == [0]
    async with gateway.ledger.database.connection() as connection:
        states = [row.state for row in await grants.of_account(connection, customer.account)]
    assert states.count("queued") == 1
    assert await call(gateway, "/search", customer) == (200, 30)

    async def all_live() -> bool:
        async with gateway.ledger.database.connection() as connection:
            rows = await grants.of_account(connection, customer.account)
        return all(row.state not in {"queued", "pending"} for row in rows)

    await until(all_live)
    assert await call(gateway, "/search", customer) == (200, 29)


async def test_every_gateway_knows_a_new_limit_with_the_next_call(stores: Stores) -> None:
    """No call is refused, or takes other credits, because its gateway has not heard of it yet."""
    async with AsyncExitStack() as running:
        one = await running.enter_async_context(charging(stores, PRICES))
        other = await running.enter_async_context(charging(stores, PRICES))
        customer = await one.customer()
        everywhere = await give(one, customer, 2)
        for routes in (("search",), ("search", "plain"), ("search", "hanging")):
            lot = await give(one, customer, 2, *routes)
            assert await call(other, "/search", customer) == (200, 2)
            await other.settled()
            assert await left(one, lot, everywhere) == [0, 2]
        await sound(one)
