"""Which charge has an Idempotency-Key, as Postgres keeps it."""

import pytest

from ledger.books import AccountBook, Books, ChargeBook, ChargeState, ClaimBook
from ledger.facts import ClaimFact
from ledger.fold_checks import Place, Poison
from ledger.fold_claims import claim

HASH, ASKED, PLACE = b"h" * 16, b"f" * 16, Place(1, 2, 3_000)
FIRST, SECOND = b"first hold..", b"second hold."


def charge(hold: bytes, account: int = 5) -> ChargeBook:
    return ChargeBook(hold, account, 50, 1, 10, ChargeState.OPEN, 1, 0, 1, 1)


@pytest.fixture
def books() -> Books:
    charges = {FIRST: charge(FIRST), SECOND: charge(SECOND)}
    return Books(accounts={5: AccountBook(5, 1, 0, 0, 0)}, charges=charges)


def test_the_last_hold_that_was_given_a_key_has_it(books: Books) -> None:
    claim(books, ClaimFact(FIRST, 5, HASH, ASKED), PLACE)
    claim(books, ClaimFact(SECOND, 5, HASH, b"g" * 16), PLACE)
    assert books.claims == {(5, HASH): ClaimBook(5, HASH, b"g" * 16, SECOND, 3_000)}


@pytest.mark.parametrize(
    ("hold", "account", "why"),
    [(b"never seen..", 5, "no such charge"), (FIRST, 6, "another account's")],
)
def test_a_claim_of_no_charge_of_the_account_is_a_dead_fact(
    books: Books, hold: bytes, account: int, why: str
) -> None:
    with pytest.raises(Poison, match=why):
        claim(books, ClaimFact(hold, account, HASH, ASKED), PLACE)
    assert books.claims == {}
