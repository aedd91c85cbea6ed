"""The periods of subscriptions, counted from the moment the first one began."""

import calendar
from datetime import UTC, datetime

DAY_S = 24 * 3600
_FIXED_S = {"day": DAY_S, "week": 7 * DAY_S}


def plus(start_s: int, interval: str, count: int) -> int:
    """Give the moment so many intervals after another; the 31st becomes a month's last day."""
    if interval in _FIXED_S:
        return start_s + _FIXED_S[interval] * count
    start = datetime.fromtimestamp(start_s, UTC)
    months = start.year * 12 + start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def end_after(anchor_s: int, interval: str, count: int, moment_s: int) -> int:
    """Give the end of the period that runs at a moment, counted from the anchor."""
    times = 1
    while plus(anchor_s, interval, count * times) <= moment_s:
        times += 1
    return plus(anchor_s, interval, count * times)
