"""What became of a purchase, in words."""

from gateway.operations.purchases import PurchaseAnswer
from gateway.pages.filters import amount

LOOK_AGAIN_S = 3
"""A payment is seen within seconds of the buyer's coming back; a bank's may take days."""

SLOW_MONEY = (
    "Your bank has not sent the money yet, which may take some days. "
    "The credits are added when it arrives; nothing more is to be done."
)


def told(shown: PurchaseAnswer, *, came_back: bool) -> tuple[str, str, str]:
    """
    Return a title, a sentence and the kind of notice it is.

    `came_back`: the buyer left Stripe's page without paying.
    """
    credits_ = f"{amount(shown.credits, shown.scale)} {shown.credit_type}"
    match shown.state:
        case "paid" if not shown.given:
            return "Subscribed", "The credits come with each invoice that is paid.", "good"
        case "paid":
            sentence = f"{credits_} were added. A call that was refused works now."
            return "Thank you", sentence, "good"
        case "open" if came_back:
            return "Not paid", "You left before paying. Nothing was charged.", "plain"
        case "open":
            return "Processing", "The payment is on its way to us.", "plain"
        case "processing":
            return "Processing", SLOW_MONEY, "plain"
        case "failed":
            sentence = "The payment did not go through. Nothing was charged."
            return "Payment failed", sentence, "bad"
        case "expired":
            sentence = "This payment was open for too long. Nothing was charged."
            return "Not paid", sentence, "plain"
        case _:
            sentence = "Somebody has to look at this purchase before it is done."
            return "Being looked at", sentence, "warn"
