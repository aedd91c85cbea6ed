"""Controls, and the loading of accounts that applies the pending ones."""

from collections.abc import Iterator

import pytest

from ledger.account_record import FROZEN, AccountRecord, Lot, Pool, account_field
from ledger.facts import MAX_AMOUNT, Control, ControlFact, HoldFact, LotAmount, LotExpired
from ledger.lines import control_args, load_begin_args, load_end_args, settle_line
from ledger.records import KeyRecord
from tests.ledger.script_rig import ACCOUNT, KEY, TYPE, Rig


@pytest.fixture
def rig(each_redis_url: str, namespace: str) -> Iterator[Rig]:
    rig = Rig(each_redis_url, namespace)
    rig.open()
    rig.load()
    yield rig
    rig.close()


def test_a_grant_becomes_a_lot(rig: Rig) -> None:
    control = Control("g", 1, TYPE, 9, 100, 50, rig.now + 1)

    assert rig.answer("control", control_args(ACCOUNT, [control])) == "OK"
    assert rig.account().pools == (Pool(TYPE, 0, 0, (Lot(9, 50, rig.now + 1, 100),)),)
    assert rig.facts == [ControlFact(ACCOUNT, control, aseq=1, balance=100, result="a")]


def test_a_control_is_applied_once_and_in_order(rig: Rig) -> None:
    controls = [Control("g", cseq, TYPE, 9 + cseq, 10) for cseq in (1, 1, 3, 2, 3)]

    reply = rig.run("control", control_args(ACCOUNT, controls))

    assert reply.answers == [b"OK", b"OLD", b"GAP", b"OK", b"OK"]
    assert rig.account().cseq == 3
    assert rig.lots() == {10: 10, 11: 10, 12: 10}


def test_a_control_for_an_absent_account_waits(rig: Rig) -> None:
    args = control_args(99, [Control("g", 1, TYPE, 9, 10)])

    assert rig.answer("control", args) == "NOTLOADED"


def test_a_grant_pays_debt_first(rig: Rig) -> None:
    rig.control("w", credit_type=TYPE, amount=30)
    rig.grant(9, 100)

    fact = rig.facts[-1]
    assert isinstance(fact, ControlFact)
    assert (fact.debt_paid, fact.balance) == (30, 70)
    assert rig.lots() == {9: 70}


def test_a_grant_that_only_pays_debt_leaves_no_lot(rig: Rig) -> None:
    rig.control("w", credit_type=TYPE, amount=30)
    rig.grant(9, 30)

    assert rig.account().pools == (Pool(TYPE, 0, 0, ()),)


def test_a_clawback_takes_its_lot_then_others_then_makes_debt(rig: Rig) -> None:
    rig.grant(9, 10)
    rig.grant(10, 20)
    rig.grant(11, 30, priority=5)

    rig.control("w", credit_type=TYPE, object_id=10, amount=70)

    fact = rig.facts[-1]
    assert isinstance(fact, ControlFact)
    assert fact.taken == (LotAmount(10, 20), LotAmount(11, 30), LotAmount(9, 10))
    assert (fact.debt_added, fact.balance) == (10, -10)


def test_a_clawback_lets_what_is_due_expire_but_for_its_own_lot(rig: Rig) -> None:
    rig.grant(9, 10, expiry_ms=rig.now + 1)
    rig.grant(10, 20, expiry_ms=rig.now + 1)
    rig.at(rig.now + 1)

    rig.control("w", credit_type=TYPE, object_id=10, amount=25)

    expired, fact = rig.facts[-2:]
    assert expired == LotExpired(ACCOUNT, TYPE, 9, 10, aseq=3, balance=20)
    assert isinstance(fact, ControlFact)
    assert (fact.taken, fact.debt_added, fact.balance) == ((LotAmount(10, 20),), 5, -5)


def test_the_33rd_live_lot_waits_in_postgres(rig: Rig) -> None:
    for lot in range(1, 33):
        rig.grant(lot, 1)
    rig.grant(33, 5)
    fact = rig.facts[-1]
    assert isinstance(fact, ControlFact)
    assert (fact.result, fact.balance) == ("q", 32)
    assert 33 not in rig.lots()

    rig.hold(1)
    assert rig.control("e", credit_type=TYPE, object_id=33, amount=5, priority=100) == "OK"
    assert rig.lots()[33] == 5
    assert 1 not in rig.lots()


def test_a_key_put_creates_changes_and_revokes_but_keeps_the_rate(rig: Rig) -> None:
    rig.grant(9, 100)
    rate = (60_000_000, 0)
    rig.tick(rig.hold_line(1, rate=type("R", (), {"interval_us": rate[0], "burst_us": rate[1]})))
    tat = rig.key().tat_us

    rig.control("k", object_id=KEY, amount=2, flags=1)
    rig.control("k", object_id=20, amount=1, flags=2, expiry_ms=rig.now + 5)

    assert rig.key() == KeyRecord(2, ACCOUNT, 1, tat_us=tat)
    assert tat > 0
    assert rig.key(20) == KeyRecord(1, ACCOUNT, 2, rig.now + 5)


