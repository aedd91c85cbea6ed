"""How a store that is away shows itself, for those who wait and try again."""

import asyncpg

from ledger.errors import LedgerUnavailable
from ledger.link import RedisError

OUTAGE: tuple[type[Exception], ...] = (
    LedgerUnavailable,
    RedisError,
    OSError,  # TimeoutError too
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # under uvloop, what the pool says of a connection that was cut
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,  # shutting down, cancelled
    asyncpg.exceptions.CannotConnectNowError,  # starting up
    asyncpg.exceptions.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.exceptions.TransactionRollbackError,  # deadlock: somebody else went first
)


def told(away: Exception) -> str:
    """Return what to say of it: a timeout, for one, has no words of its own."""
    return str(away) or type(away).__name__
