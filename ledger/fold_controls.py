"""What the facts of grants and controls do: grants, clawbacks, freezes, keys, expired lots."""

from ledger.books import Books, Movement
from ledger.facts import Allocated, ControlFact, LotExpired
from ledger.fold_checks import (
    Place,
    check_balance,
    lot_of,
    next_of,
    pool_of,
    pool_or_new,
    refuse,
    taken_lots,
)
from ledger.fold_uses import count_spent

ACTIVE = 1
FROZEN = 2
QUARANTINED = 3


def apply_control(books: Books, fact: ControlFact, place: Place) -> None:
    """Apply the account's next control, which must be the one that was ordered."""
    account = next_of(books, fact.account, fact.aseq)
    control = fact.control
    if control.cseq != account.cseq_applied + 1:
        refuse(f"control {control.cseq} after {account.cseq_applied}")
    ordered = books.controls.get((fact.account, control.cseq))
    if ordered is None or ordered.control != control:
        refuse(f"control {control.cseq} is not what was ordered")

    if control.kind in ("g", "e"):
        _enter(books, fact, place)
    elif control.kind == "w":
        _claw_back(books, fact, place, ordered.entry_kind or "clawback")
    elif control.kind == "s":
        count_spent(books, fact)
    elif control.kind == "f" and account.status != QUARANTINED:
        account.status = FROZEN if control.flags else ACTIVE
    account.cseq_applied = control.cseq
    account.follow(fact.aseq)


def _enter(books: Books, fact: ControlFact, place: Place) -> None:
    control = fact.control
    grant = books.grants.get(control.object_id)
    if grant is None or (grant.account_id, grant.credit_type_id, grant.state) != (
        fact.account,
        control.credit_type,
        "pending",
    ):
        refuse(f"grant {control.object_id} is not about to enter")
    pool = pool_or_new(books, fact.account, control.credit_type)
    if fact.result == "q":
        check_balance(pool.balance, fact.balance)
        grant.state = "queued"
        grant.changed = True
        return
    if fact.result != "a" or control.amount != grant.amount - grant.clawed:
        refuse(f"result {fact.result} of a grant of {control.amount}")
    if fact.debt_paid != min(pool.debt, control.amount):
        refuse(f"{fact.debt_paid} paid on a debt of {pool.debt}")
    check_balance(pool.balance + control.amount, fact.balance)

    books.pools[fact.account, control.credit_type] = pool
    grant.remaining = control.amount - fact.debt_paid
    grant.rest()
    pool.remaining += grant.remaining
    pool.debt -= fact.debt_paid
    if grant.kind == "refund":
        pool.refunded += control.amount
    else:
        pool.granted += control.amount
    pool.changed = True
    _moved(books, fact, grant.kind, control.amount, place)
    books.book(
        control.credit_type,
        issued=-control.amount,
        credits=grant.remaining,
        debt=fact.debt_paid,
    )


def _claw_back(books: Books, fact: ControlFact, place: Place, kind: str) -> None:
    control = fact.control
    pool = pool_or_new(books, fact.account, control.credit_type)
    taken = sum(amount for _, amount in fact.taken)
    if fact.result != "a" or taken + fact.debt_added != control.amount:
        refuse(f"{taken} taken and {fact.debt_added} debt for {control.amount} clawed back")
    lots = [Allocated(lot, 0, 0, amount) for lot, amount in fact.taken]
    grants = taken_lots(books, fact.account, control.credit_type, lots, taken)
    check_balance(pool.balance - control.amount, fact.balance)

    books.pools[fact.account, control.credit_type] = pool
    for grant, amount in grants:
        grant.remaining -= amount
        grant.clawed += amount
        grant.rest()
    pool.remaining -= taken
    pool.debt += fact.debt_added
    pool.clawed += control.amount
    pool.changed = True
    _moved(books, fact, kind, -control.amount, place)
    books.book(
        control.credit_type,
        issued=control.amount,
        credits=-taken,
        debt=-fact.debt_added,
    )


def expire_lot(books: Books, fact: LotExpired, place: Place) -> None:
    """Take what is left in a lot whose time has come."""
    account = next_of(books, fact.account, fact.aseq)
    pool = pool_of(books, fact.account, fact.credit_type)
    grant = lot_of(books, fact.account, fact.credit_type, fact.lot)
    if fact.amount != grant.remaining or not fact.amount:
        refuse(f"{fact.amount} expired of the {grant.remaining} left")
    check_balance(pool.balance - fact.amount, fact.balance)

    grant.remaining = 0
    grant.expired += fact.amount
    grant.rest()
    pool.remaining -= fact.amount
    pool.expired += fact.amount
    account.follow(fact.aseq)
    pool.changed = True
    _moved(books, fact, "expiry", -fact.amount, place)
    books.book(fact.credit_type, credits=-fact.amount, breakage=fact.amount)


def _moved(
    books: Books, fact: LotExpired | ControlFact, kind: str, amount: int, place: Place
) -> None:
    """Add a row of history for a balance that moved by `amount` (signed)."""
    if isinstance(fact, ControlFact):
        credit_type, cseq = fact.control.credit_type, fact.control.cseq
        grant_id = fact.control.object_id or None
    else:
        credit_type, cseq, grant_id = fact.credit_type, None, fact.lot
    # Sorts with the ids of charges: microseconds, then what is unique within them.
    order = (place.clock_ms * 1_000).to_bytes(8, "big") + (place.q % 2**32).to_bytes(4, "big")
    books.movements.append(
        Movement(
            fact.account,
            fact.aseq,
            order,
            credit_type,
            kind,
            amount,
            fact.balance,
            cseq,
            grant_id,
            place.epoch,
            place.q,
            place.clock_ms,
        )
    )
