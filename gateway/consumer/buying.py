"""
`buy` and `bought`: buying with the link of a refusal, where nobody is signed in.

Each answers a page to who asks for `text/html`, and JSON to everybody else. The link's token
is the right to buy for one account; the token in the address that Stripe leads back to shows
one order and, where that was not paid, leads to the packages again. Neither opens anything else.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from billing.errors import BillingError, NoSuchObject
from billing.purchases import come_back, purchase_view
from billing.shop import Shop
from gateway import buy_link
from gateway.consumer.buying_html import (
    buy_page,
    card_page,
    onward_page,
    purchase_page,
    refusal_page,
)
from gateway.consumer.html import HEADERS, headers_for_forms
from gateway.consumer.services import Services
from gateway.models import Given, GivenBody
from gateway.operations import checkouts, packages, purchases
from gateway.operations.checkouts import CheckoutStarted, Currency, PurchaseDraft
from gateway.operations.now import utc_now
from gateway.operations.package_terms import MOST_QUANTITY
from gateway.problems import Problem
from gateway.reading import field_errors, invalid
from gateway.routes import Call, problem_of
from ledger.errors import LedgerError
from ledger.outage import OUTAGE

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 10
LOOKED_AFTER = timedelta(minutes=10)
"""How long the page looks again by itself for a payment that should have been seen at once."""

Token = Annotated[str, Field(min_length=1, max_length=buy_link.MAX_TOKEN_CHARS)]
Quantity = Annotated[int, Field(ge=1, le=MOST_QUANTITY)]
Package = Annotated[str, Field(min_length=1, max_length=64)]


class Link(Given):
    """The signed link of an `insufficient-credits` refusal."""

    token: Token


class LinkPurchase(GivenBody):
    """What to buy with the link."""

    token: Token
    package: Package
    quantity: Quantity = 1
    currency: Currency = None


class LinkForm(Given):
    """The same, as a form sends it."""

    token: Token
    package: Package
    quantity: Quantity = 1
    currency: Currency = None


class ComeBack(Given):
    """What stands in the address that Stripe leads back to."""

    order: Annotated[str, Field(max_length=come_back.MAX_TOKEN_CHARS)]
    session_id: Annotated[str | None, Field(max_length=255)] = None
    cancelled: Annotated[str | None, Field(max_length=1, description="Left without paying.")] = None


class CardComeBack(Given):
    """What stands in the address that Stripe leads back to from saving a card."""

    saved: Annotated[str | None, Field(max_length=1, description="The card is saved.")] = None
    cancelled: Annotated[str | None, Field(max_length=1, description="Left without one.")] = None


Asked = Call[Services, None, Any, Any]
Shows = Callable[[Asked], Awaitable[BaseModel | Response]]

REFUSALS: tuple[type[Exception], ...] = (BillingError, LedgerError, Problem, *OUTAGE)


def refuses_as_page(shows: Shows) -> Shows:
    """Have a handler's refusals be pages for who asks for pages."""

    async def handler(call: Asked) -> BaseModel | Response:
        try:
            return await shows(call)
        except REFUSALS as refused:
            if not wants_page(call.request):
                raise
            problem = problem_of(refused)
            more = {name.decode(): value.decode() for name, value in problem.headers}
            text = refusal_page(problem.title, problem.detail)
            return HTMLResponse(text, status_code=problem.status, headers=HEADERS | more)

    return handler


@refuses_as_page
async def offers(call: Call[Services, None, Link, None]) -> packages.PackageList | Response:
    """Show what the link can buy."""
    services = call.services
    shop = services.shop
    _account(shop, call.query.token)
    listed = await packages.for_sale(
        services.ledger.database, services.prices.current, livemode=shop.livemode
    )
    if not wants_page(call.request):
        return listed
    text = buy_page(listed.items, action=f"{services.prefix}/buy", token=call.query.token)
    return HTMLResponse(text, headers=headers_for_forms(*services.pay_at))


@refuses_as_page
async def buy(call: Call[Services, None, Any, LinkPurchase | bytes]) -> CheckoutStarted | Response:
    """Begin a purchase with the link; a browser is led on to payment."""
    services = call.services
    asked = _form(call.body) if isinstance(call.body, bytes) else call.body
    account = _account(services.shop, asked.token)
    services.begin_purchase(account)
    draft = PurchaseDraft(package=asked.package, quantity=asked.quantity, currency=asked.currency)
    started = await checkouts.begin(services.shop, account, draft, origin="page")
    if not wants_page(call.request):
        return started
    if _origin(started.checkout_url) in services.pay_at:
        return RedirectResponse(started.checkout_url, status_code=303, headers=HEADERS)
    # A Checkout domain of the operator's own: browsers would not let the form lead there.
    return HTMLResponse(onward_page(started.checkout_url), status_code=201, headers=HEADERS)


@refuses_as_page
async def bought(call: Call[Services, None, ComeBack, None]) -> purchases.PurchaseAnswer | Response:
    """Show what became of a purchase, which is settled first."""
    services, shop, query = call.services, call.services.shop, call.query
    now_s = shop.clock.now_ms() // 1_000
    order_id = come_back.verify(query.order, secret=shop.link_secret, now_s=now_s)
    services.look(order_id)
    found = await purchase_view.show_order(shop, order_id)
    if query.session_id not in (None, found.session_id):
        raise NoSuchObject("this link does not show an order")
    shown = purchases.answer(found)
    if not wants_page(call.request):
        return shown
    unpaid = shown.state in ("failed", "expired") or (query.cancelled and shown.state == "open")
    late = shown.state == "open" or (shown.state == "paid" and not shown.given)
    young = utc_now(services.clock) - found.created_at < LOOKED_AFTER
    text = purchase_page(
        shown,
        came_back=query.cancelled is not None,
        refresh=late and young and not unpaid,
        again=_buy_again(services, found.account_id) if unpaid else "",
    )
    return HTMLResponse(text, headers=HEADERS)


async def card_saved(call: Call[Services, None, CardComeBack, None]) -> Response:
    """Say how saving a card ended; the card itself is told of by Stripe's events."""
    text = card_page(saved=call.query.saved is not None)
    return HTMLResponse(text, headers=HEADERS)


def wants_page(request: Request) -> bool:
    """Whether a browser asks; curl and programs take anything and get JSON."""
    return "text/html" in request.headers.get("accept", "")


def _account(shop: Shop, token: str) -> int:
    now_s = shop.clock.now_ms() // 1_000
    try:
        return buy_link.verify(token, secret=shop.link_secret, now_s=now_s)
    except buy_link.InvalidLink:
        raise Problem(
            "link-invalid",
            "This link is not valid or older than 15 minutes; the next refused call has a new one.",
        ) from None


def _buy_again(services: Services, account: int) -> str:
    shop = services.shop
    now_s = shop.clock.now_ms() // 1_000
    token = buy_link.sign(account, secret=shop.link_secret, now_s=now_s)
    return f"{services.prefix}/buy?token={token}"


def _form(raw: bytes) -> LinkForm:
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise Problem("bad-request", "The form cannot be read; correct it.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Problem("bad-request", "The form names a field twice; give each once.")
    try:
        return LinkForm.model_validate(fields)
    except ValidationError as error:
        raise invalid(field_errors(error)) from None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
