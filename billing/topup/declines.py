"""
What a refused payment means for automatic top-up: rest and try again, or stop and ask.

It stops at the codes that Stripe itself never retries without a new payment method
(docs.stripe.com/billing/revenue-recovery/smart-retries), at the advice `do_not_try_again`
(docs.stripe.com/declines/card), and at reasons that time does not heal, like an expired card. The
rest may pass later: `do_not_honor` and `generic_decline` do not say why, and Stripe retries them.
"""

from dataclasses import dataclass

FIRST_REST_S = 3_600
LONGEST_REST_S = 86_400
MOST_DECLINES = 5
"""In a row; card networks fine those who go on asking, and the buyer should hear of it."""

NEEDS_THE_BUYER = frozenset({"authentication_required", "authentication_not_handled"})

_NEVER_RETRIED = frozenset(
    {
        "highest_risk_level",
        "incorrect_number",
        "lost_card",
        "pickup_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "transaction_not_allowed",
    }
)
_NOT_HEALED_BY_TIME = frozenset(
    {
        "card_not_supported",
        "currency_not_supported",
        "do_not_try_again",
        "expired_card",
        "fraudulent",
        "invalid_account",
        "invalid_number",
        "merchant_blacklist",
        "not_permitted",
        "restricted_card",
        "service_not_allowed",
        "stop_payment_order",
    }
)
HARD = _NEVER_RETRIED | _NOT_HEALED_BY_TIME


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a payment failed, in Stripe's words; empty where it does not say."""

    code: str = ""
    decline_code: str = ""
    advice_code: str = ""

    def __str__(self) -> str:
        """Return the codes as an order keeps them."""
        return " ".join(filter(None, (self.code, self.decline_code))) or "unknown"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is tried until the account acts. `reason` is a sentence for the buyer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rest:
    """The next try is so many seconds away."""

    seconds: int


def what_next(failure: Failure, declines: int) -> Pause | Rest:
    """
    Decide what a failed charge without the buyer leads to.

    Args:
        failure: Of this try.
        declines: In a row, with this one.

    """
    codes = {failure.code, failure.decline_code}
    if codes & NEEDS_THE_BUYER:
        return Pause("Your bank wants you to confirm this payment yourself.")
    if codes & HARD or failure.advice_code == "do_not_try_again":
        return Pause("Your card was declined and cannot be charged any more.")
    if declines >= MOST_DECLINES:
        return Pause(f"Your card was declined {declines} times in a row.")
    return Rest(min(FIRST_REST_S * 2 ** (declines - 1), LONGEST_REST_S))
