"""While a finding halts the shard nothing new is held; what is under way is settled and posted."""

import pytest

from ledger import findings
from ledger.errors import LedgerUnavailable
from ledger.findings import Finding
from ledger.reasons import Reason
from tests.ledger.test_ledger import Shop, ledger, options, shop  # noqa: F401 - fixtures
from tests.ledger.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_halted_shard_settles_and_posts_and_holds_nothing_new(
    shop: Shop,  # noqa: F811 - the fixture
) -> None:
    async with shop.ledger.holds.hold(shop.order(30)) as held:
        async with shop.ledger.database.connection() as connection:
            await findings.record(connection, [Finding("batch-chain", None, "played")])
            assert await findings.halted(connection)

        async def told() -> bool:
            state = await shop.ledger.state()
            return state is not None and {each.window for each in state.types} == {0}

        await until(told)
        with pytest.raises(LedgerUnavailable, match="a finding waits"):
            async with shop.ledger.holds.hold(shop.order(1)):
                pytest.fail("nothing new may be held")
        held.capture(20, Reason.DELIVERED, status=200)
    assert (await shop.until(lambda balance: balance.used == 20)).available == 80

    async with shop.ledger.database.connection() as connection:
        [row] = await findings.rows(connection)
        await findings.resolve(connection, row.id, actor="ann", reason="played")

    async def held_again() -> bool:
        try:
            async with shop.ledger.holds.hold(shop.order(1)):
                return True
        except LedgerUnavailable:
            return False

    await until(held_again)


async def test_an_audited_account_is_refused_until_it_is_released(
    shop: Shop,  # noqa: F811 - the fixture
) -> None:
    async with shop.ledger.database.connection() as connection:
        await findings.record(connection, [Finding("pool-identity", shop.account, "played")])
    assert await shop.ledger.pusher.push(shop.account) == "applied"
    with pytest.raises(Exception, match="frozen"):
        async with shop.ledger.holds.hold(shop.order(1)):
            pytest.fail("a quarantined account is refused")
    assert await shop.ledger.reconcile() == []
