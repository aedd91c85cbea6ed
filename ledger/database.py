"""
The way to Postgres: one pool of connections, and the named statements of `sql/queries`.

A statement is `-- name: x` and what follows, in a file named after the module that uses it.
`jsonb` is a Python value on every connection made here.
"""

import asyncio
import importlib.resources
import json
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal, Self, TypeAlias

import asyncpg

from ledger.errors import LedgerUnavailable

log = logging.getLogger(__name__)

Connection: TypeAlias = Any
"""An asyncpg connection, which carries no types of its own, or one lent by its pool."""

Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable"]

CONNECT_LIMIT_S = 5.0
STATEMENT_LIMIT_S = 30.0
"""Longer than any statement here should take; a poster stuck for good would fill the window."""

PROMPT_LIMIT_S = 10.0
"""Longest that what requests, settlements and posting wait for may take, as a whole. The driver's
own limit would not do: it asks the server to cancel and waits for the answer, so that a connection
that a firewall or a failover forgot holds its user up for a minute, and then the next one does."""

CLOSE_LIMIT_S = 5.0
"""Who closes has ended its work; a server that does not say good-bye is not waited for."""

KEEPALIVES = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""A machine that vanished gives its locks back within 25 s: posting waits for the shard's row."""

AWAY = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)
"""How a Postgres that is not there, or lets nobody in, shows itself while connecting."""

_NAME = "-- name: "
_JSONB_VERSION = b"\x01"
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class Json(str):
    """A value of `jsonb` as text already; any other is written as JSON when it is sent."""

    __slots__ = ()


class Queries:
    """The statements of one `.sql` file as attributes; read when the first is asked for."""

    def __init__(self, name: str, package: str = "ledger") -> None:
        self._name = name
        self._package = package
        self._statements: dict[str, str] | None = None

    def __getattr__(self, statement: str) -> str:
        if self._statements is None:
            folder = importlib.resources.files(self._package)
            text = (folder / "sql" / "queries" / f"{self._name}.sql").read_text("utf-8")
            self._statements = read_statements(text)
        try:
            return self._statements[statement]
        except KeyError:
            raise AttributeError(f"{self._name}.sql has no statement {statement}") from None


def read_statements(text: str) -> dict[str, str]:
    """
    Cut a file into its statements by name.

    Raises:
        ValueError: Two statements have the same name.

    """
    statements: dict[str, str] = {}
    for part in text.split(_NAME)[1:]:
        name, _, body = part.partition("\n")
        if name.strip() in statements:
            raise ValueError(f"two statements are called {name.strip()}")
        statements[name.strip()] = body.strip()
    return statements


def unreachable(away: Exception) -> LedgerUnavailable:
    """Return what to raise when connecting failed like this; nothing changed."""
    return LedgerUnavailable(f"no connection to Postgres: {str(away) or type(away).__name__}")


def _jsonb(value: Any) -> bytes:
    text = value if type(value) is Json else _to_json(value)
    return _JSONB_VERSION + text.encode()


def array(values: Iterable[object]) -> str:
    """
    Return numbers or plain words as the text of an array, for a parameter `$1::text::bigint[]`.

    The driver looks at every element of a list, whether it is a list of its own; with thousands
    of rows to write, this took longer than all the rest of sending them.
    """
    return "{" + ",".join(map(str, values)) + "}"


async def prepare(connection: Connection) -> None:
    """Make `jsonb` a Python value on this connection, also for COPY (hence binary)."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=_jsonb,
        decoder=lambda raw: json.loads(raw[1:]),
        format="binary",
    )


class Database:
    """A pool of connections to the one Postgres."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._renewing: asyncio.Future[None] | None = None

    @classmethod
    async def connect(cls, url: str, *, most: int = 10, least: int = 1) -> Self:
        """
        Open a pool of `least` to `most` connections.

        Raises:
            LedgerUnavailable: Nobody answers there; nothing changed.

        """
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=least,
                max_size=most,
                init=prepare,
                timeout=CONNECT_LIMIT_S,
                command_timeout=STATEMENT_LIMIT_S,
                server_settings={"application_name": "farebox", "timezone": "UTC", **KEEPALIVES},
            )
        except AWAY as away:
            raise unreachable(away) from away
        return cls(pool)

    async def close(self) -> None:
        """Wait for connections in use, close all, break off what hangs. A repeat is harmless."""
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self, *, limit_s: float | None = None) -> AsyncIterator[Connection]:
        """
        Lend a connection; statements commit one by one.

        Args:
            limit_s: When the block is not over by then, the connection is broken off, which shows
                as an outage inside the block, and all others are replaced before they are lent
                again: one that is dumb is seldom alone.

        """
        async with self._pool.acquire() as connection:
            limit = self._limit(connection, limit_s)
            try:
                yield connection
            except asyncio.CancelledError:
                connection.terminate()  # who was cancelled does not wait for the server's consent
                raise
            finally:
                if limit is not None:
                    limit.cancel()

    @asynccontextmanager
    async def transaction(
        self,
        *,
        isolation: Isolation = "read_committed",
        readonly: bool = False,
        limit_s: float | None = None,
    ) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction: committed at the end, undone on an error."""
        async with (
            self.connection(limit_s=limit_s) as connection,
            connection.transaction(isolation=isolation, readonly=readonly),
        ):
            yield connection

    def _limit(self, connection: Connection, limit_s: float | None) -> asyncio.TimerHandle | None:
        if limit_s is None:
            return None
        loop = asyncio.get_running_loop()
        return loop.call_later(limit_s, self._break_off, connection, limit_s)

    def _break_off(self, connection: Connection, limit_s: float) -> None:
        log.warning("Postgres did not answer within %g s: all connections are renewed", limit_s)
        connection.terminate()
        self._renewing = asyncio.ensure_future(self._pool.expire_connections())
