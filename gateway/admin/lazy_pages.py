"""
The admin's pages beside the admin's API, on one listener: opened when somebody first looks.

Scrapers and programs ask the API all day; templates and pages are imported for people only.
"""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admin.services import Services

API = "/admin/v1"
PAGES = "/admin"


class BesidePages:
    """Hands a request to the pages or to the API, by its path alone."""

    def __init__(self, api: ASGIApp, services: Services) -> None:
        self._api = api
        self._services = services
        self._pages: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not is_page(scope["path"]):
            await self._api(scope, receive, send)
            return
        if self._pages is None:
            # In a thread, so that posting goes on meanwhile. Twice at once does no harm.
            build = await asyncio.to_thread(_imported)
            self._pages = build(self._services)
        await self._pages(scope, receive, send)


def is_page(path: str) -> bool:
    """Say whether a path is one of the pages', which also say what there is not."""
    below = path in ("/", PAGES) or path.startswith(f"{PAGES}/")
    return below and path != API and not path.startswith(f"{API}/")


def _imported() -> Callable[[Services], ASGIApp]:
    """Import the pages and all that they stand on."""
    from gateway.pages.admin import admin_pages  # noqa: PLC0415 - see above

    return admin_pages
