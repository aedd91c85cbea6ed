"""Buying: packages, payments, subscriptions. What is paid is paid on Stripe's pages."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field
from starlette.responses import RedirectResponse, Response

from billing.customer import portal
from billing.errors import BillingError
from gateway.consumer.services import Services
from gateway.operations import checkouts, packages, payments, subscriptions
from gateway.operations.checkouts import PurchaseDraft
from gateway.operations.package_terms import MOST_QUANTITY
from gateway.operations.packages import PackageAnswer
from gateway.pages import forms
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.forms import Fields, Form
from gateway.pages.site import Asked
from gateway.paging import PageQuery
from gateway.problems import Problem
from ledger.errors import LedgerError

SHOWN = 50
Looking = Asked[Services, Visitor]


class BuyForm(Fields):
    """What to buy."""

    package: Annotated[str, Field(max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=MOST_QUANTITY)] = 1
    currency: Annotated[str | None, Field(pattern=r"^[A-Za-z]{3}$")] = None
    save_card: Literal["yes"] | None = None


class CancelForm(Fields):
    """When a subscription ends."""

    when: Literal["period-end", "now"] = "period-end"


class PageFilter(Fields):
    """The place in a list."""

    cursor: Annotated[str | None, Field(max_length=512)] = None
    done: Annotated[str, Field(max_length=40)] = ""


async def show_packages(asked: Looking) -> Response:
    """Show what is for sale."""
    return await _packages(asked, Form[BuyForm]())


async def buy(asked: Looking) -> Response:
    """Begin a purchase and lead on to payment."""
    form = forms.fill(BuyForm, asked.form)
    if form.read is None:
        return await _packages(asked, form.as_a_whole(), status=422)
    services, wanted = asked.services, form.read
    draft = PurchaseDraft(
        package=wanted.package,
        quantity=wanted.quantity,
        currency=wanted.currency,
        save_card=wanted.save_card is not None,
    )
    try:
        shop = services.shop
        services.begin_purchase(asked.who.account)
        started = await checkouts.begin(shop, asked.who.account, draft, origin="page")
    except (BillingError, LedgerError, Problem) as refused:
        return await _packages(asked, Form[BuyForm]().refused(refused), status=409)
    return lead_to(asked, started.checkout_url)


def lead_to(asked: Looking, url: str) -> Response:
    """Lead on to a page of Stripe's; a form may be redirected to those we know beforehand."""
    parts = urlsplit(url)
    if f"{parts.scheme}://{parts.netloc}" in asked.services.pay_at:
        headers = dict(asked.site.rendering.headers)
        return RedirectResponse(url, status_code=303, headers=headers)
    # A domain of the operator's own at Stripe: browsers would not let the form lead there.
    return asked.shows("consumer/onward.html", url=url)


async def show_payments(asked: Looking) -> Response:
    """List what was paid, with receipts and invoices."""
    wanted = forms.ask(PageFilter, asked.request).read or PageFilter()
    found = await payments.of_account(
        asked.services.shop, asked.who.account, PageQuery(limit=SHOWN, cursor=wanted.cursor)
    )
    return asked.shows(
        "consumer/payments.html",
        found=found,
        first="?" if wanted.cursor else "",
        next=f"?cursor={found.next}" if found.next else "",
    )


async def show_subscriptions(asked: Looking) -> Response:
    """List subscriptions."""
    wanted = forms.ask(PageFilter, asked.request).read or PageFilter()
    found = await subscriptions.of_account(
        asked.services.shop, asked.who.account, PageQuery(limit=SHOWN, cursor=wanted.cursor)
    )
    return asked.shows(
        "consumer/subscriptions.html",
        found=found,
        done=wanted.done,
        first="?" if wanted.cursor else "",
        next=f"?cursor={found.next}" if found.next else "",
    )


async def cancel(asked: Looking) -> Response:
    """End a subscription."""
    form = forms.fill(CancelForm, asked.form)
    if form.read is None:
        raise Problem("invalid-input", "Say whether it ends now or with the period.")
    await subscriptions.cancel(
        asked.services.shop,
        asked.path["subscription"],
        subscriptions.CancelQuery(when=form.read.when),
        owner=asked.who.account,
    )
    return asked.onward("/subscriptions", done="ended" if form.read.when == "now" else "ends")


async def open_portal(asked: Looking) -> Response:
    """Lead to Stripe's portal."""
    return lead_to(asked, await portal.open(asked.services.shop, asked.who.account))


async def _packages(asked: Looking, form: Form[BuyForm], *, status: int = 200) -> Response:
    services = asked.services
    listed = await packages.for_sale(
        services.ledger.database, services.prices.current, livemode=services.livemode
    )
    return asked.shows(
        "consumer/packages.html",
        status=status,
        form=form,
        once=[one for one in listed.items if one.interval is None],
        often=[one for one in listed.items if one.interval is not None],
        sells=services.billing.shop is not None,
        testing=services.livemode is False,
        every=every,
    )


def every(package: PackageAnswer) -> str:
    """Say how often a package is paid."""
    count = package.interval_count
    return f"every {package.interval}" if count == 1 else f"every {count} {package.interval}s"
