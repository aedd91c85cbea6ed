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
import redis.asyncio

from ledger import api_keys, grants, key_caps
from ledger.books import ChargeState
from ledger.controls import Grant
from ledger.hold_order import HoldOrder
from ledger.key_caps import Cap
from ledger.limits import Per
from ledger.reasons import Reason
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


# What lasts: quotas, allowances, caps.


async def test_of_many_calls_at_once_exactly_ten_pass_a_quota_and_failures_give_it_back(
    stores: Stores,
) -> None:
    file = "per_account: { quota: { requests: 10, per: month } }"
    async with two_gateways(stores, file=file) as gateways:
        callers = await keys_of_one(gateways[0], 4)
        for _ in range(2):
            answers = await all_at_once(gateways, callers, "/fail", 2 * MOST)
            passed = limited(answers, "account-quota-month")
            assert {answer.status_code for answer in passed} == {500}
            assert len(passed) >= MOST  # one that has failed makes room for the next
            await at_rest(gateways)
        before = reached(gateways)
        answers = await all_at_once(gateways, callers, "/ok")

        passed = limited(answers, "account-quota-month")
        assert [answer.status_code for answer in passed] == [200] * MOST
        assert reached(gateways) == before + MOST
        await at_rest(gateways)
        assert await used(gateways[0]) == {("a", "Q"): MOST}
        tell(Proof("T6", f"a quota of {MOST}: exactly so many", operations=CALLS))


async def test_of_many_calls_at_once_exactly_ten_are_free(stores: Stores) -> None:
    """Then they cost credits, to the last unit; what failed was not free, and makes room."""
    file = "per_account: { free: { requests: 10, per: month } }"
    async with two_gateways(stores, file=file) as gateways:
        callers = await keys_of_one(gateways[0], 4)
        await all_at_once(gateways, callers, "/reset", MOST)
        await at_rest(gateways)
        answers = await all_at_once(gateways, callers, "/ok")

        assert {answer.status_code for answer in answers} == {200}
        costs = Counter(answer.headers["farebox-cost"] for answer in answers)
        assert costs == {"0": MOST, str(PRICE): CALLS - MOST}
        await at_rest(gateways)
        assert await gateways[0].available(callers[0]) == CREDITS - PRICE * (CALLS - MOST)
        assert await used(gateways[0]) == {("a", "A"): MOST}
        free = next(answer for answer in answers if answer.headers["farebox-cost"] == "0")
        charge = await gateways[0].charge(free)
        assert (charge.state, charge.held, charge.captured) == (ChargeState.CAPTURED, 0, 0)
        assert charge.note == "free allowance"
        tell(Proof("T6", f"an allowance of {MOST}: exactly so many", operations=CALLS))


@pytest.mark.parametrize("per", ["day", "month", "total"])
async def test_of_many_calls_at_once_exactly_ten_fit_into_a_cap(stores: Stores, per: Per) -> None:
    """Row 40: of one key among several of its account; cap and balance are both exact."""
    async with two_gateways(stores) as gateways:
        capped, *others = await keys_of_one(gateways[0], 3)
        await cap(gateways[0], capped, Cap(1, per, MOST * PRICE + PRICE - 1))
        await all_at_once(gateways, [capped], "/fail", 2 * MOST)
        await at_rest(gateways)
        answers, _ = await asyncio.gather(
            all_at_once(gateways, [capped], "/ok"), all_at_once(gateways, others, "/ok")
        )

        passed = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert len(passed) == MOST
        for answer in refused:
            assert answer.status_code == (403 if per == "total" else 429)
            assert ("retry-after" in answer.headers) == (per != "total")
            assert answer.json()["type"].endswith("/key-cap")
            assert (answer.json()["per"], answer.json()["charged"]) == (per, 0)
        await at_rest(gateways)
        spent = PRICE * (MOST + CALLS)
        assert await gateways[0].available(capped) == CREDITS - spent
        assert (await used(gateways[0]))["k", "C"] == MOST * PRICE
        tell(Proof("T6", f"a cap for {MOST} by {per}: exactly so many", operations=CALLS))


