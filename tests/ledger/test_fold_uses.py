"""What Postgres keeps of quotas, allowances and caps is what Redis counts."""

import pytest

from ledger.books import AccountBook, Books
from ledger.facts import UseFact
from ledger.fold_checks import Place, Poison
from ledger.fold_uses import use
from ledger.limits import Loan, window_id

QUOTA, CAP = window_id("Q", "day"), window_id("C", "month", 1)
HOLD, ROAD = b"hold" * 3, b"road"
PLACE = Place(1, 2, 3)


def fact(*loans: Loan, back: bool = False, account: int = 5) -> UseFact:
    return UseFact(HOLD, account, 50, back, loans)


def quota(amount: int = 1, window: int = 7, whose: str = "a") -> Loan:
    return Loan(whose, ROAD, QUOTA, "Q", window, amount)


@pytest.fixture
def books() -> Books:
    return Books(accounts={5: AccountBook(5, 1, 0, 0, 0)})


def used(books: Books) -> dict[tuple[str, int], tuple[int, int]]:
    return {key[:2]: (row.window_number, row.used) for key, row in books.uses.items()}


def test_uses_add_up_and_what_is_given_back_is_taken_off(books: Books) -> None:
    use(books, fact(quota(2), Loan("k", bytes(4), CAP, "C", 9, 100)), PLACE)
    use(books, fact(quota(1), quota(4, whose="e")), PLACE)
    use(books, fact(quota(2), Loan("k", bytes(4), CAP, "C", 9, 60), back=True), PLACE)

    assert used(books) == {("a", 5): (7, 1), ("k", 50): (9, 40), ("e", 0): (7, 4)}
    assert {row.account_id for row in books.uses.values()} == {5, 0}
    assert all(row.changed for row in books.uses.values())


def test_a_newer_window_begins_at_nothing_and_an_older_one_changes_nothing(books: Books) -> None:
    use(books, fact(quota(3)), PLACE)
    use(books, fact(quota(1, window=8)), PLACE)
    use(books, fact(quota(3), back=True), PLACE)
    use(books, fact(quota(3)), PLACE)

    assert used(books) == {("a", 5): (8, 1)}


def test_more_than_was_used_cannot_be_given_back(books: Books) -> None:
    """What was lent in a history that is lost comes back to nothing."""
    use(books, fact(quota(3), back=True), PLACE)
    assert used(books) == {("a", 5): (7, 0)}


@pytest.mark.parametrize(
    "wrong",
    [
        fact(quota(), account=6),
        fact(quota()._replace(kind="R")),
        fact(quota()._replace(kind="A")),
        fact(quota(), quota()._replace(whose="x")),
    ],
)
def test_a_use_that_no_script_wrote_is_poison_and_changes_nothing(
    books: Books, wrong: UseFact
) -> None:
    with pytest.raises(Poison):
        use(books, wrong, PLACE)
    assert books.uses == {}
