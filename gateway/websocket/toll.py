"""What a relay asks of the one who pays for it."""

from typing import Protocol

from config import Meter


class Toll(Protocol):
    """Counts what passes, and may hold it up."""

    def message(self) -> bool:
        """Count a message of the client that begins; False: it is not paid for yet."""

    def delivered(self, payload_bytes: int) -> bool:
        """Count bytes of the upstream that have passed; False: that is all that is paid for."""


class Free:
    """Nobody pays."""

    def message(self) -> bool:
        """Let it pass."""
        return True

    def delivered(self, payload_bytes: int) -> bool:  # noqa: ARG002 - the shape of Toll
        """Let more pass."""
        return True


class Counted:
    """Counted for the record, and free."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def message(self) -> bool:
        """Count it."""
        self._meter.message()
        return True

    def delivered(self, payload_bytes: int) -> bool:
        """Count them."""
        self._meter.passed(payload_bytes)
        return True
