"""Who is signed in to the consumer's pages: an account, by the cookie of a session."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from gateway.consumer.services import Services
from ledger import accounts, admins
from ledger.ids import account_text, key_text

COOKIE = "farebox_session"


@dataclass(frozen=True, slots=True)
class Visitor:
    """
    Somebody who looks at an account's pages.

    `key`: the API key that the session began with; None after a sign-in link.
    """

    token: str
    account: int
    key: int | None
    name: str

    def __repr__(self) -> str:
        """Without the token: this may end in a log."""
        return f"Visitor({self.account})"

    @property
    def actor(self) -> str:
        """Return the name that changes are kept under."""
        return key_text(self.key) if self.key else f"page:{account_text(self.account)}"


async def visitor(services: Services, request: Request) -> Visitor | None:
    """Return who is signed in; the session is looked up each time, so a revoked key ends it."""
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    async with services.ledger.database.connection() as connection:
        session = await admins.session_of(connection, token)
        if session is None or session.account_id is None:
            return None
        who = await accounts.get(connection, session.account_id)
    name = who.name or who.external_id or account_text(who.id)
    return Visitor(token, who.id, session.key_id, name)


def keep(services: Services, request: Request, response: Response, token: str) -> None:
    """Have the browser keep a session, for our pages only and where no script sees it."""
    response.set_cookie(
        COOKIE,
        token,
        max_age=admins.SESSION_HOURS * 3600,
        path=services.prefix,
        secure=_over_tls(services, request),
        httponly=True,
        samesite="lax",  # strict would lose it on the way back from Stripe, and after a mailed link
    )


def forget(services: Services, response: Response) -> None:
    """Have the browser forget it."""
    response.delete_cookie(COOKIE, path=services.prefix)


def _over_tls(services: Services, request: Request) -> bool:
    return services.public_url.startswith("https://") or request.url.scheme == "https"
