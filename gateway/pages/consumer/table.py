"""The consumer's pages, row by row, and the site that they make together."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.consumer.services import Services
from gateway.pages.consumer import (
    charged,
    entered,
    examples,
    home,
    keys,
    priced,
    shop,
    signing,
    topup,
    use,
)
from gateway.pages.consumer.visitor import Visitor, visitor
from gateway.pages.consumer.words import KINDS, OUTCOMES, outcome
from gateway.pages.rendering import Rendering
from gateway.pages.site import Page, Site
from gateway.pages_host import pages_base, same_host
from gateway.problems import Problem

HOME = Page(path="/", name="home", show=home.home)
SIGN_IN = Page(path="/sign-in", name="", show=signing.sign_in, strangers=True)
SIGN_OUT = Page(path="/sign-out", name="", act=signing.sign_out, strangers=True)
"""These three are described in `openapi.json` too, and so are rows of that table."""

PAGES: tuple[Page, ...] = (
    Page(path="/sign-in", name="", act=signing.sign_in_with_key, strangers=True, entrance=True),
    Page(path="/use", name="use", show=use.use),
    Page(path="/charges", name="charges", show=charged.listed),
    Page(path="/charges.csv", name="charges", show=charged.as_csv),
    Page(path="/charges/{charge}", name="charges", show=charged.one),
    Page(path="/entries", name="entries", show=entered.listed),
    Page(path="/entries.csv", name="entries", show=entered.as_csv),
    Page(path="/packages", name="packages", show=shop.show_packages, act=shop.buy),
    Page(path="/payments", name="payments", show=shop.show_payments),
    Page(path="/subscriptions", name="subscriptions", show=shop.show_subscriptions),
    Page(path="/subscriptions/{subscription}/end", name="subscriptions", act=shop.cancel),
    Page(path="/portal", name="subscriptions", act=shop.open_portal),
    Page(path="/top-up", name="top-up", show=topup.show, act=topup.set_top_up),
    Page(path="/top-up/end", name="top-up", act=topup.end_top_up),
    Page(path="/top-up/cards", name="top-up", act=topup.save_card),
    Page(path="/top-up/cards/{card}/remove", name="top-up", act=topup.remove_card),
    Page(path="/top-up/notices", name="top-up", act=topup.set_threshold),
    Page(path="/keys", name="keys", show=keys.listed, act=keys.create),
    Page(path="/keys/{key}", name="keys", show=keys.one),
    Page(path="/keys/{key}/rename", name="keys", act=keys.rename),
    Page(path="/keys/{key}/rotate", name="keys", act=keys.rotate),
    Page(path="/keys/{key}/caps", name="keys", act=keys.put_caps),
    Page(path="/keys/{key}/revoke", name="keys", act=keys.revoke),
    Page(path="/examples", name="examples", show=examples.examples),
    Page(path="/prices", name="prices", show=priced.prices),
    Page(path="/calculator", name="calculator", show=priced.calculator, act=priced.calculate),
)


def consumer_site(services: Services) -> Site[Services, Visitor]:
    """Make the site; its pages lie below the price list's prefix."""

    async def who(request: Request) -> Visitor | None:
        return await visitor(services, request)

    def elsewhere(request: Request) -> str | None:
        host = services.pages_host
        if host is None or same_host(request.headers.get("host", "")) == same_host(host):
            return None
        base = pages_base(services.public_url or str(request.base_url), host)
        query = f"?{request.url.query}" if request.url.query else ""
        return f"{base}{request.url.path}{query}"

    return Site(
        services=services,
        rendering=Rendering(
            base=lambda: services.prefix,
            form_targets=services.pay_at,
            more={
                "asks_again": services.pages_host is None,
                "kinds_of_entries": KINDS,
                "outcome": outcome,
                "OUTCOMES": OUTCOMES,
            },
        ),
        visitor=who,
        way_in=signing.way_in,
        layout="consumer/refusal.html",
        elsewhere=elsewhere,
    )


def refuse_page(
    site: Site[Services, Visitor], request: Request, problem: Problem
) -> Response | None:
    """Say no as a page to who looks for one; the API's routes answer programs, whoever asks."""
    path = request.url.path.removeprefix(site.rendering.base())
    wants = "text/html" in request.headers.get("accept", "")
    return site.refusal(problem) if wants and not path.startswith("/v1/") else None
