"""Findings stay open until someone settles them."""

import pytest

from ledger import findings
from ledger.errors import InvalidInput, NotFound
from ledger.findings import Finding
from tests.ledger.bank import Bank

pytestmark = pytest.mark.anyio


async def test_a_finding_seen_again_is_one_finding(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        for _ in range(2):
            await findings.record(
                connection, [Finding("pool", 1, "off by 1"), Finding("pool", None, "off by 1")]
            )
        rows = await findings.rows(connection)
    assert [(row.check_name, row.account_id) for row in rows] == [("pool", None), ("pool", 1)]
    assert rows[0].seen_at > rows[0].found_at


async def test_a_settled_finding_opens_anew_when_it_is_back(bank: Bank) -> None:
    found = [Finding("pool", 1, "off by 1")]
    async with bank.database.connection() as connection:
        await findings.record(connection, found)
        (row,) = await findings.rows(connection)
        with pytest.raises(InvalidInput):
            await findings.resolve(connection, row.id, actor="ann", reason="")
        for _ in range(2):
            await findings.resolve(connection, row.id, actor="ann", reason="booked by hand")
        assert await findings.rows(connection) == []
        await findings.record(connection, found)
        assert len(await findings.rows(connection)) == 1
        assert len(await findings.rows(connection, only_open=False)) == 2
        with pytest.raises(NotFound):
            await findings.resolve(connection, 99, actor="ann", reason="x")
    assert len(await bank.rows("SELECT * FROM audit WHERE action = 'finding.resolve'")) == 1
