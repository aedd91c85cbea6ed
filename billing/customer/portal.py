"""Stripe's customer portal: cards, subscriptions and invoices, on Stripe's own pages."""

from billing.customer import customers
from billing.errors import StateConflict, StripeRefused
from billing.shop import Shop
from billing.stripe_door import translated

_NO_CUSTOMER = (
    "Stripe has no customer for this account, or none any more; the next purchase makes one"
)


async def open(shop: Shop, account_id: int) -> str:  # noqa: A001 - read as portal.open
    """
    Return the address of a portal session made for this request; it soon expires at Stripe.

    The caller has made sure whose request it is. A customer is never made here: a new one's
    portal would be empty, and hide that the old one is gone.

    Raises:
        StateConflict: The account never bought anything, or Stripe has no such customer any more.
        StripeRefused: Stripe's portal is not set up; its message says how.
        StripeUnavailable: No answer; ask again.

    """
    customer = await customers.known(shop, account_id)
    if customer is None:
        raise StateConflict(_NO_CUSTOMER)
    try:
        with translated():
            session = await shop.stripe.v1.billing_portal.sessions.create_async(
                {"customer": customer, "return_url": f"{shop.pages_url}/"}
            )
    except StripeRefused as refused:
        if not customers.is_gone(refused):
            raise
        await customers.forget(shop, customer)
        raise StateConflict(_NO_CUSTOMER) from refused
    return str(session.url)
