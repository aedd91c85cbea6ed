"""What a person should look at, and how often Stripe answered with an error."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from billing.errors import NoSuchObject
from billing.telling import notices
from ledger import audit
from ledger.database import Connection, Database, Queries
from ledger.inputs import check_limit

MAX_DETAIL_CHARACTERS = 2_000
"""A person reads it; a longer text comes from outside and says no more."""

MAX_ERROR_SERIES = 200
"""Kinds of error counted apart between two flushes; codes come from outside."""

_SQL = Queries("alerts", package="billing")


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to look at. `subject` is an object's id, or empty; `times` counts repeats."""

    id: int
    kind: str
    subject: str
    detail: str
    times: int
    first_at: datetime
    last_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None


async def raise_alert(connection: Connection, kind: str, subject: str, detail: str) -> int:
    """
    Have a person look at something; the operator is told of the first of its kind.

    A repeat, while the alert is open, counts it and brings its detail up to date. Call it where
    the reason is committed: in the caller's transaction, or in one of its own.

    Args:
        connection: Any; alert and notice are written in one transaction.
        kind: A word for the sort of trouble, like `quarantined`.
        subject: What it is about, an object's id; empty for all.
        detail: A sentence, without secrets.

    Returns:
        The alert's id.

    """
    said = detail.replace("\x00", "")[:MAX_DETAIL_CHARACTERS]
    async with connection.transaction():
        row = await connection.fetchrow(getattr(_SQL, "raise"), kind, subject, said)
        alert: int = row["id"]
        if row["first"]:
            payload = {"alert": kind, "subject": subject, "detail": said}
            await notices.tell(
                connection, "alert", account_id=None, key=f"alert:{alert}", payload=payload
            )
    return alert


async def listed(
    connection: Connection, *, only_open: bool = True, before: int | None = None, limit: int = 50
) -> list[Alert]:
    """List alerts, the newest first; `before` is the last id of the page before."""
    found = await connection.fetch(_SQL.rows, only_open, before, check_limit(limit))
    return [Alert(**row) for row in found]


async def resolve(connection: Connection, alert_id: int, *, actor: str) -> None:
    """
    Close an alert. A repeat changes nothing; the same trouble later opens a new one.

    Raises:
        NoSuchObject: There is no such alert.

    """
    async with connection.transaction():
        closed = await connection.fetchval(_SQL.resolve, alert_id, actor)
        if closed is None:
            raise NoSuchObject(f"no alert {alert_id}")
        if closed:
            await audit.write(connection, actor, "alert.resolve", f"alert {alert_id}", {})


async def resolve_about(connection: Connection, kind: str, subject: str, *, actor: str) -> None:
    """Close the open alert of that kind and subject, because its reason is gone."""
    await connection.execute(_SQL.resolve_about, kind, subject, actor)


async def count_error(connection: Connection, error_type: str, code: str, times: int = 1) -> None:
    """Add to this hour's count of answers that were errors (`CardError`, `card_declined`)."""
    await connection.execute(_SQL.count_error, error_type, code, times)


class ErrorTally:
    """
    Counts Stripe's errors in memory, where no connection is at hand, until they are flushed.

    `record` is what the door to Stripe calls for each error; `flush` is a job.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def record(self, error_type: str, code: str) -> None:
        """Count one error. Beyond `MAX_ERROR_SERIES` kinds the code is called `other`."""
        key = (_word(error_type), _word(code))
        if key not in self._counts and len(self._counts) >= MAX_ERROR_SERIES:
            key = (key[0], "other")
        self._counts[key] += 1

    async def flush(self, database: Database) -> None:
        """
        Write the counts. With Postgres away they are kept for the next flush.

        A key that Stripe does not accept stops all selling, so it is an alert at once.
        """
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            async with database.transaction() as connection:
                for (error_type, code), times in sorted(counts.items()):
                    await count_error(connection, error_type, code, times)
                if any(error_type == "AuthenticationError" for error_type, _ in counts):
                    await raise_alert(
                        connection, "stripe-key", "", "Stripe does not accept the secret key."
                    )
        except BaseException:
            self._counts.update(counts)
            raise


def _word(text: str) -> str:
    return text.replace("\x00", "")[:100]
