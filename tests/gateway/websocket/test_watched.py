"""WebSockets that are only watched: whole connections in one record, also without a price."""

import pytest

from tests.charging import Charging
from tests.gateway.websocket.test_charging import charges_of, echo
from tests.websockets import connected

pytestmark = pytest.mark.anyio


async def test_a_watched_connection_costs_all_that_it_did(gateway: Charging) -> None:
    """Beyond the hold of one charge too: a real one would have been several."""
    customer = await gateway.customer()
    async with connected(gateway.url, "/seen", customer.headers) as client:
        for _ in range(60):
            await echo(client)
        await client.close()
    [charge] = await charges_of(gateway, customer)
    assert (charge.held, charge.uncollected, charge.measured) == (60, 0, [60])


async def test_a_connection_without_a_price_passes_and_says_so(gateway: Charging) -> None:
    customer = await gateway.customer()
    async with connected(gateway.url, "/new", customer.headers) as client:
        await echo(client)
        await client.close()
    [charge] = await charges_of(gateway, customer)
    assert (charge.state.name, charge.held, charge.note) == ("OBSERVED", 0, "unpriced:no-price")
