"""Every hold gets its ending, whatever Redis, Postgres or the epoch do meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator, Container
from dataclasses import replace

import pytest

from ledger.books import ChargeState
from ledger.claims import Claim, Standing, There
from ledger.errors import LedgerUnavailable, NotFound
from ledger.facts import ClaimFact, Control, LateFact
from ledger.hold_order import HoldOrder
from ledger.ids import HoldIds
from ledger.journal import read_tail
from ledger.lines import ack_args, dials_args, hold_line, settle_line
from ledger.reasons import Reason
from ledger.settlement import Settlement
from ledger.settler import Settler
from tests.ledger.loops import LOOPS
from tests.ledger.shard_rig import ACCOUNT, CLOCK, KEY, TYPE, ShardRig, WrittenReaches, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    backend: tuple[str, dict[str, bool]] = request.param
    return backend


DELIVERED = Reason.DELIVERED


class Books:
    """Postgres as the settler sees it; by default it follows the journal at once."""

    def __init__(self, rig: ShardRig) -> None:
        self.rig = rig
        self.rows: dict[bytes, ChargeState] | None = None
        self.epoch: int | None = None
        self.last_q = 10**6
        self.asked = 0
        self.down = False
        self.missing = False
        self.there: There | None = None
        self.looked: list[list[bytes]] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def charge_state(self, hold_id: bytes) -> tuple[int, int | None, int]:
        self.asked += 1
        if self.down:
            raise LedgerUnavailable("played: Postgres is down")
        rows = await self.rig.states() if self.rows is None else self.rows
        epoch = self.rig.shard.epoch if self.epoch is None else self.epoch
        return epoch, rows.get(hold_id), self.last_q

    async def closed_of(self, ids: list[bytes]) -> Container[bytes]:
        self.looked.append(ids)
        await self.answers.wait()
        if self.down:
            raise LedgerUnavailable("played: Postgres is down")
        rows = await self.rig.states() if self.rows is None else self.rows
        closed = (ChargeState.CAPTURED, ChargeState.VOID, ChargeState.LATE)
        return [one for one in ids if rows.get(one) in closed]

    async def claim_of(self, claim: Claim) -> There:
        assert claim.account == ACCOUNT
        return self.there or There(self.rig.shard.epoch)

    async def load(self, account: int) -> None:
        if self.missing:
            raise NotFound("no such account")
        await self.rig.load(account)


@pytest.fixture
async def rig(redis_url: str, namespace: str) -> AsyncIterator[ShardRig]:
    rig = ShardRig(redis_url, namespace)
    await rig.start()
    await rig.load(ACCOUNT)
    yield rig
    await rig.stop()


@pytest.fixture
def books(rig: ShardRig) -> Books:
    return Books(rig)


@pytest.fixture
def reaches() -> WrittenReaches:
    return WrittenReaches()


@pytest.fixture
async def settler(rig: ShardRig, books: Books, reaches: WrittenReaches) -> AsyncIterator[Settler]:
    settler = Settler(
        rig.shard,
        books,
        reaches,
        charge_state=books.charge_state,
        closed_of=books.closed_of,
        claim_of=books.claim_of,
        clock=CLOCK,
        chance=random.Random(1),
    )
    settler.start()
    yield settler
    await settler.aclose()


IDS = HoldIds(CLOCK)


async def held(rig: ShardRig, ceiling: int = 100, lifetime_ms: int = 60_000) -> Settlement:
    """A hold that was granted, and a settlement that captures 40 of it."""
    hold_id = IDS.mint(rig.shard.session)
    answer = await rig.shard.hold(
        hold_line(
            hold_id,
            account=ACCOUNT,
            key=KEY,
            credit_type=TYPE,
            ceiling=ceiling,
            version=1,
            rule=2,
            deadline_ms=CLOCK.now_ms() + lifetime_ms,
        )
    )
    assert answer.words[0] == b"HELD"
    return Settlement(
        hold_id,
        HoldOrder(
            account=ACCOUNT,
            key=KEY,
            credit_type=TYPE,
            ceiling=ceiling,
            version=1,
            rule=2,
            lifetime_ms=lifetime_ms,
        ),
        epoch=answer.epoch,
        q=answer.q,
        captured=40,
        reason=DELIVERED,
        status=200,
    )


async def expire(rig: ShardRig, settlement: Settlement) -> None:
    answer = await rig.shard.settle(settle_line(settlement.hold_id, 0, Reason.EXPIRED))
    assert answer.words[:2] == [b"DONE", b"x"]


async def test_a_capture_is_kept_until_postgres_shows_it(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    books.rows = {}
    settlement = await held(rig)
    settler.put(settlement)
    await until(lambda: settler.unconfirmed)
    assert settler.unsettled == 0

    books.rows[settlement.hold_id] = ChargeState.CAPTURED
    assert await settler.drain(5) == 0
    assert settler.unconfirmed == 0


@pytest.fixture
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at once, six are many, and only many are looked at before their time."""
    monkeypatch.setattr("ledger.settler.IDS_AT_ONCE", 2)
    monkeypatch.setattr("ledger.settler.NEWEST", 2)
    monkeypatch.setattr("ledger.settler.MANY", 6)
    monkeypatch.setattr("ledger.settler.CONFIRM_S", 600.0)


