"""Which gateways run."""

import pytest

from ledger import gateways
from ledger.errors import NotFound
from tests.ledger.bank import Bank

pytestmark = pytest.mark.anyio


async def test_a_gateway_says_how_it_charges(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        await gateways.register(connection, "g1", "host")
        await gateways.set_prices(
            connection, "g1", price_version=1, file_sha256=b"\1" * 32, refusal=[{"line": 1}]
        )
        await gateways.seen(connection, "g1")
        gateway = await gateways.get(connection, "g1")
        assert (gateway.host, gateway.price_version, gateway.file_sha256) == (
            "host",
            1,
            b"\1" * 32,
        )
        assert gateway.refusal == [{"line": 1}]
        assert await gateways.running(connection) == [gateway]


async def test_a_silent_gateway_does_not_count_and_is_forgotten(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        await gateways.register(connection, "g1", "host")
        await connection.execute("UPDATE gateways SET seen_at = now() - interval '31 seconds'")
        assert await gateways.running(connection) == []
        await gateways.sweep(connection)
        await gateways.get(connection, "g1")
        await connection.execute("UPDATE gateways SET seen_at = now() - interval '8 days'")
        await gateways.sweep(connection)
        with pytest.raises(NotFound):
            await gateways.get(connection, "g1")


async def test_a_forgotten_gateway_must_register_again(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        await gateways.register(connection, "g1", "host")
        await gateways.forget(connection, "g1")
        await gateways.forget(connection, "g1")
        with pytest.raises(NotFound):
            await gateways.seen(connection, "g1")
        with pytest.raises(NotFound):
            await gateways.set_prices(connection, "g1", price_version=None, file_sha256=None)
