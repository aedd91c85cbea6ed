"""The block around a charged request."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from ledger import holds as holds_module
from ledger.books import ChargeState
from ledger.errors import (
    AboveWindow,
    AccountFrozen,
    BadKey,
    InsufficientCredits,
    LedgerBusy,
    LedgerUnavailable,
    RateLimited,
    ScopeMissing,
)
from ledger.facts import Control, HoldFact, ObservedFact, SettleFact
from ledger.hold_order import HoldOrder
from ledger.holds import Holds
from ledger.ids import hold_id
from ledger.lines import dials_args, session_args
from ledger.reasons import Reason
from ledger.records import read_hold
from ledger.settler import Settler
from tests.ledger.shard_rig import ACCOUNT, CLOCK, KEY, TYPE, ShardRig, WrittenReaches, until
from tests.ledger.test_settler import Books

pytestmark = pytest.mark.anyio

ORDER = HoldOrder(ACCOUNT, KEY, TYPE, 100, 1, 2, 60_000)


@pytest.fixture
async def rig(redis_url: str, namespace: str) -> AsyncIterator[ShardRig]:
    rig = ShardRig(redis_url, namespace)
    await rig.start()
    yield rig
    await rig.stop()


@pytest.fixture
def reaches() -> WrittenReaches:
    return WrittenReaches()


@pytest.fixture
async def settler(rig: ShardRig, reaches: WrittenReaches) -> AsyncIterator[Settler]:
    books = Books(rig)
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


@pytest.fixture
def holds(rig: ShardRig, settler: Settler, reaches: WrittenReaches) -> Holds:
    return Holds(rig.shard, settler, rig, reaches, CLOCK)


async def test_a_block_that_captures_is_charged(
    rig: ShardRig, settler: Settler, holds: Holds
) -> None:
    async with holds.hold(ORDER) as held:
        assert (held.available, held.ceiling, held.epoch) == (900, 100, 1)
        assert held.text == held.id.hex()
        held.capture(40, Reason.DELIVERED, 200, b"{}")
    assert await settler.drain(5) == 0

    fact = (await rig.facts())[-1]
    assert isinstance(fact, SettleFact)
    assert (fact.hold_id, fact.captured, fact.balance, fact.detail) == (held.id, 40, 960, b"{}")


async def test_an_account_is_loaded_when_it_is_first_asked_for(
    rig: ShardRig, settler: Settler, holds: Holds
) -> None:
    for _ in range(2):
        async with holds.hold(ORDER):
            pass

    assert rig.loads == [ACCOUNT]


@pytest.mark.parametrize("error", [None, ValueError(), asyncio.CancelledError()])
async def test_a_block_that_decides_nothing_gives_everything_back(
    rig: ShardRig, settler: Settler, holds: Holds, error: BaseException | None
) -> None:
    with pytest.raises(type(error)) if error else pytest.MonkeyPatch.context():
        async with holds.hold(ORDER) as held:
            if error is not None:
                raise error
    assert await settler.drain(5) == 0

    fact = (await rig.facts())[-1]
    assert isinstance(fact, SettleFact)
    assert (fact.hold_id, fact.outcome, fact.reason) == (held.id, "v", Reason.GATEWAY_ERROR)


async def test_the_first_decision_counts(rig: ShardRig, settler: Settler, holds: Holds) -> None:
    async with holds.hold(ORDER) as held:
        held.void(Reason.STATUS, 500)
        held.capture(40, Reason.DELIVERED)
    await settler.drain(5)

    assert (await rig.states())[held.id] == ChargeState.VOID


async def test_no_more_than_the_ceiling_is_captured(
    rig: ShardRig, settler: Settler, holds: Holds
) -> None:
    async with holds.hold(ORDER) as held:
        held.capture(101, Reason.UNCOLLECTED)
    await settler.drain(5)

    assert (await rig.states())[held.id] == ChargeState.CAPTURED
    assert rig.shard.watermark == 3


async def test_a_remark_that_is_too_long_does_not_cost_the_charge(
    rig: ShardRig, settler: Settler, holds: Holds
) -> None:
    async with holds.hold(ORDER) as held:
        held.capture(40, Reason.DELIVERED, 200, b"x" * 2_000)
    await settler.drain(5)

    assert (await rig.states())[held.id] == ChargeState.CAPTURED


async def test_a_hundred_holds_on_credit_for_ten_are_ten(
    rig: ShardRig, settler: Settler, holds: Holds
) -> None:
    async def one() -> bool:
        try:
            async with holds.hold(ORDER) as held:
                held.capture(100, Reason.DELIVERED)
        except InsufficientCredits:
            return False
        return True

    served = await asyncio.gather(*(one() for _ in range(100)))
    await settler.drain(5)

    assert sum(served) == 10
    assert list((await rig.states()).values()) == [ChargeState.CAPTURED] * 10


async def test_refusals_say_why(rig: ShardRig, holds: Holds) -> None:
    await rig.load(ACCOUNT)
    limited = ORDER._replace(ceiling=1, rate=(1_000_000, 0))
    with pytest.raises(InsufficientCredits) as short:
        await holds.open(ORDER._replace(ceiling=1_001))
    assert (short.value.needed, short.value.available, short.value.shortfall) == (1_001, 1_000, 1)
    with pytest.raises(BadKey):
        await holds.open(ORDER._replace(key=99))
    with pytest.raises(ScopeMissing):
        await holds.open(ORDER._replace(scope=4))
    await holds.open(limited)
    with pytest.raises(RateLimited) as late:
        await holds.open(limited)
    assert 0 < late.value.retry_after_ms <= 1_000
    await rig.shard.run("dials", dials_args(10_000, [(TYPE, ORDER.ceiling)]))
    with pytest.raises(LedgerBusy):
        await holds.open(ORDER)  # beside the one that is open
    with pytest.raises(AboveWindow) as above:
        await holds.open(ORDER._replace(ceiling=ORDER.ceiling + 1))
    assert (above.value.needed, above.value.window) == (ORDER.ceiling + 1, ORDER.ceiling)
    with pytest.raises(LedgerUnavailable):
        await holds.open(ORDER._replace(credit_type=2))
    await rig.control(ACCOUNT, Control("f", 2, flags=1))
    with pytest.raises(AccountFrozen):
        await holds.open(ORDER)


@pytest.mark.parametrize("ceiling", [0, -1, 9 * 10**13 + 1])
async def test_a_ceiling_out_of_range_is_never_asked(holds: Holds, ceiling: int) -> None:
    with pytest.raises(ValueError, match="a hold of"):
        await holds.open(ORDER._replace(ceiling=ceiling))


async def test_a_free_request_is_checked_and_leaves_nothing(rig: ShardRig, holds: Holds) -> None:
    assert await holds.check(ORDER._replace(ceiling=0)) == 1_000
    with pytest.raises(BadKey):
        await holds.check(ORDER._replace(key=99))

    assert len(await rig.facts()) == 1


async def test_a_lost_session_costs_one_more_round(
    rig: ShardRig, settler: Settler, holds: Holds
) -> None:
    assert rig.side is not None
    session = rig.shard.session
    await rig.side.call("HDEL", rig.keys.balances(1), b"s" + session_args(session)[0])

    held = await holds.open(ORDER)
    assert held.id[8:] == (session + 1).to_bytes(4, "big")
    held.leave()


async def test_a_new_epoch_costs_one_more_round(
    rig: ShardRig, settler: Settler, holds: Holds
) -> None:
    await rig.load(ACCOUNT)
    rig.link.lose_reply = True
    rig.verifier.epoch = 2

    held = await holds.open(ORDER)
    assert (held.epoch, await rig.open_holds()) == (2, 1)
    assert ACCOUNT in rig.loads[1:]
    held.leave()


async def test_a_hold_nobody_waits_for_any_more_comes_back(
    rig: ShardRig, settler: Settler, holds: Holds
) -> None:
    await rig.load(ACCOUNT)
    rig.link.gate = asyncio.Event()
    waiting = asyncio.ensure_future(holds.open(ORDER))
    await until(lambda: rig.link.ticks)
    waiting.cancel()
    rig.link.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await settler.drain(5) == 0

    facts = await rig.facts()
    assert [type(fact).__name__ for fact in facts[1:]] == ["HoldFact", "SettleFact"]


async def test_a_hold_without_an_answer_in_time_comes_back(
    rig: ShardRig, settler: Settler, holds: Holds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.asks.HOLD_LIMIT_S", 0.05)
    await rig.load(ACCOUNT)
    gate = rig.link.gate = asyncio.Event()
    with pytest.raises(LedgerUnavailable) as refused:
        await holds.open(ORDER)
    assert refused.value.unknown
    gate.set()

    assert await settler.drain(5) == 0
    assert await rig.open_holds() == 0


async def test_a_long_block_keeps_its_hold(
    rig: ShardRig, settler: Settler, holds: Holds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds_module, "RENEW_SWEEP_S", 0.02)

    async def deadline() -> int:
        assert rig.side is not None
        kept = read_hold(await rig.side.call("HGET", rig.keys.holds(1), held.id))
        assert isinstance(kept, HoldFact)
        return kept.deadline_ms

    async with holds.hold(ORDER._replace(lifetime_ms=200)) as held:
        first = held.deadline_ms
        await until(lambda: held.deadline_ms > first)
        await until(lambda: is_later(deadline, first))
        held.capture(40, Reason.DELIVERED)
    assert await settler.drain(5) == 0


async def is_later(deadline: object, first: int) -> bool:
    return await deadline() > first  # type: ignore[operator]


async def test_an_observed_request_is_recorded_under_the_id_that_its_client_was_told(
    rig: ShardRig, holds: Holds
) -> None:
    ids = [hold_id(n, 0xFFFF_FFFF) for n in (1, 2)]  # of no session
    for each in ids:
        holds.observe(
            each, account=0, key=0, credit_type=TYPE, amount=7, version=1, rule=3, status=200
        )
    await until(lambda: rig.shard.watermark == 2)

    facts = await rig.facts()
    assert [fact.hold_id for fact in facts if isinstance(fact, ObservedFact)] == ids


def on(route: str, ceiling: int = 100) -> HoldOrder:
    """What a request of a route asks for."""
    return ORDER._replace(route=route, ceiling=ceiling)


async def limited(rig: ShardRig, *lots: tuple[int, int]) -> None:
    """Give the loaded account lots of 100, each with its reach."""
    for lot, reach in lots:
        rig.grants.append((lot, reach))
        control = Control("g", len(rig.grants), TYPE, lot, 100, 50, reach=reach)
        assert await rig.control(ACCOUNT, control) == [b"OK"]


async def test_a_hold_learns_of_limits_when_it_meets_them(
    rig: ShardRig, holds: Holds, reaches: WrittenReaches
) -> None:
    rig.grants = [(9, 10)]
    await rig.load(ACCOUNT)
    assert await holds.check(on("search")) == 10
    reaches.written = {1: ["search"], 2: ["chat"]}
    await limited(rig, (20, 1), (21, 2))

    async with holds.hold(on("search", 60)) as held:
        assert held.available == 50
        with pytest.raises(InsufficientCredits) as refused:
            async with holds.hold(on("search", 51)):
                pytest.fail("the rest is for another route")
    assert refused.value.available == 50
    assert await holds.check(on("plain")) == 10
    assert reaches.asked == [0]

    reaches.written[3] = ["plain"]
    await limited(rig, (22, 3))
    assert await holds.check(on("plain")) == 110
    assert reaches.asked == [0, 2]


async def test_a_limit_that_postgres_does_not_have_serves_nobody(
    rig: ShardRig, holds: Holds, reaches: WrittenReaches
) -> None:
    await rig.load(ACCOUNT)
    await limited(rig, (20, 1))
    with pytest.raises(LedgerUnavailable):
        async with holds.hold(on("search")):
            pytest.fail("nobody knows what it may be paid from")
    assert len(reaches.asked) == 3
