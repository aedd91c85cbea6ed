"""Times as people type them: so long ago, or a moment."""

import re
from datetime import UTC, datetime, timedelta

import click

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Moment(click.ParamType[datetime]):
    """`90m`, `24h` or `7d` ago, or a date or time like 2026-11-21T08:00Z; UTC without a zone."""

    name = "time"

    def __init__(self, now: datetime | None = None) -> None:
        self._now = now

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment; wrong use where it is none."""
        if isinstance(value, datetime):
            return value
        ago = re.fullmatch(r"([0-9]{1,6})([smhd])", value)
        if ago is not None:
            now = self._now or datetime.now(UTC)
            return now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not like 24h, 7d or 2026-11-21T08:00Z", param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
