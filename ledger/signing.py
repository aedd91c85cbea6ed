"""
Secrets that sign what Farebox hands out: one for each purpose, shared by all gateways.

They are kept where all gateways look anyway, so that a link signed by one is good at another,
and nothing has to be configured. Who deletes a row ends what it signed; the next gateway to
start makes another.
"""

from ledger.api_keys import RandomBytes
from ledger.database import Connection, Queries

SECRET_BYTES = 32

_SQL = Queries("signing")


async def signing_secret(
    connection: Connection, purpose: str, *, random_bytes: RandomBytes
) -> bytes:
    """Return the secret of a purpose; whoever asks first makes it, for all."""
    await connection.execute(_SQL.make, purpose, random_bytes(SECRET_BYTES))
    secret: bytes = await connection.fetchval(_SQL.secret_of, purpose)
    return secret
