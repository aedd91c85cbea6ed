"""What is for sale, buying it, and what was bought: the routes of an API key."""

from typing import Any

from billing.customer import portal
from billing.purchases import purchase_view
from gateway.consumer.caller import Caller
from gateway.consumer.services import Services
from gateway.models import Answer
from gateway.operations import checkouts, payments, purchases, subscriptions
from gateway.operations import packages as packaged
from gateway.operations.checkouts import CheckoutStarted, PurchaseDraft
from gateway.paging import PageQuery
from gateway.routes import Call


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
    call.services.begin_purchase(call.caller.account)
    return await checkouts.begin(call.services.shop, call.caller.account, call.body)


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
