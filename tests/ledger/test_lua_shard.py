"""The guard, acknowledgement, sessions, dials, freezing and opening."""

import struct
from collections.abc import Iterator

import pytest
import redis

from ledger.lines import (
    ack_args,
    dials_args,
    drop_session_args,
    open_args,
    session_args,
    settle_line,
)
from ledger.records import Meta, SessionRecord, TypeMeta, session_field
from ledger.scripts import SETTLING
from tests.ledger.script_rig import JOURNAL_CAP, SCRIPTS, SESSION, TYPE, WINDOW, Rig

GUARDED = sorted(set(SCRIPTS.names) - {"freeze", "open"})


@pytest.fixture
def rig(each_redis_url: str, namespace: str) -> Iterator[Rig]:
    rig = Rig(each_redis_url, namespace)
    rig.open()
    rig.load()
    rig.grant(9, 100)
    yield rig
    rig.close()


@pytest.mark.parametrize("name", GUARDED)
def test_the_guard_stands_before_every_script(rig: Rig, name: str) -> None:
    before = rig.dump()

    assert rig.run(name, epoch=2).word == "STALE"
    assert rig.run(name, watermark=2).word == "REGRESS"
    assert rig.run(name, clock_ms=rig.now + 5_001).word == "SKEW"
    assert rig.run(name, clock_ms=rig.now - 5_001).word == "SKEW"
    assert rig.dump() == before
    rig.run("freeze")
    assert rig.run(name).word == "FROZEN"
    rig.client.delete(rig.keys.meta)
    assert rig.run(name).word == "NOMETA"


@pytest.mark.parametrize(
    "raw", [b"", b"x" * 99, b"\xff" * 99, struct.pack("<d", float("nan")) * 12]
)
def test_a_corrupt_state_is_like_none(rig: Rig, raw: bytes) -> None:
    rig.client.set(rig.keys.meta, raw)

    assert rig.run("tick").word == "NOMETA"


def test_a_head_of_another_length_is_refused(rig: Rig) -> None:
    with pytest.raises(redis.ResponseError, match="BADARG"):
        rig.client.evalsha(SCRIPTS["tick"].sha, 4, *rig.keys.of(1), b"short")


def test_five_seconds_of_skew_are_borne(rig: Rig) -> None:
    assert rig.run("tick", clock_ms=rig.now + 5_000).word == "OK"
    assert rig.run("tick", clock_ms=rig.now - 5_000).word == "OK"


@pytest.mark.parametrize("name", ["tick", SETTLING])
def test_lua_collects_before_its_memory_doubles(rig: Rig, name: str) -> None:
    rig.client.eval("collectgarbage('setpause', 200)", 0)

    rig.run(name)

    assert rig.client.eval("return collectgarbage('setpause', 125)", 0) == 125


def test_a_position_that_exists_already_is_not_written_twice(rig: Rig) -> None:
    """The state was rolled back and the stream was not: another history holds these numbers."""
    raw = rig.client.get(rig.keys.meta)
    rig.hold(10)
    rig.client.set(rig.keys.meta, raw)
    before = rig.dump()

    assert rig.run("tick", [rig.hold_line(20)], session=SESSION).word == "REGRESS"
    assert rig.dump() == before


def test_entries_are_chained_and_numbered_by_their_last_fact(rig: Rig) -> None:
    rig.tick(rig.hold_line(1), rig.hold_line(1))
    rig.tick(rig.hold_line(1))

    grant, two, one = rig.entries
    assert (grant.first_q, two.first_q, two.last_q, one.first_q) == (1, 2, 3, 4)
    assert (two.previous, one.previous) == (grant.chain, two.chain)
    assert (two.session, two.clock_ms) == (SESSION, rig.now)
    assert two.types == ((TYPE, 2, 0),)
    assert rig.meta.chain == one.chain


def test_acknowledgement_opens_the_window_and_removes_marks(rig: Rig) -> None:
    hold = rig.hold(60)
    rig.tick(settle_line(hold, 10, 1))
    opened = rig.hold(5)
    assert rig.meta.types == (TypeMeta(TYPE, 65, 60, 0, WINDOW),)

    assert rig.ack(rig.entries[2], [hold, opened, b"?" * 12]) == "OK"
    assert rig.kept(hold) is None
    assert rig.kept(opened) is not None
    assert rig.meta.posted_q == 3
    assert rig.meta.types[0].posted == 60
    assert [entry.last_q for entry in rig.entries] == [3, 4]


def test_acknowledgement_keeps_what_it_is_told_to(rig: Rig) -> None:
    for _ in range(4):
        rig.hold(1)

    assert rig.ack(rig.entries[-1], keep=2) == "OK"
    assert [entry.last_q for entry in rig.entries] == [3, 4, 5]


