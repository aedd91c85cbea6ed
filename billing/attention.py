"""How much of selling waits for a person."""

from typing import NamedTuple

from billing.stripe_door import Livemode
from ledger.database import Connection, Queries

_SQL = Queries("attention", package="billing")


class Waiting(NamedTuple):
    """
    What only a person can go on with.

    events: deliveries that could not be settled. orders: in review or quarantined. disputes: open.
    """

    events: int
    orders: int
    disputes: int
    alerts: int


async def waiting(connection: Connection, *, livemode: Livemode) -> Waiting:
    """Count it."""
    return Waiting(**await connection.fetchrow(_SQL.waiting, livemode))
