"""What the real scripts write, posting folds: random lives on real stores, then every balance."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger import charges, controls, grants
from ledger.account_record import AccountRecord, account_field
from ledger.controls import Clawback, Grant
from ledger.errors import Conflict
from ledger.lines import late_line
from ledger.reach_bytes import reaches_block
from ledger.snapshot import read_snapshot
from ledger.verify import verify
from tests.ledger.parts import Customer, Parts, opened

pytestmark = pytest.mark.anyio

STEPS = 120
LIMITED_TO = (("a",), ("b",), ("a", "b"))


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


async def one_step(customer: Customer, chance: random.Random, open_holds: list[bytes]) -> None:
    parts = customer.parts
    what = chance.choice(
        ["hold"] * 5
        + ["settle"] * 5
        + ["grant"] * 2
        + ["brief", "limited", "limited", "claw", "adjust", "late", "refund"]
    )
    reaches = reaches_block(len(LIMITED_TO), chance.choice(((), (1,), (2, 3), (1, 2, 3))))
    if what == "hold":
        hold, answer = await customer.hold(chance.randint(1, 40), reaches=reaches)
        if answer.words[0] == b"HELD":
            open_holds.append(hold)
    elif what == "settle" and open_holds:
        hold = open_holds.pop(chance.randrange(len(open_holds)))
        words = await customer.settle(hold, 0, 20) if chance.random() < 0.3 else None
        if words is None:
            words = await customer.settle(hold, chance.randint(1, 40))
            if words[0] == b"TOOMUCH":
                words = await customer.settle(hold, int(words[1]))
        assert words[0] == b"DONE"
    elif what == "grant":
        await customer.grant(chance.randint(1, 60), priority=chance.randint(1, 3))
    elif what == "brief":
        ends = datetime.now(UTC) + timedelta(milliseconds=chance.randint(30, 200))
        await customer.grant(chance.randint(1, 60), priority=1, expires_at=ends)
    elif what == "limited":
        routes, ends = chance.choice(LIMITED_TO), datetime.now(UTC) + timedelta(milliseconds=300)
        more: dict[str, Any] = {"expires_at": ends} if chance.random() < 0.3 else {}
        grant = Grant(customer.credit_type, chance.randint(1, 60), routes=routes, **more)
        async with parts.database.transaction() as connection:
            await controls.add(connection, customer.account, grant, "test", None, "test")
    elif what == "claw":
        async with parts.database.transaction() as connection:
            rows = await grants.of_account(connection, customer.account)
            named = chance.choice([0, *(row.id for row in rows)])
            taken = Clawback(customer.credit_type, chance.randint(1, 50), named)
            await controls.add(connection, customer.account, taken, "test", None, "test")
    elif what == "adjust":
        amount = chance.choice([-1, 1]) * chance.randint(1, 30)
        async with parts.database.connection() as connection:
            await grants.adjust(
                connection, customer.account, customer.credit_type, amount, reason="x", actor="test"
            )
    elif what == "late":
        standing = await parts.shard.ready()
        line = late_line(
            parts.ids.mint(standing.session),
            account=customer.account,
            key=customer.key,
            credit_type=customer.credit_type,
            amount=chance.randint(1, 20),
            version=1,
            rule=0,
            reason=42,
            status=200,
            reaches=reaches,
        )
        assert (await parts.shard.settle(line)).words[0] == b"DONE"
    elif what == "refund":
        async with parts.database.connection() as connection:
            for charge in await charges.find(connection, account_id=customer.account, limit=3):
                try:
                    await charges.refund(
                        connection,
                        charge.id,
                        amount=1,
                        reference=str(chance.random()),
                        actor="test",
                    )
                except Conflict:
                    continue


@pytest.mark.parametrize("seed", range(4))
async def test_postgres_and_redis_agree_after_any_life(parts: Parts, seed: int) -> None:
    chance = random.Random(seed)
    customer = await parts.customer(300)
    open_holds: list[bytes] = []
    for _ in range(STEPS):
        await one_step(customer, chance, open_holds)
        if chance.random() < 0.5:
            await parts.pusher.push(customer.account)
        if chance.random() < 0.3:
            await parts.post_all()
    assert await parts.pusher.push(customer.account) == "applied"
    await parts.post_all()

    async with parts.database.connection() as connection:
        assert await connection.fetch("SELECT why FROM dead_facts") == []
        assert await verify(connection) == []
    taken = await read_snapshot(parts.database, customer.account)
    link = await parts.reading.link()
    raw = await link.call(
        "HGET", parts.keys.balances(parts.shard.epoch), account_field(customer.account)
    )
    redis = AccountRecord.unpack(raw)
    assert (taken.record.cseq, taken.record.aseq) == (redis.cseq, redis.aseq)
    for pool in redis.pools:
        [folded] = [p for p in taken.record.pools if p.credit_type == pool.credit_type]
        assert folded.debt == pool.debt
        assert folded.lots == tuple(lot for lot in pool.lots if lot.remaining)
    assert {hold.hold_id for hold in taken.holds} == set(open_holds)
