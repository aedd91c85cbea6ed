"""The admin's pages at `/admin/`: for named admins, on the admin listener only."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.admin.services import Services
from gateway.pages.admin.shown import WORDS
from gateway.pages.admin.table import PAGES, door_pages
from gateway.pages.admin.visitor import BASE, AdminVisitor, Door
from gateway.pages.rendering import Rendering
from gateway.pages.site import REFUSALS, Site
from gateway.routes import dated, problem_of

__all__ = ["admin_pages"]


def admin_pages(services: Services) -> Starlette:
    """Build the pages; the caller hands over paths below `/admin` that are not the API's."""
    door = Door(services)
    site: Site[Services, AdminVisitor] = Site(
        services=services,
        rendering=Rendering(
            base=lambda: BASE, more={**WORDS, "sells": services.billing.shop is not None}
        ),
        visitor=door.visitor,
        way_in=door.way_in,
        layout="admin/problem.html",
        mount=BASE,
    )

    def refuse(_request: Request, error: Exception) -> Response:
        return dated(site.refusal(problem_of(error)))

    app = Starlette(
        routes=[
            *(Route(path, _to_the_first, methods=["GET"]) for path in ("/", BASE)),
            *site.routes((*PAGES, *door_pages(door))),
        ],
        exception_handlers=dict.fromkeys((*REFUSALS, Exception), refuse),
    )
    app.router.redirect_slashes = False
    return app


async def _to_the_first(_request: Request) -> Response:
    return dated(
        RedirectResponse(f"{BASE}/", status_code=303, headers={"cache-control": "no-store"})
    )
