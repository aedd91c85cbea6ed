"""
An account's record some facts later: what the scripts must have made of it.

The fold of `ledger.fold` says what facts do to Postgres; this one says it of the much smaller
record in Redis, and only so that the two can be compared while one is ahead (`ledger.reconcile`).
"""

from collections.abc import Iterable

from ledger.account_record import ACTIVE, FROZEN, AccountRecord, Lot, Pool
from ledger.facts import ControlFact, Fact, HoldFact, LateFact, LotExpired, SettleFact
from ledger.snapshot import Snapshot

Place = tuple[int, int]
"""Of a lot in the burn order: priority, expiry."""


class _Account:
    """An account being followed; a lot that was used up is found again by its place."""

    def __init__(self, snapshot: Snapshot) -> None:
        record = snapshot.record
        self.id = snapshot.account_id
        self.status, self.cseq, self.aseq = record.status, record.cseq, record.aseq
        self.plan = record.plan
        self.debts = {pool.credit_type: pool.debt for pool in record.pools}
        self.floors = {pool.credit_type: pool.floor for pool in record.pools}
        self.places: dict[int, Place] = {}
        self.reaches = dict(snapshot.reaches)
        self.left: dict[tuple[int, int], int] = {}
        for pool in record.pools:
            for lot in pool.lots:
                self.places[lot.lot] = (lot.priority, lot.expiry_ms)
                self.add(pool.credit_type, lot.lot, lot.remaining)
        for hold in snapshot.holds:
            self.know(hold)

    def know(self, fact: HoldFact | LateFact) -> None:
        for lot, priority, expiry_ms, _ in fact.allocation:
            self.places.setdefault(lot, (priority, expiry_ms))

    def add(self, credit_type: int, lot: int, amount: int) -> None:
        key = credit_type, lot
        self.left[key] = self.left.get(key, 0) + amount

    def owe(self, credit_type: int, amount: int) -> None:
        self.debts[credit_type] = self.debts.get(credit_type, 0) + amount

    def record(self) -> AccountRecord:
        lots: dict[int, list[Lot]] = {}
        for (credit_type, lot), remaining in self.left.items():
            priority, expiry_ms = self.places.get(lot, (0, 0))
            known = Lot(lot, priority, expiry_ms, remaining, self.reaches.get(lot, 0))
            lots.setdefault(credit_type, []).append(known)
        pools = tuple(
            Pool(
                credit_type,
                self.debts.get(credit_type, 0),
                self.floors.get(credit_type, 0),
                tuple(sorted(lots.get(credit_type, ()), key=lambda lot: lot.burn_order)),
            )
            for credit_type in sorted(self.debts.keys() | lots.keys())
        )
        return AccountRecord(self.status, self.cseq, self.aseq, pools, self.plan)


def followed(snapshot: Snapshot, facts: Iterable[Fact], aseq: int) -> AccountRecord | None:
    """
    Return what the account's record is at its fact `aseq`, or None if a fact on the way is missing.

    Args:
        snapshot: The account at an earlier fact.
        facts: Of the journal, in order, of any account; what the snapshot has is passed over.
        aseq: Where to stop.

    """
    account = _Account(snapshot)
    for fact in facts:
        if account.aseq == aseq:
            break
        if not isinstance(fact, HoldFact | SettleFact | LateFact | LotExpired | ControlFact):
            continue  # moves no balance
        if fact.account != account.id or fact.aseq <= account.aseq:
            continue
        if fact.aseq != account.aseq + 1:
            return None
        _apply(account, fact)
        account.aseq = fact.aseq
    return account.record() if account.aseq == aseq else None


def _apply(
    account: _Account, fact: HoldFact | SettleFact | LateFact | LotExpired | ControlFact
) -> None:
    match fact:
        case HoldFact() | LateFact():
            account.know(fact)
            for lot, _, _, amount in fact.allocation:
                account.add(fact.credit_type, lot, -amount)
        case SettleFact():
            account.owe(fact.credit_type, -fact.debt_paid)
            for lot, amount in fact.given_back:
                account.add(fact.credit_type, lot, amount)
        case LotExpired():
            account.add(fact.credit_type, fact.lot, -fact.amount)
        case ControlFact():
            _apply_control(account, fact)


def _apply_control(account: _Account, fact: ControlFact) -> None:
    control = fact.control
    account.cseq = control.cseq
    if control.kind == "f":
        account.status = FROZEN if control.flags else ACTIVE
    elif control.kind == "p":
        account.plan = control.object_id
    elif control.kind in ("g", "e") and fact.result == "a":
        account.places[control.object_id] = (control.priority, control.expiry_ms)
        if control.reach:
            account.reaches[control.object_id] = control.reach
        account.add(control.credit_type, control.object_id, control.amount - fact.debt_paid)
        account.owe(control.credit_type, -fact.debt_paid)
    elif control.kind == "w":
        for lot, amount in fact.taken:
            account.add(control.credit_type, lot, -amount)
        account.owe(control.credit_type, fact.debt_added)
