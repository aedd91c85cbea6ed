"""
Who of several stewards works: the one that holds a Postgres advisory lock.

Only waste is prevented here. Two stewards at work at once are harmless, and so is a term
that ends a little late: every step checks in the store what it stands on.
"""

import hashlib
from types import TracebackType
from typing import Any, Self

import asyncpg

from ledger.database import KEEPALIVES
from ledger.outage import OUTAGE
from ledger.ports import Clock

RETRY_S = 1.0
"""How long a steward that was not elected waits; so long work may rest when one dies."""

ANSWER_LIMIT_S = 10.0
"""A Postgres that takes longer to answer one of these small questions counts as gone."""

GONE = (*OUTAGE, asyncpg.PostgresError)
"""How a connection that broke, or a server that is away, shows itself."""

CONNECTION_SETTINGS = {
    "application_name": "farebox steward",
    "idle_session_timeout": "0",  # the connection is the lock: it must not be closed for resting
    **KEEPALIVES,
}


class Election:
    """A candidate for one post. Has a connection of its own: the lock lives as long as that."""

    def __init__(self, postgres_url: str, post: str, clock: Clock) -> None:
        """
        Stand for `post`; nothing is asked yet.

        Args:
            postgres_url: Where the lock is. Not through a transaction pooler, which would
                hand the connection to others.
            post: What is worked on; candidates for other posts do not matter.
            clock: Waits between tries.

        """
        self._url = postgres_url
        self._lock = int.from_bytes(hashlib.sha256(post.encode()).digest()[:8], "big", signed=True)
        self._clock = clock
        self._connection: Any = None

    async def win(self) -> None:
        """
        Wait until elected. Postgres being away counts as not elected yet.

        Who is cancelled meanwhile leaves no connection behind, and no lock.
        """
        try:
            while not await self._try():
                await self._clock.sleep(RETRY_S)
        except BaseException:
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            raise

    async def still_elected(self) -> bool:
        """Return whether the lock is still ours; a lost connection has lost it."""
        if self._connection is None:
            return False
        try:
            await self._connection.execute("SELECT 1", timeout=ANSWER_LIMIT_S)
        except GONE:
            await self.resign()
            return False
        return True

    async def resign(self) -> None:
        """Give the post up, so that another can have it at once. Harmless when not elected."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=ANSWER_LIMIT_S)
            except GONE:
                connection.terminate()

    async def __aenter__(self) -> Self:
        await self.win()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.resign()

    async def _try(self) -> bool:
        if not await self.still_elected():
            try:
                self._connection = await asyncpg.connect(
                    self._url, timeout=ANSWER_LIMIT_S, server_settings=CONNECTION_SETTINGS
                )
            except GONE:
                return False
        try:
            won: bool = await self._connection.fetchval(
                "SELECT pg_try_advisory_lock($1)", self._lock, timeout=ANSWER_LIMIT_S
            )
        except GONE:
            await self.resign()
            return False
        return won
