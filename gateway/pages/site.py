"""
A site: rows of pages as routes, with who looks at them, their forms' safety, and refusals.

    GET    who is it?  →  the page, or the way in
    POST   who is it?  →  sent from here?  →  this session's form?  →  do it  →  303 to a page

Everything works without a script, so whatever a form does ends in a redirect or in the same page
with what is wrong.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from billing.errors import BillingError
from gateway.pages import forms, security
from gateway.pages.rendering import Rendering
from gateway.problems import Problem
from gateway.routes import dated, problem_of
from ledger.errors import LedgerError
from ledger.outage import OUTAGE

REFUSALS: tuple[type[Exception], ...] = (
    Problem, BillingError, LedgerError, HTTPException, *OUTAGE
)  # fmt: skip

MOST_NEXT = 2_000
"""Characters of the page to go on with after signing in."""


class Visitor(Protocol):
    """Somebody who is signed in."""

    @property
    def token(self) -> str:
        """The session's token, of which its forms' tokens are made."""

    @property
    def name(self) -> str:
        """As the head of every page shows it."""


Services = TypeVar("Services")
Who = TypeVar("Who")


@dataclass(frozen=True, slots=True)
class Asked(Generic[Services, Who]):
    """
    One request for a page.

    Attributes:
        who: Who is signed in; on a page for strangers there may be nobody.
        form: What was sent, without the form's token; empty but for POST.

    """

    site: "Site[Any, Any]"
    services: Services
    who: Who
    request: Request
    page: "Page"
    path: Mapping[str, str]
    form: forms.Values = field(default_factory=dict)

    def shows(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Answer with a page."""
        return self.site.shows(template, context, page=self.page, who=self.who, status=status)

    def onward(self, path: str, **note: str) -> Response:
        """
        Lead on to a page of this site, where a reload repeats nothing.

        `note` becomes its query, like `done="saved"`; nothing that is secret.
        """
        return self.site.onward(path, **note)


Shows = Callable[[Asked[Any, Any]], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """
    A row: one address for people.

    Attributes:
        name: Which entry of the navigation it belongs to.
        show: GET.
        act: POST: a form of a page of this site.
        strangers: Who is not signed in may look too.
        entrance: Its form is of no session, and may begin another one.
        form_bytes: How large its form may be.

    """

    path: str
    name: str
    show: Shows | None = None
    act: Shows | None = None
    strangers: bool = False
    entrance: bool = False
    form_bytes: int = forms.MAX_FORM_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Generic[Services, Who]):
    """
    What the pages of one listener have in common.

    Attributes:
        visitor: Returns who is signed in, or None.
        way_in: The page for who is not; shown in place of the page that was asked for.
        layout: The template that errors are shown in; it is given `problem`.
        elsewhere: Says where the page is, if not on the host that was asked.
        mount: What stands before each path, where nobody has taken it off, like `/admin`.

    """

    services: Services
    rendering: Rendering
    visitor: Callable[[Request], Awaitable[Who | None]]
    way_in: Shows
    layout: str
    elsewhere: Callable[[Request], str | None] = lambda _request: None
    mount: str = ""

    def routes(self, pages: Sequence[Page]) -> list[Route]:
        """Return the rows as routes, and the files that they need."""
        made = [
            Route(f"{self.mount}{page.path}", self._endpoint(page), methods=_methods(page))
            for page in pages
        ]
        return [*made, self.rendering.statics.route(f"{self.mount}/static/{{hash}}/{{name}}")]

    def answering(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Return what answers one row, for a route that stands in another table."""
        return self._endpoint(page)

    def shows(
        self,
        template: str,
        context: Mapping[str, Any],
        *,
        page: Page | None,
        who: Any,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Answer with a page in its frame."""
        known = {
            "here": "" if page is None else page.name,
            "who": who,
            "form_token": "" if who is None else security.form_token(who.token),
        }
        return self.rendering.answer(
            template, known | dict(context), status=status, headers=headers
        )

    def onward(self, path: str, **note: str) -> Response:
        """Lead on to a page of this site."""
        query = "&".join(f"{name}={value}" for name, value in note.items())
        target = f"{self.rendering.base()}{path}{'?' if query else ''}{query}"
        return RedirectResponse(target, status_code=303, headers=dict(self.rendering.headers))

    def refusal(self, problem: Problem, who: Any = None, page: Page | None = None) -> Response:
        """Say no, as a page."""
        more = {name.decode(): value.decode() for name, value in problem.headers}
        more.pop("www-authenticate", None)  # a browser would ask for a password
        context = {"problem": problem}
        return self.shows(
            self.layout, context, page=page, who=who, status=problem.status, headers=more
        )

    def _endpoint(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return dated(await self._answer(page, request))

        return endpoint

    async def _answer(self, page: Page, request: Request) -> Response:
        who: Any = None
        try:
            if (address := self.elsewhere(request)) is not None:
                return self._leads_to(address, request)
            who = await self.visitor(request)
            if not all(str(part).isprintable() for part in request.path_params.values()):
                raise Problem("not-found", "Nothing is named with characters that do not print.")
            asked = Asked(self, self.services, who, request, page, request.path_params)
            if who is None and not page.strangers:
                return await self.way_in(asked)
            if request.method != "POST":
                assert page.show is not None, "the route has no other methods"
                return await page.show(asked)
            assert page.act is not None, "the route has no other methods"
            return await page.act(await self._with_form(asked))
        except REFUSALS as refused:
            return self.refusal(problem_of(refused), who, page)

    def _leads_to(self, address: str, request: Request) -> Response:
        if request.method == "POST":
            raise Problem("not-found", f"The pages are at {address}; nothing was changed.")
        return RedirectResponse(address, status_code=307, headers=dict(self.rendering.headers))

    async def _with_form(self, asked: Asked[Any, Any]) -> Asked[Any, Any]:
        security.check_origin(asked.request)
        form = await forms.read_form(asked.request, asked.page.form_bytes)
        given = form.pop(security.CSRF_FIELD, [""])
        if asked.who is not None and not asked.page.entrance:
            security.check_form(asked.who.token, given[0])
        return Asked(
            asked.site, asked.services, asked.who, asked.request, asked.page, asked.path, form
        )


def _methods(page: Page) -> list[str]:
    return [*(["GET"] if page.show else ()), *(["POST"] if page.act else ())]


def local_path(wanted: str, base: str) -> str:
    """Return a path below `base` that may be gone on with; anything else is the first page."""
    below = wanted.removeprefix(base)
    sound = (
        wanted.startswith(f"{base}/")
        and len(wanted) <= MOST_NEXT
        and wanted.isascii()
        and wanted.isprintable()
        and not below.startswith(("//", "/\\"))
        and "\\" not in wanted
    )
    return below if sound else "/"
