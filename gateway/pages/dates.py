"""Days as people choose them in a form, and the moments that begin and end them (UTC)."""

from datetime import UTC, date, datetime, time, timedelta


def begin_of(day: date | None) -> datetime | None:
    """Return the first moment of a day; None where none was chosen."""
    return None if day is None else datetime.combine(day, time.min, UTC)


def end_of(day: date | None) -> datetime | None:
    """Return the first moment after a day; None where none was chosen."""
    begin = begin_of(day)
    return None if begin is None or day == date.max else begin + timedelta(days=1)
