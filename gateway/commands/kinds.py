"""What people write on the command line, beyond text and numbers."""

from datetime import UTC, datetime

import click


class Moment(click.ParamType[datetime]):
    """A time: `2031-01-31` (its beginning, in UTC) or RFC 3339 with a zone."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it, or say how a time is written."""
        if isinstance(value, datetime):
            return value
        try:
            read = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time: write 2031-01-31 or 2031-01-31T12:00Z", param, ctx)
        return read if read.tzinfo else read.replace(tzinfo=UTC)


MOMENT = Moment()
