"""
Whose key is it? Hash of the secret -> account, remembered.

The answer never changes, so it may be remembered; whether the key is still good is asked of
Redis with every request, so revoking is instant. That there is no such key may change with the
next one made, so it is never remembered.
"""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from ledger import api_keys
from ledger.database import PROMPT_LIMIT_S, Database
from ledger.errors import LedgerUnavailable
from ledger.outage import OUTAGE

MOST_REMEMBERED = 100_000
"""Keys; some 30 MB. The one used longest ago is forgotten first."""

MOST_AT_ONCE = 4
"""Unknown keys looked up at the same time: guessing must not use up Postgres' connections."""


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A key's number, its account, and its scopes when it was made (bit 1 call, bit 2 manage)."""

    account: int
    key: int
    scopes: int


class KeyDirectory:
    """Looks up keys by their secret."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[bytes, KeyRef] = OrderedDict()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    def remembered(self, secret: bytes) -> KeyRef | None:
        """Return whose key this is where that was found out before; asks nobody."""
        if len(secret) != api_keys.SECRET_CHARACTERS:
            return None
        return self._remembered(hashlib.sha256(secret).digest())

    def _remembered(self, sha256: bytes) -> KeyRef | None:
        known = self._known.get(sha256)
        if known is not None:
            self._known.move_to_end(sha256)
        return known

    async def find(self, secret: bytes) -> KeyRef | None:
        """
        Return whose key this is; None when it is nobody's.

        Text with a wrong checksum is nobody's without a question to Postgres.

        Raises:
            LedgerUnavailable: The key is not remembered here and Postgres is away.

        """
        if len(secret) != api_keys.SECRET_CHARACTERS:
            return None
        sha256 = hashlib.sha256(secret).digest()
        known = self._remembered(sha256)
        if known is not None:
            return known
        if api_keys.check_secret(secret.decode("latin-1")) is None:
            return None
        try:
            async with (
                self._room,
                self._database.connection(limit_s=PROMPT_LIMIT_S) as connection,
            ):
                key = await api_keys.find(connection, sha256)
        except OUTAGE as away:
            raise LedgerUnavailable(f"Postgres does not answer: {away}") from away
        if key is None:
            return None
        known = KeyRef(account=key.account_id, key=key.id, scopes=key.scopes)
        self._known[sha256] = known
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return known
