"""Claims in the scripts: an Idempotency-Key belongs to one hold, for as long as that is not undone."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ledger.claims import Claim, Standing, There
from ledger.facts import ClaimFact, HoldFact, LateFact
from ledger.limits import ALL_ROUTES, Limit, limits_block
from ledger.lines import late_line, settle_line
from ledger.reasons import Reason
from ledger.records import ClosedHold
from tests.ledger.script_rig import ACCOUNT, KEY, SESSION, TYPE, Rig

DELIVERED, STATUS, EXPIRED = Reason.DELIVERED, Reason.STATUS, Reason.EXPIRED
CLAIM = Claim(ACCOUNT, b"h" * 16, b"f" * 16)
OTHER_REQUEST = replace(CLAIM, fingerprint=b"g" * 16)
OTHER_KEY = replace(CLAIM, key_hash=b"i" * 16)
A_DAY_MS = 86_400_000


@pytest.fixture
def rig(each_redis_url: str, namespace: str) -> Iterator[Rig]:
    rig = Rig(each_redis_url, namespace)
    rig.open()
    rig.load()
    rig.grant(9, 100)
    yield rig
    rig.close()


def claiming(
    rig: Rig,
    claim: Claim = CLAIM,
    standing: Standing = Standing.NONE,
    owner: bytes = bytes(12),
    **values: object,
) -> bytes:
    """The line of a hold of ten; Postgres has this of the key."""
    block = There(rig.epoch, standing, owner).block(claim)
    return rig.hold_line(10, claim=block, **values)  # type: ignore[arg-type]


def ask(rig: Rig, claim: Claim = CLAIM, *there: object) -> str:
    [answer] = rig.tick(claiming(rig, claim, *there), claims=[claim])  # type: ignore[arg-type]
    return answer


def granted(rig: Rig, claim: Claim = CLAIM, *there: object) -> bytes:
    line = claiming(rig, claim, *there)  # type: ignore[arg-type]
    [answer] = rig.tick(line, claims=[claim])
    assert answer.startswith("HELD"), answer
    return line[3:15]


def late(
    rig: Rig, hold: bytes, standing: Standing = Standing.NONE, owner: bytes = bytes(12)
) -> str:
    """Book ten late, with the claim."""
    line = late_line(
        hold,
        account=ACCOUNT,
        key=KEY,
        credit_type=TYPE,
        amount=10,
        version=1,
        rule=2,
        reason=DELIVERED,
        status=200,
        claim=There(rig.epoch, standing, owner).block(CLAIM),
        detail=b"{}",
    )
    [answer] = rig.tick(line, claims=[CLAIM])
    return answer


def forgotten(rig: Rig, hold: bytes) -> None:
    """Postgres has all, and the mark of the hold is gone."""
    assert rig.ack(rig.entries[-1], [hold], keep=1_000) == "OK"
    assert rig.kept(hold) is None


def test_a_key_that_nobody_has_is_the_holds_and_a_fact_says_so(rig: Rig) -> None:
    line = claiming(rig, detail=b'{"r":1}')
    assert rig.tick(line, claims=[CLAIM]) == ["HELD 90"]

    held, claimed = rig.facts[-2:]
    assert isinstance(held, HoldFact)
    assert (held.hold_id, held.price, held.detail) == (line[3:15], 10, b'{"r":1}')
    assert claimed == ClaimFact(line[3:15], ACCOUNT, CLAIM.key_hash, CLAIM.fingerprint)
    name = rig.keys.claim(rig.epoch, ACCOUNT, CLAIM.key_hash)
    assert rig.client.get(name) == CLAIM.key_hash + CLAIM.fingerprint + line[3:15] + b"\0"
    assert A_DAY_MS - 60_000 < rig.client.pttl(name) <= A_DAY_MS


def test_while_its_hold_is_open_a_key_is_taken(rig: Rig) -> None:
    hold = granted(rig)
    before = rig.dump()

    assert ask(rig) == f"RUNNING {hold.hex()}"
    assert ask(rig, OTHER_REQUEST) == f"MISMATCH {hold.hex()}"
    assert rig.dump() == before


def test_a_key_of_a_captured_hold_is_done_for_good(rig: Rig) -> None:
    hold = granted(rig)
    rig.tick(settle_line(hold, 4, DELIVERED, 200))

    assert ask(rig) == f"DONE {hold.hex()}"
    assert ask(rig, OTHER_REQUEST) == f"MISMATCH {hold.hex()}"
    forgotten(rig, hold)
    assert ask(rig) == f"ASK {hold.hex()}"
    assert ask(rig, CLAIM, Standing.OPEN, hold) == f"ASK {hold.hex()}"
    assert ask(rig, CLAIM, Standing.CAPTURED, hold) == f"DONE {hold.hex()}"


@pytest.mark.parametrize("reason", [STATUS, EXPIRED])
def test_a_hold_that_gave_all_back_lets_its_key_go(rig: Rig, reason: Reason) -> None:
    """To any request: nothing was done under it."""
    hold = granted(rig)
    rig.at(rig.now + 61_000)
    rig.tick(settle_line(hold, 0, reason))

    second = granted(rig, OTHER_REQUEST)
    assert ask(rig) == f"MISMATCH {second.hex()}"
    rig.tick(settle_line(second, 0, STATUS))
    forgotten(rig, second)
    assert ask(rig) == f"ASK {second.hex()}"
    assert ask(rig, CLAIM, Standing.GIVEN_BACK, hold) == f"ASK {second.hex()}"
    granted(rig, CLAIM, Standing.GIVEN_BACK, second)


def test_of_two_in_one_call_the_first_has_the_key(rig: Rig) -> None:
    """And an ending in the same call counts."""
    first, second, another = claiming(rig), claiming(rig), claiming(rig, OTHER_KEY)
    answers = rig.tick(first, second, another, claims=[CLAIM, CLAIM, OTHER_KEY])
    assert answers == ["HELD 90", f"RUNNING {first[3:15].hex()}", "HELD 80"]

    answers = rig.tick(settle_line(first[3:15], 0, STATUS), claiming(rig), claims=[CLAIM])
    assert answers == ["DONE v 0", "HELD 80"]


def test_the_same_line_again_is_answered_as_before(rig: Rig) -> None:
    line = claiming(rig)
    assert rig.tick(line, claims=[CLAIM]) == ["HELD 90"]
    assert rig.tick(line, claims=[CLAIM]) == ["HELD 90"]
    assert len(rig.facts) == 3  # grant, hold, claim


def test_who_is_refused_has_no_key(rig: Rig) -> None:
    block = There(rig.epoch).block(CLAIM)
    assert rig.tick(rig.hold_line(101, claim=block), claims=[CLAIM]) == ["INSUFFICIENT 100"]
    granted(rig)


def test_an_owner_of_an_older_epoch_is_known_from_postgres(rig: Rig) -> None:
    """Its open hold was brought back with the account; how that stands is seen here."""
    hold = granted(rig)
    [fact] = [fact for fact in rig.facts if isinstance(fact, HoldFact)]
    record = rig.account()
    rig.epoch += 1
    rig.open(held=10, holds=1)
    rig.load(record=record, holds=[fact])

    assert ask(rig, CLAIM, Standing.OPEN, hold) == f"RUNNING {hold.hex()}"
    rig.tick(settle_line(hold, 10, DELIVERED, 200))
    assert ask(rig, CLAIM, Standing.OPEN, hold) == f"DONE {hold.hex()}"
    assert ask(rig, CLAIM, Standing.CAPTURED, hold) == f"DONE {hold.hex()}"


def test_late_work_takes_a_key_that_is_free(rig: Rig) -> None:
    hold = granted(rig)
    rig.at(rig.now + 61_000)
    rig.tick(settle_line(hold, 0, EXPIRED))

    assert late(rig, hold, Standing.GIVEN_BACK, hold) == "DONE l 10"
    booked, claimed = rig.facts[-2:]
    assert isinstance(booked, LateFact)
    assert (booked.taken, booked.written_off, booked.reason, booked.detail) == (10, 0, 1, b"{}")
    assert claimed == ClaimFact(hold, ACCOUNT, CLAIM.key_hash, CLAIM.fingerprint)
    assert ask(rig) == f"DONE {hold.hex()}"
    # Even for one who read in Postgres, before, that it had expired.
    forgotten(rig, hold)
    assert ask(rig, CLAIM, Standing.GIVEN_BACK, hold) == f"DONE {hold.hex()}"


@pytest.mark.parametrize("ended", [False, True])
def test_late_work_whose_key_another_hold_has_is_written_off(rig: Rig, ended: bool) -> None:
    first = granted(rig)
    rig.at(rig.now + 61_000)
    rig.tick(settle_line(first, 0, EXPIRED))
    second = granted(rig)
    if ended:
        rig.tick(settle_line(second, 10, DELIVERED, 200))

    assert late(rig, first, Standing.GIVEN_BACK, first) == "DONE l 0"
    booked = rig.facts[-1]
    assert isinstance(booked, LateFact)
    assert (booked.taken, booked.written_off, booked.allocation) == (0, 10, ())
    assert rig.lots() == {9: 90}
    assert rig.kept(first) == ClosedHold("l", 0)
    assert ask(rig).split()[1] == second.hex()


def test_late_work_whose_key_was_anothers_in_an_older_epoch_is_written_off(rig: Rig) -> None:
    lost, other = rig.mint(SESSION), rig.mint(SESSION)
    assert late(rig, lost, Standing.CAPTURED, other) == "DONE l 0"
    assert rig.lots() == {9: 100}


def test_late_work_waits_until_it_is_known_how_the_keys_owner_ended(rig: Rig) -> None:
    second = granted(rig)
    rig.tick(settle_line(second, 0, STATUS))
    forgotten(rig, second)
    lost = rig.mint(SESSION)

    assert late(rig, lost, Standing.OPEN, second) == f"ASK {second.hex()}"
    assert late(rig, lost, Standing.GIVEN_BACK, second) == "DONE l 10"


def test_late_work_whose_hold_came_back_is_captured(rig: Rig) -> None:
    hold = granted(rig)
    assert late(rig, hold, Standing.OPEN, hold) == "DONE c 10"


def test_bytes_that_are_no_claim_are_refused(rig: Rig) -> None:
    block = There(rig.epoch).block(CLAIM)
    short = rig.hold_line(10, claim=block[:-1])
    wrong = rig.hold_line(10, claim=block[:-1] + b"\x04")
    check = rig.hold_line(10, claim=block, only_check=True)
    without = rig.hold_line(10, claim=block)
    before = rig.dump()
    answers = rig.tick(short, wrong, check, without, claims=[CLAIM] * 3)
    assert answers == ["BADLINE"] * 4
    assert rig.dump() == before


@pytest.mark.parametrize("raw", [b"", b"x" * 44, b"x" * 45, b"x" * 46])
def test_a_corrupt_claim_lets_nobody_pass(rig: Rig, raw: bytes) -> None:
    rig.client.set(rig.keys.claim(rig.epoch, ACCOUNT, CLAIM.key_hash), raw)
    assert ask(rig) == "CORRUPT"
    assert late(rig, rig.mint()) == "CORRUPT"
    assert len(rig.facts) == 1


def test_a_claim_with_limits_and_detail_is_read_behind_them(rig: Rig) -> None:
    limits = limits_block([Limit("a", ALL_ROUTES, b"F1..", "F", 1)])
    line = claiming(rig, limits=limits, detail=b"{}")
    assert rig.tick(line, claims=[CLAIM]) == ["HELD 90 0 0"]
    assert ask(rig) == f"RUNNING {line[3:15].hex()}"
    [held] = [fact for fact in rig.facts if isinstance(fact, HoldFact)]
    assert held.detail == b"{}"
