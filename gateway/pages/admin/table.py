"""The admin's pages, row by row."""

from gateway.pages.admin import (
    account,
    account_actions,
    accounts,
    charges,
    giving,
    inbox,
    jobs,
    keys,
    overview,
    packages,
    people,
    price_editor,
    prices,
    rebuilding,
    sales,
    upkeep,
)
from gateway.pages.admin.visitor import Door
from gateway.pages.site import Page

ACTIONS = (
    accounts.NEW,
    *account_actions.ACTIONS,
    *giving.ACTIONS,
    accounts.CHANGE,
    *keys.ACTIONS,
    charges.REFUND,
    *packages.ACTIONS,
    *sales.ACTIONS,
    *inbox.ACTIONS,
    prices.ROLL_BACK,
    *rebuilding.ACTIONS,
    *upkeep.ACTIONS,
    *people.ACTIONS,
)

PAGES: tuple[Page, ...] = (
    Page(path="/", name="overview", show=overview.show),
    *(action.page() for action in ACTIONS),
    Page(path="/accounts", name="accounts", show=accounts.listed),
    Page(path="/accounts/{account}", name="accounts", show=account.one),
    Page(path="/accounts/{account}/entries", name="accounts", show=account.entries),
    Page(path="/accounts/{account}/grants", name="accounts", show=account.grants_of),
    Page(path="/charges", name="charges", show=charges.listed),
    Page(path="/charges.csv", name="charges", show=charges.as_csv),
    Page(path="/charges/{charge}", name="charges", show=charges.one),
    packages.SYNC,
    Page(path="/packages", name="packages", show=packages.listed),
    sales.APPROVE,
    Page(path="/orders", name="orders", show=sales.list_orders),
    Page(path="/orders/{order}", name="orders", show=sales.show_order),
    Page(path="/payments", name="payments", show=sales.list_payments),
    Page(path="/subscriptions", name="subscriptions", show=sales.list_subscriptions),
    Page(path="/disputes", name="disputes", show=sales.list_disputes),
    inbox.RETRY,
    Page(path="/inbox", name="inbox", show=inbox.listed),
    Page(path="/inbox/{event}", name="inbox", show=inbox.one),
    Page(path="/prices", name="prices", show=prices.current),
    price_editor.EDITOR,
    Page(path="/prices/{version}", name="prices", show=prices.version),
    Page(path="/observed", name="observed", show=jobs.show_observed, act=jobs.begin_observed),
    Page(path="/jobs", name="jobs", show=jobs.listed),
    Page(path="/jobs/{job}", name="jobs", show=jobs.one),
    jobs.CANCEL,
    jobs.VERIFY,
    jobs.RECONCILE,
    *upkeep.BUTTONS,
    Page(path="/alerts", name="alerts", show=upkeep.list_alerts),
    Page(path="/notices", name="notices", show=upkeep.list_notices),
    Page(path="/findings", name="findings", show=upkeep.list_findings),
    Page(path="/facts/{fact}", name="findings", show=upkeep.show_fact),
    Page(path="/system", name="system", show=upkeep.show_system),
    Page(path="/audit", name="audit", show=people.audit),
    Page(path="/admins", name="admins", show=people.listed),
)


def door_pages(door: Door) -> tuple[Page, ...]:
    """Return the way in and out, which strangers may use."""
    return (
        Page(path="/sign-in", name="sign-in", show=door.show, act=door.sign_in, strangers=True),
        Page(path="/sign-out", name="sign-in", act=door.sign_out, strangers=True),
    )
