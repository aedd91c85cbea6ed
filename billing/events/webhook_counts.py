"""What one process answered to deliveries, and when bad signatures are worth an alert."""

from collections.abc import Mapping

FAILURES_IN_A_ROW = 5
"""A wrong secret fails every time; a stranger's try fails between good deliveries."""

ALERT_EVERY_S = 60.0
"""An alert is a write to Postgres, which strangers must not be able to cause at will."""


class WebhookCounts:
    """Counters since the process started. Nothing else is kept of what cannot be believed."""

    def __init__(self) -> None:
        self.accepted = 0
        self.duplicate = 0
        self.bad_signature = 0
        self.bad_payload = 0
        self.unavailable = 0
        self.drifted: set[str] = set()
        """API versions, other than ours, that events came in."""
        self._failed_in_a_row = 0
        self._alerted_at: float | None = None

    def signature_failed(self, now_s: float) -> bool:
        """Count a bad signature; True if an alert is due. `now_s` is a monotonic clock's."""
        self.bad_signature += 1
        self._failed_in_a_row += 1
        if self._failed_in_a_row < FAILURES_IN_A_ROW:
            return False
        if self._alerted_at is not None and now_s - self._alerted_at < ALERT_EVERY_S:
            return False
        self._alerted_at = now_s
        return True

    def signature_held(self) -> None:
        """Note that a body was signed with one of our secrets."""
        self._failed_in_a_row = 0

    def snapshot(self) -> Mapping[str, int]:
        """Return the counters by name."""
        return {
            "webhook_accepted": self.accepted,
            "webhook_duplicate": self.duplicate,
            "webhook_bad_signature": self.bad_signature,
            "webhook_bad_payload": self.bad_payload,
            "webhook_unavailable": self.unavailable,
        }
