"""Windows follow what the operator chose, or the traffic, and never refuse by shrinking."""

import pytest

from ledger import credit_types, findings
from ledger.findings import Finding
from ledger.reasons import Reason
from tests.ledger.test_ledger import Shop, ledger, options, shop  # noqa: F401 - fixtures

pytestmark = pytest.mark.anyio

FLOOR = 40


async def window(shop: Shop) -> int:  # noqa: F811 - the fixture
    state = await shop.ledger.state()
    assert state is not None
    [each] = state.types
    return each.window


async def stored(shop: Shop) -> int:  # noqa: F811 - the fixture
    async with shop.ledger.database.connection() as connection:
        return (await credit_types.chosen_windows(connection))[shop.credit_type]


async def spend(shop: Shop, units: int) -> None:  # noqa: F811 - the fixture
    async with shop.ledger.holds.hold(shop.order(units)) as held:
        held.capture(units, Reason.DELIVERED, status=200)


async def posted(shop: Shop) -> None:  # noqa: F811 - the fixture
    assert await shop.ledger.settler.drain(10) == 0
    await shop.ledger.post_all()


async def test_a_growing_window_has_room_for_ten_seconds_at_the_peak(
    shop: Shop,  # noqa: F811 - the fixture
) -> None:
    await shop.ledger.windows.choose({shop.credit_type: FLOOR}, {shop.credit_type})
    await shop.ledger.windows.resize()
    assert await window(shop) == await stored(shop) == FLOOR
    await spend(shop, 30)
    await shop.ledger.windows.resize()
    # Looked at after one second at the least, and after five by the steward beside us.
    assert 60 <= await window(shop) <= 300
    assert await stored(shop) == await window(shop)


async def test_a_window_that_was_chosen_stays(shop: Shop) -> None:  # noqa: F811 - the fixture
    await shop.ledger.windows.choose({shop.credit_type: FLOOR})
    await shop.ledger.windows.resize()
    await spend(shop, 30)
    await shop.ledger.windows.resize()
    assert await window(shop) == await stored(shop) == FLOOR


async def test_a_gateway_that_starts_does_not_shrink_what_another_has_measured(
    shop: Shop,  # noqa: F811 - the fixture
) -> None:
    other = shop.ledger.__class__(
        shop.ledger.options, shop.ledger.database, shop.ledger._clock, shop.ledger.settler._chance
    )
    await shop.ledger.windows.choose({shop.credit_type: 5_000})
    await other.windows.choose({shop.credit_type: FLOOR}, {shop.credit_type})
    assert await stored(shop) == 5_000
    await other.windows.choose({shop.credit_type: 6_000}, {shop.credit_type})
    assert await stored(shop) == 6_000
    await other.shard.aclose()
    other._reading.close()


async def test_a_window_never_shrinks_while_more_than_it_is_out(
    shop: Shop,  # noqa: F811 - the fixture
) -> None:
    """No call is refused that would have passed a moment ago; the check finds nothing either."""
    async with shop.ledger.holds.hold(shop.order(FLOOR + 10)) as held:
        await shop.ledger.windows.choose({shop.credit_type: FLOOR})
        assert (await window(shop), await stored(shop)) == (1_000_000, FLOOR)
        async with shop.ledger.holds.hold(shop.order(5)):
            assert await shop.ledger.reconcile() == []
        held.capture(1, Reason.DELIVERED, status=200)
    await posted(shop)
    await shop.ledger.windows.resize()
    assert await window(shop) == FLOOR


async def test_a_halted_shard_has_no_window_whatever_is_out(
    shop: Shop,  # noqa: F811 - the fixture
) -> None:
    async with shop.ledger.holds.hold(shop.order(50)):
        async with shop.ledger.database.connection() as connection:
            await findings.record(connection, [Finding("batch-chain", None, "played")])
        await shop.ledger.windows.tell()
        assert await window(shop) == 0
