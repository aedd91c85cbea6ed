"""The table of test cards: each number is one a card can have, and does what it says."""

import pytest

from billing.standin.test_cards import (
    ACCOUNTS,
    CARDS,
    account_of_iban,
    card_of_name,
    card_of_number,
    luhn,
)


def test_every_number_in_the_table_has_a_right_check_digit() -> None:
    assert [card.number for card in CARDS if not luhn(card.number)] == []


def test_numbers_and_names_of_ready_made_methods_are_said_once() -> None:
    assert len({card.number for card in CARDS}) == len({card.ready_made for card in CARDS})
    assert len({card.number for card in CARDS}) == len(CARDS)


@pytest.mark.parametrize(
    "written", ["4242424242424241", "4242", "", "card", "\uff14\uff12\uff14\uff12424242424242"]
)
def test_what_no_card_can_have_is_no_card(written: str) -> None:
    assert card_of_number(written) is None


def test_any_other_number_with_a_right_check_digit_works() -> None:
    card = card_of_number("5105 1051 0510 5100")

    assert card is not None
    assert (card.brand, card.last4, card.decline) == ("mastercard", "5100", None)


def test_a_ready_made_method_is_its_card() -> None:
    card = card_of_name("pm_card_createDispute")

    assert card is not None
    assert (card.number, card.dispute) == ("4000000000000259", "fraudulent")


def test_bank_accounts_are_found_however_they_are_written() -> None:
    account = account_of_iban(" at61 1904 3002 3457 3201")

    assert account is ACCOUNTS[0]
