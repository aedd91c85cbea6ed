"""
What somebody with the database in hand can change, and where it shows.

One changed, one removed and one inserted row show from Postgres alone. Who also recomputes
every digest after it leaves a database that agrees with itself; a head from before does not.
"""

from datetime import UTC, datetime

import pytest

from ledger import charges, heads
from ledger.books import Books, Line
from ledger.books_store import Batch
from ledger.controls import Clawback, Freeze
from ledger.findings import Finding
from ledger.heads import Head
from ledger.posting import batch_sha
from ledger.seals import FIRST_SEAL, digest_charges, digest_others, seal_of
from ledger.verify import verify
from tests.ledger.bank import CREDITS, Bank, checks
from tests.ledger.journal import hold_id

pytestmark = pytest.mark.anyio

KEY = b"a key of thirty-two bytes length"
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


async def history(bank: Bank) -> int:
    """A history with a row of every kind, in several batches."""
    account = await bank.account(units=1_000)
    player = bank.players[account.id]
    lot = await bank.grant(account.id, 40, priority=1)
    await bank.post(*(player.hold(hold_id(n), 10) for n in range(1, 8)))
    await bank.post(player.settle(hold_id(1), 10), player.settle(hold_id(2), 4))
    await bank.post(player.settle(hold_id(3), 0, 20), player.settle(hold_id(4), 0, 40))
    await bank.post(player.late(hold_id(4), 10), player.settle(hold_id(5), 0, 40))
    await bank.post(player.late(hold_id(9), 7), player.expire_lot(lot))
    await bank.add(account.id, Clawback(CREDITS, 7))
    await bank.add(account.id, Freeze(frozen=True))
    await bank.apply(account.id)
    async with bank.database.connection() as connection:
        await charges.refund(connection, hold_id(1), amount=3, reference="r", actor="ann")
    await bank.apply(account.id)
    await bank.grant(account.id, 30, routes=["asin_query"])
    return account.id


async def take(bank: Bank) -> Head:
    async with bank.database.connection() as connection:
        return heads.sign(await heads.take(connection, 0, NOW), KEY)


async def verified(bank: Bank, *since: Head) -> list[Finding]:
    async with bank.database.connection() as connection:
        return await verify(connection, since)


async def tamper(bank: Bank, statement: str) -> None:
    """Change rows as somebody with every right in the database would: past every trigger."""
    await bank.execute(
        f"SET session_replication_role = replica; {statement}; SET session_replication_role = origin"
    )


async def recompute(bank: Bank) -> None:
    """Make every digest agree with the rows again, with the product's own code."""
    sha, seal = bytes(32), FIRST_SEAL
    for row in await bank.rows(
        "SELECT * FROM batches ORDER BY epoch, q_from",
    ):
        batch = Batch(*(row[name] for name in Batch._fields))  # type: ignore[arg-type]
        books = Books()
        for line in await bank.rows(
            "SELECT * FROM batch_lines WHERE (epoch, q_from) = ($1, $2)", batch.epoch, batch.q_from
        ):
            named = Line(line["credit_type_id"], line["book"], line["route"])  # type: ignore[arg-type]
            books.lines[named] = line["amount"]  # type: ignore[assignment]
        sha = batch_sha(sha, batch, books)
        async with bank.database.connection() as connection:
            said = await digest_charges(connection, [batch], bytes(12), b"\xff" * 12)
            others = await digest_others(connection, [(batch, row["controls"])])  # type: ignore[list-item]
            charge = said[batch.q_from]
            seal = seal_of(seal, sha, charge, row["controls"], others[batch.q_from])  # type: ignore[arg-type]
            await connection.execute(
                "SET session_replication_role = replica",
            )
            await connection.execute(
                "UPDATE batches SET sha = $3, seal = $4, first_charge = $5, last_charge = $6,"
                " charges_sha = $7, others_sha = $8 WHERE (epoch, q_from) = ($1, $2)",
                batch.epoch,
                batch.q_from,
                sha,
                seal,
                *charge,
                others[batch.q_from],
            )
            await connection.execute("UPDATE shards SET last_sha = $1", sha)
            await connection.execute("SET session_replication_role = origin")


async def test_an_untouched_history_leads_to_every_head_taken_of_it(bank: Bank) -> None:
    empty = await take(bank)
    account = await history(bank)
    first = await take(bank)
    await bank.post(bank.players[account].hold(hold_id(20), 5))
    second = await take(bank)

    assert await verified(bank, empty, first, second) == []
    assert (empty.facts, first.facts + 1, second.batches) == (0, second.facts, first.batches + 1)


