"""The present moment, from the clock that was handed in."""

from datetime import UTC, datetime

from ledger.ports import Clock


def utc_now(clock: Clock) -> datetime:
    """Return the clock's time with its zone."""
    return datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
