"""The admin's routes about selling: each hands what it was given to its operation."""

from typing import Any

from gateway.admin.handlers import desk, numbered
from gateway.admin.services import Services
from gateway.operations import (
    alerts,
    figures,
    inbox,
    notices,
    orders,
    packages,
    payments,
    stripe,
    subscriptions,
)
from gateway.routes import Call

Asked = Call[Services, str, Any, Any]


async def list_packages(call: Asked) -> packages.PackageRows:
    """List every package."""
    services = call.services
    return await packages.listed(
        services.ledger.database, services.prices(), livemode=services.livemode
    )


async def show_package(call: Asked) -> packages.PackageRow:
    """Show a package."""
    services = call.services
    return await packages.show(
        services.ledger.database,
        services.prices(),
        call.path["package"],
        livemode=services.livemode,
    )


async def create_package(call: Asked) -> packages.PackageRow:
    """Put up a package."""
    services = call.services
    return await packages.create(
        services.ledger.database,
        services.prices(),
        call.body,
        livemode=services.livemode,
        actor=call.caller,
    )


async def change_package(call: Asked) -> packages.PackageRow:
    """Change, hide or sort a package."""
    services = call.services
    return await packages.change(
        services.ledger.database,
        services.prices(),
        call.path["package"],
        call.body,
        livemode=services.livemode,
        actor=call.caller,
    )


async def list_orders(call: Asked) -> orders.OrderPage:
    """List orders."""
    return await orders.listed(call.services.shop, call.query)


async def show_order(call: Asked) -> orders.OrderAnswer:
    """Show an order."""
    return await orders.show(call.services.shop, call.path["order"])


async def approve_order(call: Asked) -> orders.OrderAnswer:
    """Give the credits of an order in review."""
    return await orders.approve(call.services.shop, call.path["order"], actor=call.caller)


async def give_back(call: Asked) -> orders.RefundRow:
    """Give money back on an order."""
    return await orders.give_back(
        call.services.shop, call.path["order"], call.body, actor=call.caller
    )


async def list_payments(call: Asked) -> payments.PaymentRows:
    """List payments."""
    return await payments.listed(call.services.shop, call.query)


async def list_disputes(call: Asked) -> alerts.DisputePage:
    """List disputes."""
    return await alerts.disputes(call.services.shop, call.query)


async def list_subscriptions(call: Asked) -> subscriptions.SubscriptionRows:
    """List subscriptions."""
    return await subscriptions.listed(call.services.shop, call.query)


async def cancel_subscription(call: Asked) -> subscriptions.SubscriptionRow:
    """End a subscription."""
    return await subscriptions.cancel_any(
        call.services.shop, call.path["subscription"], call.query, actor=call.caller
    )


async def show_figures(call: Asked) -> figures.FiguresAnswer:
    """Show what selling earns."""
    return await figures.show(call.services.shop, call.query)


async def list_inbox(call: Asked) -> inbox.InboxPage:
    """List events."""
    return await inbox.listed(call.services.ledger.database, call.query)


async def show_event(call: Asked) -> inbox.InboxAnswer:
    """Show an event."""
    return await inbox.show(call.services.ledger.database, numbered(call, "event"))


async def retry_event(call: Asked) -> inbox.InboxRow:
    """Try an event again."""
    return await inbox.retry(desk(call), numbered(call, "event"))


async def dismiss_event(call: Asked) -> inbox.InboxRow:
    """Close an event by hand."""
    return await inbox.dismiss(desk(call), numbered(call, "event"), call.body)


async def attach_event(call: Asked) -> inbox.InboxRow:
    """Say whose a purchase is."""
    return await inbox.attach(
        call.services.shop, numbered(call, "event"), call.body, actor=call.caller
    )


async def list_alerts(call: Asked) -> alerts.AlertPage:
    """List alerts."""
    return await alerts.listed(call.services.ledger.database, call.query)


async def resolve_alert(call: Asked) -> alerts.AlertResolved:
    """Close an alert."""
    return await alerts.resolve(
        call.services.ledger.database, numbered(call, "alert"), actor=call.caller
    )


async def list_notices(call: Asked) -> notices.NoticePage:
    """List notices."""
    return await notices.listed(call.services.ledger.database, call.query)


async def retry_notice(call: Asked) -> notices.NoticeRetried:
    """Send a notice again."""
    return await notices.retry(
        call.services.ledger.database, numbered(call, "notice"), actor=call.caller
    )


async def sync(call: Asked) -> stripe.Synced:
    """Take over Stripe's products."""
    return await stripe.sync(call.services.shop, actor=call.caller)


async def reconcile(call: Asked) -> stripe.Reconciled:
    """Look for what no webhook told."""
    return await stripe.reconcile(call.services.shop, call.body, actor=call.caller)


async def settle(call: Asked) -> stripe.SettledAnswer:
    """Settle one object of Stripe's."""
    return await stripe.settle(call.services.shop, call.body.object_id, actor=call.caller)
