"""
Stripe's test cards, test bank accounts and test payment methods, and what each of them does.

Source: the page "Testing" of Stripe's documentation (docs.stripe.com/testing), as it is known
without a look at it at the time of writing: numbers, the names of the `pm_card_...` payment
methods, codes and decline codes. Sentences shown to buyers are Stripe's own for each code.
A number that is not in the table, is long enough and passes the Luhn check works like 4242...
"""

from dataclasses import dataclass
from typing import Literal

GENERIC_DECLINE = "Your card was declined."


@dataclass(frozen=True, slots=True)
class Decline:
    """Why a card is refused: Stripe's `code`, its `decline_code` if any, and the sentence."""

    code: str
    decline_code: str | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCard:
    """
    A card and what it does.

    Attributes:
        label: A few words for the list on the page.
        ready_made: The name of Stripe's own payment method of this card; empty if it has none.
        decline: Refused with this, if not None.
        declines_on: Whether already adding it to a customer is refused, or only charging it.
        authentication: always: each payment needs 3-D Secure; unless_set_up: only until it was
            saved for payments without the buyer; None: never.
        dispute: What the bank does after a payment: the dispute's reason, or an inquiry.
        warned: A payment with it is followed by an early fraud warning.
        reviewed: A payment with it is put into the review queue.
        refunds: pending: a refund is pending first and succeeds later; failing: a refund
            has succeeded first and fails later.

    """

    # Pytest would take a class named Test... for a test.
    __test__ = False

    number: str
    label: str
    ready_made: str = ""
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    declines_on: Literal["adding", "charging"] = "adding"
    authentication: Literal["always", "unless_set_up"] | None = None
    dispute: Literal["fraudulent", "product_not_received", "inquiry"] | None = None
    warned: bool = False
    reviewed: bool = False
    refunds: Literal["at_once", "pending", "failing"] = "at_once"

    @property
    def last4(self) -> str:
        """The part of the number that may be shown."""
        return self.number[-4:]


def _declined(decline_code: str, message: str = GENERIC_DECLINE) -> Decline:
    return Decline("card_declined", decline_code, message)


INSUFFICIENT = _declined("insufficient_funds", "Your card has insufficient funds.")
INCORRECT_NUMBER = Decline("incorrect_number", None, "Your card number is incorrect.")
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)

