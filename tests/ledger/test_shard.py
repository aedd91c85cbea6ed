"""One verified connection, coalesced ticks, and what happens when it is lost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from ledger.errors import LedgerUnavailable
from ledger.ids import HoldIds
from ledger.lines import hold_line, late_line, session_args, settle_line
from ledger.link import Link
from ledger.standing import Standing
from tests.ledger.loops import LOOPS
from tests.ledger.shard_rig import ACCOUNT, CLOCK, KEY, TYPE, ShardRig, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    backend: tuple[str, dict[str, bool]] = request.param
    return backend


IDS = HoldIds(CLOCK)


@pytest.fixture
async def rig(redis_url: str, namespace: str) -> AsyncIterator[ShardRig]:
    rig = ShardRig(redis_url, namespace)
    await rig.start()
    await rig.load(ACCOUNT)
    yield rig
    await rig.stop()


def line(rig: ShardRig, ceiling: int = 1, *, only_check: bool = False) -> bytes:
    return hold_line(
        IDS.mint(rig.shard.session),
        account=ACCOUNT,
        key=KEY,
        credit_type=TYPE,
        ceiling=ceiling,
        version=1,
        rule=2,
        deadline_ms=CLOCK.now_ms() + 60_000,
        only_check=only_check,
    )


async def test_lines_of_one_turn_share_a_call(rig: ShardRig) -> None:
    rig.link.ticks.clear()
    answers = await asyncio.gather(*(rig.shard.hold(line(rig)) for _ in range(40)))

    assert rig.link.ticks == [40]
    assert answers[-1].words == [b"HELD", 960]
    assert rig.shard.watermark == answers[-1].q == 41


async def test_what_arrives_during_a_call_goes_into_the_next(rig: ShardRig) -> None:
    rig.link.ticks.clear()
    rig.link.gate = asyncio.Event()
    first = asyncio.ensure_future(rig.shard.hold(line(rig)))
    await until(lambda: rig.link.ticks)
    others = [asyncio.ensure_future(rig.shard.hold(line(rig))) for _ in range(100)]
    await asyncio.sleep(0)
    rig.link.gate.set()
    await asyncio.gather(first, *others)

    assert rig.link.ticks == [1, 64, 36]


async def test_settlements_go_before_holds_and_neither_starves(rig: ShardRig) -> None:
    held = [line(rig) for _ in range(60)]
    await asyncio.gather(*(rig.shard.hold(one) for one in held))
    rig.link.ticks.clear()
    rig.link.gate = asyncio.Event()
    first = asyncio.ensure_future(rig.shard.hold(line(rig)))
    await until(lambda: rig.link.ticks)
    settled = [rig.shard.settle(settle_line(one[3:15], 1, 1)) for one in held]
    holds = [asyncio.ensure_future(rig.shard.hold(line(rig))) for _ in range(60)]
    await asyncio.sleep(0)
    rig.link.gate.set()
    await asyncio.gather(first, *settled, *holds)

    assert rig.link.ticks == [1, 64, 56]
    facts = await rig.facts()
    kinds = [type(fact).__name__ for fact in facts[62:126]]
    assert kinds == ["WholeCapture"] * 32 + ["HoldFact"] * 32


async def test_a_lost_reply_is_asked_again_under_the_old_session(rig: ShardRig) -> None:
    session = rig.shard.session
    rig.link.lose_reply = True
    answer = await rig.shard.hold(line(rig, 10))

    assert (answer.words, answer.resent) == ([b"HELD", 990], True)
    assert rig.shard.session == session + 1
    assert await rig.open_holds() == 1


async def test_a_lost_call_is_asked_again(rig: ShardRig) -> None:
    rig.link.lose_call = True
    answer = await rig.shard.hold(line(rig, 10))

    assert answer.words == [b"HELD", 990]
    assert await rig.open_holds() == 1


async def test_lines_of_two_sessions_go_in_calls_of_their_own(rig: ShardRig) -> None:
    rig.link.gate = asyncio.Event()
    old = [asyncio.ensure_future(rig.shard.hold(line(rig))) for _ in range(3)]
    await until(lambda: rig.link.ticks)
    rig.link.gate.set()
    rig.link.lose_call = True
    await until(lambda: len(rig.links) == 2 and rig.shard.verified)
    new = [asyncio.ensure_future(rig.shard.hold(line(rig))) for _ in range(3)]
    answers = await asyncio.gather(*old, *new)

    assert [answer.words[0] for answer in answers] == [b"HELD"] * 6


async def test_a_lost_settlement_is_booked_once(rig: ShardRig) -> None:
    held = line(rig, 10)
    await rig.shard.hold(held)
    rig.link.lose_reply = True
    answer = await rig.shard.settle(settle_line(held[3:15], 4, 1))

    assert answer.words == [b"DONE", b"c", 4]
    assert len(await rig.facts()) == 3


async def test_a_hold_in_doubt_needs_a_new_id_once_the_epoch_changed(rig: ShardRig) -> None:
    rig.link.lose_reply = True
    rig.verifier.epoch = 2
    answer = await rig.shard.hold(line(rig, 10))

    assert (answer.words, answer.resent, answer.epoch) == ([b"NEWID"], True, 2)


async def test_a_late_line_never_changes_epoch(rig: ShardRig) -> None:
    rig.link.lose_reply = True
    rig.verifier.epoch = 2
    late = late_line(
        IDS.mint(1),
        account=ACCOUNT,
        key=KEY,
        credit_type=TYPE,
        amount=5,
        version=1,
        rule=1,
        reason=1,
    )

    with pytest.raises(LedgerUnavailable) as refused:
        await rig.shard.settle(late, epoch=1)
    assert refused.value.unknown
    assert await rig.facts(2) == []


async def test_a_missing_state_is_fenced(rig: ShardRig) -> None:
    assert rig.side is not None
    await rig.side.call("DEL", rig.keys.meta)
    answer = await rig.shard.hold(line(rig))

    assert rig.verifier.fenced == ["NOMETA"]
    assert rig.shard.epoch == 2
    assert answer.words == [b"NEWID"]


async def test_a_state_behind_the_watermark_is_fenced(rig: ShardRig) -> None:
    assert rig.side is not None
    raw = await rig.side.call("GET", rig.keys.meta)
    await rig.shard.hold(line(rig))
    await rig.side.call("SET", rig.keys.meta, raw)
    await rig.shard.hold(line(rig))

    assert rig.verifier.fenced == ["REGRESS"]


async def test_another_epoch_is_verified_anew(rig: ShardRig) -> None:
    assert rig.side is not None
    rig.verifier.epoch = 2
    await rig.verifier.open(rig.side)
    answer = await rig.shard.hold(line(rig))

    assert (rig.verifier.fenced, rig.shard.epoch) == ([], 2)
    assert answer.words == [b"NEWID"]


async def test_a_server_that_forgot_the_scripts_is_verified_anew(rig: ShardRig) -> None:
    assert rig.side is not None
    before = rig.verifier.verified
    await rig.side.call("SCRIPT", "FLUSH")
    answer = await rig.shard.hold(line(rig))

    assert answer.words == [b"HELD", 999]
    assert rig.verifier.verified == before + 1


async def test_a_dropped_session_is_replaced(rig: ShardRig) -> None:
    assert rig.side is not None
    session = rig.shard.session
    await rig.side.call("HDEL", rig.keys.balances(1), b"s" + session_args(session)[0])

    assert (await rig.shard.hold(line(rig))).words == [b"NEWID"]
    await until(lambda: rig.shard.verified)
    assert rig.shard.session == session + 1
    assert (await rig.shard.hold(line(rig))).words == [b"HELD", 999]


async def test_a_hold_without_an_answer_gives_up_and_says_whether_it_was_sent(
    rig: ShardRig,
) -> None:
    rig.link.gate = asyncio.Event()
    sent = asyncio.ensure_future(rig.shard.hold(line(rig)))
    await until(lambda: len(rig.link.ticks) == 1)
    queued = asyncio.ensure_future(rig.shard.hold(line(rig)))
    outcomes = await asyncio.gather(sent, queued, return_exceptions=True)

    assert [getattr(outcome, "unknown", None) for outcome in outcomes] == [True, False]
    rig.link.gate.set()


async def test_who_gave_up_before_the_call_is_not_asked_for(rig: ShardRig) -> None:
    rig.link.gate = asyncio.Event()
    first = asyncio.ensure_future(rig.shard.hold(line(rig)))
    await until(lambda: len(rig.link.ticks) == 1)
    second = asyncio.ensure_future(rig.shard.hold(line(rig)))
    await asyncio.sleep(0)
    second.cancel()
    rig.link.gate.set()
    await first
    await rig.shard.hold(line(rig))

    assert await rig.open_holds() == 2


async def test_full_memory_refuses_holds_and_still_settles(rig: ShardRig) -> None:
    held = line(rig)
    await rig.shard.hold(held)
    assert rig.side is not None
    await rig.side.call("CONFIG", "SET", "maxmemory", "1")
    try:
        hold = asyncio.ensure_future(rig.shard.hold(line(rig)))
        settled = rig.shard.settle(settle_line(held[3:15], 1, 1))
        with pytest.raises(LedgerUnavailable) as refused:
            await hold
        assert not refused.value.unknown
        assert (await settled).words == [b"DONE", b"c", 1]
    finally:
        await rig.side.call("CONFIG", "SET", "maxmemory", "0")


async def test_a_shard_that_is_away_is_waited_for_and_comes_back(rig: ShardRig) -> None:
    rig.connect_fails = True
    rig.link.close()
    with pytest.raises(LedgerUnavailable):
        await rig.shard.ready(0.05)
    settled = rig.shard.settle(settle_line(b"u" * 12, 0, 20))
    assert not rig.shard.verified
    rig.connect_fails = False

    assert (await settled).words == [b"NOHOLD"]
    assert rig.shard.verified


async def test_checks_need_no_session_of_their_own(rig: ShardRig) -> None:
    answer = await rig.shard.hold(line(rig, 0, only_check=True))

    assert answer.words == [b"PASS", b"1000"]


async def test_a_closed_shard_tells_everybody(rig: ShardRig) -> None:
    rig.link.gate = asyncio.Event()
    hold = asyncio.ensure_future(rig.shard.hold(line(rig)))
    await until(lambda: rig.link.ticks)
    settled = rig.shard.settle(settle_line(b"u" * 12, 0, 20))
    await rig.shard.aclose()

    for waiting in (hold, settled):
        with pytest.raises(LedgerUnavailable):
            await waiting
    with pytest.raises(LedgerUnavailable):
        await rig.shard.hold(line(rig))


async def test_a_closed_shard_is_never_ready(rig: ShardRig) -> None:
    """It refuses at once, and keeps nobody who would never be told."""
    await rig.shard.aclose()

    with pytest.raises(LedgerUnavailable, match="closed"):
        await rig.shard.ready()
    assert not rig.shard._connection.waited_for


async def test_an_outage_is_said_once_and_so_is_its_end(
    rig: ShardRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.connect_fails = True
    rig.link.close()
    with pytest.raises(LedgerUnavailable):
        await rig.shard.hold(line(rig))
    rig.connect_fails = False
    await until(lambda: rig.shard.verified)

    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [
        "shard 0: OSError: played: no server",
        "shard 0: verified again, in epoch 1",
    ]


async def test_a_settlement_waits_its_own_moment_for_a_hold(
    rig: ShardRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the rest of the one that went out before it."""
    wait_s = 0.2
    monkeypatch.setattr("ledger.shard.SETTLE_WAIT_S", wait_s)
    held = [line(rig), line(rig)]
    await asyncio.gather(*(rig.shard.hold(one) for one in held))
    rig.link.ticks.clear()
    loop = asyncio.get_running_loop()

    first = rig.shard.settle(settle_line(held[0][3:15], 1, 1))
    await asyncio.sleep(wait_s / 2)
    await rig.shard.hold(line(rig))
    began = loop.time()
    second = rig.shard.settle(settle_line(held[1][3:15], 1, 1))
    assert first.done()
    await second

    assert rig.link.ticks == [2, 1]
    assert loop.time() - began >= wait_s


