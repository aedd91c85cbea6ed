"""
A limit of ten lets exactly ten through, over two gateways, whoever asks at once.

FAREBOX_LIMITED_CALLS says how many calls are made at once (default 60, every change 500).
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from secrets import token_bytes

import httpx
import pytest

from ledger import api_keys
from tests.charging import Charging, Customer, Stores, charging
from tests.gateway.serving import until
from tests.proof import Proof, tell

pytestmark = pytest.mark.anyio

CALLS = int(os.environ.get("FAREBOX_LIMITED_CALLS", "60"))
MOST, PRICE, CREDITS = 10, 3, 100_000
PRICES = """
version: 1
upstreams: { api: { url: "{api}", timeout: 20s, max_connections: 512 } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 3 ROUTE }
  - { path: /hang, methods: [GET], upstream: api, price: 3 ROUTE }
  - { path: /fail, methods: [GET], upstream: api, price: 3 ROUTE }
  - { path: /reset, methods: [GET], upstream: api, price: 3 ROUTE }
limits: { FILE }
"""


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


@asynccontextmanager
async def two_gateways(
    stores: Stores, *, file: str = "", route: str = ""
) -> AsyncIterator[tuple[Charging, Charging]]:
    """Two gateways with one pair of stores and one price file, each with a backend of its own."""
    prices = PRICES.replace("FILE", file).replace("ROUTE", route)
    async with charging(stores, prices) as one, charging(stores, prices) as two:
        yield one, two


async def keys_of_one(gateway: Charging, count: int) -> list[Customer]:
    """An account with credits and several keys."""
    owner = await gateway.customer(credits=CREDITS)
    keys = [owner]
    async with gateway.ledger.database.connection() as connection:
        for _ in range(count - 1):
            made = await api_keys.create(
                connection, owner.account, actor="test", random_bytes=token_bytes
            )
            keys.append(replace(owner, key=made.key.id, secret=made.secret))
    assert await gateway.ledger.pusher.push(owner.account) == "applied"
    return keys


async def callers_of(gateway: Charging, count: int, name: str) -> list[Customer]:
    """Those who share the limit of this name: keys of one account, or accounts."""
    if name.startswith("everyone"):
        return [await gateway.customer(credits=CREDITS) for _ in range(count)]
    return await keys_of_one(gateway, count)


async def all_at_once(
    gateways: tuple[Charging, Charging], keys: list[Customer], path: str, calls: int = CALLS
) -> list[httpx.Response]:
    """Make the calls at once, in turn by each gateway and each key."""
    return await asyncio.gather(
        *(gateways[n % 2].get(path, keys[n // 2 % len(keys)]) for n in range(calls))
    )


def reached(gateways: tuple[Charging, Charging]) -> int:
    """How many requests came to a backend."""
    return sum(gateway.backend.served.total() for gateway in gateways)


def limited(answers: list[httpx.Response], name: str) -> list[httpx.Response]:
    """Check what those say that a limit refused; give the others."""
    refused = [answer for answer in answers if answer.status_code == 429]
    for answer in refused:
        assert answer.json()["limit"] == name
        assert answer.json()["charged"] == 0
        assert int(answer.headers["retry-after"]) >= 1
        assert f'"{name}";r=0' in answer.headers["ratelimit"]
        assert f'"{name}";q={MOST}' in answer.headers["ratelimit-policy"]
    return [answer for answer in answers if answer.status_code != 429]


@pytest.mark.parametrize(
    ("file", "route", "keys", "name"),
    [
        ("per_key: { requests: 10, per: day }", "", 1, "key-day"),
        ("per_account: { requests: 10, per: day }", "", 4, "account-day"),
        ("everyone: { requests: 10, per: day }", "", 4, "everyone-day"),
        (
            "per_key: { requests: 900, per: second }",
            ", limits: { per_account: { requests: 10, per: hour } }",
            4,
            "account-hour /ok",
        ),
        ("per_account: { requests: 500, per: day, burst: 10 }", "", 4, "account-day"),
    ],
)
async def test_of_many_calls_at_once_exactly_ten_pass_a_rate(
    stores: Stores, file: str, route: str, keys: int, name: str
) -> None:
    async with two_gateways(stores, file=file, route=route) as gateways:
        callers = await callers_of(gateways[0], keys, name)
        answers = await all_at_once(gateways, callers, "/ok")

        passed = limited(answers, name)
        assert [answer.status_code for answer in passed] == [200] * MOST
        left = sorted(answer.headers["ratelimit"].rsplit(";r=")[-1] for answer in passed)
        assert [int(one.partition(";")[0]) for one in left] == list(range(MOST))
        assert reached(gateways) == MOST
        for gateway in gateways:
            await gateway.settled()
        async with gateways[0].ledger.database.connection() as connection:
            posted = await connection.fetchval("SELECT sum(captured) FROM charges")
        assert posted == MOST * PRICE
        tell(
            Proof(
                "T6",
                f"a rate of {MOST} for {name.split(maxsplit=1)[0]}: exactly so many",
                operations=CALLS,
            )
        )


async def test_a_request_that_counts_as_several_uses_up_a_rate_sooner(stores: Stores) -> None:
    file, route = "per_account: { requests: 10, per: day }", ", weight: 3"
    async with two_gateways(stores, file=file, route=route) as gateways:
        callers = await keys_of_one(gateways[0], 3)
        answers = await all_at_once(gateways, callers, "/ok")

        passed = limited(answers, "account-day")
        assert [answer.status_code for answer in passed] == [200] * 3
        assert reached(gateways) == 3


@pytest.mark.parametrize(
    ("file", "route", "keys", "name"),
    [
        ("per_key: { in_flight: 10 }", "", 1, "key-in-flight"),
        ("per_account: { in_flight: 10 }", "", 4, "account-in-flight"),
        ("", ", limits: { everyone: { in_flight: 10 } }", 4, "everyone-in-flight /hang"),
    ],
)
async def test_of_many_calls_at_once_exactly_ten_are_in_flight(
    stores: Stores, file: str, route: str, keys: int, name: str
) -> None:
    """And when they have ended, so may the next ten: however they ended."""
    async with two_gateways(stores, file=file, route=route) as gateways:
        callers = await callers_of(gateways[0], keys, name)
        asking = asyncio.create_task(all_at_once(gateways, callers, "/hang"))
        await until(lambda: reached(gateways) == MOST)
        await until(lambda: sum(gateway.app.open_requests for gateway in gateways) == MOST)
        assert reached(gateways) == MOST
        for gateway in gateways:
            gateway.backend.gate.set()
        answers = await asking

        passed = limited(answers, name)
        assert Counter(answer.status_code for answer in passed) == {200: MOST}
        # Each is released with its settlement, which the client need not wait for.
        for gateway in gateways:
            await gateway.settled()
        for path in ("/fail", "/reset", "/ok"):
            answers = await all_at_once(gateways, callers, path, MOST)
            assert not [answer for answer in answers if answer.status_code == 429], path
            for gateway in gateways:
                await gateway.settled()
        tell(
            Proof(
                "T6",
                f"{MOST} in flight for {name.split(maxsplit=1)[0]}: exactly so many",
                operations=CALLS,
            )
        )