TYPED = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 0 }, scraping: { scale: 0 } }
upstreams: { api: { url: "{api}", timeout: 20s, max_connections: 512 } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: { flat: 3, credit_type: credits } }
  - { path: /echo, methods: [GET], upstream: api, price: { flat: 3, credit_type: calling } }
  - { path: /sse, methods: [GET], upstream: api, price: { flat: 3, credit_type: scraping } }
limits:
  per_account:
    - { credit_type: credits, requests: 10, per: day }
    - { credit_type: calling, quota: { requests: 10, per: month } }
"""


async def test_of_many_calls_at_once_exactly_ten_pass_the_limit_of_each_credit_type(
    stores: Stores,
) -> None:
    """A rate for one type, a quota for another, and none for the third."""
    async with charging(stores, TYPED) as one, charging(stores, TYPED) as two:
        gateways, paths = (one, two), ("/ok", "/echo", "/sse")
        owner = await one.customer(credits=CREDITS)
        async with one.ledger.database.connection() as connection:
            for name in ("calling", "scraping"):
                grant = Grant(one.type_numbers[name], CREDITS)
                await grants.give(connection, owner.account, grant, actor="test")
        assert await one.ledger.pusher.push(owner.account) == "applied"
        answers = await asyncio.gather(
            *(all_at_once(gateways, [owner], path, CALLS // 2) for path in paths)
        )

        passed = [[one for one in some if one.status_code == 200] for some in answers]
        assert [len(some) for some in passed] == [MOST, MOST, CALLS // 2]
        named = [{a.json()["limit"] for a in some if a.status_code == 429} for some in answers]
        assert named == [{"account-day credits"}, {"account-quota-month calling"}, set()]
        assert [len(some) for some in answers] == [CALLS // 2] * 3
        tell(Proof("T6", f"limits of {MOST} by credit type: exactly so many", operations=CALLS))


async def test_what_lasts_comes_back_when_redis_has_lost_everything(stores: Stores) -> None:
    """Quota, allowance and cap go on where they stood; a rate begins anew."""
    file = (
        "per_account: [{ requests: 8, per: day }, { quota: { requests: 10, per: month } },"
        " { free: { requests: 2, per: month } }]"
    )
    async with two_gateways(stores, file=file) as gateways:
        keys = await keys_of_one(gateways[0], 2)
        await cap(gateways[0], keys[0], Cap(1, "month", 4 * PRICE))
        first = [await gateways[n % 2].get("/ok", keys[0]) for n in range(7)]
        assert [answer.status_code for answer in first] == [200] * 6 + [429]
        assert "quota" not in first[-1].text
        await at_rest(gateways)
        await wipe(stores)

        async def again(key: Customer) -> httpx.Response:
            # Until the next epoch has begun.
            while (answer := await gateways[1].get("/ok", key)).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return answer

        async with asyncio.timeout(30):
            answers = [await again(keys[0]), *[await again(keys[1]) for _ in range(5)]]
        assert [answer.status_code for answer in answers] == [429, 200, 200, 200, 200, 429]
        assert answers[0].json()["type"].endswith("/key-cap")
        assert {answer.headers["farebox-cost"] for answer in answers[1:5]} == {str(PRICE)}
        assert answers[-1].json()["limit"] == "account-quota-month"


async def test_a_hold_that_was_open_when_redis_lost_everything_gives_back_what_it_used(
    stores: Stores,
) -> None:
    """A quota when the call fails, a cap what it did not spend."""
    file = "per_account: { quota: { requests: 10, per: month } }"
    async with two_gateways(stores, file=file) as gateways:
        gateway = gateways[0]
        [key] = await keys_of_one(gateway, 1)
        await cap(gateway, key, Cap(1, "month", 10 * PRICE))
        prices = gateway.app.prices.now
        order = HoldOrder(
            key.account, key.key, 1, PRICE, prices.version, 0, 60_000, 1,
            limits=prices.limits[0].block,
        )  # fmt: skip
        holds = [await gateway.ledger.holds.open(order) for _ in range(3)]
        await until_used(gateway, {("a", "Q"): 3, ("k", "C"): 3 * PRICE})
        await wipe(stores)
        holds[0].void(Reason.UPSTREAM_RESET)
        holds[1].capture(1, Reason.DELIVERED, 200)
        await until_used(gateway, {("a", "Q"): 2, ("k", "C"): PRICE + 1})
        holds[2].capture(PRICE, Reason.DELIVERED, 200)
        await gateway.settled()

        assert await used(gateway) == {("a", "Q"): 2, ("k", "C"): PRICE + 1}
        assert await gateway.available(key) == CREDITS - PRICE - 1
        async with gateway.ledger.database.connection() as connection:
            assert await connection.fetch("SELECT * FROM hold_uses") == []


@pytest.mark.parametrize(("per", "more"), [("day", 2), ("month", 2), ("total", 5)])
async def test_a_cap_counts_what_the_key_has_spent_in_its_day_or_month_before(
    stores: Stores, per: Per, more: int
) -> None:
    """Also after it was lifted and set anew, and when Redis has lost everything."""
    async with two_gateways(stores) as gateways:
        key, other = await keys_of_one(gateways[0], 2)
        for caller in (key, key, key, other):
            assert (await gateways[0].get("/ok", caller)).status_code == 200
        await gateways[0].get("/fail", key)
        await at_rest(gateways)
        await cap(gateways[0], key, Cap(1, per, 5 * PRICE))
        await at_rest(gateways)
        stands = {("k", "C"): 3 * PRICE} if more == 2 else {}
        assert await used(gateways[0]) == stands
        answers = await all_at_once(gateways, [key], "/ok", 12)
        assert Counter(answer.status_code for answer in answers)[200] == more
        await at_rest(gateways)

        async with gateways[0].ledger.database.connection() as connection:
            await key_caps.put(connection, key.key, [], actor="test")
        await cap(gateways[0], key, Cap(1, per, 5 * PRICE))
        assert "key-cap" in (await gateways[1].get("/ok", key)).text
        await at_rest(gateways)
        assert await gateways[0].ledger.reconcile() == []
        await wipe(stores)
        async with asyncio.timeout(30):
            while (answer := await gateways[0].get("/ok", key)).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert "key-cap" in answer.text


async def until_used(gateway: Charging, wanted: dict[tuple[str, str], int]) -> None:
    async with asyncio.timeout(30):
        while await used(gateway) != wanted:  # noqa: ASYNC110 - a row of Postgres tells nobody
            await asyncio.sleep(0.02)


async def at_rest(gateways: tuple[Charging, Charging]) -> None:
    for gateway in gateways:
        await gateway.settled()


async def used(gateway: Charging) -> dict[tuple[str, str], int]:
    """What Postgres has of it: by whose, and the kind of limit."""
    async with gateway.ledger.database.connection() as connection:
        rows = await connection.fetch("SELECT whose, limit_id, used FROM limit_uses")
    return {(row["whose"], chr(row["limit_id"][0])): row["used"] for row in rows}


async def cap(gateway: Charging, key: Customer, wanted: Cap) -> None:
    async with gateway.ledger.database.connection() as connection:
        await key_caps.put(connection, key.key, [wanted], actor="test")
    assert await gateway.ledger.pusher.push(key.account) == "applied"


async def wipe(stores: Stores) -> None:
    """Redis forgets all that this test keeps in it."""
    client = redis.asyncio.from_url(stores.redis_url)
    keys = [key async for key in client.scan_iter(f"{stores.namespace}:*", count=1_000)]
    await client.delete(*keys)
    await client.aclose()
