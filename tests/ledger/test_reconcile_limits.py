"""What Redis counts of quotas, allowances and caps is what Postgres has; else it is a finding."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ledger import key_caps
from ledger.findings import Finding
from ledger.key_caps import Cap
from ledger.limits import (
    ALL_ROUTES,
    Limit,
    Tally,
    limits_block,
    pack_tallies,
    read_tallies,
    tally_field,
    window_id,
)
from ledger.lines import hold_line, settle_line
from ledger.reconcile import Stores, reconcile
from tests.ledger.parts import Customer, Parts, opened
from tests.ledger.test_loader import next_epoch

pytestmark = pytest.mark.anyio

QUOTA = window_id("Q", "month")
LIMITS = limits_block(
    [
        Limit("a", ALL_ROUTES, QUOTA, "Q", 1_000),
        Limit("k", b"road", window_id("A", "day"), "A", 3),
        Limit("e", ALL_ROUTES, window_id("Q", "day"), "Q", 1_000),
    ]
)


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


@pytest.fixture
async def customer(parts: Parts) -> Customer:
    """Someone with a cap who has called five times; one call failed, one is under way."""
    customer = await parts.customer(100)
    async with parts.database.connection() as connection:
        cap = Cap(customer.credit_type, "month", 50)
        await key_caps.put(connection, customer.key, [cap], actor="test")
    assert await parts.pusher.push(customer.account) == "applied"
    for captured in (7, 7, 7, 0):
        await called(customer, captured)
    await limited_hold(customer)
    await parts.post_all()
    return customer


async def limited_hold(customer: Customer) -> bytes:
    parts = customer.parts
    for _ in range(3):
        standing = await parts.shard.ready()
        hold = parts.ids.mint(standing.session)
        line = hold_line(
            hold,
            account=customer.account,
            key=customer.key,
            credit_type=customer.credit_type,
            ceiling=7,
            version=1,
            rule=0,
            deadline_ms=parts.clock.now_ms() + 60_000,
            limits=LIMITS,
        )
        answer = await parts.shard.hold(line)
        if answer.words[0] == b"NOACCOUNT":
            await parts.loader.load(customer.account)
        elif answer.words[0] in (b"HELD", b"FREE"):
            return hold
    raise AssertionError(answer)


async def called(customer: Customer, captured: int) -> None:
    hold = await limited_hold(customer)
    for units in (captured, 0):  # what an allowance paid has nothing to capture
        answer = await customer.parts.shard.settle(
            settle_line(hold, units, 1 if captured else 20, 200)
        )
        if answer.words[0] != b"TOOMUCH":
            break


async def found_in(parts: Parts) -> list[Finding]:
    link = await parts.reading.link()
    return await reconcile(Stores(parts.database, link, parts.keys, parts.clock))


async def change_quota(customer: Customer, by: int) -> None:
    parts = customer.parts
    link, key = await parts.reading.link(), parts.keys.balances((await parts.row()).epoch)
    field = tally_field("a", customer.account)
    tallies = read_tallies(await link.call("HGET", key, field))
    known = tallies[QUOTA]
    tallies[QUOTA] = Tally(QUOTA, "Q", known.window, known.value + by)
    await link.call("HSET", key, field, pack_tallies(tallies.values()))


async def test_nothing_is_found_when_they_agree(parts: Parts, customer: Customer) -> None:
    assert await found_in(parts) == []
    await next_epoch(parts)
    assert await found_in(parts) == []
    await parts.loader.load(customer.account)
    assert await found_in(parts) == []


@pytest.mark.parametrize(("by", "said"), [(1, "1 more"), (-2, "2 less")])
async def test_another_count_is_found_and_freezes_nobody(
    parts: Parts, customer: Customer, by: int, said: str
) -> None:
    await change_quota(customer, by)
    [finding] = await found_in(parts)
    assert (finding.check, finding.account_id) == ("limits_equal", None)
    assert f"quota (month) of account {customer.account}: Redis counts {said}" in finding.detail


@pytest.mark.parametrize("whose", ["a", "k"])
async def test_a_count_that_redis_has_lost_is_found(
    parts: Parts, customer: Customer, whose: str
) -> None:
    owner = customer.account if whose == "a" else customer.key
    field = tally_field(whose, owner)  # type: ignore[arg-type]
    await (await parts.reading.link()).call("HDEL", parts.keys.balances(1), field)
    [finding] = await found_in(parts)
    assert (finding.check, finding.account_id) == ("limits_equal", customer.account)


async def test_what_is_not_posted_yet_is_followed_and_one_too_much_is_found(
    parts: Parts, customer: Customer
) -> None:
    for captured in (7, 0, 7):
        await called(customer, captured)
    assert await found_in(parts) == []
    await change_quota(customer, 1)
    assert {finding.check for finding in await found_in(parts)} == {"limits_equal"}


async def test_nothing_is_found_while_everything_moves(parts: Parts, customer: Customer) -> None:
    stop = asyncio.Event()

    async def calls() -> None:
        while not stop.is_set():
            await called(customer, 0)

    async def posting() -> None:
        while not stop.is_set():
            await parts.poster.step()
            await asyncio.sleep(0.01)

    moving = [asyncio.create_task(calls()), asyncio.create_task(posting())]
    try:
        for _ in range(5):
            assert await found_in(parts) == []
    finally:
        stop.set()
        await asyncio.gather(*moving)
