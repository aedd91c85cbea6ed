"""The limits a shard runs under: how far Redis may be ahead of Postgres."""

from dataclasses import dataclass, field

JOURNAL_CAP = 1_000_000
"""Facts not yet posted; about 100 MB of journal. New holds are refused beyond it."""

DEFAULT_WINDOW = 1_000_000
"""Units of a credit type whose window nobody has set yet."""


@dataclass(slots=True)
class Dials:
    """
    What this process wants; sent to a shard when it changes and when an epoch begins.

    windows: credit type -> X, the most units that may be held or spent beyond what is
    posted and acknowledged. It bounds what a double fault can lose.
    """

    journal_cap: int = JOURNAL_CAP
    windows: dict[int, int] = field(default_factory=dict)

    def window(self, credit_type: int) -> int:
        """Return the window of a type, in its smallest units."""
        return self.windows.get(credit_type, DEFAULT_WINDOW)
