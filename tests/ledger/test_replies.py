"""Kept answers: the first stands, an account has room for so much, and a day is a day."""

from collections.abc import AsyncIterator

import pytest

from ledger import accounts, replies
from ledger.claims import Claim
from ledger.claims import read as read_claim
from ledger.database import Database
from ledger.replies import LARGEST_BODY, OVERHEAD, ROOM, Replies, Reply

pytestmark = pytest.mark.anyio

ASKED = b"f" * 16
HEADERS = [(b"content-type", b"text/plain"), (b"x-empty", b""), (b"link", b"<a>: b")]


def reply(body: bytes | None = b"hello", charge: bytes = b"c" * 12) -> Reply:
    return Reply(charge, ASKED, 200, HEADERS, body)


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
async def account(database: Database) -> int:
    async with database.connection() as connection:
        return (await accounts.create(connection, actor="test")).id


async def kept(database: Database, account: int, number: int) -> Reply | None:
    async with database.connection() as connection:
        return (await read_claim(connection, Claim(account, key(number), ASKED))).reply


async def room(database: Database, account: int) -> tuple[int, int]:
    """What is counted, and what is there."""
    async with database.connection() as connection:
        counted = await connection.fetchval(
            "SELECT bytes FROM reply_rooms WHERE account_id = $1", account
        )
        there = await connection.fetchval(
            "SELECT coalesce(sum(length(body) + length(headers) + $2), 0)::bigint FROM replies"
            " WHERE account_id = $1 AND body IS NOT NULL",
            account,
            OVERHEAD,
        )
    return counted, there


async def test_the_first_answer_under_a_key_stands(database: Database, account: int) -> None:
    keeper = Replies(database)
    assert await keeper.keep(account, key(1), reply())
    assert not await keeper.keep(account, key(1), reply(b"another", b"d" * 12))
    assert await kept(database, account, 1) == reply()
    assert await kept(database, account, 2) is None
    counted, there = await room(database, account)
    assert counted == there > 0


async def test_of_an_answer_too_large_only_its_charge_is_kept(
    database: Database, account: int
) -> None:
    keeper = Replies(database)
    for number, body in enumerate((None, b"x" * (LARGEST_BODY + 1))):
        assert await keeper.keep(account, key(number), reply(body))
        assert await kept(database, account, number) == Reply(b"c" * 12, ASKED, 200, [], None)
    assert await keeper.keep(account, key(2), reply(b"x" * LARGEST_BODY))
    assert await kept(database, account, 2) == reply(b"x" * LARGEST_BODY)


async def test_the_oldest_bodies_go_when_an_account_has_no_room(
    database: Database, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another account nothing goes; and that there was an answer is not forgotten."""
    async with database.connection() as connection:
        other = (await accounts.create(connection, actor="test")).id
    each = len(b"x" * 100) + len(replies.pack_headers(HEADERS)) + OVERHEAD
    monkeypatch.setattr(replies, "ROOM", 3 * each)
    keeper = Replies(database)
    await keeper.keep(other, key(0), reply(b"x" * 100))
    for number in range(5):
        assert await keeper.keep(account, key(number), reply(b"x" * 100))
        counted, there = await room(database, account)
        assert counted == there <= 3 * each
    bodies = [await kept(database, account, number) for number in range(5)]
    assert [one.body is not None for one in bodies if one] == [False, False, True, True, True]
    assert await kept(database, other, 0) == reply(b"x" * 100)
    assert ROOM == 16 * 1024 * 1024


async def test_a_day_later_answers_are_forgotten(database: Database, account: int) -> None:
    keeper = Replies(database)
    for number in range(3):
        await keeper.keep(account, key(number), reply())
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE replies SET kept_at = now() - make_interval(secs => $2) WHERE key_hash = ANY ($1)",
            [key(0), key(1)],
            24.1 * 3600,
        )
        assert await replies.sweep(connection) > 0
        assert await replies.sweep(connection) == 0
    assert [await kept(database, account, n) is None for n in range(3)] == [True, True, False]
    counted, there = await room(database, account)
    assert counted == there > 0
