"""What the fact of a claim does: an Idempotency-Key belongs to another charge from here on."""

from ledger.books import Books, ClaimBook
from ledger.facts import ClaimFact
from ledger.fold_checks import Place, refuse


def claim(books: Books, fact: ClaimFact, place: Place) -> None:
    """Note whose the key is. Its charge was folded just before: one entry has both."""
    charge = books.charges.get(fact.hold_id)
    if charge is None:
        refuse("no such charge")
    if charge.account_id != fact.account:
        refuse("the charge is another account's")
    books.claims[fact.account, fact.key_hash] = ClaimBook(
        fact.account, fact.key_hash, fact.fingerprint, fact.hold_id, place.clock_ms
    )
