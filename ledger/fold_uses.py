"""What the facts of uses do: how far quotas, allowances and caps are used, as Redis counts it."""

from ledger.books import Books, UseBook, UseKey
from ledger.facts import ControlFact, UseFact
from ledger.fold_checks import Place, refuse
from ledger.limits import ALL_ROUTES, PERIODS, Loan, window_id, window_number

FREE_NOTE = "free allowance"
_LIMITS = {b"Q": "Q", b"A": "A", b"C": "C"}
_OWNERS = frozenset("kae")


def use(books: Books, fact: UseFact, place: Place) -> None:  # noqa: ARG001 - the shape of a fold
    """Count what a hold used, or what its end gave back; an older window is forgotten."""
    if fact.account not in books.accounts:
        refuse("no such account")
    for loan in fact.uses:
        if _LIMITS.get(loan.id[:1]) != loan.kind or loan.whose not in _OWNERS:
            refuse(f"a use of limit {loan.id.hex()} of {loan.whose!r}")

    for loan in fact.uses:
        key = key_of(fact, loan)
        known = books.uses.get(key)
        if known is None:
            account = 0 if loan.whose == "e" else fact.account
            known = books.uses[key] = UseBook(*key, loan.window, 0, account)
        if loan.window > known.window_number:
            known.window_number, known.used = loan.window, 0
        if loan.window == known.window_number:
            known.used = max(known.used - loan.amount, 0) if fact.back else known.used + loan.amount
        known.changed = True
        if loan.kind == "A" and not fact.back and (charge := books.charges.get(fact.hold_id)):
            charge.note = charge.note or FREE_NOTE  # written with the hold: one entry has both
    if not fact.back:
        books.lent[fact.hold_id] = fact.uses


def count_spent(books: Books, fact: ControlFact) -> None:
    """Count what a key had spent before it got its cap."""
    key, control = spent_key(fact), fact.control
    window = window_number(key[3], control.expiry_ms - 1)
    known = books.uses.get(key)
    if known is None:
        known = books.uses[key] = UseBook(*key, window, 0, fact.account)
    if window >= known.window_number:
        known.window_number, known.used = window, control.amount
        known.changed = True


def spent_key(fact: ControlFact) -> UseKey:
    """Return which row a control about spending is about."""
    control = fact.control
    limit = window_id("C", PERIODS[control.priority], control.credit_type)
    return "k", control.object_id, ALL_ROUTES, limit


def key_of(fact: UseFact, loan: Loan) -> UseKey:
    """Return which row it is about."""
    whose = loan.whose
    owner = fact.key if whose == "k" else fact.account if whose == "a" else 0
    return whose, owner, loan.route, loan.id
