"""The audit goes on while the ledger is at work: it finds each kind of damage, and acts on it."""

import asyncpg
import pytest

from ledger import audit_jobs, batch_walk, controls, credit_types, findings
from ledger.audit_jobs import Auditor
from ledger.findings import FindingRow
from tests.ledger.bank import Bank
from tests.ledger.journal import hold_id
from tests.ledger.quick_clock import QuickClock
from tests.ledger.test_tampering import FORGED_GRANT, history, tamper

pytestmark = pytest.mark.anyio


@pytest.fixture
async def auditor(bank: Bank) -> Auditor:
    return Auditor(bank.database, 0, QuickClock())


async def beat(auditor: Auditor) -> None:
    await auditor.accounts()
    await auditor.charges()
    await auditor.batches()


async def open_findings(bank: Bank) -> list[FindingRow]:
    async with bank.database.connection() as connection:
        return await findings.rows(connection)


async def windows(bank: Bank) -> dict[int, int]:
    async with bank.database.connection() as connection:
        return await credit_types.windows(connection)


DAMAGE = {
    "I1 lines of a batch sum to 0": (
        "UPDATE batch_lines SET amount = amount + 1 WHERE book = 'revenue'",
        "lines-balance",
        "shard",
    ),
    "I2 facts without gap": ("UPDATE accounts SET aseq = aseq + 1", "facts-counted", "account"),
    "I2 balance after is the fold": (
        "UPDATE charges SET balance_after = balance_after + 1 WHERE state = 3",
        "account-history",
        "account",
    ),
    "I3 a pool is its lots": (
        "UPDATE grants SET remaining = remaining - 1 WHERE amount = 1000",
        "pool-is-its-lots",
        "account",
    ),
    "I3 held is what open charges hold": (
        "UPDATE charges SET held = held + 1 WHERE state = 1",
        "held-is-open-charges",
        "account",
    ),
    "I4 one ending": (
        "UPDATE charges SET state = 2, captured = held WHERE state = 3",
        "totals-from-charges",
        "account",
    ),
    "I6 q continuous": (
        "DELETE FROM batches WHERE q_from = (SELECT q_from FROM batches ORDER BY q_from OFFSET 2 LIMIT 1)",
        "batches-continuous",
        "shard",
    ),
    "I6 chain matches": (
        "UPDATE batches SET chain = 'f' WHERE q_from = 1",
        "batch-chain",
        "shard",
    ),
    "I7 controls continuous": (
        "UPDATE accounts SET cseq_head = cseq_head + 1",
        "controls-continuous",
        "account",
    ),
    "I14 books are the pools": (
        "UPDATE pools SET captured = captured + 1, granted = granted + 1",
        "books-are-the-pools",
        "shard",
    ),
    "I15 nothing is granted unasked": (
        f"{FORGED_GRANT}; UPDATE accounts SET cseq_head = cseq_head + 1",
        "grants-were-asked-for",
        "account",
    ),
    "I15 an admin's grant is in the audit": (
        "UPDATE controls SET source = 'grant' WHERE kind = 'g'; UPDATE control_requests SET source = 'grant'",
        "grants-were-asked-for",
        "account",
    ),
    "I16 what came in is somewhere": (
        "UPDATE pools SET expired = expired + 1",
        "pool-identity",
        "account",
    ),
    "I17 no dead facts": (
        "INSERT INTO dead_facts (shard, epoch, q, account_id, fact, why) VALUES (0, 1, 900, 1, 'x', 'odd')",
        "dead-facts",
        None,
    ),
    "I18 lots come out of the history": (
        "UPDATE charges SET allocation = NULL WHERE state = 2",
        "account-history",
        "account",
    ),
    "single rows are what was posted": (
        "UPDATE charges SET note = 'nothing to see' WHERE state = 5",
        "batch-rows",
        "shard",
    ),
}


