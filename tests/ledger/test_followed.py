"""I9: where Redis is ahead of Postgres, the facts in between account for every unit."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ledger import accounts, findings
from ledger.account_record import AccountRecord
from ledger.facts import Fact
from ledger.followed import followed
from ledger.journal import read_tail
from ledger.reconcile import differences_of
from ledger.snapshot import Snapshot, read_snapshot
from tests.ledger.parts import Customer, Parts, opened
from tests.ledger.test_posting_of_scripts import one_step
from tests.ledger.test_reconcile import checks_failing, found_in, put, record_of

pytestmark = pytest.mark.anyio

STEPS = 120
STEPS_BEHIND = 25


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


@pytest.fixture
async def ahead(parts: Parts) -> Customer:
    """Someone who spent, held and got credits since Postgres last heard of it."""
    customer = await parts.customer(100)
    await customer.spend(30)
    held = await customer.held(20)
    await parts.post_all()
    await customer.settle(held, 4)
    await customer.held(10)
    await customer.grant(7)
    await parts.pusher.push(customer.account)
    return customer


async def between(customer: Customer) -> tuple[Snapshot, list[Fact], AccountRecord]:
    """Postgres' record, the facts it lacks, and Redis' record."""
    parts = customer.parts
    row = await parts.row()
    entries = await read_tail(await parts.reading.link(), parts.keys, row.epoch, row.last_q, 10_000)
    snapshot = await read_snapshot(parts.database, customer.account)
    return snapshot, [fact for entry in entries for fact in entry.facts], await record_of(customer)


@pytest.mark.parametrize("seed", range(4))
async def test_what_the_scripts_made_of_an_account_is_what_its_facts_say(
    parts: Parts, seed: int
) -> None:
    chance = random.Random(seed)
    customer, open_holds = await parts.customer(100), []
    for step in range(STEPS):
        await one_step(customer, chance, open_holds)
        if chance.random() < 0.1:
            async with parts.database.connection() as connection:
                frozen = step % 2 == 0
                await accounts.freeze(
                    connection, customer.account, frozen=frozen, actor="test", reason="x"
                )
        await parts.pusher.push(customer.account)
        if step % STEPS_BEHIND == 0:
            await parts.post_all()
        snapshot, facts, record = await between(customer)
        expected = followed(snapshot, facts, record.aseq)
        assert expected is not None
        assert differences_of(record, expected) == []
    assert await found_in(parts) == []


async def test_an_account_that_is_ahead_and_right_is_no_finding(
    parts: Parts, ahead: Customer
) -> None:
    assert (await record_of(ahead)).aseq > (await between(ahead))[0].record.aseq
    assert await found_in(parts) == []


async def test_a_unit_too_much_in_an_account_that_is_ahead_is_found(
    parts: Parts, ahead: Customer
) -> None:
    record = await record_of(ahead)
    pool = record.pools[0]
    more = pool.lots[0]._replace(remaining=pool.lots[0].remaining + 1)
    await put(ahead, replace(record, pools=(pool._replace(lots=(more, *pool.lots[1:])),)))
    [finding] = await found_in(parts)
    assert (finding.check, finding.account_id) == ("accounts_equal", ahead.account)
    assert finding.detail.startswith("ahead of Postgres: credit type")
    # As any difference of an account: what is still there at the next look quarantines it.
    assert findings.effect_of(finding, again=True) == "account"


@pytest.mark.parametrize("wrong", [{"status": 2}, {"cseq": 99}])
async def test_another_status_or_control_number_is_found_in_one_that_is_ahead(
    parts: Parts, ahead: Customer, wrong: dict[str, int]
) -> None:
    await put(ahead, replace(await record_of(ahead), **wrong))  # type: ignore[arg-type]
    assert await checks_failing(parts) == {"accounts_equal"}


async def test_a_fact_that_is_not_there_leaves_nothing_to_compare(ahead: Customer) -> None:
    snapshot, facts, record = await between(ahead)
    assert followed(snapshot, facts[:-1], record.aseq) is None
    assert followed(snapshot, facts[1:], record.aseq) is None
    assert followed(snapshot, [], snapshot.record.aseq) == snapshot.record
