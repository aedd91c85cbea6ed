"""
What can go wrong in selling.

* BillingError
  - SellingNotConfigured  no payment provider; nothing changed
  - NotForSale            no such package, hidden, inactive, or not in that currency
  - WrongPurchase         a field of the purchase cannot be used; nothing changed
  - NoSuchObject          an order, subscription, event... that is not there, or not the caller's
  - NotRefundable         more than is left, or nothing was paid; nothing changed
  - StateConflict         the object is not in a state that allows it; nothing changed
  - StripeRefused         Stripe said no and did nothing; carries its code and parameter
    + CardDeclined        the bank or the card said no
  - StripeUnavailable     no answer, or one that says nothing: the outcome is unknown; ask again
  - Quarantined           what Stripe shows does not fit what we know: a person decides
"""


class BillingError(Exception):
    """Selling did not do what was asked."""


class SellingNotConfigured(BillingError):
    """There is no key for Stripe. Nothing changed."""


class NotForSale(BillingError):
    """The package cannot be bought as asked. Nothing changed."""


class WrongPurchase(BillingError):
    """A field of the purchase cannot be used. Nothing changed."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class NoSuchObject(BillingError):
    """It is not there, or not the caller's; both look alike. Nothing changed."""


class NotRefundable(BillingError):
    """More than is left of the payment, in minor units. Nothing changed."""

    def __init__(self, message: str, *, left_minor: int) -> None:
        super().__init__(message)
        self.left_minor = left_minor


class StateConflict(BillingError):
    """What was asked does not fit the state the object is in. Nothing changed."""


class StripeRefused(BillingError):
    """
    Stripe refused, and did nothing.

    Attributes:
        status: The HTTP status.
        code: Stripe's error code, like `resource_missing`; empty if it gave none.
        param: The parameter it is about; empty if none.

    """

    def __init__(self, message: str, *, status: int, code: str = "", param: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


class CardDeclined(StripeRefused):
    """
    A payment was refused by the bank or for the card.

    Attributes:
        decline_code: The bank's reason, like `insufficient_funds`; empty if none.
        payment_intent_id: The intent that carries the failed try; empty if none.

    """

    def __init__(
        self, message: str, *, code: str, decline_code: str, payment_intent_id: str
    ) -> None:
        super().__init__(message, status=402, code=code)
        self.decline_code = decline_code
        self.payment_intent_id = payment_intent_id


class StripeUnavailable(BillingError):
    """Stripe did not answer, or could not: whether it acted is unknown. A repeat is harmless."""


class Quarantined(BillingError):
    """What Stripe shows does not fit what we know; nothing was granted, a person decides."""
