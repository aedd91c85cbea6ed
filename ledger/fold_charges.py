"""What the facts of a charge do: hold, settle, whole capture, late capture, observed."""

from collections.abc import Iterable

from ledger.books import Books, ChargeBook, ChargeState, GrantBook, Overtaken
from ledger.detail import read_detail
from ledger.facts import (
    MAX_AMOUNT,
    HoldFact,
    LateFact,
    ObservedFact,
    SettleFact,
    WholeCapture,
)
from ledger.fold_checks import (
    MAX_SMALL,
    Place,
    check_balance,
    check_price,
    given_back,
    held_lots,
    next_of,
    open_charge,
    pool_of_hold,
    pool_or_new,
    refuse,
    taken_lots,
)

_OUTCOMES = {"c": ChargeState.CAPTURED, "v": ChargeState.VOID, "x": ChargeState.EXPIRED}


def hold(books: Books, fact: HoldFact, place: Place) -> None:
    """Reserve the price from the lots that the fact names."""
    account = next_of(books, fact.account, fact.aseq)
    check_price(fact.version, fact.rule)
    pool = pool_of_hold(books, fact.account, fact.credit_type, fact.price)
    if fact.hold_id in books.charges:
        refuse("the hold id is used already")
    if fact.price > MAX_AMOUNT:
        refuse(f"a hold of {fact.price}")
    grants = taken_lots(books, fact.account, fact.credit_type, fact.allocation, fact.price)
    check_balance(pool.balance - fact.price, fact.balance)

    _take(grants, held=True)
    pool.remaining -= fact.price
    pool.held += fact.price
    account.follow(fact.aseq)
    pool.changed = True
    books.charges[fact.hold_id] = opened_charge(fact, place)


def opened_charge(fact: HoldFact, place: Place) -> ChargeBook:
    """Return the charge of a hold that is good."""
    charge = ChargeBook(
        fact.hold_id,
        fact.account,
        fact.key or None,
        fact.credit_type,
        fact.price,
        ChargeState.OPEN,
        fact.version,
        fact.rule,
        place.epoch,
        place.q,
        opened_aseq=fact.aseq,
        balance_after=fact.balance,
        deadline_ms=fact.deadline_ms,
        allocation=fact.allocation,
        new=True,
    )
    describe(charge, fact.detail)
    return charge


def settle(books: Books, fact: SettleFact, place: Place) -> None:
    """End a hold: book what was captured, give the rest back, debt first."""
    charge = open_charge(books, fact.hold_id)
    account = next_of(books, fact.account, fact.aseq)
    if charge.account_id != fact.account or charge.credit_type_id != fact.credit_type:
        refuse("the hold is of another pool")
    pool = pool_of_hold(books, fact.account, fact.credit_type, charge.held)
    state = _OUTCOMES.get(fact.outcome)
    if state is None or (state is not ChargeState.CAPTURED and fact.captured):
        refuse(f"outcome {fact.outcome} with {fact.captured} captured")
    back = given_back(charge, fact)
    if fact.captured + fact.debt_paid + back != charge.held:
        refuse(f"{fact.captured} + {fact.debt_paid} + {back} is not the {charge.held} held")
    if fact.debt_paid > pool.debt:
        refuse(f"{fact.debt_paid} paid on a debt of {pool.debt}")
    lots = held_lots(books, charge)
    check_balance(pool.balance + back + fact.debt_paid, fact.balance)

    for grant, amount in lots:
        grant.held -= amount
    for lot, amount in fact.given_back:
        books.grants[lot].remaining += amount
    for grant, _ in lots:
        grant.rest()
    pool.held -= charge.held
    pool.remaining += back
    pool.debt -= fact.debt_paid
    pool.captured += fact.captured
    account.follow(fact.aseq)
    pool.changed = True
    charge.captured = fact.captured
    charge.balance_after = fact.balance
    charge.closed_aseq = fact.aseq
    _close(books, charge, state, fact, place)
    books.book(
        fact.credit_type,
        credits=-(fact.captured + fact.debt_paid),
        revenue=fact.captured,
        debt=fact.debt_paid,
        route=_route(books, charge),
    )


def capture_whole(books: Books, fact: WholeCapture, place: Place) -> None:
    """End a hold of which nothing comes back; no balance moves."""
    charge = open_charge(books, fact.hold_id)
    if charge.account_id not in books.accounts:
        refuse("no such account")
    pool = pool_of_hold(books, charge.account_id, charge.credit_type_id, charge.held)
    lots = held_lots(books, charge)

    for grant, amount in lots:
        grant.held -= amount
        grant.rest()
    pool.held -= charge.held
    pool.captured += charge.held
    pool.changed = True
    charge.captured = charge.held
    _close(books, charge, ChargeState.CAPTURED, fact, place)
    books.book(
        charge.credit_type_id,
        credits=-charge.held,
        revenue=charge.held,
        route=_route(books, charge),
    )