def test_freezing_is_a_control(rig: Rig) -> None:
    rig.control("f", flags=1)

    assert rig.account().status == FROZEN
    assert rig.facts[-1] == ControlFact(
        ACCOUNT, Control("f", 1, flags=1), aseq=1, balance=0, result="a"
    )


@pytest.mark.parametrize(
    "control",
    [
        Control("z", 1),
        Control("g", 1, TYPE, 9, 0),
        Control("g", 1, TYPE, 0, 5),
        Control("g", 1, TYPE, 2**40, 5),
        Control("g", 1, TYPE, 9, MAX_AMOUNT + 1),
        Control("w", 1, TYPE, 0, 0),
        Control("k", 1, object_id=3, amount=3),
        Control("f", 1, flags=2),
    ],
)
def test_a_control_out_of_range_changes_nothing(rig: Rig, control: Control) -> None:
    before = rig.dump()

    assert rig.answer("control", control_args(ACCOUNT, [control])) == "BADLINE"
    assert rig.dump() == before


def test_a_pool_never_passes_the_largest_amount(rig: Rig) -> None:
    rig.grant(9, MAX_AMOUNT)

    assert rig.control("g", credit_type=TYPE, object_id=10, amount=1) == "BADLINE"


def test_loading_writes_account_keys_holds_and_pending_controls(rig: Rig) -> None:
    rig.grant(9, 100)
    hold = rig.hold(60)
    kept = rig.kept(hold)
    assert isinstance(kept, HoldFact)
    record = rig.account()
    rig.run("freeze")
    rig.epoch = 2
    rig.open(held=60, holds=1)

    key = KeyRecord(1, ACCOUNT, 3, tat_us=5)
    pending = [Control("g", 1, TYPE, 9, 100), Control("g", 2, TYPE, 10, 5)]
    assert rig.load(record=record, keys=[(KEY, key)], holds=[kept], controls=pending) == "LOADED"

    assert rig.lots() == {9: 40, 10: 5}
    assert rig.account().cseq == 2
    assert rig.key() == key
    assert rig.kept(hold) == kept
    assert [type(fact).__name__ for fact in rig.facts] == ["ControlFact"]
    assert rig.tick(settle_line(hold, 10, 1)) == ["DONE c 10"]
    assert rig.meta.open_holds == 0


def test_loading_leaves_what_the_epoch_knows_of_a_hold(rig: Rig) -> None:
    """A hold that ended in this epoch does not come back with an older snapshot."""
    rig.grant(9, 100)
    hold = rig.hold(60)
    kept = rig.kept(hold)
    assert isinstance(kept, HoldFact)
    record = rig.account()
    rig.tick(settle_line(hold, 60, 1))
    ended = rig.kept(hold)
    rig.client.hdel(rig.keys.balances(1), account_field(ACCOUNT))

    assert rig.load(record=record, holds=[kept]) == "LOADED"
    assert rig.kept(hold) == ended


def test_an_account_enters_an_epoch_once(rig: Rig) -> None:
    rig.grant(9, 100)
    args = load_end_args(
        1, ACCOUNT, b"token", record=AccountRecord(1, 0, 0, ()), keys=[], holds=[], controls=[]
    )

    begin = load_begin_args(ACCOUNT, b"token")
    assert rig.answer("load_begin", begin, account=ACCOUNT) == "LOADED"
    assert rig.answer("load_end", args, account=ACCOUNT) == "LOADED"
    assert rig.lots() == {9: 100}


def end(rig: Rig, token: bytes = b"mine", epoch: int = 1, **parts: object) -> str:
    values = {"record": AccountRecord(1, 0, 0, ()), "keys": [], "holds": [], "controls": []}
    args = load_end_args(epoch, 13, token, **(values | parts))  # type: ignore[arg-type]
    return rig.answer("load_end", args, account=13)


def test_a_load_needs_the_token_of_its_own_beginning(rig: Rig) -> None:
    assert end(rig) == "TOKEN"
    rig.answer("load_begin", load_begin_args(13, b"mine"), account=13)
    rig.answer("load_begin", load_begin_args(13, b"another's"), account=13)

    assert end(rig) == "TOKEN"
    assert end(rig, b"another's") == "LOADED"


def test_a_snapshot_of_another_epoch_is_stale(rig: Rig) -> None:
    rig.answer("load_begin", load_begin_args(13, b"mine"), account=13)

    assert end(rig, epoch=2) == "STALE"


@pytest.mark.parametrize(
    "parts",
    [
        {"keys": [(8, KeyRecord(1, 99, 3))]},
        {"controls": [Control("g", 2, TYPE, 9, 5)]},
        {"record": AccountRecord(3, 0, 0, ())},
        {"holds": [HoldFact(b"h" * 12, 99, 8, TYPE, 0, 1, 1, 0, 1, 0, ())]},
        {"holds": [HoldFact(b"h" * 12, 13, 8, TYPE, 5, 1, 1, 0, 1, 0, ())]},
    ],
)
def test_a_snapshot_that_does_not_add_up_is_not_loaded(rig: Rig, parts: dict[str, object]) -> None:
    rig.answer("load_begin", load_begin_args(13, b"mine"), account=13)
    before = rig.dump()

    assert end(rig, **parts) == "CORRUPT"
    assert rig.dump() == before
