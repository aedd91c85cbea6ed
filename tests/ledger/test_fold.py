"""The fold against a played Redis, and against facts that break a rule in one place."""

import copy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.books import AccountBook, AppliedControl, Books, ChargeState, GrantBook, Line
from ledger.facts import NEVER, Allocated, Control, ControlFact, Fact, LotAmount, ObservedFact
from ledger.fold import fold
from tests.ledger.journal import NOON_MS, Journal, hold_id
from tests.ledger.player import Player

ACCOUNT = 1


class Ledger:
    """Books in memory, a played Redis, and the control log between them."""

    def __init__(self) -> None:
        self.books = Books(
            credit_types=frozenset({1, 2}),
            accounts={ACCOUNT: AccountBook(ACCOUNT, 1, 0, 0, 0)},
            routes={(1, 0): "search"},
        )
        self.player = Player(ACCOUNT)
        self.journal = Journal()

    def fold(self, *facts: Fact) -> None:
        fold(self.books, self.journal.entry(*facts))

    def order(self, control: Control) -> ControlFact:
        """Number a control, log it, and let the played Redis apply it."""
        control = replace(control, cseq=self.player.cseq + 1)
        applied = AppliedControl(control, "clawback" if control.kind == "w" else None)
        self.books.controls[ACCOUNT, control.cseq] = applied
        return self.player.control(control.pack())

    def grant(self, lot: int, amount: int, *, priority: int = 100, kind: str = "purchase") -> None:
        self.books.grants[lot] = GrantBook(
            lot, ACCOUNT, 1, kind, amount, remaining=0, held=0, clawed=0, expired=0, state="pending"
        )
        self.fold(
            self.order(Control("g", 0, 1, lot, amount, priority, NEVER if lot % 2 else NOON_MS))
        )

    @property
    def pool(self):
        return self.books.pools[ACCOUNT, 1]


def holds(ledger: Ledger) -> None:
    """Lots 1 (30) and 2 (20) in that order, and holds: 1 of 40 units, 2 of 5."""
    ledger.grant(1, 30, priority=1)
    ledger.grant(2, 20, priority=2)
    ledger.fold(ledger.player.hold(hold_id(1), 40), ledger.player.hold(hold_id(2), 5))


def test_unused_credit_goes_back_to_the_lots_that_burn_last() -> None:
    ledger = Ledger()
    holds(ledger)
    ledger.fold(ledger.player.settle(hold_id(1), 25))
    assert ledger.books.dead == []
    assert [(g.remaining, g.held) for g in ledger.books.grants.values()] == [(5, 0), (15, 5)]
    assert (ledger.pool.remaining, ledger.pool.held, ledger.pool.captured) == (20, 5, 25)


def test_a_clawback_beyond_what_is_left_becomes_debt_that_returned_credit_pays_first() -> None:
    ledger = Ledger()
    holds(ledger)
    ledger.fold(ledger.order(Control("w", 0, 1, 2, 12)))
    assert (ledger.pool.remaining, ledger.pool.debt, ledger.pool.clawed) == (0, 7, 12)
    ledger.fold(ledger.player.settle(hold_id(1), 30))
    assert (ledger.pool.remaining, ledger.pool.debt) == (3, 0)
    assert ledger.books.dead == []


def test_a_grant_pays_debt_first() -> None:
    ledger = Ledger()
    ledger.fold(ledger.order(Control("w", 0, 1, 0, 10)))
    ledger.grant(1, 25)
    assert (ledger.pool.remaining, ledger.pool.debt) == (15, 0)
    ledger.fold(ledger.order(Control("w", 0, 1, 0, 20)))
    ledger.grant(3, 5)
    assert (ledger.pool.remaining, ledger.pool.debt) == (0, 0)
    assert ledger.books.grants[3].state == "spent"
    assert ledger.books.dead == []


def test_a_grant_beyond_32_lots_waits_and_enters_later() -> None:
    ledger = Ledger()
    for lot in range(1, 66, 2):
        ledger.grant(lot, 10)
    assert ledger.books.grants[65].state == "queued"
    assert ledger.pool.granted == 320
    ledger.fold(ledger.player.hold(hold_id(1), 10), ledger.player.settle(hold_id(1), 10))
    ledger.books.grants[65].state = "pending"
    ledger.fold(ledger.order(Control("e", 0, 1, 65, 10, 100)))
    assert ledger.books.grants[65].state == "live"
    assert ledger.pool.granted == 330
    assert ledger.books.dead == []


def test_a_late_capture_takes_what_is_there_and_writes_off_the_rest() -> None:
    ledger = Ledger()
    ledger.grant(1, 30)
    ledger.fold(ledger.player.hold(hold_id(1), 25))
    ledger.fold(ledger.player.settle(hold_id(1), 0, 40))
    ledger.fold(ledger.player.hold(hold_id(2), 20), ledger.player.late(hold_id(1), 25))
    charge = ledger.books.charges[hold_id(1)]
    assert (charge.state, charge.captured, charge.written_off) == (ChargeState.LATE, 10, 15)
    assert (ledger.pool.captured, ledger.pool.written_off) == (10, 15)
    assert ledger.books.dead == []


