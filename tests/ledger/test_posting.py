"""Posting: what moves the position, what is refused, and what is kept of a poison fact."""

import asyncio
from dataclasses import replace

import pytest

from ledger import posting, shards
from ledger.brief_facts import BriefEntry
from ledger.brief_fold import BriefFold
from ledger.database import Database
from ledger.errors import NotFound
from ledger.facts import Allocated, HoldFact, ObservedFact, UnreadableFact
from ledger.posting import Fenced, Forked, Posted, post
from tests.ledger.bank import Bank
from tests.ledger.journal import hold_id

pytestmark = pytest.mark.anyio


async def test_a_hold_and_its_ending_in_one_batch_are_one_row(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]

    outcome = await bank.post(
        player.hold(hold_id(1), 10, rule=1, detail=b'{"u":[3],"r":{"asin":"B01"}}'),
        player.settle(hold_id(1), 4, detail=b'{"m":[9],"ms":120}'),
    )

    assert isinstance(outcome, Posted)
    assert outcome.closed_ids == (hold_id(1),)
    charge = await bank.row("SELECT * FROM charges")
    assert (charge["held"], charge["captured"], charge["balance_after"]) == (10, 4, 96)
    assert (charge["state"], charge["reason"], charge["status"]) == (2, 1, 200)
    assert (charge["units"], charge["measured"], charge["record"]) == ([3], [9], {"asin": "B01"})
    assert (charge["opened_q"], charge["closed_q"], charge["duration_ms"]) == (2, 3, 120)
    assert await bank.verify() == []


