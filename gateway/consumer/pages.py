"""The consumer's page, and the way in: a link that works once sets a session cookie."""

from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.consumer.html import HEADERS, home_page, stranger_page
from gateway.consumer.services import Services
from gateway.models import Given
from gateway.operations import accounts, charges
from gateway.problems import Problem
from gateway.routes import Call
from ledger import accounts as ledger_accounts
from ledger import admins
from ledger.ids import account_text

COOKIE = "farebox_session"
SHOWN_CHARGES = 20


class SignInQuery(Given):
    """The link's token."""

    token: Annotated[str, Field(min_length=1, max_length=200)]


async def sign_in(call: Call[Services, None, SignInQuery, None]) -> Response:
    """Trade a link for a session; the token leaves the address bar with the redirect."""
    services = call.services
    async with services.ledger.database.connection() as connection:
        traded = await admins.use_link(
            connection, call.query.token, random_bytes=services.random_bytes
        )
    if traded is None:
        raise Problem("link-invalid", "The link was used or is older than ten minutes.")
    _, session = traded
    response = RedirectResponse(f"{services.prefix}/", status_code=303, headers=HEADERS)
    response.set_cookie(
        COOKIE,
        session,
        max_age=admins.SESSION_HOURS * 3600,
        path=services.prefix,
        secure=_over_tls(services, call.request),
        httponly=True,
        samesite="lax",  # strict would lose it right after a link in a mail
    )
    return response


async def sign_out(call: Call[Services, None, Any, None]) -> Response:
    """End the session."""
    services = call.services
    token = call.request.cookies.get(COOKIE)
    if token:
        async with services.ledger.database.connection() as connection:
            await admins.end_session(connection, token)
    response = RedirectResponse(f"{services.prefix}/", status_code=303, headers=HEADERS)
    response.delete_cookie(COOKIE, path=services.prefix)
    return response


async def home(call: Call[Services, None, Any, None]) -> Response:
    """Show who is signed in what they have; strangers learn how to get in."""
    services = call.services
    account = await _signed_in(services, call.request)
    if account is None:
        return HTMLResponse(stranger_page(), status_code=401, headers=HEADERS)
    database = services.ledger.database
    async with database.connection() as connection:
        who = await ledger_accounts.get(connection, account)
        balances = await accounts.balances(connection, account)
    shown = await charges.listed(
        database, charges.ChargeQuery(limit=SHOWN_CHARGES), account=account
    )
    name = who.name or who.external_id or account_text(account)
    page = home_page(name, balances, shown.items, f"{services.prefix}/sign-out")
    return HTMLResponse(page, headers=HEADERS)


async def _signed_in(services: Services, request: Request) -> int | None:
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    async with services.ledger.database.connection() as connection:
        session = await admins.session_of(connection, token)
    return None if session is None else session.account_id


def _over_tls(services: Services, request: Request) -> bool:
    return services.public_url.startswith("https://") or request.url.scheme == "https"