CHANGED = {
    "what a charge took, evened out": "UPDATE charges SET captured = captured + CASE captured WHEN 10 THEN -1 ELSE 1 END"
    " WHERE state = 2",
    "whose key a charge was made with": "UPDATE charges SET key_id = 99 WHERE state = 3",
    "when a charge ended": "UPDATE charges SET closed_at = closed_at + interval '1 day' WHERE state = 2",
    "what a charge tells": """UPDATE charges SET note = 'nothing to see' WHERE state = 5""",
    "by which price": "UPDATE charges SET rule = 1 WHERE state = 1",
    "that a charge expired": "UPDATE charges SET state = 3 WHERE state = 4",
    "how an overtaken charge expired": "UPDATE overtaken_endings SET q = q + 1",
    "when a balance moved": "UPDATE movements SET at = at - interval '1 day' WHERE kind = 'clawback'",
    "who ordered it": "UPDATE controls SET actor = 'mallory' WHERE kind = 'w'",
    "a freeze into a thaw": "UPDATE controls SET flags = 0 WHERE kind = 'f'",
    "what a grant is said to be": "UPDATE grants SET description = 'a present' WHERE amount = 40",
    "that a grant is limited": "UPDATE grants SET reach_id = NULL",
    "what a grant is limited to": "UPDATE grant_reaches SET routes = '{chat}'",
    "what it cost": 'UPDATE grants SET metadata = \'{"order": "other"}\' WHERE amount = 1000',
}


@pytest.mark.parametrize("what", CHANGED)
async def test_one_changed_row_is_found(bank: Bank, what: str) -> None:
    await history(bank)
    await tamper(bank, CHANGED[what])
    assert "batch-rows" in checks(await verified(bank))


REMOVED = {
    "a charge": "DELETE FROM charges WHERE state = 3",
    "an overtaken ending": "DELETE FROM overtaken_endings",
    "a movement": "DELETE FROM movements WHERE kind = 'expiry'",
    "a control": "DELETE FROM controls WHERE kind = 'f'",
}


@pytest.mark.parametrize("what", REMOVED)
async def test_one_removed_row_is_found(bank: Bank, what: str) -> None:
    await history(bank)
    await tamper(bank, REMOVED[what])
    assert "batch-rows" in checks(await verified(bank))


async def test_a_removed_batch_is_found(bank: Bank) -> None:
    await history(bank)
    await tamper(
        bank,
        "DELETE FROM batch_lines WHERE q_from IN (SELECT q_from FROM batches ORDER BY q_from OFFSET 2 LIMIT 1);"
        "DELETE FROM batches WHERE q_from IN (SELECT q_from FROM batches ORDER BY q_from OFFSET 2 LIMIT 1)",
    )
    assert "batches-continuous" in checks(await verified(bank))


COLUMNS = (
    "account_id, key_id, held, captured, opened_q, opened_aseq, closed_q, opened_epoch, closed_epoch,"
    " closed_at, price_version, rule, credit_type_id, state"
)
FORGED_GRANT = """
    INSERT INTO controls (account_id, cseq, kind, credit_type_id, object_id, amount, actor, source, source_id)
    SELECT account_id, max(cseq) + 1, 'g', 1, 1, 1000, 'root', 'promo', 'x' FROM controls GROUP BY account_id"""
INSERTED = {
    "a charge among those of its batch": (
        f"""INSERT INTO charges (id, {COLUMNS}) SELECT set_byte(id, 11, 2), {COLUMNS}
              FROM charges WHERE id = '\\x{hold_id(3).hex()}'""",
        "batch-rows",
    ),
    "a charge with an id far from them": (
        f"""INSERT INTO charges (id, {COLUMNS}) SELECT '\\x000000000000000000000001', {COLUMNS}
              FROM charges WHERE id = '\\x{hold_id(3).hex()}'""",
        "stray-charges",
    ),
    "a charge of a batch that there is not": (
        f"""INSERT INTO charges (id, {COLUMNS})
            SELECT '\\x000000000000000000000001', {COLUMNS.replace("closed_q,", "4000,")}
              FROM charges WHERE id = '\\x{hold_id(3).hex()}'""",
        "stray-charges",
    ),
    "a movement": (
        """INSERT INTO movements SELECT account_id, aseq + 500, id, credit_type_id, kind, 0, 0, NULL, NULL,
                  epoch, q, at FROM movements WHERE kind = 'expiry'""",
        "batch-rows",
    ),
    "a movement of no batch": (
        """INSERT INTO movements SELECT account_id, aseq + 500, id, credit_type_id, kind, 0, 0, NULL, NULL,
                  epoch, 4000, at FROM movements WHERE kind = 'expiry'""",
        "stray-movements",
    ),
    "a fact that broke a rule": (
        """INSERT INTO dead_facts (shard, epoch, q, fact, why, resolved_at)
           VALUES (0, 1, 3, 'x', 'odd', now())""",
        "batch-rows",
    ),
    "a control": (FORGED_GRANT, "controls-continuous"),
    "a grant that nobody asked for": (
        f"{FORGED_GRANT}; UPDATE accounts SET cseq_head = cseq_head + 1",
        "grants-were-asked-for",
    ),
}


