"""Whom the books refuse, Redis refuses too: also where it has gone further than Postgres ordered."""

from collections.abc import AsyncIterator

import pytest

from ledger import accounts
from ledger.accounts import Status
from tests.ledger.parts import Customer, Parts, opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def parts(database_url: str, redis_url: str, namespace: str) -> AsyncIterator[Parts]:
    async with opened(database_url, redis_url, namespace) as parts:
        yield parts


async def forget_grant(customer: Customer, grant: int) -> None:
    """Let Postgres lose the commit that ordered a grant, which Redis has applied already."""
    async with customer.parts.database.transaction() as connection:
        await connection.execute("ALTER TABLE controls DISABLE TRIGGER controls_append_only")
        await connection.execute("DELETE FROM controls WHERE object_id = $1 AND kind = 'g'", grant)
        await connection.execute("ALTER TABLE controls ENABLE TRIGGER controls_append_only")
        await connection.execute("DELETE FROM control_requests WHERE object_id = $1", grant)
        await connection.execute("DELETE FROM grants WHERE id = $1", grant)
        await connection.execute(
            "UPDATE accounts SET cseq_head = cseq_head - 1 WHERE id = $1", customer.account
        )


async def test_an_account_ahead_of_its_orders_is_not_served_on(parts: Parts) -> None:
    """Redis answers the freeze as done before: it has applied another control of that number."""
    customer = await parts.customer(100)
    await parts.post_all()
    grant = await customer.grant(50)
    assert await parts.pusher.push(customer.account) == "applied"
    await forget_grant(customer, grant)

    await parts.post_all()
    async with parts.database.connection() as connection:
        assert (await accounts.get(connection, customer.account)).status is Status.QUARANTINED
    await parts.pusher.poll()

    assert (await customer.hold(10))[1].words == [b"BLOCKED"]