def test_a_late_capture_of_a_hold_nobody_knows_makes_its_row() -> None:
    ledger = Ledger()
    ledger.grant(1, 30)
    ledger.fold(ledger.player.late(hold_id(9), 40))
    charge = ledger.books.charges[hold_id(9)]
    assert (charge.held, charge.captured, charge.written_off) == (40, 30, 10)
    assert ledger.books.lines[Line(1, "revenue", "search")] == 40


def test_credit_given_back_to_an_expired_lot_expires_by_a_fact_of_its_own() -> None:
    ledger = Ledger()
    holds(ledger)
    ledger.fold(ledger.player.expire_lot(2))
    assert ledger.books.grants[2].state == "live"  # some of it is held
    ledger.fold(ledger.player.settle(hold_id(1), 30), ledger.player.expire_lot(2))
    ledger.fold(ledger.player.settle(hold_id(2), 5))
    grant = ledger.books.grants[2]
    assert (grant.state, grant.expired, ledger.pool.expired) == ("expired", 15, 15)
    assert ledger.books.dead == []


def test_a_quarantined_account_stays_so_when_it_is_thawed() -> None:
    ledger = Ledger()
    ledger.fold(ledger.order(Control("f", 0, flags=1)))
    assert ledger.books.accounts[ACCOUNT].status == 2
    ledger.fold(ledger.order(Control("f", 0, flags=0)))
    assert ledger.books.accounts[ACCOUNT].status == 1
    ledger.books.accounts[ACCOUNT].status = 3
    ledger.fold(ledger.order(Control("f", 0, flags=0)))
    assert ledger.books.accounts[ACCOUNT].status == 3


def _hold(ledger: Ledger):
    return ledger.player.hold(hold_id(3), 5)


def _settle(ledger: Ledger):
    return ledger.player.settle(hold_id(1), 25)


def _whole(ledger: Ledger):
    return ledger.player.settle(hold_id(1), 40)


def _late(ledger: Ledger):
    return ledger.player.late(hold_id(4), 3)


def _expired(ledger: Ledger):
    return ledger.player.expire_lot(2)


def _granted(ledger: Ledger):
    ledger.books.grants[5] = GrantBook(5, ACCOUNT, 1, "purchase", 9, 0, 0, 0, 0, "pending")
    return ledger.order(Control("g", 0, 1, 5, 9, 100))


def _clawed(ledger: Ledger):
    return ledger.order(Control("w", 0, 1, 2, 9))


