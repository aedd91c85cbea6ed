"""
Whatever a script is told, it refuses what is not right, and then nothing has changed.

Everything is compared: meta, journal, balances, holds, tokens. FAREBOX_EXAMPLES times
five calls are also changed at random; what is let pass then must leave a shard that adds up.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ledger.account_record import AccountRecord, Lot, Pool
from ledger.facts import MAX_AMOUNT, Control
from ledger.ids import MAX_N, hold_id
from ledger.lines import (
    control_args,
    dials_args,
    observed_line,
    open_args,
    renew_line,
    settle_line,
)
from ledger.records import KeyRecord
from ledger.scripts import SETTLING
from tests.ledger.hostile_shard import UNLOADED, Call, HostileShard, accepted, double
from tests.ledger.script_rig import ACCOUNT, KEY, SCRIPTS, SESSION, TYPE
from tests.proof import Proof, tell

CHANGED_AT_RANDOM = 5 * int(os.environ.get("FAREBOX_EXAMPLES", "20"))
NOT_WHOLE = [float("nan"), float("inf"), -float("inf"), -1.0, 0.5, 1e16, 1e300]
GARBAGE = [
    b"",
    b"\0",
    b"abc",
    b"-1",
    b"0",
    b"90000000000001",
    b"1e400",
    b"nan",
    b"\0" * 4096,
    b"\xff" * 4097,
    b"9" * 2**20,
]
TOO_MUCH = (MAX_AMOUNT + 1, 2**48 - 1)
FREE = {("load_begin", 2), ("open", 0), ("unload", 3), ("ack", 3)}
"""Script and argument of which any bytes will do: a token, a head that nobody reads, other ids."""
MAY_BE_EMPTY = {("dials", 2), ("load_end", 5), ("open", 3)}
"""Lists of things, of which there may be none."""
ANY_NUMBER = {
    ("unload", 1),
    ("session", 1),
    ("drop_session", 1),
    ("dials", 1),
    ("load_begin", 1),
    ("open", 2),
    ("open", 4),
    ("load_end", 9),
}
"""Numbers and names of things that may be there or not: as many bytes mean another one."""
KEYS_NEEDED = {
    "dials": 1,
    "freeze": 1,
    "open": 1,
    "ack": 4,
    "tick": 4,
    SETTLING: 4,
    "load_begin": 5,
    "load_end": 5,
}
"""The others need the first three."""

numbers = count()


@pytest.fixture(scope="module")
def built(each_redis_url: str) -> Iterator[HostileShard]:
    shard = HostileShard(each_redis_url, f"hostile{os.getpid()}x{next(numbers)}")
    yield shard
    shard.rig.close()


@pytest.fixture
def shard(built: HostileShard) -> Iterator[HostileShard]:
    """The one shard, as it was built."""
    yield built
    built.restore()


@pytest.mark.parametrize("name", SCRIPTS.names)
def test_the_call_that_is_then_spoilt_does_something(shard: HostileShard, name: str) -> None:
    assert accepted(shard.tell(shard.valid(name)))
    assert shard.dump() != shard.state
    shard.check()
    shard.restore()


@pytest.mark.parametrize("name", SCRIPTS.names)
def test_bytes_that_are_no_argument_are_refused(shard: HostileShard, name: str) -> None:
    valid, calls = shard.valid(name), []
    for at in range(len(valid.args)):
        right = valid.args[at]
        of_a_list = at and (name.startswith("tick") or (name == "control" and at > 1))
        wrong = [*GARBAGE] if of_a_list else [*GARBAGE, right[:-1], right + b"\0"]
        if (name, at) not in ANY_NUMBER:
            wrong += [b"\0" * len(right), b"\xff" * len(right)]
        for value in wrong:
            if (name, at) in FREE or (not value and (name, at) in MAY_BE_EMPTY) or value == right:
                continue
            call = valid.having(at, value)
            if of_a_list:  # where each is answered for itself: here there is no other
                call = replace(valid, args=(*valid.args[: 1 + (name == "control")], value))
            calls.append(call)
    shard.refuses(*calls)


@pytest.mark.parametrize("name", SCRIPTS.names)
def test_another_number_of_arguments_is_refused(shard: HostileShard, name: str) -> None:
    valid = shard.valid(name)
    shard.refuses(replace(valid, args=()))
    if name.startswith("tick"):
        shard.refuses(valid.after_head(*[valid.args[1]] * 65))
        return
    fewest = {"control": 2, "load_end": 9, "load_limits": 2}.get(name)  # a list follows
    for at in range(fewest or len(valid.args)):
        shard.refuses(replace(valid, args=valid.args[:at]))
    if fewest is None:
        shard.refuses(replace(valid, args=(*valid.args, b"one more")))


@pytest.mark.parametrize("name", SCRIPTS.names)
def test_keys_that_are_missing_or_of_another_type_are_refused(
    shard: HostileShard, name: str
) -> None:
    client, valid, state = shard.rig.client, shard.valid(name), shard.state
    needed = KEYS_NEEDED.get(name, 3)
    for at, key in enumerate(valid.keys):
        answer = shard.tell(replace(valid, keys=valid.keys[:at]))
        assert accepted(answer) == (at >= needed)
        assert at >= needed or shard.dump() == state
        shard.restore()
        client.delete(key)
        client.sadd(key, "of another type")
        before = shard.dump()
        answer = shard.tell(valid)
        if not accepted(answer):
            assert shard.dump() == before
        elif (name, at) != ("load_begin", 4):  # a token is written over whatever it was
            assert client.type(key) == b"set"
        assert at or not accepted(answer)
        client.delete(key)
        shard.restore()


@pytest.mark.parametrize("at", range(4))
def test_a_hold_alone_meets_keys_of_another_type_before_anything_is_written(
    shard: HostileShard, at: int
) -> None:
    """It reads no hold; what is where the holds should be is noticed all the same."""
    client, key = shard.rig.client, shard.valid("tick").keys[at]
    client.delete(key)
    client.sadd(key, "of another type")
    before = shard.dump()

    answer = shard.tell(shard.valid("tick").after_head(shard.hold_line()))

    assert isinstance(answer, redis.ResponseError)
    assert shard.dump() == before
    client.delete(key)


def _doubles(name: str) -> dict[int, Sequence[float]]:
    """Arguments that are one double, and what each may not be."""
    return {
        "ack": {1: [*NOT_WHOLE, 0.0, 99.0], 4: NOT_WHOLE},
        "dials": {1: NOT_WHOLE},
        "load_end": {1: [*NOT_WHOLE, 0.0, 2.0], 6: [*NOT_WHOLE, 3.0, 1e6, 9e15]},
        "open": {1: [*NOT_WHOLE, 0.0, 1.0], 2: NOT_WHOLE, 4: NOT_WHOLE},
    }.get(name, {})


@pytest.mark.parametrize("name", ["ack", "dials", "load_end", "open"])
def test_numbers_that_are_not_whole_are_refused(shard: HostileShard, name: str) -> None:
    valid = shard.valid(name)
    for at, wrong in _doubles(name).items():
        for number in wrong:
            shard.refuses(valid.having(at, double(number)))


@pytest.mark.parametrize("name", sorted(set(SCRIPTS.names) - {"open"}))
def test_a_head_with_numbers_of_no_sense_is_refused(shard: HostileShard, name: str) -> None:
    valid = shard.valid(name)
    for number in [*NOT_WHOLE, 0.0, 2.0]:
        shard.refuses(valid.having(0, shard.head(epoch=number)))
    if name == "freeze":
        return
    for number in (float("nan"), float("inf"), 99.0, 1e300):
        shard.refuses(valid.having(0, shard.head(watermark=number)))
    for number in [*NOT_WHOLE, 0.0]:
        shard.refuses(valid.having(0, shard.head(clock_ms=number)))


def test_windows_of_no_sense_are_refused(shard: HostileShard) -> None:
    wrong = [[(0, 5)], [(TYPE, 5), (0, 5)], *([(TYPE, number)] for number in NOT_WHOLE)]
    for windows in wrong:
        shard.refuses(shard.valid("dials").after_head(*dials_args(77, windows)))
        types = [(credit_type, 0, units) for credit_type, units in windows]
        shard.refuses(shard.valid("open").after_head(*open_args(2, 77, types, 0)))
        types = [(credit_type, units, 5) for credit_type, units in windows]
        if windows[0][1] != 5:
            shard.refuses(shard.valid("open").after_head(*open_args(2, 77, types, 0)))
    for types in ([(TYPE, 0, 5)] * 2, [(TYPE, 0, 5)] * 257):
        shard.refuses(shard.valid("open").after_head(*open_args(2, 77, types, 0)))


def test_controls_of_no_sense_are_refused(shard: HostileShard) -> None:
    cseq = shard.rig.account().cseq + 1
    grant = Control("g", cseq, TYPE, 60, 8, 1)
    claw = Control("w", cseq, TYPE, 60, 8)
    wrong = [
        *(replace(grant, amount=amount) for amount in (0, MAX_AMOUNT, *TOO_MUCH)),
        *(replace(grant, object_id=number) for number in (0, 2**40, 2**56 - 1)),
        *(replace(grant, cseq=number) for number in (0, cseq - 1, cseq + 1, 2**32 - 1)),
        *(replace(grant, kind=kind) for kind in "?\0GHx"),
        replace(grant, credit_type=0),
        replace(claw, credit_type=0),
        *(replace(claw, amount=amount) for amount in (0, *TOO_MUCH)),
        *(Control("f", cseq, flags=flags) for flags in (2, 255)),
        *(Control("s", cseq, TYPE, 5, amount) for amount in TOO_MUCH),
        *(Control("s", cseq, TYPE, 5, 8, per) for per in (3, 255)),
        Control("s", cseq, 0, 5, 8),
        *(Control("k", cseq, 0, 5, amount, flags=1) for amount in (0, 3, MAX_AMOUNT)),
    ]
    valid = shard.valid("control")
    shard.refuses(*(valid.after_head(*control_args(ACCOUNT, [control])) for control in wrong))
    for many in ([grant] * 1_001, [replace(grant, cseq=cseq + n) for n in range(1_001)]):
        shard.refuses(valid.after_head(*control_args(ACCOUNT, many)))


def test_lines_of_no_sense_are_refused(shard: HostileShard) -> None:
    other = hold_id(1_000, SESSION + 1)
    wrong = [
        *(shard.hold_line()[:end] for end in range(60)),
        *(b"K" + shard.hold_line()[1:end] for end in range(1, 60)),
        shard.hold_line(detail=b"x" * 1_024) + b"x",
        *(_ceiling(shard.hold_line(), amount) for amount in (0, 1_001, *TOO_MUCH)),
        shard.hold_line()[:3] + (MAX_N + 1).to_bytes(8, "big") + shard.hold_line()[11:],
        shard.hold_line()[:3] + b"\xff" * 8 + shard.hold_line()[11:],
        shard.hold_line()[:3] + other + shard.hold_line()[15:],
        *(settle_line(shard.opened, amount, 1) for amount in (401, *TOO_MUCH)),
        *(settle_line(shard.opened, 0, reason) for reason in (0, 40, 41, 99, 255)),
        *(settle_line(shard.opened, 1, reason) for reason in (20, 39, 40)),
        *(settle_line(shard.opened, 5, 1)[:end] for end in range(24)),
        settle_line(shard.opened, 5, 1, detail=b"x" * 1_024) + b"x",
        *(
            b"S" + mark + settle_line(shard.opened, 5, 1)[3:]
            for mark in (b"Dv", b"Dl", b"Hc", bytes(2))
        ),
        *(_late(shard, amount) for amount in TOO_MUCH),
        *(_late(shard, 5)[:end] for end in range(43)),
        _late(shard, 5) + b"x" * 1_025,
        *(renew_line(shard.opened, 5)[:end] for end in range(19)),
        renew_line(shard.opened, 5) + b"x",
        *(_observed()[:end] for end in range(42)),
        _observed() + b"x" * 1_025,
        *(bytes([kind]) + shard.hold_line()[1:] for kind in range(256) if kind not in b"HKSLRO"),
    ]
    for name in ("tick", SETTLING):
        valid = shard.valid(name)
        shard.refuses(*(valid.after_head(line) for line in wrong))


def test_a_bad_line_is_answered_for_itself(shard: HostileShard) -> None:
    """The others of the same call are done as if it were not there."""
    good = shard.valid("tick").args[1:]
    alone = shard.tell(shard.valid("tick"))
    done = shard.dump()
    shard.restore()
    answer = shard.tell(
        shard.valid("tick").after_head(b"", good[0], b"\xff" * 99, good[1], _late(shard, 5)[:9])
    )
    assert not isinstance(answer, redis.ResponseError)
    assert not isinstance(alone, redis.ResponseError)
    assert answer.answers == [
        b"BADLINE",
        alone.answers[0],
        b"BADLINE",
        alone.answers[1],
        b"BADLINE",
    ]
    assert shard.dump() == done
    shard.restore()


def test_snapshots_of_no_sense_are_refused(shard: HostileShard) -> None:
    snapshot, held = shard.snapshot(), shard.held()
    raw = snapshot.pack()
    lot = Lot(70, 1, 2**47, 500)

    def told(**values: object) -> Call:
        return shard.valid("load_end").after_head(*shard.load_end_args(**values))

    records = [
        *(raw[:end] for end in range(len(raw))),
        raw + b"\0",
        b"\0" + raw[1:],
        b"\3" + raw[1:],
        *(
            AccountRecord(1, 3, 4, (pool,)).pack()
            for pool in (
                *(Pool(TYPE, debt, 0, ()) for debt in TOO_MUCH),
                *(Pool(TYPE, 0, floor, ()) for floor in (-1, -(2**63), *TOO_MUCH, 2**63 - 1)),
                *(Pool(TYPE, 0, 0, (lot._replace(remaining=units),)) for units in TOO_MUCH),
                Pool(TYPE, 0, 0, (lot._replace(remaining=MAX_AMOUNT), lot)),
            )
        ),
    ]
    valid = shard.valid("load_end")
    shard.refuses(*(valid.having(4, record) for record in records))
    for key in (KeyRecord(1, ACCOUNT, 3), KeyRecord(1, UNLOADED + 1, 3)):
        shard.refuses(told(keys=[(71, KeyRecord(1, UNLOADED, 3)), (72, key)]))
    part = held.allocation[0]
    wrong_holds = [
        replace(held, account=ACCOUNT),
        replace(held, price=held.price + 1),
        replace(held, price=held.price - 1),
        replace(held, allocation=()),
        *(
            replace(held, price=units, allocation=(part._replace(amount=units),))
            for units in TOO_MUCH
        ),
    ]
    for hold in wrong_holds:
        shard.refuses(told(holds=[held, replace(hold, hold_id=hold_id(8, 2))]))
    cut = range(len(valid.args[8]))
    shard.refuses(*(valid.having(8, valid.args[8][:end]) for end in cut))
    grant = Control("g", 4, TYPE, 72, 8, 1)
    for controls in (
        [replace(grant, cseq=5)],
        [grant, replace(grant, cseq=6)],
        [replace(grant, amount=0)],
        [replace(grant, amount=MAX_AMOUNT)],
        [replace(grant, kind="?")],
        [replace(grant, credit_type=0)],
        [Control("f", 4 + n, flags=n % 2) for n in range(70_000)],
    ):
        shard.refuses(told(controls=controls))


def test_an_account_of_every_credit_type_can_be_read_again(shard: HostileShard) -> None:
    """As many pools as the count's byte can say, and not one more."""
    cseq = shard.rig.account().cseq + 1
    grants = [Control("g", cseq + n, n % 256, 60 + n, 8, 1) for n in range(1, 256)]
    grants = [replace(grant, cseq=cseq + n) for n, grant in enumerate(grants)]
    zero = Control("g", cseq + 255, 0, 400, 8, 1)
    shard.tell(shard.valid("control").after_head(*control_args(ACCOUNT, [*grants, zero])))
    assert len(shard.rig.account().pools) == 255
    shard.check()
    shard.restore()


