"""
The way to Postgres: one pool of connections, and the named statements of `sql/queries`.

A statement is `-- name: x` and what follows, in a file named after the module that uses it.
`jsonb` is a Python value on every connection made here.
"""

import importlib.resources
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, Self, TypeAlias

import asyncpg

from ledger.errors import LedgerUnavailable

Connection: TypeAlias = Any
"""An asyncpg connection, which carries no types of its own, or one lent by its pool."""

Isolation: TypeAlias = Literal["read_committed", "repeatable_read", "serializable"]

CONNECT_LIMIT_S = 5.0
STATEMENT_LIMIT_S = 30.0
"""Longer than any statement here should take; a poster stuck for good would fill the window."""

AWAY = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)
"""How a Postgres that is not there, or lets nobody in, shows itself while connecting."""

_NAME = "-- name: "
_JSONB_VERSION = b"\x01"


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


async def prepare(connection: Connection) -> None:
    """Make `jsonb` a Python value on this connection, also for COPY (hence binary)."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: _JSONB_VERSION + json.dumps(value, separators=(",", ":")).encode(),
        decoder=lambda raw: json.loads(raw[1:]),
        format="binary",
    )


class Database:
    """A pool of connections to the one Postgres."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

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
                server_settings={"application_name": "farebox", "timezone": "UTC"},
            )
        except AWAY as away:
            raise unreachable(away) from away
        return cls(pool)

    async def close(self) -> None:
        """Wait for connections in use, then close all. A repeat is harmless."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; statements commit one by one."""
        async with self._pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(
        self, *, isolation: Isolation = "read_committed", readonly: bool = False
    ) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction: committed at the end, undone on an error."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation=isolation, readonly=readonly),
        ):
            yield connection
