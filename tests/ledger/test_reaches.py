"""Where limited credits may be used: numbers for sets of routes, and who learns of them when."""

import asyncio

import pytest

from ledger import grants, reaches, snapshot
from ledger.controls import Clawback, Enter, Grant
from ledger.errors import Conflict, InvalidInput, LedgerUnavailable
from ledger.reaches import Reaches
from tests.ledger.bank import CREDITS, RULES, Bank, checks
from tests.ledger.journal import hold_id
from tests.ledger.test_control_rows import TOMORROW

pytestmark = pytest.mark.anyio

ROUTES = [rule.route for rule in RULES]


async def number(bank: Bank, *routes: str) -> int:
    async with bank.database.transaction() as connection:
        return await reaches.number_of(connection, routes)


async def test_a_set_of_routes_has_one_number_in_whatever_order(bank: Bank) -> None:
    assert await number(bank) == 0
    assert await number(bank, "b", "a") == 1
    assert await number(bank, "a") == 2
    assert await number(bank, "a", "b", "a") == 1
    assert await number(bank, *(f"{n:0200}" for n in range(100))) == 3


async def test_sets_that_are_asked_for_at_once_get_numbers_without_gap(bank: Bank) -> None:
    names = [f"route {n % 10}" for n in range(40)]
    found = await asyncio.gather(*(number(bank, name) for name in names))
    assert sorted(set(found)) == list(range(1, 11))
    assert found[:10] * 4 == list(found)


async def test_there_is_an_end_to_different_sets(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaches, "MOST_REACHES", 2)
    assert [await number(bank, name) for name in "ab"] == [1, 2]
    with pytest.raises(Conflict) as refused:
        await number(bank, "c")
    assert refused.value.code == "too-many-reaches"
    assert await number(bank, "b") == 2
    with pytest.raises(InvalidInput):
        await number(bank, *(f"r{n}" for n in range(101)))
    with pytest.raises(Conflict):
        await number(bank, *(f"r{n:0199}" for n in range(100)))
    with pytest.raises(InvalidInput):
        await number(bank, "a\0")


async def test_a_route_that_the_prices_do_not_have_is_refused_with_those_they_have(
    bank: Bank,
) -> None:
    account = await bank.account()
    grant = Grant(CREDITS, 5, routes=["chat", "serch"])
    async with bank.database.connection() as connection:
        with pytest.raises(InvalidInput) as refused:
            await grants.give(connection, account.id, grant, actor="ann")
    assert str(refused.value) == "routes: no route `serch`; there are: asin_query, chat"
    assert await bank.rows("SELECT FROM grants") == []


async def test_a_repeat_must_be_limited_alike(bank: Bank) -> None:
    account = await bank.account()

    async def give(*routes: str) -> grants.GrantRow:
        async with bank.database.connection() as connection:
            grant = Grant(CREDITS, 5, routes=routes)
            added = await grants.give(connection, account.id, grant, actor="ann", reference="r1")
            return await grants.get(connection, added.object_id)

    first, again = await give("chat", "asin_query"), await give("asin_query", "chat")
    assert (first.id, first.routes) == (again.id, ["asin_query", "chat"])
    for routes in ((), ("chat",)):
        with pytest.raises(Conflict) as refused:
            await give(*routes)
        assert refused.value.code == "reference-used"
    [row] = await bank.rows("SELECT detail FROM audit WHERE action = 'grant'")
    assert row["detail"]["routes"] == ["asin_query", "chat"]  # type: ignore[index]
    await bank.apply(account.id)
    assert await bank.verify() == []


async def test_a_grant_that_waits_enters_as_limited_as_it_was_given(bank: Bank) -> None:
    account = await bank.account()
    added = await bank.add(account.id, Grant(CREDITS, 5, effective_at=TOMORROW, routes=["chat"]))
    await bank.add(account.id, Clawback(CREDITS, 1, grant_id=added.object_id))
    await bank.add(account.id, Enter(added.object_id))
    await bank.apply(account.id)
    taken = await snapshot.read_snapshot(bank.database, account.id)
    [pool] = taken.record.pools
    assert [(lot.remaining, lot.reach) for lot in pool.lots] == [(4, 1)]