def late(books: Books, fact: LateFact, place: Place) -> None:
    """Book work whose hold is gone: take what is there, write off the rest."""
    account = next_of(books, fact.account, fact.aseq)
    check_price(fact.version, fact.rule)
    charge = books.charges.get(fact.hold_id)
    if charge is not None:
        if charge.state is not ChargeState.EXPIRED:
            refuse(f"late, but the charge is {charge.state.word}")
        if (charge.account_id, charge.credit_type_id) != (fact.account, fact.credit_type):
            refuse("the hold was of another pool")
    amount = fact.taken + fact.written_off
    if amount > MAX_AMOUNT or (charge is not None and fact.taken > charge.held):
        refuse(f"late with {fact.taken} taken and {fact.written_off} written off")
    pool = pool_or_new(books, fact.account, fact.credit_type)
    grants = taken_lots(books, fact.account, fact.credit_type, fact.allocation, fact.taken)
    check_balance(pool.balance - fact.taken, fact.balance)

    books.pools[fact.account, fact.credit_type] = pool
    _take(grants, held=False)
    pool.remaining -= fact.taken
    pool.captured += fact.taken
    pool.written_off += fact.written_off
    account.follow(fact.aseq)
    pool.changed = True
    if charge is None:
        charge = books.charges[fact.hold_id] = ChargeBook(
            fact.hold_id,
            fact.account,
            fact.key or None,
            fact.credit_type,
            amount,
            ChargeState.LATE,
            fact.version,
            fact.rule,
            place.epoch,
            place.q,
            opened_aseq=fact.aseq,
            new=True,
        )
    else:
        books.overtaken.append(_ending(charge))
    charge.captured = fact.taken
    charge.written_off = fact.written_off or None
    charge.allocation = fact.allocation
    charge.balance_after = fact.balance
    charge.closed_aseq = fact.aseq
    _close(books, charge, ChargeState.LATE, fact, place)
    books.book(
        fact.credit_type,
        credits=-fact.taken,
        revenue=amount,
        writeoff=-fact.written_off,
        route=_route(books, charge),
    )


def observe(books: Books, fact: ObservedFact, place: Place) -> None:
    """Keep a request that was priced and not charged; a repeat changes nothing."""
    known = books.charges.get(fact.hold_id)
    if known is not None:
        if known.state is ChargeState.OBSERVED:
            return  # the gateway was not sure that the first one arrived
        refuse("the id is a hold's")
    check_price(fact.version, fact.rule)
    if fact.amount > MAX_AMOUNT:
        refuse(f"an observed amount of {fact.amount}")
    charge = books.charges[fact.hold_id] = ChargeBook(
        fact.hold_id,
        fact.account or None,
        fact.key or None,
        fact.credit_type,
        fact.amount,
        ChargeState.OBSERVED,
        fact.version,
        fact.rule,
        place.epoch,
        place.q,
        closed_epoch=place.epoch,
        closed_q=place.q,
        closed_ms=place.clock_ms,
        status=min(fact.status, MAX_SMALL),
        new=True,
    )
    describe(charge, fact.detail)
    books.final.append(charge)


def _take(grants: Iterable[tuple[GrantBook, int]], *, held: bool) -> None:
    for grant, amount in grants:
        grant.remaining -= amount
        if held:
            grant.held += amount
        grant.rest()


def _ending(charge: ChargeBook) -> Overtaken:
    """Return how an expired charge ended: an expiry always moves a balance, so it has all of it."""
    assert charge.account_id is not None
    assert charge.closed_epoch is not None
    assert charge.closed_q is not None
    assert charge.closed_aseq is not None
    assert charge.balance_after is not None
    return Overtaken(
        charge.id,
        charge.account_id,
        charge.closed_epoch,
        charge.closed_q,
        charge.closed_aseq,
        charge.balance_after,
    )


def _close(
    books: Books,
    charge: ChargeBook,
    state: ChargeState,
    fact: SettleFact | WholeCapture | LateFact,
    place: Place,
) -> None:
    charge.state = state
    charge.reason = fact.reason
    charge.status = min(fact.status, MAX_SMALL) or None
    charge.deadline_ms = None
    charge.closed_epoch = place.epoch
    charge.closed_q = place.q
    charge.closed_ms = place.clock_ms
    charge.changed = True
    describe(charge, fact.detail)
    books.closed.append(charge.id)
    if state is not ChargeState.EXPIRED:  # which may be collected late after all
        books.final.append(charge)


def describe(charge: ChargeBook, raw: bytes) -> None:
    """Add what a fact tells; a later fact adds to what an earlier one said."""
    if not raw:
        return
    detail = read_detail(raw)
    charge.units = charge.units if detail.units is None else detail.units
    charge.measured = charge.measured if detail.measured is None else detail.measured
    charge.uncollected = detail.uncollected or charge.uncollected
    charge.note = detail.note or charge.note
    charge.plan = detail.plan or charge.plan
    if detail.record is not None:
        charge.record = (charge.record or {}) | detail.record
    if detail.duration_ms is not None:
        charge.duration_ms = detail.duration_ms


def _route(books: Books, charge: ChargeBook) -> str:
    """Return the route's name at that price version; `?` if Postgres never saw the version."""
    return books.routes.get((charge.price_version, charge.rule), "?")
