"""Signs of fraud: warnings of the card networks, and reviews. No credits move; a person decides."""

from billing.reversing.payment_lookup import payment_of
from billing.shop import Settled, Shop
from billing.stripe_door import at, ident, translated
from billing.telling import alerts
from ledger import controls
from ledger.ids import account_text

WARNING_SOURCE = "early_fraud_warning"


async def settle_warning(shop: Shop, object_id: str) -> Settled:
    """
    Freeze the account that an early fraud warning is about (policy), and tell the operator.

    Once for each warning: whoever thaws the account is not overruled by a repeat. An admin ends
    this freeze, nothing else does.

    Raises:
        Quarantined: It is about something of ours that we do not know.
        StripeRefused, StripeUnavailable: Stripe could not be asked.

    """
    with translated():
        warning = await shop.stripe.v1.radar.early_fraud_warnings.retrieve_async(object_id)
    payment = await payment_of(shop, ident(at(warning, "payment_intent")), ident(warning.charge))
    if isinstance(payment, Settled):
        return payment
    new = False
    async with shop.ledger.database.transaction() as connection:
        if shop.prices().selling.freeze_on_fraud_warning:
            added = await controls.add(
                connection,
                payment.account_id,
                controls.Freeze(frozen=True),
                WARNING_SOURCE,
                object_id,
                "stripe",
            )
            new = not added.repeated
        detail = (
            f"{account_text(payment.account_id)}, order {payment.order_id}: {warning.fraud_type}. "
            + ("The account is frozen until it is thawed. " if new else "")
            + "A refund now may prevent a dispute."
        )
        await alerts.raise_alert(connection, WARNING_SOURCE, object_id, detail)
    if new:
        await shop.push(payment.account_id)
    return Settled("updated" if new else "unchanged", detail, payment.account_id)


async def settle_review(shop: Shop, object_id: str) -> Settled:
    """
    Tell the operator of a payment that Stripe's rules sent to review; closed: the alert ends.

    Raises:
        Quarantined: It is about something of ours that we do not know.
        StripeRefused, StripeUnavailable: Stripe could not be asked.

    """
    with translated():
        review = await shop.stripe.v1.reviews.retrieve_async(object_id)
    payment = await payment_of(
        shop, ident(at(review, "payment_intent")), ident(at(review, "charge"))
    )
    if isinstance(payment, Settled):
        return payment
    async with shop.ledger.database.connection() as connection:
        if review.open:
            detail = f"order {payment.order_id} is in review at Stripe: {review.reason}"
            await alerts.raise_alert(connection, "review", object_id, detail)
        else:
            detail = f"the review of order {payment.order_id} was closed: {review.reason}"
            await alerts.resolve_about(connection, "review", object_id, actor="stripe")
    return Settled("updated", detail, payment.account_id)
