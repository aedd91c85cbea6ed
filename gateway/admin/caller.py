"""Who calls an admin's route: a named admin, by bearer token."""

from starlette.requests import Request

from gateway.problems import Problem
from gateway.routes import Need
from ledger import admins
from ledger.ledger import Ledger


class TokenGate:
    """Lets named admins in."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def __call__(self, request: Request, need: Need) -> str | None:
        """
        Return the admin's name, or None where anybody may ask.

        Raises:
            Problem: 401, the same for a missing, malformed, unknown and revoked token.

        """
        if need == "nobody":
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            async with self._ledger.database.connection() as connection:
                admin = await admins.of_token(connection, token.strip())
            if admin is not None:
                return admin.name
        raise Problem(
            "admin-token-invalid",
            "Send a named admin's token: `Authorization: Bearer ...`.",
            status=401,
            title="An admin's token is needed",
            headers=((b"www-authenticate", b'Bearer realm="farebox admin"'),),
        )