async def test_an_ending_in_a_later_batch_closes_the_row(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    await bank.post(player.hold(hold_id(1), 10, detail=b'{"u":[3]}'))
    assert (await bank.pool(account.id))["held"] == 10
    assert await bank.verify() == []

    outcome = await bank.post(player.settle(hold_id(1), 10))

    assert isinstance(outcome, Posted)
    assert outcome.closed_ids == (hold_id(1),)
    charge = await bank.row("SELECT * FROM charges")
    assert (charge["state"], charge["captured"], charge["balance_after"]) == (2, 10, 90)
    assert (charge["units"], charge["deadline_ms"]) == ([3], None)
    assert await bank.verify() == []


async def test_a_void_gives_everything_back(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    await bank.post(player.hold(hold_id(1), 10), player.settle(hold_id(1), 0, 20, 500))

    pool = await bank.pool(account.id)
    assert (pool["remaining"], pool["held"], pool["captured"]) == (100, 0, 0)
    assert (await bank.row("SELECT state, status FROM charges")) == {"state": 3, "status": 500}
    assert await bank.rows("SELECT * FROM batch_lines WHERE q_from > 1") == []
    assert await bank.verify() == []


async def test_posting_again_changes_nothing(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    entry = bank.journal.entry(player.hold(hold_id(1), 10), player.settle(hold_id(1), 4))
    async with bank.database.connection() as connection:
        first = await post(connection, 0, [entry])
        again = await post(connection, 0, [entry])

    assert isinstance(first, Posted)
    assert again == Posted(first.last_q, first.chain)
    assert (await bank.pool(account.id))["captured"] == 4
    assert await bank.verify() == []


async def test_entries_of_another_epoch_are_fenced(bank: Bank) -> None:
    account = await bank.account(units=100)
    entry = bank.journal.entry(bank.players[account.id].hold(hold_id(1), 10))
    async with bank.database.connection() as connection:
        await shards.advance(connection, 0, 1, "another redis")
        assert await post(connection, 0, [entry]) == Fenced(epoch=2)
    assert await bank.rows("SELECT * FROM charges") == []


async def test_a_gap_is_a_fork(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    bank.journal.entry(player.hold(hold_id(1), 10))
    entry = bank.journal.entry(player.hold(hold_id(2), 10))
    async with bank.database.connection() as connection:
        outcome = await post(connection, 0, [entry])
    assert isinstance(outcome, Forked)
    assert await bank.rows("SELECT * FROM charges") == []


async def test_another_history_of_the_same_length_is_a_fork(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    other = bank.journal.fork()
    await bank.post(player.hold(hold_id(1), 10))
    same_place = other.entry(ObservedFact(hold_id(7), 0, 0, 1, 1, 1, 0, 200))
    follows_it = other.entry(ObservedFact(hold_id(8), 0, 0, 1, 1, 1, 0, 200))
    async with bank.database.connection() as connection:
        assert isinstance(await post(connection, 0, [same_place]), Forked)
        assert isinstance(await post(connection, 0, [follows_it]), Forked)
    assert len(await bank.rows("SELECT * FROM charges")) == 1


async def test_a_fork_in_the_middle_posts_nothing_of_the_call(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    good = bank.journal.entry(player.hold(hold_id(1), 10))
    bad = replace(bank.journal.entry(player.hold(hold_id(2), 10)), previous="f" * 16)
    async with bank.database.connection() as connection:
        assert isinstance(await post(connection, 0, [good, bad]), Forked)
    assert await bank.rows("SELECT * FROM charges") == []


async def test_two_posters_at_once_post_once(bank: Bank, shared_database_url: str) -> None:
    account = await bank.account(units=1_000)
    player = bank.players[account.id]
    entries = [
        bank.journal.entry(player.hold(hold_id(n), 10), player.settle(hold_id(n), 3))
        for n in range(1, 21)
    ]
    second = await Database.connect(shared_database_url)

    async def work(database: Database) -> None:
        for entry in entries:
            async with database.connection() as connection:
                assert isinstance(await post(connection, 0, [entry]), Posted)

    try:
        await asyncio.gather(work(bank.database), work(second))
    finally:
        await second.close()
    assert (await bank.pool(account.id))["captured"] == 60
    assert await bank.verify() == []


async def test_a_shard_that_is_not_there_is_an_error(bank: Bank) -> None:
    async with bank.database.connection() as connection:
        with pytest.raises(NotFound):
            await post(connection, 7, [])


async def test_a_poison_fact_is_kept_whole_and_its_account_quarantined(bank: Bank) -> None:
    poor, rich = await bank.account("poor", 100), await bank.account("rich", 100)
    wrong = replace(bank.players[poor.id].hold(hold_id(1), 10), balance=95)
    right = bank.players[rich.id].hold(hold_id(2), 10)

    outcome = await bank.try_post(wrong, right)

    assert isinstance(outcome, Posted)
    assert outcome.dead == 1
    dead = await bank.row("SELECT * FROM dead_facts")
    assert (dead["account_id"], dead["why"]) == (poor.id, "balance 95, but the fold gives 90")
    assert bytes(dead["fact"])[:1] == b"H"
    assert (await bank.pool(poor.id))["remaining"] == 100
    assert (await bank.pool(rich.id))["held"] == 10
    account = await bank.row("SELECT status, cseq_head FROM accounts WHERE id = $1", poor.id)
    assert account["status"] == 3
    order = await bank.row("SELECT * FROM controls WHERE account_id = $1 AND kind = 'f'", poor.id)
    assert (order["flags"], order["actor"], order["cseq"]) == (1, "posting", account["cseq_head"])
    assert {f.check for f in await bank.verify()} == {"dead-facts", "quarantined"}


async def test_after_a_poison_fact_the_accounts_later_facts_are_dead_too(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    wrong = replace(player.hold(hold_id(1), 10), balance=95)
    later = player.hold(hold_id(2), 10)
    outcome = await bank.try_post(wrong, later, player.settle(hold_id(2), 10))
    assert isinstance(outcome, Posted)
    assert (outcome.dead, outcome.closed_ids) == (3, ())
    assert len(await bank.rows("SELECT * FROM controls WHERE kind = 'f'")) == 1


async def test_an_unreadable_fact_stops_nobody(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    outcome = await bank.try_post(UnreadableFact(b"Z", b"Z\x02\x00hm"), player.hold(hold_id(1), 10))
    assert isinstance(outcome, Posted)
    assert outcome.dead == 1
    assert (await bank.row("SELECT fact FROM dead_facts"))["fact"] == b"Z\x02\x00hm"
    assert (await bank.pool(account.id))["held"] == 10


async def test_numbers_no_column_can_keep_are_poison_and_not_a_stop(bank: Bank) -> None:
    account = await bank.account(units=100)
    hold = bank.players[account.id].hold(hold_id(1), 10)
    outcome = await bank.try_post(
        replace(hold, version=2**32 - 1),
        replace(hold, rule=65_535),
        replace(hold, price=2**48 - 1, allocation=()),
        replace(hold, credit_type=9),
        replace(hold, account=2**56 - 1),
        ObservedFact(hold_id(2), 0, 0, 1, 2**48 - 1, 1, 0, 200),
        ObservedFact(hold_id(3), 2**56 - 1, 2**56 - 1, 255, 1, 1, 0, 65_535),
    )
    assert isinstance(outcome, Posted)
    assert outcome.dead == 6
    assert len(await bank.rows("SELECT * FROM charges")) == 1


async def test_detail_that_postgres_cannot_keep_does_not_stop_posting(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    await bank.post(
        player.hold(hold_id(1), 1, detail=b'{"r":{"a":"\\u0000\\ud800","b":1e999},"u":[1.5]}'),
        player.hold(hold_id(2), 1, detail=b"\xff not json"),
        player.hold(hold_id(3), 1, detail=b"[" * 1_000),
        player.settle(
            hold_id(3), 1, detail=b'{"ms":99999999999999,"o":-4,"m":[true],"x":"\\u0000"}'
        ),
    )
    first = await bank.row("SELECT record, units FROM charges WHERE id = $1", hold_id(1))
    assert first == {"record": {"a": "\ufffd?", "b": "inf"}, "units": None}
    assert await bank.verify() == []


async def test_an_observed_repeat_is_ignored(bank: Bank) -> None:
    fact = ObservedFact(hold_id(1), 0, 0, 1, 7, 1, 0, 200)
    await bank.post(fact)
    await bank.post(fact, fact)
    charge = await bank.row("SELECT state, held, captured, account_id FROM charges")
    assert charge == {"state": 6, "held": 7, "captured": 0, "account_id": None}


async def test_batches_are_chained_and_balanced(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    await bank.post(
        player.hold(hold_id(1), 10),
        player.settle(hold_id(1), 4),
        player.hold(hold_id(2), 5, rule=1),
    )
    await bank.post(player.settle(hold_id(2), 5))
    lines = await bank.rows(
        "SELECT q_from, book, route, amount FROM batch_lines ORDER BY q_from, book"
    )
    assert [tuple(line.values()) for line in lines] == [
        (1, "credits", "", 100),
        (1, "issued", "", -100),
        (2, "credits", "", -4),
        (2, "revenue", "asin_query", 4),
        (5, "credits", "", -5),
        (5, "revenue", "chat", 5),
    ]
    assert await bank.verify() == []


async def test_lines_that_do_not_balance_cannot_be_committed(bank: Bank) -> None:
    await bank.account(units=100)
    with pytest.raises(Exception, match="do not balance"):
        await bank.execute("INSERT INTO batch_lines VALUES (0, 1, 1, 1, 'revenue', '', 5)")


async def test_a_failure_on_the_way_leaves_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await bank.account(units=100)
    entry = bank.journal.entry(bank.players[account.id].hold(hold_id(1), 10))

    async def fail(*_: object) -> None:
        raise RuntimeError("the poster dies here")

    with monkeypatch.context() as patch:
        patch.setattr(posting, "_quarantine", fail)
        async with bank.database.connection() as connection:
            with pytest.raises(RuntimeError):
                await post(connection, 0, [entry])
    assert (await bank.pool(account.id))["held"] == 0
    async with bank.database.connection() as connection:
        assert isinstance(await post(connection, 0, [entry]), Posted)
    assert (await bank.pool(account.id))["held"] == 10


async def test_holds_of_a_month_without_partition_are_kept(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    far = (2**53 - 1).to_bytes(8, "big") + b"\0\0\0\1"
    await bank.post(player.hold(far, 10), player.settle(far, 10))
    assert (await bank.row("SELECT captured FROM charges"))["captured"] == 10


async def test_a_lot_of_another_account_cannot_be_spent(bank: Bank) -> None:
    thief, owner = await bank.account("thief", 100), await bank.account("owner", 100)
    lot = next(iter(bank.players[owner.id].pools[1].lots))
    hold: HoldFact = bank.players[thief.id].hold(hold_id(1), 10)
    stolen = replace(hold, allocation=(Allocated(lot, 100, 2**48 - 1, 10),))
    await bank.try_post(stolen)
    assert await bank.dead() == [f"lot {lot} is none of this pool"]
    assert (await bank.pool(owner.id))["remaining"] == 100


async def test_an_error_while_charges_are_copied_leaves_nothing_and_the_connection_usable(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    entries = [
        bank.journal.entry(player.hold(hold_id(n), 10), player.settle(hold_id(n), 10))
        for n in range(3)
    ]
    whole, folded = BriefFold.fold, list[int]()

    def fold(brief: BriefFold, read: BriefEntry) -> None:
        folded.append(read.entry.first_q)
        if len(folded) == len(entries):
            raise RuntimeError("a mistake of ours")
        whole(brief, read)

    monkeypatch.setattr(posting, "FACTS_IN_A_STEP", 1)
    async with bank.database.connection() as connection:
        with monkeypatch.context() as patch:
            patch.setattr(BriefFold, "fold", fold)
            with pytest.raises(RuntimeError, match="a mistake of ours"):
                await post(connection, 0, entries)
        assert await connection.fetch("SELECT * FROM charges") == []
        assert isinstance(await post(connection, 0, entries), Posted)
    assert len(await bank.rows("SELECT * FROM charges")) == 3
    assert await bank.verify() == []


async def test_a_hold_id_that_has_a_charge_already_is_poison(bank: Bank) -> None:
    account = await bank.account(units=100)
    player = bank.players[account.id]
    await bank.post(player.hold(hold_id(5), 10), player.settle(hold_id(5), 10))
    await bank.post(player.hold(hold_id(9), 10))

    outcome = await bank.try_post(player.hold(hold_id(5), 10), player.hold(hold_id(20), 10))

    assert isinstance(outcome, Posted)
    assert await bank.dead() == [
        "the hold id is used already",
        "fact 5 of the account after 3",
    ]
