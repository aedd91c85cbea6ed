"""API keys: the secret's shape, and what making, rotating and revoking order."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import api_keys, controls, facts
from ledger.api_keys import check_secret, new_secret
from ledger.database import Queries
from ledger.errors import Conflict, InvalidInput, NotFound
from tests.ledger.bank import Bank

pytestmark = pytest.mark.anyio

CHANCE = random.Random(7).randbytes


@given(st.binary(min_size=32, max_size=32))
def test_every_secret_has_the_same_shape_and_checks(raw: bytes) -> None:
    secret = new_secret(lambda _: raw)
    assert secret.startswith("fbx_")
    assert len(secret) == 53
    assert secret.isascii()
    assert check_secret(secret) is not None


@given(st.integers(0, 52), st.sampled_from("0Aa_ é"))
def test_a_mistyped_secret_is_refused(place: int, character: str) -> None:
    secret = new_secret(lambda size: bytes(range(size)))
    wrong = secret[:place] + character + secret[place + 1 :]
    assert wrong == secret or check_secret(wrong) is None


@pytest.mark.parametrize("text", ["", "fbx_", "sk_live_" + "x" * 45, "fbx_" + "0" * 48])
def test_what_is_no_secret_is_refused(text: str) -> None:
    assert check_secret(text) is None


async def ordered(bank: Bank, account_id: int) -> list[facts.Control]:
    async with bank.database.connection() as connection:
        lines = await controls.pending(connection, account_id)
    return [facts.Control.unpack(line) for line in lines]


async def test_a_new_key_is_kept_as_a_hash_and_ordered_to_redis(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        made = await api_keys.create(
            connection, account.id, actor="ann", random_bytes=CHANCE, name="web", scopes=3
        )
        sha256 = check_secret(made.secret)
        assert sha256 is not None
        assert await api_keys.find(connection, sha256) == made.key
        assert await api_keys.find(connection, b"\0" * 32) is None
    assert made.secret not in repr(made)
    assert made.key.prefix == made.secret[:12]
    assert await ordered(bank, account.id) == [
        facts.Control("k", made.cseq, 0, made.key.id, 1, flags=3)
    ]
    stored = str(await bank.rows("SELECT * FROM api_keys")) + str(
        await bank.rows("SELECT * FROM audit")
    )
    assert made.secret not in stored


async def test_a_rotated_key_works_on_for_the_overlap(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        old = await api_keys.create(
            connection, account.id, actor="ann", random_bytes=CHANCE, name="web", scopes=3
        )
        new = await api_keys.rotate(
            connection, old.key.id, actor="ann", random_bytes=CHANCE, overlap_s=3_600
        )
        before = await api_keys.get(connection, old.key.id)
    assert (new.key.name, new.key.scopes, new.key.replaces) == ("web", 3, old.key.id)
    assert before.status == api_keys.ACTIVE
    ends = datetime.fromtimestamp(before.expires_ms / 1_000, UTC) - before.created_at
    assert timedelta(minutes=59) < ends < timedelta(minutes=61)
    assert [(c.object_id, c.expiry_ms) for c in await ordered(bank, account.id)][1:] == [
        (new.key.id, facts.NEVER),
        (old.key.id, before.expires_ms),
    ]


async def test_rotating_without_overlap_revokes_the_old_key(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        old = await api_keys.create(connection, account.id, actor="ann", random_bytes=CHANCE)
        await api_keys.rotate(connection, old.key.id, actor="ann", random_bytes=CHANCE)
        assert (await api_keys.get(connection, old.key.id)).status == api_keys.REVOKED
        with pytest.raises(Conflict):
            await api_keys.rotate(connection, old.key.id, actor="ann", random_bytes=CHANCE)
        with pytest.raises(InvalidInput):
            await api_keys.rotate(
                connection, old.key.id, actor="ann", random_bytes=CHANCE, overlap_s=-1
            )


async def test_revoking_again_changes_nothing(bank: Bank) -> None:
    account = await bank.account()
    async with bank.database.connection() as connection:
        made = await api_keys.create(connection, account.id, actor="ann", random_bytes=CHANCE)
        revoked, cseq = await api_keys.revoke(connection, made.key.id, actor="ann")
        assert (revoked.status, cseq) == (api_keys.REVOKED, 2)
        assert await api_keys.revoke(connection, made.key.id, actor="ann") == (revoked, None)
        assert await api_keys.of_account(connection, account.id) == [revoked]
        with pytest.raises(NotFound):
            await api_keys.revoke(connection, 99, actor="ann")
    assert [c.amount for c in await ordered(bank, account.id)] == [1, 2]


async def test_bad_keys_are_refused(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await bank.account()
    past = datetime.now(UTC) - timedelta(seconds=5)

    async def make(**values) -> None:
        async with bank.database.connection() as connection:
            await api_keys.create(
                connection,
                **{"account_id": account.id, "actor": "ann", "random_bytes": CHANCE} | values,
            )

    for wrong in ({"scopes": 0}, {"scopes": 4}, {"expires_at": past}, {"name": "a\0"}):
        with pytest.raises(InvalidInput):
            await make(**wrong)
    with pytest.raises(NotFound):
        await make(account_id=99)
    monkeypatch.setattr(api_keys, "MAX_KEYS", 1)
    await make()
    with pytest.raises(Conflict):
        await make()
    assert len(await bank.rows("SELECT * FROM api_keys")) == 1


async def test_a_rotation_does_not_wait_for_a_posting_that_waits_for_its_account(
    bank: Bank,
) -> None:
    # Two changes of one account in one transaction make Postgres look at the shard's row again.
    account = await bank.account()
    async with bank.database.connection() as connection:
        old = await api_keys.create(connection, account.id, actor="ann", random_bytes=CHANCE)
    async with bank.database.transaction() as posting, bank.database.connection() as connection:
        await posting.fetchrow(Queries("posting").lock_shard, 0)
        async with asyncio.timeout(5):
            made = await api_keys.rotate(connection, old.key.id, actor="ann", random_bytes=CHANCE)
    assert made.key.replaces == old.key.id