@pytest.mark.parametrize("reply", [[b"OK"], [b"OK", 0], None])
async def test_a_reply_that_makes_no_sense_leaves_nobody_waiting(
    rig: ShardRig, caplog: pytest.LogCaptureFixture, reply: object
) -> None:
    """It may have been done: so is told; it is said loudly, and the next tick is another's."""
    before = rig.link

    async def nonsense(*_: object) -> object:
        return reply

    before.call = nonsense  # type: ignore[method-assign]
    settled = rig.shard.settle(settle_line(b"u" * 12, 0, 20))
    with pytest.raises(LedgerUnavailable) as refused:
        await rig.shard.hold(line(rig))
    assert refused.value.unknown
    with pytest.raises(LedgerUnavailable):
        await settled

    assert (await rig.shard.hold(line(rig))).words[0] == b"HELD"
    assert rig.link is not before
    assert "a tick failed" in caplog.text


async def test_a_tick_that_cannot_be_written_leaves_nobody_waiting(
    rig: ShardRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("played")

    with monkeypatch.context() as patched:
        patched.setattr("ledger.shard.lines_of", fail)
        with pytest.raises(LedgerUnavailable):
            await rig.shard.hold(line(rig))
    assert (await rig.shard.hold(line(rig))).words[0] == b"HELD"


async def test_attempts_to_verify_are_spaced_out(rig: ShardRig) -> None:
    """At once after something worked, then ever more slowly."""
    await rig.shard.hold(line(rig))
    attempts: list[float] = []
    verify = rig.verifier.verify

    async def failing(link: Link) -> Standing:
        attempts.append(asyncio.get_running_loop().time())
        if len(attempts) < 4:
            raise LedgerUnavailable("not now")
        return await verify(link)

    rig.verifier.verify = failing  # type: ignore[method-assign]
    rig.link.close()
    await rig.shard.hold(line(rig))

    waits = [after - before for before, after in pairwise(attempts)]
    assert all(wait >= least for wait, least in zip(waits, (0.05, 0.1, 0.2), strict=True))
