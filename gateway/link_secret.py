"""The secret that signs buy links."""

import secrets

from ledger.ledger import Ledger
from ledger.signing import signing_secret


async def link_secret(ledger: Ledger) -> bytes:
    """Return it: the same for all gateways on these stores."""
    async with ledger.database.connection() as connection:
        return await signing_secret(connection, "buy links", random_bytes=secrets.token_bytes)
