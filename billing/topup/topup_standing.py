"""Where an account with automatic top-up is, as far as Postgres knows."""

from dataclasses import dataclass
from datetime import datetime

from billing.topup.topup_settings import TopUp
from ledger.database import Connection, Queries

_SQL = Queries("topups", package="billing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    What the decision to charge rests on.

    Attributes:
        available: Smallest units, with what is on its way: grants not yet posted, and purchases
            paid by a slow method.
        debt: Owed after credits were taken back.
        active: The account is neither frozen nor quarantined.
        trying: A try is open.
        month_minor: Charged, or being charged, in this calendar month (UTC).
        day_count: Tries today (UTC), failed ones too.

    """

    threshold: int
    available: int
    debt: int
    active: bool
    trying: bool
    month_minor: int
    day_count: int
    next_day: datetime
    next_month: datetime

    @property
    def due(self) -> bool:
        """Whether the balance calls for a top-up."""
        return self.active and self.available < self.threshold


async def of(connection: Connection, top_up: TopUp) -> Standing:
    """Return where the account is now; ask once its settings are locked, and nothing changes."""
    row = await connection.fetchrow(
        _SQL.standing, top_up.account_id, top_up.livemode, top_up.credit_type_id, top_up.currency
    )
    return Standing(threshold=top_up.threshold, **row)


def is_on(top_up: TopUp, moment: datetime) -> bool:
    """Whether anything may be tried at that moment."""
    rests = top_up.rest_until is not None and top_up.rest_until > moment
    return top_up.enabled and top_up.paused is None and not rests