@pytest.mark.parametrize("invariant", DAMAGE)
async def test_each_invariant_is_watched(bank: Bank, auditor: Auditor, invariant: str) -> None:
    statement, check, effect = DAMAGE[invariant]
    account = await history(bank)
    await beat(auditor)
    assert await open_findings(bank) == []

    again = Auditor(bank.database, 0, QuickClock())
    await tamper(bank, statement)
    await beat(again)

    found = {row.check_name: row for row in await open_findings(bank)}
    assert found[check].effect == effect
    status = (await bank.row("SELECT status FROM accounts WHERE id = $1", account))["status"]
    effects = {row.effect for row in found.values()}
    assert (status == 3) == ("account" in effects)
    assert (set((await windows(bank)).values()) == {0}) == ("shard" in effects)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE charges SET captured = held + 1 WHERE state = 2",
        "UPDATE charges SET captured = 1 WHERE state = 3",
        "UPDATE charges SET closed_q = NULL WHERE state = 2",
        "UPDATE grants SET held = -1",
        "UPDATE grants SET remaining = amount + 1",
        "UPDATE accounts SET cseq_applied = cseq_head + 1",
        "UPDATE controls SET amount = 1",
        "DELETE FROM batches",
    ],
)
async def test_what_postgres_itself_refuses(bank: Bank, damage: str) -> None:
    """I3, I4 and I7 are also constraints, and history is append-only."""
    await history(bank)
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.RestrictViolationError)):
        await bank.execute(damage)


async def test_a_quarantined_account_is_frozen_in_redis_once(bank: Bank, auditor: Auditor) -> None:
    account = await history(bank)
    await tamper(bank, "UPDATE pools SET expired = expired + 1")
    for _ in range(3):
        await beat(auditor)
    ordered = await bank.rows("SELECT kind, flags, actor FROM controls WHERE source = 'quarantine'")
    assert len(ordered) == len(
        [row for row in await open_findings(bank) if row.effect == "account"]
    )
    assert {(row["kind"], row["flags"], row["actor"]) for row in ordered} == {("f", 1, "audit")}
    async with bank.database.connection() as connection:
        assert await controls.pending(connection, account) != []


async def test_a_halted_shard_goes_on_when_the_finding_is_resolved(
    bank: Bank, auditor: Auditor
) -> None:
    await history(bank)
    before = await windows(bank)
    await tamper(bank, "UPDATE batches SET chain = 'f' WHERE q_from = 1")
    await beat(auditor)
    assert set((await windows(bank)).values()) == {0}

    async with bank.database.connection() as connection:
        for row in await findings.rows(connection):
            await findings.resolve(connection, row.id, actor="ann", reason="looked at it")
    assert await windows(bank) == before

    await beat(Auditor(bank.database, 0, QuickClock()))
    back = [row for row in await open_findings(bank) if row.check_name == "batch-chain"]
    assert [row.effect for row in back] == [None], "a person has settled the very same before"
    assert await windows(bank) == before


@pytest.mark.parametrize("words", ["5 in Redis", "6 in Redis"])
async def test_what_two_stores_say_counts_when_it_is_there_at_the_next_look(
    bank: Bank, words: str
) -> None:
    """The account goes on meanwhile, so that the same difference may have other numbers."""
    account = await bank.account(units=10)

    async def look(*details: str) -> list[str | None]:
        async with bank.database.connection() as connection:
            seen = [findings.Finding("accounts_equal", account.id, detail) for detail in details]
            await findings.record(connection, seen)
        return [row.effect for row in await open_findings(bank)]

    assert set(await look("5 in Redis", "cseq 3")) == {None}
    await bank.execute(
        "UPDATE findings SET found_at = found_at - interval '1 minute', seen_at = seen_at - interval '1 minute'"
    )
    assert "account" in await look(words)
    assert len(await bank.rows("SELECT FROM controls WHERE source = 'quarantine'")) == 1


