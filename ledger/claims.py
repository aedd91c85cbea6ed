"""
Claims: which hold an account's Idempotency-Key belongs to.

A hold that is ordered with a claim is granted only if no other hold has the key: one that is open
(`running`), or that captured (`done`). One that gave everything back, or expired, has let it go.
Redis decides in the step that grants; what it cannot know any more, of an older epoch say, is read
in Postgres before and goes along (`There`). The layouts are those of `ledger/lua/parts/claims.lua`.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ledger.books import ChargeState
from ledger.database import PROMPT_LIMIT_S, Connection, Database, Queries
from ledger.errors import NotFound
from ledger.replies import Reply, read_headers

HASH_BYTES: Final = 16
"""Of sha256: of a key, and of what a request asks for."""

KEPT_S: Final = 90_000
"""An hour longer than Redis keeps a claim: who finds it there finds it in Postgres too."""

AT_ONCE: Final = 1_000

_BLOCK = struct.Struct("<16s16s12sB")
_NOBODY = bytes(12)
_SQL = Queries("claims")


class Standing(IntEnum):
    """How a hold that has a key stands in Postgres."""

    NONE = 0
    OPEN = 1
    GIVEN_BACK = 2
    CAPTURED = 3


_STANDINGS = {
    ChargeState.OPEN: Standing.OPEN,
    ChargeState.VOID: Standing.GIVEN_BACK,
    ChargeState.EXPIRED: Standing.GIVEN_BACK,
}


@dataclass(frozen=True, slots=True)
class Claim:
    """
    A request that must not be charged twice.

    key_hash: Of the key that the caller chose; it is the account's alone.
    fingerprint: Of what the request asks for.
    """

    account: int
    key_hash: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class There:
    """
    What Postgres has of a key, read in this epoch of its shard.

    Whatever an older epoch did about the key and Postgres follows is in it; what the running one
    did is in Redis, and may not be here yet. `reply` is the answer that was kept, if any.
    """

    epoch: int
    standing: Standing = Standing.NONE
    owner: bytes = _NOBODY
    fingerprint: bytes = b""
    reply: Reply | None = None

    def block(self, claim: Claim) -> bytes:
        """Return what a line carries."""
        return _BLOCK.pack(claim.key_hash, claim.fingerprint, self.owner, self.standing)


async def read(connection: Connection, claim: Claim, shard: int = 0) -> There:
    """Read who has a key, how its charge stands, and the epoch: one statement, one moment."""
    row = await connection.fetchrow(_SQL.read, claim.account, claim.key_hash, shard)
    if row is None:
        raise NotFound(f"no shard {shard}")
    reply = None
    if row["answered"] is not None:
        headers = read_headers(row["headers"])
        reply = Reply(row["answered"], row["answered_to"], row["status"], headers, row["body"])
    if row["charge_id"] is None:
        return There(row["epoch"], reply=reply)
    # A charge that is not there any more was dropped with its month: it may have been captured.
    known = Standing.CAPTURED
    if row["state"] is not None:
        known = _STANDINGS.get(ChargeState(row["state"]), Standing.CAPTURED)
    return There(row["epoch"], known, row["charge_id"], row["fingerprint"], reply)


async def sweep(connection: Connection) -> int:
    """Forget claims that are older than a day and whose charge has ended; return how many."""
    forgotten = 0
    while True:
        count: int = await connection.fetchval(_SQL.sweep, float(KEPT_S), AT_ONCE)
        forgotten += count
        if count < AT_ONCE:
            return forgotten


class Claims:
    """Reads claims of one shard, with connections of its own."""

    def __init__(self, database: Database, shard: int) -> None:
        self._database = database
        self._shard = shard

    async def read(self, claim: Claim) -> There:
        """Return what Postgres has of the key now."""
        async with self._database.connection(limit_s=PROMPT_LIMIT_S) as connection:
            return await read(connection, claim, self._shard)
