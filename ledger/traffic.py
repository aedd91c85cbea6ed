"""What all accounts called over a time: how much, what it took, what failed, how long it lasted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ledger.charges import id_at
from ledger.database import Connection, Queries
from ledger.errors import InvalidInput

MAX_DAYS = 31
"""A report is computed from single charges; a month at once is enough."""

LIMITS_MS = (
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000,
)  # fmt: skip
"""How finely durations are told apart: a percentile is known as one of these."""

_SQL = Queries("traffic")


@dataclass(slots=True)
class Counts:
    """
    Recorded requests: those that were priced, and those that a route only observes.

    charged: captured, also late. uncharged: void or expired. failed: the upstream or the gateway
    was at fault, or the upstream answered with a 5xx. given_back: refunded, at least in part.
    """

    requests: int = 0
    charged: int = 0
    uncharged: int = 0
    observed: int = 0
    open: int = 0
    failed: int = 0
    given_back: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What requests took of one credit type and what of that was given back; smallest units."""

    credit_type_id: int
    captured: int
    refunded: int


@dataclass(slots=True)
class Traffic:
    """
    Traffic from `since` to before `until`; an hour without a request is not in `hours`.

    durations: how many requests took at most as long as each of LIMITS_MS, and longer than the
    one before; the last number is of those beyond all.
    """

    since: datetime
    until: datetime
    total: Counts = field(default_factory=Counts)
    hours: list[tuple[datetime, Counts]] = field(default_factory=list)
    types: list[Taken] = field(default_factory=list)
    durations: list[int] = field(default_factory=lambda: [0] * (len(LIMITS_MS) + 1))

    def percentile_ms(self, share: float) -> int | None:
        """Return the limit below which this share of the requests ended; None: none, or beyond."""
        return percentile_ms(self.durations, share)


def percentile_ms(durations: Sequence[int], share: float) -> int | None:
    """Return the smallest of LIMITS_MS within which at least this share of the requests ended."""
    wanted = sum(durations) * share
    seen = 0
    for limit_ms, count in zip(LIMITS_MS, durations, strict=False):
        seen += count
        if seen and seen >= wanted:
            return limit_ms
    return None


async def recorded(connection: Connection, since: datetime, until: datetime) -> Traffic:
    """
    Count what was recorded of requests that began in a time.

    Raises:
        InvalidInput: The time is empty or longer than 31 days.

    """
    if since >= until:
        raise InvalidInput("from", "must be before to")
    if until - since > timedelta(days=MAX_DAYS):
        raise InvalidInput("from", f"at most {MAX_DAYS} days at once")
    traffic = Traffic(since, until)
    above_ms = [limit_ms + 1 for limit_ms in LIMITS_MS]
    names = tuple(Counts.__dataclass_fields__)
    for row in await connection.fetch(_SQL.recorded, id_at(since), id_at(until), above_ms):
        if row["by_hour"]:
            counts = Counts(**{name: row[name] for name in names})
            traffic.hours.append((row["hour"], counts))
            for name in names:
                setattr(traffic.total, name, getattr(traffic.total, name) + row[name])
        elif row["by_type"]:
            taken = Taken(row["credit_type_id"], row["captured"], row["refunded"])
            traffic.types.append(taken)
        elif row["bucket"] is not None:
            traffic.durations[row["bucket"]] += row["requests"]
    return traffic