def test_acknowledgement_again_or_out_of_order_is_harmless(rig: Rig) -> None:
    rig.tick(settle_line(rig.hold(60), 60, 1))
    early, late = rig.entries[1], rig.entries[2]
    rig.ack(late, keep=100)
    before = rig.dump()

    assert rig.ack(late, keep=100) == "OK"
    assert rig.ack(early, keep=100) == "OK"
    assert rig.dump() == before


def test_acknowledging_another_history_is_a_fork(rig: Rig) -> None:
    assert rig.answer("ack", ack_args(1, "0" * 16, [], 0)) == "FORK"


def test_acknowledging_what_is_not_there_is_old(rig: Rig) -> None:
    assert rig.answer("ack", ack_args(99, "0" * 16, [], 0)) == "OLD"


def test_a_session_is_opened_once(rig: Rig) -> None:
    assert rig.answer("session", session_args(6)) == "OK"
    assert rig.answer("session", session_args(6)) == "KNOWN"
    assert rig.session(6) == SessionRecord(0, rig.now)


def test_a_session_remembers_its_highest_number(rig: Rig) -> None:
    rig.hold(10)
    rig.tick(rig.hold_line(1_000))

    assert rig.session() == SessionRecord(1, rig.now)


def test_a_session_is_dropped_only_if_it_was_idle(rig: Rig) -> None:
    field = session_field(SESSION)
    raw = rig.client.hget(rig.keys.balances(1), field)
    rig.hold(10)
    assert rig.answer("drop_session", drop_session_args(SESSION, raw)) == "CHANGED"

    raw = rig.client.hget(rig.keys.balances(1), field)
    assert rig.answer("drop_session", drop_session_args(SESSION, raw)) == "OK"
    assert rig.answer("drop_session", drop_session_args(SESSION, raw)) == "OK"
    assert rig.tick(rig.hold_line(10)) == ["NEWID"]


def test_dials_set_windows_and_add_types(rig: Rig) -> None:
    rig.hold(10)

    assert rig.answer("dials", dials_args(77, [(TYPE, 5), (9, 6)])) == "OK"
    assert rig.meta.journal_cap == 77
    assert rig.meta.types == (TypeMeta(TYPE, 10, 0, 0, 5), TypeMeta(9, 0, 0, 0, 6))


def test_freezing_names_its_epoch(rig: Rig) -> None:
    assert rig.run("freeze", epoch=2).word == "STALE"
    assert not rig.meta.frozen
    assert rig.run("freeze").word == "OK"
    assert rig.run("freeze").word == "OK"
    assert rig.meta.frozen


def test_opening_begins_an_epoch_with_what_postgres_had_open(rig: Rig) -> None:
    rig.run("freeze")

    args = open_args(2, JOURNAL_CAP, [(TYPE, 60, WINDOW), (3, 0, 8)], 1)
    assert rig.run("open", args, epoch=2).answers == [b"OK"]
    meta = rig.meta
    assert meta == Meta(
        epoch=2,
        q=0,
        posted_q=0,
        journal_cap=JOURNAL_CAP,
        clock_ms=meta.clock_ms,
        open_holds=1,
        frozen=False,
        chain="0" * 16,
        types=(TypeMeta(TYPE, 60, 0, 0, WINDOW), TypeMeta(3, 0, 0, 0, 8)),
    )


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_that_began_is_not_begun_again(rig: Rig, epoch: int) -> None:
    rig.run("open", open_args(2, 5, [], 0))
    before = rig.dump()

    assert rig.answer("open", open_args(epoch, 6, [], 0)) == "OLD"
    assert rig.dump() == before


def test_the_tick_that_settles_holds_nothing(rig: Rig) -> None:
    """It runs although memory is full: a hold's line is none of it, nor is a check's."""
    hold = rig.hold(60)
    before = rig.dump()

    reply = rig.run(
        SETTLING, [rig.hold_line(1), rig.hold_line(1, only_check=True)], session=SESSION
    )

    assert reply.answers == [b"BADLINE", b"BADLINE"]
    assert rig.dump() == before
    assert rig.run(SETTLING, [rig.hold_line(1), settle_line(hold, 10, 1)]).answers == [
        b"BADLINE",
        10,
    ]


def test_full_memory_refuses_holds_and_still_settles(rig: Rig) -> None:
    hold = rig.hold(60)
    rig.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            rig.tick(rig.hold_line(1))
        reply = rig.run(SETTLING, [settle_line(hold, 10, 1)])
        assert reply.answers == [10]
        assert rig.control("g", credit_type=TYPE, object_id=10, amount=5) == "OK"
        assert rig.ack(rig.entries[-1]) == "OK"
    finally:
        rig.client.config_set("maxmemory", 0)