@pytest.mark.slow
def test_calls_changed_at_random_are_refused_or_leave_a_shard_that_adds_up(
    shard: HostileShard, server_name: str
) -> None:
    passed = 0

    @settings(
        max_examples=CHANGED_AT_RANDOM,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def spoil(data: st.DataObject) -> None:
        nonlocal passed
        call = _spoilt(shard.valid(data.draw(st.sampled_from(SCRIPTS.names))), data)
        try:
            answer = shard.tell(call)
            if accepted(answer):
                passed += 1
                shard.check()
            else:
                assert shard.dump() == shard.state, (call, answer)
        finally:
            shard.restore()

    spoil()
    print(f"{server_name}: {shard.calls} hostile calls, {CHANGED_AT_RANDOM} at random")
    print(f"  {passed} of those were in order all the same")
    what = (
        f"{server_name}: hostile arguments, {CHANGED_AT_RANDOM:,} calls of them changed at random"
    )
    tell(Proof("T2", what, seeds=CHANGED_AT_RANDOM, faults=shard.calls, operations=shard.calls))


def _spoilt(call: Call, data: st.DataObject) -> Call:
    """The call with one to three things wrong."""
    args = list(call.args)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(args) - 1)) if args else 0
        match data.draw(
            st.sampled_from(
                ["flip", "flip", "flip", "cut", "grow", "random", "swap", "drop", "double"]
            )
        ):
            case "flip" if args and args[at]:
                here = data.draw(st.integers(0, len(args[at]) - 1))
                flipped = args[at][here] ^ data.draw(st.integers(1, 255))
                args[at] = args[at][:here] + bytes([flipped]) + args[at][here + 1 :]
            case "cut" if args:
                args[at] = args[at][: data.draw(st.integers(0, len(args[at])))]
            case "grow" if args:
                args[at] += data.draw(st.binary(min_size=1, max_size=40))
            case "random" if args:
                args[at] = data.draw(st.binary(max_size=64))
            case "swap" if args:
                other = data.draw(st.integers(0, len(args) - 1))
                args[at], args[other] = args[other], args[at]
            case "drop" if args:
                del args[at]
            case "double" if args:
                args.insert(at, args[at])
            case _:
                pass
    return replace(call, args=tuple(args))


def _ceiling(line: bytes, amount: int) -> bytes:
    return line[:30] + amount.to_bytes(6, "little") + line[36:]


def _late(shard: HostileShard, amount: int) -> bytes:
    line = shard.hold_line()
    return (
        b"L" + hold_id(9, 2) + line[15:30] + amount.to_bytes(6, "little") + line[36:42] + b"\1\0\0"
    )


def _observed() -> bytes:
    return observed_line(
        hold_id(8, 2),
        account=ACCOUNT,
        key=KEY,
        credit_type=TYPE,
        amount=4,
        version=1,
        rule=2,
        status=200,
    )
