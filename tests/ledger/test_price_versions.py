"""Price versions: numbered, never changed, and what a roll-back means."""

import asyncio
from typing import Any

import pytest

from ledger import price_versions
from ledger.errors import Conflict, NotFound
from ledger.price_versions import Published, Rule
from tests.ledger.bank import RULES, Bank

pytestmark = pytest.mark.anyio

ONE = "version: 1"  # published by the bank


async def publish(bank: Bank, text: str, **more: Any) -> Published:
    rules = [Rule(0, text, "/", ["GET"], "credits", {"flat": 1})]
    async with bank.database.connection() as connection:
        return await price_versions.publish(connection, text, rules, **{"actor": "serve"} | more)


async def roll_back(bank: Bank, version: int) -> Published:
    async with bank.database.connection() as connection:
        return await price_versions.roll_back(connection, version, actor="ann")


async def test_a_new_text_is_the_next_version(bank: Bank) -> None:
    assert await publish(bank, "two") == Published(2, repeated=False)
    async with bank.database.connection() as connection:
        current = await price_versions.current(connection)
        assert current is not None
        assert (current.version, current.source, current.actor) == (2, "file", "serve")
        assert await price_versions.text_of(connection, 1) == ONE
        assert [r.route for r in await price_versions.rules(connection, 2)] == ["two"]
        assert await price_versions.rules(connection, 1) == RULES
        assert await price_versions.get(connection, 2) == current
        assert [v.version for v in await price_versions.versions(connection)] == [2, 1]
        assert [v.version for v in await price_versions.versions(connection, before=2)] == [1]
        for ask in (price_versions.get, price_versions.text_of):
            with pytest.raises(NotFound):
                await ask(connection, 9)


async def test_the_current_text_again_is_no_new_version(bank: Bank) -> None:
    assert await publish(bank, ONE) == Published(1, repeated=True)


async def test_gateways_that_publish_at_once_make_one_version(bank: Bank) -> None:
    answers = await asyncio.gather(*(publish(bank, "two") for _ in range(4)))
    assert {answer.version for answer in answers} == {2}
    assert sum(not answer.repeated for answer in answers) == 1


async def test_a_roll_back_makes_the_old_text_the_newest(bank: Bank) -> None:
    await publish(bank, "two")
    assert await roll_back(bank, 1) == Published(3, repeated=False)
    assert await roll_back(bank, 1) == Published(3, repeated=True)
    async with bank.database.connection() as connection:
        assert await price_versions.text_of(connection, 3) == ONE
        assert await price_versions.rules(connection, 3) == RULES
    assert len(await bank.rows("SELECT * FROM price_texts")) == 2


async def test_a_restart_does_not_undo_a_roll_back(bank: Bank) -> None:
    await publish(bank, "two")
    await roll_back(bank, 1)
    assert await publish(bank, "two") == Published(3, repeated=True)
    assert await publish(bank, "three") == Published(4, repeated=False)
    assert await publish(bank, "two") == Published(5, repeated=False)


async def test_no_file_counts_while_prices_live_in_the_database(bank: Bank) -> None:
    """Whoever read the file before they moved there is too late as well."""
    admin = {"source": "admin", "actor": "ann", "home": "database"}
    assert await publish(bank, "two", **admin) == Published(2, repeated=False, home="database")
    assert await publish(bank, "three") == Published(2, repeated=True, home="database")
    assert await publish(bank, "three", **admin, expected=2) == Published(
        3, repeated=False, home="database"
    )


async def test_a_version_follows_the_one_that_is_expected(bank: Bank) -> None:
    with pytest.raises(Conflict) as stale:
        await publish(bank, "two", expected=0)
    assert stale.value.code == "prices-changed"
    assert await publish(bank, "two", expected=1) == Published(2, repeated=False)
    assert await publish(bank, "two", expected=1) == Published(2, repeated=True)  # asked again
    assert len(await bank.rows("SELECT * FROM price_versions")) == 2


async def test_a_file_published_over_comes_back_only_when_it_was_changed(bank: Bank) -> None:
    await publish(bank, "two", source="admin", actor="ann")
    assert await publish(bank, ONE) == Published(2, repeated=True)  # a restart: it was not written
    await publish(bank, "two")  # it has been written, and was looked at
    assert await publish(bank, ONE) == Published(3, repeated=False)


async def test_the_last_refusal_is_shown_until_a_good_text_comes(bank: Bank) -> None:
    problems = [{"line": 3, "column": 5, "message": "unknown key"}]
    async with bank.database.connection() as connection:
        assert await price_versions.last_refusal(connection) is None
        for _ in range(2):
            await price_versions.refuse(connection, "g1", b"\1" * 32, problems)
        refusal = await price_versions.last_refusal(connection)
        assert refusal is not None
        assert (refusal.gateway_id, refusal.problems) == ("g1", problems)
    assert len(await bank.rows("SELECT * FROM price_refusals")) == 1
    await publish(bank, "two")
    async with bank.database.connection() as connection:
        assert await price_versions.last_refusal(connection) is None