async def test_a_lot_that_is_all_held_is_known_for_its_reach(bank: Bank) -> None:
    account = await bank.account()
    lot = await bank.grant(account.id, 5, routes=["chat"])
    await bank.post(bank.players[account.id].hold(hold_id(1), 5, rule=1))
    taken = await snapshot.read_snapshot(bank.database, account.id)
    assert taken.record.pools[0].lots == ()
    assert taken.reaches == {lot: 1}


async def test_a_charge_that_took_from_a_lot_of_other_routes_is_a_finding(bank: Bank) -> None:
    account = await bank.account()
    lot = await bank.grant(account.id, 50, routes=["chat"])
    player = bank.players[account.id]
    await bank.post(player.hold(hold_id(1), 5, rule=1))
    assert await bank.verify() == []

    await bank.post(player.hold(hold_id(2), 5, rule=0))  # asin_query
    await bank.post(player.settle(hold_id(2), 5))

    [finding] = await bank.verify()
    assert (finding.check, finding.account_id) == ("lot-within-reach", account.id)
    assert f"of route asin_query took from lot {lot}, which is limited to chat" in finding.detail


async def test_a_control_that_lifts_a_limit_is_a_finding(bank: Bank) -> None:
    account = await bank.account()
    added = await bank.add(account.id, Grant(CREDITS, 5, effective_at=TOMORROW, routes=["chat"]))
    await bank.add(account.id, Enter(added.object_id))
    await bank.execute(
        "SET session_replication_role = replica; UPDATE controls SET reach_id = NULL;"
        " SET session_replication_role = origin"
    )
    assert "limits-of-grants" in checks(await bank.verify())


class Written:
    """Reaches as they stand in a played Postgres."""

    def __init__(self) -> None:
        self.routes: dict[int, list[str]] = {}
        self.asked: list[int] = []
        self.down = False

    async def __call__(self, beyond: int) -> dict[int, list[str]]:
        self.asked.append(beyond)
        await asyncio.sleep(0)
        if self.down:
            raise OSError("played: away")
        return {number: names for number, names in self.routes.items() if number > beyond}


async def test_nothing_is_asked_or_said_before_somebody_must_know() -> None:
    written = Written()
    known = Reaches(written)
    assert (known.block("chat", 1), written.asked) == (b"", [])


async def test_what_is_learned_is_a_bit_for_each_reach_with_the_route() -> None:
    written = Written()
    known = Reaches(written)
    written.routes = {1: ["a"], 2: ["b"], 3: ["a", "b"]}
    await known.learn(0, 1)
    assert known.block("a", 1) == b"\3\0\5"
    written.routes[9] = ["a"]
    await known.learn(3, 1)
    assert (known.block("a", 1), known.block("b", 1)) == (b"\x09\0\5\1", b"\x09\0\6\0")
    assert known.block("c", 1) == b"\x09\0\0\0"
    assert written.asked == [0, 3]


async def test_many_who_must_know_ask_once() -> None:
    written = Written()
    written.routes = {1: ["a"]}
    known = Reaches(written)
    await asyncio.gather(*(known.learn(0, 1) for _ in range(20)))
    assert written.asked == [0]


async def test_a_new_epoch_begins_with_what_postgres_says_now() -> None:
    """Postgres may have lost its last commits; then the number is another set's."""
    written = Written()
    written.routes = {1: ["a"]}
    known = Reaches(written)
    await known.learn(0, 1)
    written.routes = {1: ["b"]}
    assert known.block("a", 2) == b""
    await known.learn(0, 2)
    assert (known.block("a", 2), known.block("b", 2)) == (b"\1\0\0", b"\1\0\1")


async def test_postgres_away_is_said_so_and_asked_again() -> None:
    written = Written()
    written.down = True
    known = Reaches(written)
    with pytest.raises(LedgerUnavailable):
        await known.learn(0, 1)
    written.down, written.routes = False, {1: ["a"]}
    await known.learn(0, 1)
    assert known.known == 1
