"""The heads a gateway exports lie beside its data, and so does the key that signs them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config import Settings
from gateway.head_book import HeadBook, signature_sentence
from gateway.startup import Refused
from ledger.heads import signed_by
from ledger.ledger import Ledger, LedgerOptions
from ledger.ports import SystemClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(LedgerOptions(database_url, "unix:///nowhere/redis.sock"))
    yield ledger
    await ledger.aclose()


def settings(folder: Path, **more: object) -> Settings:
    return Settings.from_environment({}, data=folder, **more)


async def post_something(ledger: Ledger) -> None:
    async with ledger.database.connection() as connection:
        await connection.execute(
            "INSERT INTO batches (shard, epoch, q_from, q_to, chain, clock_ms, sha)"
            " VALUES (0, 1, 1, 7, 'a', 0, decode(repeat('11', 32), 'hex'));"
            "UPDATE shards SET last_sha = decode(repeat('11', 32), 'hex')"
        )


async def test_a_head_is_signed_and_kept_once_for_as_long_as_nothing_happens(
    ledger: Ledger, tmp_path: Path
) -> None:
    book = HeadBook(settings(tmp_path / "data"))
    assert (book.heads(), book.known_key()) == ([], None)
    empty = await book.add(ledger, SystemClock())
    assert await book.add(ledger, SystemClock()) == empty
    await post_something(ledger)
    head = await book.add(ledger, SystemClock())

    assert book.heads() == [empty, head]
    assert (head.epoch, head.q, head.facts, head.sha) == (1, 7, 7, "11" * 32)
    assert all(signed_by(one, book.key()) for one in book.heads())
    for name in ("head-key", "heads.jsonl"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_made_stays(tmp_path: Path) -> None:
    assert HeadBook(settings(tmp_path)).key() == HeadBook(settings(tmp_path)).key()


def test_a_key_that_is_named_is_used_and_must_be_one(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(Refused, match="FAREBOX_HEAD_KEY_FILE cannot be read"):
        HeadBook(settings(tmp_path, head_key_file=file)).key()
    file.write_bytes(b"short\n")
    with pytest.raises(Refused, match="less than 16 bytes"):
        HeadBook(settings(tmp_path, head_key_file=file)).key()
    file.write_bytes(b"0123456789abcdef0123456789abcdef\n")
    assert HeadBook(settings(tmp_path, head_key_file=file)).key() == file.read_bytes().strip()
    assert not (tmp_path / "head-key").exists()


async def test_another_key_or_a_changed_head_is_said(ledger: Ledger, tmp_path: Path) -> None:
    head = await HeadBook(settings(tmp_path / "a")).add(ledger, SystemClock())
    ours, other = HeadBook(settings(tmp_path / "a")).key(), HeadBook(settings(tmp_path / "b")).key()
    assert signature_sentence(head, ours) is None
    assert signature_sentence(head, None) is None
    assert "is signed with key" in str(signature_sentence(head, other))
    forged = type(head)(**{name: getattr(head, name) for name in head.__slots__} | {"q": 5})
    assert "is not as it was signed" in str(signature_sentence(forged, ours))