CARDS = (
    TestCard(number="4242424242424242", label="Visa, succeeds", ready_made="pm_card_visa"),
    TestCard(
        number="5555555555554444",
        label="Mastercard, succeeds",
        ready_made="pm_card_mastercard",
        brand="mastercard",
    ),
    TestCard(
        number="378282246310005", label="American Express", ready_made="pm_card_amex", brand="amex"
    ),
    TestCard(
        number="4000056655665556",
        label="Visa debit, succeeds",
        ready_made="pm_card_visa_debit",
        funding="debit",
    ),
    TestCard(
        number="4000000000000077",
        label="Money available at once",
        ready_made="pm_card_bypassPending",
    ),
    TestCard(
        number="4000002500003155",
        label="3-D Secure unless saved before",
        ready_made="pm_card_authenticationRequiredOnSetup",
        authentication="unless_set_up",
    ),
    TestCard(
        number="4000002760003184",
        label="3-D Secure for every payment",
        ready_made="pm_card_authenticationRequired",
        authentication="always",
    ),
    TestCard(
        number="4000008260003178",
        label="3-D Secure, then insufficient funds",
        ready_made="pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
        authentication="always",
        decline=INSUFFICIENT,
        declines_on="charging",
    ),
    TestCard(
        number="4000000000000002",
        label="Declined",
        ready_made="pm_card_visa_chargeDeclined",
        decline=_declined("generic_decline"),
    ),
    TestCard(
        number="4000000000009995",
        label="Insufficient funds",
        ready_made="pm_card_visa_chargeDeclinedInsufficientFunds",
        decline=INSUFFICIENT,
    ),
    TestCard(
        number="4000000000009987",
        label="Lost card",
        ready_made="pm_card_visa_chargeDeclinedLostCard",
        decline=_declined("lost_card"),
    ),
    TestCard(
        number="4000000000009979",
        label="Stolen card",
        ready_made="pm_card_visa_chargeDeclinedStolenCard",
        decline=_declined("stolen_card"),
    ),
    TestCard(
        number="4000000000000069",
        label="Expired card",
        ready_made="pm_card_chargeDeclinedExpiredCard",
        decline=Decline("expired_card", None, "Your card has expired."),
    ),
    TestCard(
        number="4000000000000127",
        label="Wrong CVC",
        ready_made="pm_card_chargeDeclinedIncorrectCvc",
        decline=Decline("incorrect_cvc", None, "Your card's security code is incorrect."),
    ),
    TestCard(
        number="4000000000000119",
        label="Processing error",
        ready_made="pm_card_chargeDeclinedProcessingError",
        decline=Decline(
            "processing_error",
            None,
            "An error occurred while processing your card. Try again in a little bit.",
        ),
    ),
    TestCard(
        number="4100000000000019",
        label="Blocked as fraud",
        ready_made="pm_card_radarBlock",
        decline=_declined("fraudulent"),
        declines_on="charging",
    ),
    TestCard(
        number="4000000000000341",
        label="Can be saved, then declines",
        ready_made="pm_card_chargeCustomerFail",
        decline=_declined("generic_decline"),
        declines_on="charging",
    ),
    TestCard(
        number="4000000000009235",
        label="Elevated risk, reviewed",
        ready_made="pm_card_riskLevelElevated",
        reviewed=True,
    ),
    TestCard(
        number="4000000000000259",
        label="Disputed as fraudulent",
        ready_made="pm_card_createDispute",
        dispute="fraudulent",
    ),
    TestCard(
        number="4000000000002685",
        label="Disputed as not received",
        ready_made="pm_card_createDisputeProductNotReceived",
        dispute="product_not_received",
    ),
    TestCard(
        number="4000000000001976",
        label="Inquiry by the bank",
        ready_made="pm_card_createDisputeInquiry",
        dispute="inquiry",
    ),
    TestCard(
        number="4000000000005423",
        label="Early fraud warning",
        ready_made="pm_card_createIssuerFraudRecord",
        warned=True,
    ),
    TestCard(
        number="4000000000007726",
        label="Refund pending, then succeeds",
        ready_made="pm_card_pendingRefund",
        refunds="pending",
    ),
    TestCard(
        number="4000000000005126",
        label="Refund succeeds, then fails",
        ready_made="pm_card_refundFail",
        refunds="failing",
    ),
)


@dataclass(frozen=True, slots=True)
class TestAccount:
    """A test bank account; a payment from it is known only later."""

    __test__ = False

    iban: str
    label: str
    outcome: Literal["succeeds", "fails", "disputed"]


ACCOUNTS = (
    TestAccount("AT611904300234573201", "Debit succeeds later", "succeeds"),
    TestAccount("AT861904300235473202", "Debit fails later", "fails"),
    TestAccount("AT591904300235473203", "Debit succeeds, then is returned", "disputed"),
)

_CARD_BY_NUMBER = {card.number: card for card in CARDS}
_CARD_BY_NAME = {card.ready_made: card for card in CARDS if card.ready_made}
_ACCOUNT_BY_IBAN = {account.iban: account for account in ACCOUNTS}
_SHORTEST_NUMBER, _LONGEST_NUMBER = 12, 19
_BRANDS = {"3": "amex", "5": "mastercard", "6": "discover"}


def card_of_number(written: str) -> TestCard | None:
    """Give the card with a number, which may hold blanks; None if no card has such a number."""
    number = "".join(written.split())
    if number in _CARD_BY_NUMBER:
        return _CARD_BY_NUMBER[number]
    usable = number.isascii() and number.isdecimal()
    if not usable or not _SHORTEST_NUMBER <= len(number) <= _LONGEST_NUMBER or not luhn(number):
        return None
    return TestCard(number=number, label="", brand=_BRANDS.get(number[0], "visa"))


def card_of_name(name: str) -> TestCard | None:
    """Give the card behind one of Stripe's ready payment methods, like `pm_card_visa`."""
    return _CARD_BY_NAME.get(name)


def account_of_iban(written: str) -> TestAccount | None:
    """Give the test bank account with an IBAN, which may hold blanks."""
    return _ACCOUNT_BY_IBAN.get("".join(written.split()).upper())


def luhn(number: str) -> bool:
    """Say whether a number's last digit is the check digit of the others."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0