async def put_many(rig: ShardRig, settler: Settler, count: int) -> list[bytes]:
    """Put so many, one after another; give their ids."""
    ids = []
    before = settler.unconfirmed
    for number in range(1, count + 1):
        settlement = await held(rig, ceiling=40)
        ids.append(settlement.hold_id)
        settler.put(settlement)
        await until(lambda number=number: settler.unconfirmed == before + number)
    return ids


@pytest.mark.usefixtures("few_are_many")
async def test_of_many_all_but_the_newest_are_looked_at_before_their_time(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    books.rows = {}
    ids = await put_many(rig, settler, 5)
    await asyncio.sleep(0.5)
    assert books.looked == [ids[:1]]  # when the first was kept; these are not many

    ids += await put_many(rig, settler, 1)
    books.rows = dict.fromkeys(ids, ChargeState.CAPTURED)
    await until(lambda: settler.unconfirmed == 2)
    assert books.looked[-2:] == [ids[:2], ids[2:4]]
    assert not any(ids[4] in looked or ids[5] in looked for looked in books.looked)

    assert await settler.drain(5) == 0
    assert settler.unconfirmed == 0


@pytest.mark.usefixtures("few_are_many")
async def test_what_postgres_does_not_show_stays_kept_and_holds_up_no_other(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    books.rows = {}
    ids = await put_many(rig, settler, 10)
    books.rows = dict.fromkeys(ids[3:], ChargeState.CAPTURED)
    await settler.drain(1)
    assert settler.unconfirmed == 3

    books.rows = dict.fromkeys(ids, ChargeState.CAPTURED)
    assert await settler.drain(5) == 0
    assert settler.unconfirmed == 0


@pytest.mark.usefixtures("few_are_many")
async def test_while_postgres_lags_a_look_asks_once(
    rig: ShardRig, books: Books, settler: Settler, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    confirm = settler._confirm

    async def look(oldest: int) -> None:
        before = len(books.looked)
        await confirm(oldest)
        asked.append(len(books.looked) - before)

    monkeypatch.setattr(settler, "_confirm", look)
    books.rows = {}
    await put_many(rig, settler, 10)
    await until(lambda: len(asked) > 3)
    assert set(asked) == {1}


@pytest.mark.usefixtures("few_are_many")
async def test_what_is_kept_while_postgres_is_asked_stays_kept(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    books.rows = {}
    await put_many(rig, settler, 3)
    books.answers.clear()
    asked = len(books.looked)
    draining = asyncio.create_task(settler.drain(5))
    await until(lambda: len(books.looked) > asked)
    late = await put_many(rig, settler, 2)
    books.rows = {one: ChargeState.CAPTURED for one in await rig.states() if one not in late}
    books.answers.set()
    await until(lambda: settler.unconfirmed == 2)

    books.rows = None
    assert await draining == 0
    assert settler.unconfirmed == 0


@pytest.mark.usefixtures("few_are_many")
async def test_while_postgres_lags_it_is_asked_about_a_few_at_a_time(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    books.rows = {}
    ids = await put_many(rig, settler, 8)
    before = len(books.looked)
    await until(lambda: len(books.looked) > before + 8)

    assert settler.unconfirmed == 8
    assert all(len(looked) <= 2 for looked in books.looked)
    assert {one for looked in books.looked[before:] for one in looked} == set(ids)


@pytest.mark.usefixtures("few_are_many")
async def test_postgres_that_is_down_is_not_asked_with_each_step(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    books.rows = {}
    await put_many(rig, settler, 5)
    books.down = True
    before = len(books.looked)
    await put_many(rig, settler, 3)
    await until(lambda: len(books.looked) > before)
    await asyncio.sleep(0.5)

    assert len(books.looked) == before + 1
    assert settler.unconfirmed == 8


@pytest.mark.usefixtures("few_are_many")
async def test_many_that_were_lost_with_their_epoch_are_all_presented_again(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    books.rows = {}
    ids = await put_many(rig, settler, 8)
    await new_epoch(rig)
    books.rows = None

    assert await settler.drain(5) == 0
    assert await rig.states() == dict.fromkeys(ids, ChargeState.LATE)


async def test_a_void_is_forgotten_once_it_is_booked(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig)
    settlement.captured, settlement.reason = 0, Reason.STATUS
    settler.put(settlement)

    assert await settler.drain(5) == 0
    assert (await rig.states())[settlement.hold_id] == ChargeState.VOID
    assert await rig.open_holds() == 0


async def test_settling_twice_books_once(rig: ShardRig, settler: Settler) -> None:
    settlement = await held(rig)
    settler.put(settlement)
    settler.put(settlement)
    await settler.drain(5)

    assert len(await rig.facts()) == 3


async def test_a_lost_reply_does_not_lose_the_settlement(rig: ShardRig, settler: Settler) -> None:
    settlement = await held(rig)
    rig.link.lose_reply = True
    settler.put(settlement)

    assert await settler.drain(5) == 0
    assert (await rig.states())[settlement.hold_id] == ChargeState.CAPTURED


async def test_an_unreachable_redis_is_outwaited(rig: ShardRig, settler: Settler) -> None:
    settlement = await held(rig)
    rig.connect_fails = True
    rig.link.close()
    settler.put(settlement)
    assert await settler.drain(0.2) == 1

    rig.connect_fails = False
    assert await settler.drain(5) == 0


async def test_more_than_was_held_is_captured_to_the_hold(rig: ShardRig, settler: Settler) -> None:
    settlement = await held(rig, ceiling=30)
    settler.put(settlement)

    assert await settler.drain(5) == 0
    assert rig.loads == [ACCOUNT]
    assert (await rig.facts())[-1].hold_id == settlement.hold_id


async def test_an_expired_hold_is_booked_late(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig, lifetime_ms=0)
    await expire(rig, settlement)
    settler.put(settlement)

    assert await settler.drain(5) == 0
    late = (await rig.facts())[-1]
    assert isinstance(late, LateFact)
    assert (late.hold_id, late.taken, late.written_off) == (settlement.hold_id, 40, 0)


async def test_late_work_is_paid_from_what_is_limited_to_its_route(
    rig: ShardRig, settler: Settler, reaches: WrittenReaches
) -> None:
    """The settler learns of a limit when it meets it; credits of another route stay."""
    settlement = await held(rig, ceiling=1_000, lifetime_ms=0)
    settlement.order, settlement.captured = settlement.order._replace(route="search"), 150
    await rig.shard.settle(settle_line(settlement.hold_id, 1_000, DELIVERED))
    reaches.written = {1: ["chat"], 2: ["search"]}
    for cseq, reach in ((2, 1), (3, 2)):
        control = Control("g", cseq, TYPE, 20 + reach, 100, reach=reach)
        assert await rig.control(ACCOUNT, control) == [b"OK"]
    late = replace(settlement, hold_id=IDS.mint(rig.shard.session))
    settler.put(late)

    assert await settler.drain(5) == 0
    fact = (await rig.facts())[-1]
    assert isinstance(fact, LateFact)
    assert ([part.lot for part in fact.allocation], fact.taken, fact.written_off) == ([22], 100, 50)
    assert reaches.asked == [0]


CLAIM = Claim(ACCOUNT, b"h" * 16, b"f" * 16)


async def another_with_the_key(rig: ShardRig) -> bytes:
    """A hold that claims the key; it is open."""
    other = IDS.mint(rig.shard.session)
    line = hold_line(
        other,
        account=ACCOUNT,
        key=KEY,
        credit_type=TYPE,
        ceiling=7,
        version=1,
        rule=2,
        deadline_ms=CLOCK.now_ms() + 60_000,
        claim=There(rig.shard.epoch).block(CLAIM),
    )
    assert (await rig.shard.hold(line, CLAIM)).words[0] == b"HELD"
    return other


async def test_late_work_whose_key_another_hold_has_is_written_off(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig, lifetime_ms=0)
    settlement.order = settlement.order._replace(claim=(CLAIM, There(settlement.epoch)))
    await expire(rig, settlement)
    await another_with_the_key(rig)
    settler.put(settlement)

    assert await settler.drain(5) == 0
    late = (await rig.facts())[-1]
    assert isinstance(late, LateFact)
    assert (late.taken, late.written_off) == (0, 40)


async def test_late_work_with_a_key_waits_for_what_postgres_knows_of_the_other(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    """The other is over and Redis has forgotten it: only Postgres can say whether it captured."""
    settlement = await held(rig, lifetime_ms=0)
    settlement.order = settlement.order._replace(claim=(CLAIM, There(settlement.epoch)))
    await expire(rig, settlement)
    other = await another_with_the_key(rig)
    await rig.shard.settle(settle_line(other, 0, Reason.STATUS))
    assert rig.side is not None
    await rig.side.call("HDEL", rig.keys.holds(rig.shard.epoch), other)
    books.there = There(rig.shard.epoch - 1)
    settler.put(settlement)
    await until(lambda: books.asked >= 2)  # of an older epoch: it says nothing
    books.there = There(rig.shard.epoch)
    before = books.asked
    await until(lambda: books.asked >= before + 2)
    assert not isinstance((await rig.facts())[-1], LateFact)

    books.there = There(rig.shard.epoch, Standing.GIVEN_BACK, other)
    assert await settler.drain(5) == 0
    booked, claimed = (await rig.facts())[-2:]
    assert isinstance(booked, LateFact)
    assert (booked.taken, booked.written_off) == (40, 0)
    assert claimed == ClaimFact(settlement.hold_id, ACCOUNT, CLAIM.key_hash, CLAIM.fingerprint)


async def test_late_waits_until_postgres_has_the_expiry(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig, lifetime_ms=0)
    await expire(rig, settlement)
    books.rows = {settlement.hold_id: ChargeState.OPEN}
    settler.put(settlement)
    await until(lambda: books.asked >= 3)
    assert not isinstance((await rig.facts())[-1], LateFact)

    books.rows = None
    assert await settler.drain(5) == 0
    assert isinstance((await rig.facts())[-1], LateFact)


async def test_a_capture_that_was_posted_and_forgotten_by_redis_is_not_taken_again(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig)
    await rig.shard.settle(settlement.line())
    meta = (await rig.states())[settlement.hold_id]
    assert meta == ChargeState.CAPTURED
    books.rows = await rig.states()
    assert rig.side is not None
    await rig.side.call("HDEL", rig.keys.holds(1), settlement.hold_id)
    settler.put(settlement)

    assert await settler.drain(5) == 0
    assert len(await rig.facts()) == 3


async def test_a_hold_of_an_older_epoch_that_postgres_never_saw_is_booked_late(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig)
    await new_epoch(rig)
    settler.put(settlement)

    assert await settler.drain(5) == 0
    facts = await rig.facts()
    assert [type(fact).__name__ for fact in facts] == ["ControlFact", "LateFact"]


async def test_a_capture_lost_with_its_epoch_is_presented_again(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    """Redis said DONE and then lost it; the gateway that served it still lives."""
    books.rows = {}
    settlement = await held(rig)
    settler.put(settlement)
    await until(lambda: settler.unconfirmed)
    await new_epoch(rig)
    books.rows = None

    assert await settler.drain(5) == 0
    assert (await rig.states()) == {settlement.hold_id: ChargeState.LATE}


async def test_postgres_behind_the_hold_is_waited_for(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig)
    assert rig.side is not None
    await rig.side.call("HDEL", rig.keys.holds(1), settlement.hold_id)
    books.rows, books.last_q = {}, settlement.q - 1
    settler.put(settlement)
    await until(lambda: books.asked >= 3)
    assert len(await rig.facts()) == 2

    books.rows = {settlement.hold_id: ChargeState.CAPTURED}
    assert await settler.drain(5) == 0
    assert len(await rig.facts()) == 2


async def test_nothing_is_decided_while_postgres_is_down(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig, lifetime_ms=0)
    await expire(rig, settlement)
    books.down = True
    settler.put(settlement)
    other = await held(rig)
    settler.put(other)
    await until(lambda: books.asked >= 2)
    assert (await rig.states())[other.hold_id] == ChargeState.CAPTURED
    assert (await rig.states())[settlement.hold_id] == ChargeState.EXPIRED

    books.down = False
    assert await settler.drain(5) == 0


async def test_an_epoch_that_began_during_the_look_is_looked_at_again(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig, lifetime_ms=0)
    await expire(rig, settlement)
    books.epoch = 2
    settler.put(settlement)
    await until(lambda: books.asked >= 2)
    assert not isinstance((await rig.facts())[-1], LateFact)

    books.epoch = None
    assert await settler.drain(5) == 0


async def test_giving_back_what_never_was_ends(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig)
    settlement.hold_id, settlement.captured, settlement.q = IDS.mint(1), 0, 0
    settlement.reason = Reason.GATEWAY_ERROR
    settler.put(settlement)

    assert await settler.drain(5) == 0


async def test_an_account_that_is_gone_ends_the_search(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    books.missing = True
    settlement = await held(rig)
    settlement.hold_id = IDS.mint(1)
    settler.put(settlement)

    assert await settler.drain(5) == 0


async def test_a_busy_window_delays_late_work(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    settlement = await held(rig, lifetime_ms=0)
    await expire(rig, settlement)
    await rig.shard.run("dials", dials(10))
    settler.put(settlement)
    await until(lambda: books.asked >= 2)
    await rig.shard.run("dials", dials(1_000))

    assert await settler.drain(5) == 0
    assert isinstance((await rig.facts())[-1], LateFact)


async def test_acknowledged_marks_do_not_matter(
    rig: ShardRig, books: Books, settler: Settler
) -> None:
    books.rows = {}
    settlement = await held(rig)
    settler.put(settlement)
    await until(lambda: settler.unconfirmed)
    assert rig.side is not None
    entry = (await read_tail(rig.side, rig.keys, 1, 0, 100))[-1]
    acked = await rig.shard.run("ack", ack_args(entry.last_q, entry.chain, [settlement.hold_id], 9))
    assert acked == [b"OK"]
    books.rows = {settlement.hold_id: ChargeState.CAPTURED}

    assert await settler.drain(5) == 0


def dials(window: int) -> list[bytes]:
    return dials_args(10_000, [(TYPE, window)])


async def new_epoch(rig: ShardRig) -> None:
    """Redis lost everything and a new epoch began, as Postgres had it: nothing posted."""
    rig.verifier.epoch += 1
    rig.link.close()
    rig.shard.settle(settle_line(b"u" * 12, 0, Reason.STATUS)).add_done_callback(
        lambda done: done.exception()
    )
    await until(lambda: rig.shard.epoch == rig.verifier.epoch)