BROKEN = {
    "aseq too low": (_hold, lambda f: replace(f, aseq=f.aseq - 1)),
    "aseq too high": (_hold, lambda f: replace(f, aseq=f.aseq + 1)),
    "hold: balance": (_hold, lambda f: replace(f, balance=f.balance + 1)),
    "hold: price": (_hold, lambda f: replace(f, price=f.price - 1)),
    "hold: nothing": (_hold, lambda f: replace(f, price=0, allocation=())),
    "hold: other account": (_hold, lambda f: replace(f, account=2)),
    "hold: other pool": (_hold, lambda f: replace(f, credit_type=2)),
    "hold: id used": (_hold, lambda f: replace(f, hold_id=hold_id(2))),
    "hold: no lots": (_hold, lambda f: replace(f, allocation=())),
    "hold: unknown lot": (_hold, lambda f: replace(f, allocation=(Allocated(9, 1, NEVER, 5),))),
    "hold: empty lot": (_hold, lambda f: replace(f, allocation=(Allocated(1, 1, NEVER, 5),))),
    "hold: a lot twice": (
        _hold,
        lambda f: replace(f, allocation=(Allocated(2, 1, NEVER, 3), Allocated(2, 1, NEVER, 2))),
    ),
    "settle: balance": (_settle, lambda f: replace(f, balance=f.balance - 1)),
    "settle: captured more": (_settle, lambda f: replace(f, captured=f.captured + 1)),
    "settle: captured less": (_settle, lambda f: replace(f, captured=f.captured - 1)),
    "settle: no hold": (_settle, lambda f: replace(f, hold_id=hold_id(8))),
    "settle: other pool": (_settle, lambda f: replace(f, credit_type=2)),
    "settle: void that captures": (_settle, lambda f: replace(f, outcome="v")),
    "settle: odd outcome": (_settle, lambda f: replace(f, outcome="?")),
    "settle: debt that is not": (
        _settle,
        lambda f: replace(f, debt_paid=5, given_back=(LotAmount(2, 10),)),
    ),
    "settle: wrong lot": (_settle, lambda f: replace(f, given_back=(LotAmount(2, 15),))),
    "settle: unknown lot": (_settle, lambda f: replace(f, given_back=(LotAmount(9, 15),))),
    "whole: no hold": (_whole, lambda f: replace(f, hold_id=hold_id(8))),
    "late: balance": (_late, lambda f: replace(f, balance=f.balance + 1)),
    "late: taken": (_late, lambda f: replace(f, taken=f.taken + 1)),
    "late: open": (_late, lambda f: replace(f, hold_id=hold_id(2))),
    "late: unknown type": (_late, lambda f: replace(f, credit_type=9)),
    "expired: amount": (_expired, lambda f: replace(f, amount=f.amount - 1)),
    "expired: lot": (_expired, lambda f: replace(f, lot=9)),
    "expired: balance": (_expired, lambda f: replace(f, balance=f.balance + 1)),
    "grant: balance": (_granted, lambda f: replace(f, balance=f.balance + 1)),
    "grant: amount": (_granted, lambda f: replace(f, control=replace(f.control, amount=8))),
    "grant: number": (_granted, lambda f: replace(f, control=replace(f.control, cseq=9))),
    "grant: expiry": (_granted, lambda f: replace(f, control=replace(f.control, expiry_ms=5))),
    "grant: debt": (_granted, lambda f: replace(f, debt_paid=1)),
    "grant: result": (_granted, lambda f: replace(f, result="?")),
    "clawback: taken less": (_clawed, lambda f: replace(f, taken=(LotAmount(2, 4),))),
    "clawback: debt": (_clawed, lambda f: replace(f, debt_added=f.debt_added + 1)),
    "clawback: balance": (_clawed, lambda f: replace(f, balance=f.balance + 1)),
    "clawback: lot": (_clawed, lambda f: replace(f, taken=(LotAmount(9, 5),))),
    "observed: a hold's id": (
        _hold,
        lambda f: ObservedFact(hold_id(2), ACCOUNT, 1, 1, 3, 1, 0, 200),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_fact_that_breaks_a_rule_changes_nothing_but_the_account_status(case: str) -> None:
    make, tamper = BROKEN[case]
    ledger = Ledger()
    holds(ledger)
    fact = make(ledger)
    before = copy.deepcopy(ledger.books)

    ledger.fold(tamper(fact))

    assert len(ledger.books.dead) == 1, "this must be refused"
    for account in before.accounts.values():
        account.status, account.changed = 3, True
    if ledger.books.dead[0].account_id not in before.accounts:
        before.accounts = ledger.books.accounts
    for part in ("accounts", "pools", "grants", "charges", "movements", "lines", "closed"):
        assert getattr(ledger.books, part) == getattr(before, part), part

    ledger.fold(fact)
    assert len(ledger.books.dead) == 1, "the right fact still fits"


@pytest.mark.parametrize("make", [_settle, _whole])
def test_a_hold_ends_once(make) -> None:
    ledger = Ledger()
    holds(ledger)
    fact = make(ledger)
    ledger.fold(fact)
    after = copy.deepcopy(ledger.books.pools)
    again = fact if make is _whole else replace(fact, aseq=fact.aseq + 1)
    ledger.fold(again)
    assert [dead.why for dead in ledger.books.dead] == ["a second ending: the charge is captured"]
    assert ledger.books.pools == after


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grant", "refund", "claw", "hold", "settle", "void", "expire", "late"]),
        st.integers(1, 60),
        st.integers(0, 40),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=150)
@given(STEPS)
def test_whatever_happens_the_fold_agrees_with_the_played_redis(steps) -> None:
    ledger = Ledger()
    ledger.grant(1, 50)
    player, pool = ledger.player, ledger.player.pool(1)
    for number, (what, amount, pick) in enumerate(steps, 2):
        open_holds = list(player.holds)
        lots = [lot for lot, (_, _, remaining) in pool.lots.items() if remaining]
        if what in {"grant", "refund"}:
            kind = "purchase" if what == "grant" else "refund"
            ledger.grant(number, amount, priority=pick % 3, kind=kind)
        elif what == "claw":
            ledger.fold(ledger.order(Control("w", 0, 1, pick, amount)))
        elif what == "hold" and pool.balance >= amount:
            ledger.fold(player.hold(hold_id(number), amount))
        elif what in {"settle", "void"} and open_holds:
            hold = open_holds[pick % len(open_holds)]
            price = player.holds[hold].price
            captured = min(amount, price) if what == "settle" else 0
            ledger.fold(player.settle(hold, captured, 1 if what == "settle" else 20))
        elif what == "expire" and lots:
            ledger.fold(player.expire_lot(lots[pick % len(lots)]))
        elif what == "late":
            ledger.fold(player.late(hold_id(number), amount))

    books, folded = ledger.books, ledger.pool
    assert books.dead == []
    assert (folded.balance, folded.debt) == (pool.balance, pool.debt)
    assert folded.held == sum(hold.price for hold in player.holds.values())
    assert {lot: g.remaining for lot, g in books.grants.items() if g.remaining} == {
        lot: remaining for lot, (_, _, remaining) in pool.lots.items() if remaining
    }
    assert folded.held == sum(grant.held for grant in books.grants.values())
    assert folded.granted + folded.refunded == (
        folded.captured
        + folded.remaining
        + folded.held
        + folded.expired
        + folded.clawed
        - folded.debt
    )
    assert sum(books.lines.values()) == 0
    assert books.lines[Line(1, "credits")] == folded.remaining + folded.held
    assert books.lines[Line(1, "debt")] == -folded.debt
    for grant in books.grants.values():
        assert grant.remaining + grant.held + grant.clawed + grant.expired <= grant.amount
