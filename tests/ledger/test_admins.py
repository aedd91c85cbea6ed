"""Admins, sign-in links and sessions of pages."""

import asyncio
import random

import pytest

from ledger import admins
from ledger.errors import Conflict, InvalidInput, NotFound
from tests.ledger.bank import Bank

pytestmark = pytest.mark.anyio

CHANCE = random.Random(3).randbytes


async def test_an_admin_is_known_by_the_token_shown_once(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        admin, token = await admins.create(connection, "ann", actor="root", random_bytes=CHANCE)
        assert await admins.of_token(connection, token) == admin
        assert await admins.of_token(connection, token + "x") is None
        assert await admins.every(connection) == [admin]
        with pytest.raises(Conflict):
            await admins.create(connection, "ann", actor="root", random_bytes=CHANCE)
        for name in ("", "root", "a\0"):
            with pytest.raises(InvalidInput):
                await admins.create(connection, name, actor="root", random_bytes=CHANCE)
    assert token not in str(await bank.rows("SELECT * FROM admins"))
    assert token not in str(await bank.rows("SELECT * FROM audit"))


async def test_a_revoked_admin_is_nobody(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        admin, token = await admins.create(connection, "ann", actor="root", random_bytes=CHANCE)
        signed_in = await admins.sign_in(connection, token, random_bytes=CHANCE)
        assert signed_in is not None
        assert signed_in[0] == admin
        page = signed_in[1]
        assert (await admins.session_of(connection, page)).admin_id == admin.id
        assert await admins.admin_of_session(connection, page) == admin
        revoked = await admins.revoke(connection, "ann", actor="root")
        assert await admins.revoke(connection, "ann", actor="root") == revoked
        assert await admins.of_token(connection, token) is None
        assert await admins.session_of(connection, page) is None
        assert await admins.admin_of_session(connection, page) is None
        assert await admins.sign_in(connection, token, random_bytes=CHANCE) is None
        with pytest.raises(NotFound):
            await admins.revoke(connection, "bob", actor="root")
    assert await bank.rows("SELECT * FROM page_sessions") == []
    signed = await bank.rows("SELECT actor FROM audit WHERE action = 'admin.sign-in'")
    assert [row["actor"] for row in signed] == ["ann"]


async def test_root_has_the_token_of_the_settings(bank: Bank) -> None:
    first, second = "a-long-enough-token", "another-long-token"
    async with bank.database.connection() as connection:
        root = await admins.put_root(connection, first)
        assert await admins.put_root(connection, first) == root
        assert await admins.of_token(connection, first) == root
        signed_in = await admins.sign_in(connection, first, random_bytes=CHANCE)
        assert signed_in is not None
        assert (await admins.put_root(connection, second)).id == root.id
        assert await admins.admin_of_session(connection, signed_in[1]) is None
        assert await admins.of_token(connection, first) is None
        with pytest.raises(InvalidInput):
            await admins.put_root(connection, "short")
    assert len(await bank.rows("SELECT * FROM audit WHERE action = 'admin.token'")) == 2


async def test_a_session_that_outlives_its_admin_or_its_time_is_nobodys(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        _, token = await admins.create(connection, "ann", actor="root", random_bytes=CHANCE)
        for ending in (
            "UPDATE page_sessions SET expires_at = now()",
            "UPDATE admins SET revoked_at = now()",  # past `revoke`, which ends its sessions itself
        ):
            signed_in = await admins.sign_in(connection, token, random_bytes=CHANCE)
            assert signed_in is not None
            assert await admins.admin_of_session(connection, signed_in[1]) is not None
            await connection.execute(ending)
            assert await admins.admin_of_session(connection, signed_in[1]) is None


async def test_an_accounts_session_is_no_admins(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        link = await admins.new_link(connection, account.id, actor="ann", random_bytes=CHANCE)
        traded = await admins.use_link(connection, link, random_bytes=CHANCE)
        assert traded is not None
        assert await admins.admin_of_session(connection, traded[1]) is None


async def test_a_sign_in_link_works_once(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        link = await admins.new_link(connection, account.id, actor="ann", random_bytes=CHANCE)
        signed_in = await admins.use_link(connection, link, random_bytes=CHANCE)
        assert signed_in is not None
        account_id, session = signed_in
        assert account_id == account.id
        assert await admins.use_link(connection, link, random_bytes=CHANCE) is None
        assert (await admins.session_of(connection, session)).account_id == account.id
        await admins.end_session(connection, session)
        assert await admins.session_of(connection, session) is None
        with pytest.raises(NotFound):
            await admins.new_link(connection, 99, actor="ann", random_bytes=CHANCE)


async def test_a_link_clicked_many_times_at_once_opens_one_session(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        link = await admins.new_link(connection, account.id, actor="ann", random_bytes=CHANCE)

    async def click() -> object:
        async with bank.database.connection() as connection:
            return await admins.use_link(connection, link, random_bytes=CHANCE)

    answers = await asyncio.gather(*(click() for _ in range(10)))
    assert sum(answer is not None for answer in answers) == 1


async def test_links_and_sessions_end_and_are_swept(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        link = await admins.new_link(connection, account.id, actor="ann", random_bytes=CHANCE)
        used = await admins.new_link(connection, account.id, actor="ann", random_bytes=CHANCE)
        _, session = await admins.use_link(connection, used, random_bytes=CHANCE)
        life = await connection.fetchval("SELECT max(expires_at) - now() FROM sign_in_links")
        assert 590 < life.total_seconds() <= 600
        await connection.execute("UPDATE sign_in_links SET expires_at = now() - interval '2 days'")
        await connection.execute("UPDATE page_sessions SET expires_at = now()")
        assert await admins.use_link(connection, link, random_bytes=CHANCE) is None
        assert await admins.session_of(connection, session) is None
        await admins.sweep(connection)
        assert await connection.fetchval("SELECT count(*) FROM sign_in_links") == 0
        assert await connection.fetchval("SELECT count(*) FROM page_sessions") == 0
