"""The plan of an account in the scripts: set by a control, asked for by the lines that name one."""

from collections.abc import Iterator

import pytest

from ledger.account_record import AccountRecord, account_field
from ledger.limits import ALL_ROUTES, Limit, limits_block, window_id
from ledger.lines import PLANNED
from tests.ledger.script_rig import ACCOUNT, Rig

QUOTA = limits_block([Limit("a", ALL_ROUTES, window_id("Q", "day"), "Q", 5)], 1)
LARGEST = 2**32 - 1


@pytest.fixture
def rig(each_redis_url: str, namespace: str) -> Iterator[Rig]:
    rig = Rig(each_redis_url, namespace)
    rig.open()
    rig.load()
    rig.grant(9, 100)
    yield rig
    rig.close()


@pytest.mark.parametrize("limits", [b"", QUOTA])
@pytest.mark.parametrize("only_check", [False, True])
def test_a_line_of_another_plan_is_told_the_accounts_and_changes_nothing(
    rig: Rig, limits: bytes, only_check: bool
) -> None:
    """Also one that names none, and one that names the plan the account was on before."""
    assert rig.control("p", object_id=3) == "OK"
    assert rig.control("p", object_id=LARGEST) == "OK"
    before = rig.dump()

    for plan in (0, 3, 4):
        line = rig.hold_line(10, plan=plan, limits=limits, only_check=only_check)
        assert rig.tick(line) == [f"PLAN {LARGEST}"]

    assert rig.dump() == before


@pytest.mark.parametrize("limits", [b"", QUOTA])
def test_a_line_of_the_accounts_plan_holds_with_its_detail(rig: Rig, limits: bytes) -> None:
    assert rig.control("p", object_id=3) == "OK"
    detail = b'{"p":"pro"}'

    (answer,) = rig.tick(rig.hold_line(10, plan=3, limits=limits, detail=detail))

    assert answer.split()[:2] == ["HELD", "90"]
    assert rig.entries[-1].facts[0].detail == detail  # type: ignore[union-attr]
    assert rig.tick(rig.hold_line(10)) == ["HELD 80"]  # who does not ask is not told


def test_an_id_that_was_granted_is_answered_as_before_on_another_plan(rig: Rig) -> None:
    """A hold keeps the price it was made with."""
    line = rig.hold_line(10, plan=0)
    assert rig.tick(line) == ["HELD 90"]
    assert rig.control("p", object_id=3) == "OK"

    assert rig.tick(line) == ["HELD 90"]


def test_a_plan_is_kept_beside_pools_and_taken_off_again(rig: Rig) -> None:
    rig.grant(10, 5, credit_type=1)
    for number in (7, 0):
        assert rig.control("p", object_id=number) == "OK"
        assert rig.account().plan == number
        assert rig.account().status == 1
    assert rig.control("f", flags=1) == "OK"
    assert rig.control("p", object_id=7) == "OK"
    assert (rig.account().status, rig.account().plan) == (2, 7)
    assert rig.lots() == {9: 100, 10: 5}


def test_a_control_beyond_four_bytes_is_refused(rig: Rig) -> None:
    before = rig.dump()
    assert rig.control("p", object_id=LARGEST + 1) == "BADLINE"
    assert rig.dump() == before


def test_a_line_that_announces_a_plan_and_has_none_is_refused(rig: Rig) -> None:
    whole = rig.hold_line(10, plan=0)
    assert rig.tick(whole[:-1]) == ["BADLINE"]
    plain = bytearray(rig.hold_line(10))
    plain[48] |= PLANNED
    assert rig.tick(bytes(plain)) == ["BADLINE"]


@pytest.mark.parametrize("raw", [b"\x81" + bytes(10), b"\x81" + bytes(14), b"\x80" + bytes(14)])
def test_a_record_whose_plan_does_not_add_up_is_corrupt(rig: Rig, raw: bytes) -> None:
    """Cut off, plan 0 though it says that there is one, and no status."""
    rig.client.hset(rig.keys.balances(1), account_field(ACCOUNT), raw)
    assert rig.tick(rig.hold_line(10)) == ["CORRUPT"]


def test_a_loaded_record_brings_its_plan(rig: Rig) -> None:
    record = AccountRecord(1, 0, 0, (), plan=5)
    assert rig.load(ACCOUNT + 1, record=record, keys=[]) == "LOADED"
    assert rig.account(ACCOUNT + 1).plan == 5
