"""block.lua and unload.lua: an account refused without a fact, and one forgotten as it was read."""

from collections.abc import Iterator

import pytest
import redis

from ledger.account_record import account_field
from ledger.lines import settle_line
from ledger.records import KeyRecord
from tests.ledger.script_rig import ACCOUNT, KEY, Rig

ID = ACCOUNT.to_bytes(7, "little")
KEYS = KEY.to_bytes(7, "little")


@pytest.fixture
def rig(each_redis_url: str, namespace: str) -> Iterator[Rig]:
    rig = Rig(each_redis_url, namespace)
    rig.open()
    yield rig
    rig.close()


def raw(rig: Rig) -> bytes:
    return rig.client.hget(rig.keys.balances(rig.epoch), account_field(ACCOUNT))


def funded(rig: Rig) -> bytes:
    rig.load()
    rig.grant(1, 100)
    return raw(rig)


def test_a_blocked_account_is_refused_and_nothing_is_written_to_the_journal(rig: Rig) -> None:
    funded(rig)
    facts = rig.facts

    assert rig.answer("block", [ID]) == "OK"
    assert rig.answer("block", [ID]) == "OK"

    assert rig.tick(rig.hold_line(5)) == ["BLOCKED"]
    assert rig.facts == facts
    assert rig.lots() == {1: 100}


def test_a_hold_of_a_blocked_account_still_ends(rig: Rig) -> None:
    funded(rig)
    hold = rig.hold(40)
    rig.answer("block", [ID])

    assert rig.tick(settle_line(hold, 30, 1, 200)) == ["DONE c 30"]
    assert rig.lots() == {1: 70}


def test_an_unloaded_account_is_absent_and_no_error_of_its_own(rig: Rig) -> None:
    record = funded(rig)
    hold = rig.hold(40)
    assert rig.answer("unload", [ID, record, KEYS]) == "CHANGED"

    assert rig.answer("unload", [ID, raw(rig), KEYS]) == "OK"
    assert rig.answer("unload", [ID, record, KEYS]) == "OK"

    assert rig.tick(rig.hold_line(5)) == ["NOACCOUNT"]
    assert rig.answer("block", [ID]) == "NOTLOADED"
    assert rig.kept(hold) is not None
    assert rig.meta.open_holds == 1
    assert rig.load(keys=[(KEY, KeyRecord(1, ACCOUNT, 3))]) == "LOADED"


def test_a_record_that_does_not_add_up_is_not_written_over(rig: Rig) -> None:
    funded(rig)
    rig.client.hset(rig.keys.balances(rig.epoch), account_field(ACCOUNT), b"\x01odd")

    assert rig.answer("block", [ID]) == "CORRUPT"
    assert rig.answer("unload", [ID, b"\x01odd", KEYS]) == "OK"


@pytest.mark.parametrize(
    ("script", "args"),
    [
        ("block", []),
        ("block", [b"short"]),
        ("unload", [ID]),
        ("unload", [ID, b"", b"odd"]),
        ("unload", [ID, b"", KEYS * 1_001]),
    ],
)
def test_wrong_arguments_change_nothing(rig: Rig, script: str, args: list[bytes]) -> None:
    funded(rig)
    before = rig.dump()

    with pytest.raises(redis.ResponseError, match="BADARG"):
        rig.run(script, args)

    assert rig.dump() == before
