"""What Postgres has of Idempotency-Keys: whose they are, how those stand, and for how long."""

from collections.abc import AsyncIterator

import pytest

from ledger import claims
from ledger.claims import Claim, Claims, Standing, There
from ledger.errors import Claimed
from ledger.hold_order import HoldOrder
from ledger.ledger import Ledger, LedgerOptions
from ledger.reasons import Reason
from tests.flows.ledger_traffic import Shop, new_shop

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Ledger]:
    options = LedgerOptions(database_url, redis_url, namespace=namespace)
    ledger = await Ledger.open(options, "worker")
    yield ledger
    await ledger.aclose()


@pytest.fixture
async def shop(ledger: Ledger) -> Shop:
    return await new_shop(ledger, 100)


def claim_of(shop: Shop, asked: bytes = b"f") -> Claim:
    return Claim(shop.account, b"h" * 16, asked * 16)


async def order(ledger: Ledger, shop: Shop, asked: bytes = b"f") -> HoldOrder:
    claim = claim_of(shop, asked)
    return shop.order(10)._replace(claim=(claim, await ledger.claims.read(claim)))


async def test_a_claim_is_read_back_with_how_its_charge_stands(ledger: Ledger, shop: Shop) -> None:
    reader = Claims(ledger.database, 0)
    none = await reader.read(claim_of(shop))
    assert none == There(ledger.shard.epoch)

    held = await ledger.holds.open(await order(ledger, shop))
    await ledger.post_all()
    there = await reader.read(claim_of(shop))
    assert there == There(held.epoch, Standing.OPEN, held.id, b"f" * 16)

    held.void(Reason.STATUS, 500)
    assert await ledger.settler.drain(10) == 0
    await ledger.post_all()
    assert (await reader.read(claim_of(shop))).standing is Standing.GIVEN_BACK

    again = await ledger.holds.open(await order(ledger, shop, b"g"))
    again.capture(4, Reason.DELIVERED, 200)
    await ledger.post_all()
    there = await reader.read(claim_of(shop))
    assert (there.standing, there.owner, there.fingerprint) == (
        Standing.CAPTURED,
        again.id,
        b"g" * 16,
    )


async def test_a_hold_says_who_has_its_key(ledger: Ledger, shop: Shop) -> None:
    held = await ledger.holds.open(await order(ledger, shop))
    for asked, word in ((b"f", "running"), (b"g", "mismatch")):
        with pytest.raises(Claimed) as refused:
            await ledger.holds.open(await order(ledger, shop, asked))
        assert (refused.value.word, refused.value.owner) == (word, held.id)
    held.capture(4, Reason.DELIVERED, 200)
    with pytest.raises(Claimed) as refused:
        await ledger.holds.open(await order(ledger, shop))
    assert (refused.value.word, refused.value.owner) in (("done", held.id), ("ask", held.id))


async def test_what_was_read_in_another_epoch_is_read_again(ledger: Ledger, shop: Shop) -> None:
    ordered = await order(ledger, shop)
    assert ordered.claim is not None
    stale = There(ordered.claim[1].epoch - 1)
    with pytest.raises(Claimed) as refused:
        await ledger.holds.open(ordered._replace(claim=(ordered.claim[0], stale)))
    assert refused.value.word == "ask"


async def test_a_day_later_a_claim_is_forgotten_unless_its_charge_is_open(
    ledger: Ledger, shop: Shop
) -> None:
    held = await ledger.holds.open(await order(ledger, shop))
    await ledger.post_all()
    async with ledger.database.connection() as connection:

        async def age(hours: float) -> int:
            await connection.execute(
                "UPDATE claims SET claimed_at = now() - make_interval(secs => $1)", hours * 3600
            )
            return await claims.sweep(connection)

        assert await age(26) == 0
        held.capture(10, Reason.DELIVERED, 200)
        assert await ledger.settler.drain(10) == 0
        await ledger.post_all()
        assert await age(24.9) == 0
        assert await age(25.1) == 1
    assert await ledger.claims.read(claim_of(shop)) == There(held.epoch)
