"""Every way in which a store that is away shows itself counts as an outage."""

import asyncpg
import pytest

from ledger.link import LinkLost
from ledger.outage import OUTAGE
from ledger.redis_errors import BusyLoadingError


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionRefusedError,
        TimeoutError,
        LinkLost,
        BusyLoadingError,
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.ConnectionDoesNotExistError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        asyncpg.TooManyConnectionsError,
        asyncpg.DiskFullError,
        asyncpg.DeadlockDetectedError,
    ],
)
def test_a_store_that_is_away_is_an_outage(failure: type[Exception]) -> None:
    assert issubclass(failure, OUTAGE)


@pytest.mark.parametrize("failure", [asyncpg.UniqueViolationError, asyncpg.CheckViolationError])
def test_a_refused_row_is_not(failure: type[Exception]) -> None:
    assert not issubclass(failure, OUTAGE)
