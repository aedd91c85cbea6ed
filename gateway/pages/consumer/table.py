"""The consumer's pages, row by row, and the site that they make together."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.consumer.caller import KeyGate
from gateway.consumer.services import Services
from gateway.pages.consumer import home, signing
from gateway.pages.consumer.visitor import Visitor, visitor
from gateway.pages.consumer.words import OUTCOMES, outcome
from gateway.pages.rendering import Rendering
from gateway.pages.site import Page, Site
from gateway.problems import Problem

HOME = Page(path="/", name="home", show=home.home)
SIGN_IN = Page(path="/sign-in", name="", show=signing.sign_in, strangers=True)
SIGN_OUT = Page(path="/sign-out", name="", act=signing.sign_out, strangers=True)
"""These three are described in `openapi.json` too, and so are rows of that table."""


def pages(gate: KeyGate) -> tuple[Page, ...]:
    """Return all other rows."""
    return (
        Page(
            path="/sign-in",
            name="",
            act=signing.signing_in_with(gate),
            strangers=True,
        ),
    )


def consumer_site(services: Services) -> Site[Services, Visitor]:
    """Make the site; its pages lie below the price list's prefix."""

    async def who(request: Request) -> Visitor | None:
        return await visitor(services, request)

    return Site(
        services=services,
        rendering=Rendering(
            base=lambda: services.prefix,
            form_targets=services.pay_at,
            more={"outcome": outcome, "OUTCOMES": OUTCOMES},
        ),
        visitor=who,
        way_in=signing.way_in,
        layout="consumer/refusal.html",
    )


def refuse_page(
    site: Site[Services, Visitor], request: Request, problem: Problem
) -> Response | None:
    """Say no as a page to who looks for one; the API's routes answer programs, whoever asks."""
    path = request.url.path.removeprefix(site.rendering.base())
    wants = "text/html" in request.headers.get("accept", "")
    return site.refusal(problem) if wants and not path.startswith("/v1/") else None
