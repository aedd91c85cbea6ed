"""
Which payment of ours a refund, dispute or warning is about.

These name a PaymentIntent or a charge. The payment is usually booked; where Stripe's news of the
reversal came first, the sale is settled first, so that there is something to take back from.
"""

from billing.errors import Quarantined
from billing.marks import is_ours
from billing.purchases import orders, payments
from billing.purchases.payments import Payment
from billing.shop import Settled, Shop
from billing.stripe_door import at, ident, listed, translated


async def payment_of(
    shop: Shop, payment_intent: str | None, charge: str | None
) -> Payment | Settled:
    """
    Return the payment, booked now if it was not yet; or what to answer where there is none.

    Args:
        shop: Where to look, and Stripe.
        payment_intent: pi_; everything we sell goes through one.
        charge: ch_ or py_.

    Raises:
        Quarantined: It carries our mark and leads to nothing we know.
        StripeRefused, StripeUnavailable: Stripe could not be asked.

    """
    known = await _booked(shop, payment_intent, charge)
    if known is not None:
        return known
    sale = await _sale(shop, payment_intent) if payment_intent else None
    if sale is None:
        return Settled("ignored", "no payment of ours")
    # Settling knows every kind of object, also those that are settled through here.
    from billing import settling  # noqa: PLC0415

    settled = await settling.settle(shop, *sale)
    async with shop.ledger.database.connection() as connection:
        known = await payments.of_object(connection, shop.livemode, sale[1])
    if known is not None:
        return known
    if settled.outcome == "ignored":
        return settled
    return Settled(
        "unchanged", f"nothing was granted for {sale[1]}: {settled.detail}", settled.account_id
    )


async def _booked(shop: Shop, payment_intent: str | None, charge: str | None) -> Payment | None:
    async with shop.ledger.database.connection() as connection:
        found = None
        if payment_intent:
            found = await payments.of_payment_intent(connection, shop.livemode, payment_intent)
        if found is None and charge:
            found = await payments.of_charge(connection, shop.livemode, charge)
    return found


async def _sale(shop: Shop, payment_intent: str) -> tuple[str, str] | None:
    """Return the type and id of what was paid by an intent; None if it was nothing of ours."""
    with translated():
        intent = await shop.stripe.v1.payment_intents.retrieve_async(payment_intent)
    order = None
    async with shop.ledger.database.connection() as connection:
        order_id = at(intent, "metadata.order_id")
        if is_ours(shop, intent) and order_id:
            order = await orders.get(connection, order_id)
        if order is None:
            order = await orders.of_payment_intent(connection, shop.livemode, payment_intent)
    if order is not None and order.kind == "auto_topup":
        return "payment_intent", payment_intent
    # An invoice's intent carries no metadata of ours, and any may be wiped in the dashboard.
    # Sessions come first: one that makes an invoice of a purchase has both.
    v1 = shop.stripe.v1
    async for session in listed(
        v1.checkout.sessions.list_async, {"payment_intent": payment_intent}
    ):
        if order is not None or is_ours(shop, session):
            return "checkout.session", str(session.id)
    by_intent = {"type": "payment_intent", "payment_intent": payment_intent}
    async for paid in listed(v1.invoice_payments.list_async, {"payment": by_intent}):
        return "invoice", str(ident(at(paid, "invoice")))
    if is_ours(shop, intent):
        raise Quarantined(f"{payment_intent} carries our mark and belongs to no order we know")
    return None
