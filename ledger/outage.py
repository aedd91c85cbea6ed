"""How a store that is away shows itself, for those who wait and try again."""

import asyncpg

from ledger.errors import LedgerUnavailable
from ledger.link import RedisError

OUTAGE: tuple[type[Exception], ...] = (
    LedgerUnavailable,
    RedisError,
    OSError,  # TimeoutError too
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,  # shutting down, starting up, cancelled
    asyncpg.exceptions.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.exceptions.TransactionRollbackError,  # deadlock: somebody else went first
)
