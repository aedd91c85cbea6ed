"""
`buy` and `bought`: buying with the link of a refusal, where nobody is signed in.

Each answers a page to who asks for `text/html`, and JSON to everybody else. The link's token
is the right to buy for one account; the token in the address that Stripe leads back to shows
one order and, where that was not paid, leads to the packages again. Neither opens anything else.
"""

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing.errors import NoSuchObject
from billing.purchases import come_back, purchase_view
from billing.shop import Shop
from gateway import buy_link
from gateway.consumer.services import Services
from gateway.models import Given, GivenBody
from gateway.operations import checkouts, packages, purchases
from gateway.operations.checkouts import CheckoutStarted, Currency, PurchaseDraft
from gateway.operations.now import utc_now
from gateway.operations.package_terms import MOST_QUANTITY
from gateway.pages.consumer.buying_words import LOOK_AGAIN_S, told
from gateway.pages.consumer.visitor import Visitor
from gateway.problems import Problem
from gateway.reading import field_errors, invalid
from gateway.routes import Call

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
    return _page(services, "consumer/buy.html", packages=listed.items, token=call.query.token)


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
        headers = dict(services.site.rendering.headers)
        return RedirectResponse(started.checkout_url, status_code=303, headers=headers)
    # A Checkout domain of the operator's own: browsers would not let the form lead there.
    return _page(services, "consumer/onward.html", status=201, url=started.checkout_url)


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
    again = _buy_again(services, found.account_id) if unpaid else ""
    title, sentence, kind = told(shown, came_back=query.cancelled is not None)
    return _page(
        services,
        "consumer/bought.html",
        who=await services.site.visitor(call.request),
        shown=shown,
        heading=title,
        sentence=sentence,
        kind=kind,
        again_s=LOOK_AGAIN_S if late and young and not unpaid else 0,
        resume=shown.checkout_url if again else None,
        again=again,
    )


async def card_saved(call: Call[Services, None, CardComeBack, None]) -> Response:
    """Say how saving a card ended; the card itself is told of by Stripe's events."""
    site, saved = call.services.site, call.query.saved is not None
    who = await site.visitor(call.request)
    return _page(call.services, "consumer/card_saved.html", who=who, saved=saved)


def _page(
    services: Services,
    template: str,
    *,
    who: Visitor | None = None,
    status: int = 200,
    **context: object,
) -> Response:
    return services.site.shows(template, context, page=None, who=who, status=status)


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