async def test_what_is_posted_between_two_beats_is_audited_by_the_next(
    bank: Bank, auditor: Auditor
) -> None:
    account = await history(bank)
    await beat(auditor)
    await bank.post(bank.players[account].hold(hold_id(20), 5))
    await tamper(bank, "UPDATE charges SET rule = 1 WHERE id = '\\x" + hold_id(20).hex() + "'")
    await beat(auditor)
    assert {row.check_name for row in await open_findings(bank)} == {"batch-rows"}


async def test_small_beats_come_round_to_everything(
    bank: Bank, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_jobs, "FACTS_PER_BEAT", 60)
    monkeypatch.setattr(audit_jobs, "CHARGES_PER_BEAT", 2)
    monkeypatch.setattr(audit_jobs, "BATCH_FACTS_PER_BEAT", 3)
    monkeypatch.setattr(batch_walk, "BATCHES_AT_ONCE", 2)
    await history(bank)
    for number in range(5):
        await bank.account(f"a{number}", 10)
    for _ in range(2):
        await beat(auditor)
    await tamper(
        bank,
        "UPDATE pools SET expired = expired + 1 WHERE account_id = (SELECT max(id) FROM accounts);"
        "UPDATE charges SET rule = 1 WHERE id = (SELECT id FROM charges ORDER BY id DESC LIMIT 1);"
        "UPDATE charges SET opened_q = 4000 WHERE id = (SELECT id FROM charges ORDER BY id LIMIT 1)",
    )
    for _ in range(20):
        await beat(auditor)
    found = {row.check_name for row in await open_findings(bank)}
    assert {"pool-identity", "batch-rows", "stray-charges"} <= found


async def test_batches_are_read_again_every_day(bank: Bank) -> None:
    clock = QuickClock()
    auditor = Auditor(bank.database, 0, clock)
    await history(bank)
    await beat(auditor)
    await tamper(bank, "UPDATE charges SET rule = 1 WHERE state = 3")
    await beat(auditor)
    assert await open_findings(bank) == []
    await clock.sleep(24 * 3_600)
    await beat(auditor)
    assert {row.check_name for row in await open_findings(bank)} == {"batch-rows"}


async def test_a_beat_that_fails_is_begun_again(
    bank: Bank, auditor: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await history(bank)
    await tamper(bank, "UPDATE charges SET rule = 1 WHERE state = 3")
    with monkeypatch.context() as patch:

        async def fail(*_: object) -> None:
            raise ConnectionError("Postgres is away")

        patch.setattr(findings, "record", fail)
        with pytest.raises(ConnectionError):
            await auditor.batches()
    await auditor.batches()
    assert {row.check_name for row in await open_findings(bank)} == {"batch-rows"}


async def test_a_postgres_that_lost_its_last_commits_halts_nothing(
    bank: Bank, auditor: Auditor
) -> None:
    """What is posted again comes in other batches; the walk begins anew instead of missing one."""
    await history(bank)
    await beat(auditor)
    last = "SELECT epoch, q_from FROM batches ORDER BY epoch DESC, q_from DESC LIMIT 1"
    await tamper(
        bank,
        f"DELETE FROM batch_lines WHERE (epoch, q_from) = ({last});"
        f"DELETE FROM batches WHERE (epoch, q_from) = ({last});"
        "UPDATE shards SET (last_q, last_chain, last_sha) ="
        " (SELECT q_to, chain, sha FROM batches ORDER BY epoch DESC, q_from DESC LIMIT 1)",
    )

    await auditor.batches()

    assert await open_findings(bank) == []
    assert set((await windows(bank)).values()) != {0}


async def test_a_walk_that_began_anew_still_finds_what_was_changed(
    bank: Bank, auditor: Auditor
) -> None:
    await history(bank)
    await beat(auditor)
    await tamper(bank, "UPDATE batches SET sha = sha256('x') WHERE q_from = 1")
    await tamper(bank, "DELETE FROM batches WHERE q_from = (SELECT max(q_from) FROM batches)")

    await auditor.batches()

    assert {row.check_name for row in await open_findings(bank)} >= {"batch-chain"}
