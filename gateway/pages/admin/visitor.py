"""Who looks at the admin's pages: a named admin, who showed the token once, in a form."""

import logging
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.admin.services import Services
from gateway.pages import forms
from gateway.pages.site import Asked, local_path
from gateway.problems import Problem, retry_after
from gateway.throttle import Throttle
from ledger import admins
from ledger.outage import OUTAGE

COOKIE = "farebox_admin"
BASE = "/admin"
MOST_TOKEN = 400

GUESSES_PER_MINUTE = 60
"""From one address, behind which may be all admins; a token is beyond guessing at any rate."""

_log = logging.getLogger(__name__)

StrangerAsked = Asked[Services, "AdminVisitor | None"]


@dataclass(frozen=True, slots=True)
class AdminVisitor:
    """An admin who is signed in."""

    token: str
    name: str


class SignIn(forms.Fields):
    """The form."""

    token: Annotated[str, Field(max_length=MOST_TOKEN)]
    next: str = f"{BASE}/"


class Door:
    """Lets admins in and out, and knows who is in."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._guesses = Throttle(GUESSES_PER_MINUTE, clock=services.clock)

    async def visitor(self, request: Request) -> AdminVisitor | None:
        """Return who is signed in; an admin whose token was revoked is nobody."""
        token = request.cookies.get(COOKIE)
        if not token or _signs_in(request):
            return None
        async with self._services.ledger.database.connection() as connection:
            admin = await admins.admin_of_session(connection, token)
        return None if admin is None else AdminVisitor(token, admin.name)

    async def way_in(self, asked: StrangerAsked) -> Response:
        """Show the form in place of a page; who signs in goes on with that page."""
        url = asked.request.url
        wanted = f"{url.path}?{url.query}" if url.query else url.path
        form = forms.begin(next=wanted if asked.request.method == "GET" else f"{BASE}/")
        return asked.shows("admin/sign_in.html", status=401, form=form)

    async def show(self, asked: StrangerAsked) -> Response:
        """Show the form."""
        if asked.who is not None:
            return asked.onward("/")
        return asked.shows("admin/sign_in.html", form=forms.begin(next=f"{BASE}/"))

    async def sign_in(self, asked: StrangerAsked) -> Response:
        """Take the token for a session."""
        form = forms.fill(SignIn, asked.form)
        if form.read is None:
            return asked.shows("admin/sign_in.html", status=422, form=form)
        try:
            session = await self._opened(asked.request, form.read.token)
        except Problem as refused:
            again = form.refused(refused)
            said = asked.shows("admin/sign_in.html", status=refused.status, form=again)
            said.headers.update({name.decode(): text.decode() for name, text in refused.headers})
            return said
        response = RedirectResponse(
            BASE + local_path(form.read.next, BASE),
            status_code=303,
            headers=dict(asked.site.rendering.headers),
        )
        response.set_cookie(
            COOKIE,
            session,
            max_age=admins.ADMIN_SESSION_HOURS * 3600,
            path=BASE,
            secure=_over_tls(asked.request),
            httponly=True,
            samesite="strict",
        )
        return response

    async def sign_out(self, asked: StrangerAsked) -> Response:
        """End the session."""
        if asked.who is not None:
            async with self._services.ledger.database.connection() as connection:
                await admins.end_session(connection, asked.who.token)
        response = asked.onward("/sign-in")
        response.delete_cookie(COOKIE, path=BASE)
        return response

    async def _opened(self, request: Request, token: str) -> str:
        """
        Return a session's token.

        Raises:
            Problem: 401 for a token that nobody has, 429 for an address that guesses.

        """
        address = request.client.host if request.client else ""
        wait_s = self._guesses.retry_after_s(address)
        if wait_s:
            raise Problem(
                "rate-limited",
                "Too many wrong tokens came from this address; try again in a minute.",
                headers=(retry_after(wait_s),),
            )
        # Counted before it is known to be wrong, or many guesses at once would all be looked up.
        self._guesses.count(address)
        try:
            async with self._services.ledger.database.connection() as connection:
                opened = await admins.sign_in(
                    connection, token, random_bytes=self._services.random_bytes
                )
                if opened is not None and COOKIE in request.cookies:
                    await admins.end_session(connection, request.cookies[COOKIE])
        except OUTAGE:
            self._guesses.take_back(address)
            raise
        if opened is None:
            _log.warning("a wrong admin token was shown at the pages, from %s", address)
            raise Problem(
                "admin-token-invalid",
                "Nobody has this token, or it was revoked.",
                status=401,
                errors=[{"field": "token", "message": "Nobody has this token, or it was revoked."}],
            )
        self._guesses.take_back(address)
        return opened[1]


def _signs_in(request: Request) -> bool:
    # The form is everybody's, also of who is in already and comes again as somebody else.
    return request.method == "POST" and request.url.path == f"{BASE}/sign-in"


def _over_tls(request: Request) -> bool:
    # Whoever claims this without a proxy in front only keeps their own cookie from being sent.
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "") == "https"
