"""
The fold: what each fact of the journal does to the books. Pure: values in, values changed.

Every function of `fold_charges`, `fold_controls`, `fold_uses` and `fold_claims` first checks all
it can check and only then changes anything, so a fact that breaks a rule (`Poison`) leaves no trace
but its place among the dead facts, and its account in quarantine. Facts of other accounts go on.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from ledger.books import Books, DeadFact
from ledger.facts import (
    ClaimFact,
    ControlFact,
    Fact,
    HoldFact,
    LateFact,
    LotExpired,
    ObservedFact,
    SettleFact,
    UnreadableFact,
    UseFact,
    WholeCapture,
)
from ledger.fold_charges import capture_whole, hold, late, observe, settle
from ledger.fold_checks import Place, Poison, refuse
from ledger.fold_claims import claim
from ledger.fold_controls import QUARANTINED, apply_control, expire_lot
from ledger.fold_uses import use
from ledger.journal_entry import Entry

_LATEST_MS = 253_402_300_799_000


def fold(books: Books, entry: Entry) -> None:
    """Bring the facts of one entry into the books; those that break a rule become dead facts."""
    place = Place(entry.epoch, entry.first_q, shown_clock(entry.clock_ms))
    for place.q, fact in enumerate(entry.facts, entry.first_q):
        fold_fact(books, fact, place)


def fold_fact(books: Books, fact: Fact, place: Place) -> None:
    """Bring one fact into the books, or among the dead facts."""
    try:
        _FOLDS[type(fact)](books, fact, place)
    except Poison as poison:
        _bury(books, fact, place.q, str(poison))
    else:
        if isinstance(fact, ControlFact):
            books.applied.append((fact.account, fact.control.cseq))


def shown_clock(clock_ms: int) -> int:
    """Return the journal's clock within 1970 to 9999, which is as far as dates go."""
    return min(max(clock_ms, 0), _LATEST_MS)


def account_of(books: Books, fact: Fact) -> int | None:
    """Return the account a fact is about, if that can be told."""
    if isinstance(fact, UnreadableFact):
        return None
    if isinstance(fact, WholeCapture):
        charge = books.charges.get(fact.hold_id)
        return None if charge is None else charge.account_id
    return fact.account or None


def _bury(books: Books, fact: Fact, q: int, why: str) -> None:
    account_id = account_of(books, fact)
    books.dead.append(DeadFact(q, account_id, fact, why))
    account = books.accounts.get(account_id) if account_id else None
    if account is not None and account.status != QUARANTINED:
        account.status = QUARANTINED
        account.changed = True
        books.quarantined.add(account.id)


def _unreadable(books: Books, fact: UnreadableFact, place: Place) -> NoReturn:  # noqa: ARG001
    refuse("unreadable")


_FOLDS: dict[type, Callable[[Books, Any, Place], None]] = {
    HoldFact: hold,
    SettleFact: settle,
    WholeCapture: capture_whole,
    LateFact: late,
    LotExpired: expire_lot,
    ControlFact: apply_control,
    ObservedFact: observe,
    UseFact: use,
    ClaimFact: claim,
    UnreadableFact: _unreadable,
}
