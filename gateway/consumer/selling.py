"""What is for sale, buying it, and what was bought: the routes of an API key."""

from typing import Annotated, Any

from pydantic import Field

from billing.customer import portal
from billing.purchases import checkout, purchase_view
from gateway.consumer.caller import Caller
from gateway.consumer.services import Services
from gateway.models import Answer, GivenBody, Time
from gateway.operations import packages as packaged
from gateway.operations import payments, purchases, subscriptions
from gateway.operations.package_terms import MOST_QUANTITY
from gateway.paging import PageQuery
from gateway.routes import Call

Currency = Annotated[
    str | None, Field(pattern=r"^[A-Za-z]{3}$", description="Null: the first the package names.")
]


class PurchaseDraft(GivenBody):
    """What to buy. What it costs and gives is the operator's, never the caller's."""

    package: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=MOST_QUANTITY)] = 1
    currency: Currency = None
    save_card: Annotated[
        bool, Field(description="Keep the card, so that automatic top-up can charge it.")
    ] = False


class CheckoutStarted(Answer):
    """A page of Stripe's where it is paid; nothing is charged before."""

    checkout_url: str
    session_id: str
    order_id: str
    expires_at: Time | None


class PortalOpened(Answer):
    """A page of Stripe's for cards, subscriptions and invoices; it is soon over."""

    portal_url: str


async def packages(call: Call[Services, Caller | None, Any, None]) -> packaged.PackageList:
    """List what is for sale; also where nothing can be paid yet."""
    services = call.services
    return await packaged.for_sale(
        services.ledger.database, services.prices.current, livemode=services.livemode
    )


async def buy(call: Call[Services, Caller, Any, PurchaseDraft]) -> CheckoutStarted:
    """Begin a purchase."""
    asked = call.body
    call.services.begin_purchase(call.caller.account)
    purchase = checkout.Purchase(
        package=asked.package,
        quantity=asked.quantity,
        currency=asked.currency,
        save_card=asked.save_card,
    )
    started = await checkout.start(call.services.shop, call.caller.account, purchase)
    return CheckoutStarted(
        checkout_url=started.checkout_url,
        session_id=started.session_id,
        order_id=started.order_id,
        expires_at=started.expires_at,
    )


async def show(call: Call[Services, Caller, Any, None]) -> purchases.PurchaseAnswer:
    """Show what became of a purchase; asks Stripe first, so no webhook need have come."""
    call.services.look(str(call.caller.account))
    shown = await purchase_view.show(call.services.shop, call.caller.account, call.path["session"])
    return purchases.answer(shown)


async def list_payments(
    call: Call[Services, Caller, PageQuery, None],
) -> payments.PaymentPage:
    """List the account's payments, with receipts and invoices."""
    return await payments.of_account(call.services.shop, call.caller.account, call.query)


async def list_subscriptions(
    call: Call[Services, Caller, PageQuery, None],
) -> subscriptions.SubscriptionPage:
    """List the account's subscriptions."""
    return await subscriptions.of_account(call.services.shop, call.caller.account, call.query)


async def cancel(
    call: Call[Services, Caller, subscriptions.CancelQuery, None],
) -> subscriptions.Subscription:
    """End one of the account's subscriptions."""
    return await subscriptions.cancel(
        call.services.shop, call.path["subscription"], call.query, owner=call.caller.account
    )


async def open_portal(call: Call[Services, Caller, Any, None]) -> PortalOpened:
    """Open Stripe's portal for the account."""
    return PortalOpened(portal_url=await portal.open(call.services.shop, call.caller.account))
