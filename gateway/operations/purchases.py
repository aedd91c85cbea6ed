"""What became of a purchase, for who made it."""

from typing import Annotated

from pydantic import Field

from billing.money import money_text
from billing.purchases.purchase_view import Shown, Word
from gateway.models import Answer, Time
from gateway.operations.shown import Display, display


class PurchaseAnswer(Answer):
    """A purchase: its order, and its payment once there is one."""

    order_id: str
    session_id: str | None
    state: Annotated[
        Word,
        Field(
            description="`processing`: the money is on its way. `review`: somebody looks at it. "
            "Credits are there when it is `paid`."
        ),
    ]
    package: str
    title: str
    quantity: int
    credit_type: str
    scale: int
    credits: Annotated[int, Field(description="What was given, or will be.")]
    given: Annotated[
        bool,
        Field(description="They were. A subscription gives them with each paid invoice."),
    ]
    currency: str
    amount_minor: Annotated[
        int, Field(description="Paid, with tax; before that what is asked for, without.")
    ]
    email: str
    checkout_url: Annotated[str | None, Field(description="Where it can still be paid.")]
    payment_intent_id: str | None
    subscription_id: str | None
    receipt_url: str | None
    invoice_url: str | None
    invoice_pdf: str | None
    failure: Annotated[str | None, Field(description="The code of the last failed try.")]
    created_at: Time
    expires_at: Time | None
    display: Display


def answer(shown: Shown) -> PurchaseAnswer:
    """Describe a purchase."""
    return PurchaseAnswer(
        order_id=shown.order_id,
        session_id=shown.session_id,
        state=shown.state,
        package=shown.package,
        title=shown.title,
        quantity=shown.quantity,
        credit_type=shown.credit_type,
        scale=shown.scale,
        credits=shown.credits,
        given=shown.booked,
        currency=shown.currency,
        amount_minor=shown.amount_minor,
        email=shown.email,
        checkout_url=shown.checkout_url,
        payment_intent_id=shown.payment_intent,
        subscription_id=shown.subscription,
        receipt_url=shown.receipt_url,
        invoice_url=shown.invoice_url,
        invoice_pdf=shown.invoice_pdf,
        failure=shown.failure,
        created_at=shown.created_at,
        expires_at=shown.expires_at,
        display=display(shown.scale, {"credits": shown.credits})
        | {"amount": money_text(shown.amount_minor, shown.currency)},
    )