@pytest.mark.parametrize("what", INSERTED)
async def test_one_inserted_row_is_found(bank: Bank, what: str) -> None:
    statement, check = INSERTED[what]
    await history(bank)
    await tamper(bank, statement)
    assert check in checks(await verified(bank))


async def test_a_month_that_is_only_said_to_be_dropped_is_found(bank: Bank) -> None:
    await history(bank)
    await tamper(
        bank,
        "UPDATE charges SET key_id = 99 WHERE state = 3;"
        "INSERT INTO retired_partitions VALUES ('charges_2026_01', '\\x00', '\\x"
        + hold_id(1_000).hex()
        + "', 1)",
    )
    assert "months-dropped-are-gone" in checks(await verified(bank))


REWRITTEN = {
    "a changed row": CHANGED["what a charge took, evened out"],
    "a removed row": "DELETE FROM charges WHERE state = 3; DELETE FROM overtaken_endings",
    "an inserted row": INSERTED["a charge with an id far from them"][0],
}


@pytest.mark.parametrize("what", REWRITTEN)
async def test_a_fully_recomputed_chain_is_found_by_an_exported_head(bank: Bank, what: str) -> None:
    account = await history(bank)
    head = await take(bank)
    await bank.post(bank.players[account].hold(hold_id(20), 5))
    later = await take(bank)
    await tamper(bank, REWRITTEN[what])
    await recompute(bank)

    alone = checks(await verified(bank))
    assert alone & {"batch-rows", "batch-chain", "stray-charges"} == set()
    [first, second] = [f for f in await verified(bank, head, later) if f.check == "head-differs"]
    assert head.at in first.detail
    assert second.check == "head-differs"


async def test_a_history_cut_short_is_found_by_an_exported_head(bank: Bank) -> None:
    account = await history(bank)
    await bank.post(bank.players[account].hold(hold_id(20), 5))
    head = await take(bank)
    await tamper(
        bank,
        "DELETE FROM charges WHERE opened_q = (SELECT last_q FROM shards);"
        "DELETE FROM batches WHERE q_to = (SELECT last_q FROM shards);"
        "UPDATE shards SET last_q = (SELECT max(q_to) FROM batches),"
        " last_sha = (SELECT sha FROM batches ORDER BY q_to DESC LIMIT 1)",
    )
    assert "batch-chain" not in checks(await verified(bank))
    assert "head-missing" in checks(await verified(bank, head))


async def test_a_finding_says_on_which_side_of_the_newest_head_it_is(bank: Bank) -> None:
    account = await history(bank)
    head = await take(bank)
    await bank.post(bank.players[account].hold(hold_id(20), 5))
    await tamper(bank, "UPDATE charges SET rule = 1 WHERE id = '\\x" + hold_id(20).hex() + "'")
    [finding] = [f for f in await verified(bank, head) if f.check == "batch-rows"]
    assert "(after the head of 2030-01-02T03:04:05Z)" in finding.detail

    await tamper(bank, "UPDATE charges SET rule = 1 WHERE id = '\\x" + hold_id(3).hex() + "'")
    found = [f for f in await verified(bank, head) if f.check == "batch-rows"]
    assert "(before the head of" in found[0].detail


async def test_what_the_previous_release_posts_is_chained_without_a_seal(bank: Bank) -> None:
    account = await history(bank)
    await tamper(
        bank,
        "UPDATE batches SET seal = NULL, charges_sha = NULL, others_sha = NULL, controls = NULL,"
        " first_charge = NULL, last_charge = NULL",
    )
    await bank.post(bank.players[account].hold(hold_id(20), 5))
    assert await verified(bank) == []


async def test_a_seal_that_is_taken_off_is_missed_by_the_next(bank: Bank) -> None:
    await history(bank)
    await tamper(
        bank,
        "UPDATE batches SET seal = NULL, charges_sha = NULL, others_sha = NULL, controls = NULL,"
        " first_charge = NULL, last_charge = NULL"
        " WHERE q_from = (SELECT q_from FROM batches ORDER BY q_from OFFSET 2 LIMIT 1)",
    )
    assert checks(await verified(bank)) == {"batch-chain"}
