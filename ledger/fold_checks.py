"""
What every fact is checked for before it changes anything; see `ledger.fold`.

A check that fails raises `Poison`, which says which rule was broken.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from ledger.books import AccountBook, Books, ChargeBook, ChargeState, GrantBook, PoolBook
from ledger.facts import Allocated, SettleFact

MAX_VERSION = 2**31 - 1
MAX_SMALL = 2**15 - 1
"""The widest numbers the columns of `charges` take; the journal's fields are wider."""


class Poison(Exception):
    """A fact breaks a rule of the ledger; nothing was changed by it."""


@dataclass(slots=True)
class Place:
    """Where in the journal a fact stands; the facts of an entry share one, which moves along."""

    epoch: int
    q: int
    clock_ms: int


def refuse(why: str) -> NoReturn:
    """Say that the fact breaks a rule."""
    raise Poison(why)


def next_of(books: Books, account_id: int, aseq: int) -> AccountBook:
    """Return the account, whose next fact this must be."""
    account = books.accounts.get(account_id)
    if account is None:
        refuse("no such account")
    if aseq != account.aseq + 1:
        refuse(f"fact {aseq} of the account after {account.aseq}")
    return account


def check_price(version: int, rule: int) -> None:
    """Refuse numbers that no price version or rule can have."""
    if version > MAX_VERSION or rule > MAX_SMALL:
        refuse(f"price version {version}, rule {rule}")


def check_balance(ours: int, theirs: int) -> None:
    """Refuse a balance that is not what the fold gives."""
    if ours != theirs:
        refuse(f"balance {theirs}, but the fold gives {ours}")


def pool_of(books: Books, account_id: int | None, credit_type_id: int) -> PoolBook:
    """Return the pool, which must be there."""
    pool = books.pools.get((account_id or 0, credit_type_id))
    if pool is None:
        refuse("no such pool")
    return pool


def pool_of_hold(books: Books, account_id: int | None, credit_type_id: int, held: int) -> PoolBook:
    """Return the pool a hold is of; what cost nothing needs none, and puts nothing into one."""
    pool = books.pools.get((account_id or 0, credit_type_id))
    if pool is not None:
        return pool
    if held:
        refuse("no such pool")
    return pool_or_new(books, account_id or 0, credit_type_id)


def pool_or_new(books: Books, account_id: int, credit_type_id: int) -> PoolBook:
    """Return the pool, or an empty one that the caller adds to the books once all is checked."""
    if credit_type_id not in books.credit_types:
        refuse(f"no credit type {credit_type_id}")
    known = books.pools.get((account_id, credit_type_id))
    return PoolBook(account_id, credit_type_id, new=True) if known is None else known


def lot_of(books: Books, account_id: int, credit_type_id: int, lot: int) -> GrantBook:
    """Return the lot, which must be of this pool."""
    grant = books.grants.get(lot)
    if grant is None or grant.account_id != account_id or grant.credit_type_id != credit_type_id:
        refuse(f"lot {lot} is none of this pool")
    return grant


def taken_lots(
    books: Books, account_id: int, credit_type_id: int, lots: Iterable[Allocated], total: int
) -> list[tuple[GrantBook, int]]:
    """Return lots of a pool and what is taken of each, after checking that it is there."""
    found = []
    left = total
    for lot, _, _, amount in lots:
        grant = lot_of(books, account_id, credit_type_id, lot)
        if not 0 < amount <= grant.remaining:
            refuse(f"{amount} of the {grant.remaining} left in lot {lot}")
        found.append((grant, amount))
        left -= amount
    if len(found) > 1:
        check_distinct(grant.id for grant, _ in found)
    if left:
        refuse(f"the lots do not add up to {total}")
    return found


def held_lots(books: Books, charge: ChargeBook) -> list[tuple[GrantBook, int]]:
    """Return the lots a charge was held from, after checking that they know it."""
    found = []
    for lot, _, _, amount in charge.allocation:
        grant = books.grants.get(lot)
        if grant is None or grant.held < amount:
            refuse(f"lot {lot} does not hold {amount}")
        found.append((grant, amount))
    return found


def given_back(charge: ChargeBook, fact: SettleFact) -> int:
    """Return how much goes back to lots, after checking that they gave as much, each once."""
    gave = {lot: amount for lot, _, _, amount in charge.allocation}
    back = 0
    for lot, amount in fact.given_back:
        if amount > gave.pop(lot, -1):
            refuse("a lot gets more back than it gave")
        back += amount
    return back


def check_distinct(lots: Iterable[int]) -> None:
    """Refuse a lot that is named twice."""
    named = list(lots)
    if len(named) != len(set(named)):
        refuse("a lot is named twice")


def open_charge(books: Books, hold_id: bytes) -> ChargeBook:
    """Return the charge of a hold that must not have ended."""
    charge = books.charges.get(hold_id)
    if charge is None:
        refuse("no such hold")
    if charge.state is not ChargeState.OPEN:
        refuse(f"a second ending: the charge is {charge.state.word}")
    return charge
