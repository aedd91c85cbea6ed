"""Idempotency keys: the first answer to a key is the answer to every repeat."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from billing.standin.failures import StripeFailure

KEPT_S = 24 * 3600  # Stripe removes keys after at least 24 hours
LONGEST_KEY = 255


@dataclass(slots=True)
class Replay:
    """
    What is known about a key.

    Attributes:
        asked: Method, path and parameters of the first request, as text to compare.
        status: Of its answer; 0 while it is in flight.

    """

    asked: str
    path: str
    at_s: int
    status: int = 0
    body: str = ""
    request_id: str = ""


class Replays:
    """The keys of the last day."""

    def __init__(self) -> None:
        self._kept: dict[str, Replay] = {}

    def begin(self, key: str, method: str, path: str, given: Any, now_s: int) -> Replay | None:
        """
        Return the answer already given for this key, or None: then it is in flight.

        Raises:
            StripeFailure: 400 where the key was used for something else, 409 while the first
                request with it is still being answered.

        """
        if len(key) > LONGEST_KEY:
            raise _refused(f"Idempotency keys must be at most {LONGEST_KEY} characters long.")
        asked = json.dumps([method, path, given], sort_keys=True)
        found = self._kept.get(key)
        if found is None or found.at_s + KEPT_S <= now_s:
            self._kept[key] = Replay(asked, path, now_s)
            return None
        if found.path != path:
            raise _refused(
                "Keys for idempotent requests can only be used for the same endpoint they were "
                f"first used for ('{found.path}' vs '{path}'). Try using a key other than '{key}' "
                "if you meant to execute a different request."
            )
        if found.asked != asked:
            raise _refused(
                "Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{key}' if you meant to "
                "execute a different request."
            )
        if found.status == 0:
            raise StripeFailure(
                "There is currently another in-progress request using this Idempotent Key (that "
                "probably means you submitted twice, and the other request is still going "
                f"through): {key}. Please try again later.",
                status=409,
                type="idempotency_error",
                code="idempotency_key_in_use",
            )
        return found

    def end(self, key: str, status: int, body: str, request_id: str) -> None:
        """Keep the answer for the repeats."""
        kept = self._kept[key]
        kept.status, kept.body, kept.request_id = status, body, request_id

    def forget(self, key: str) -> None:
        """Nothing was begun under this key after all, since a parameter was wrong."""
        self._kept.pop(key, None)

    def dump(self) -> dict[str, Any]:
        """All answered keys, for saving."""
        return {key: asdict(replay) for key, replay in self._kept.items() if replay.status}

    def take(self, dumped: dict[str, Any]) -> None:
        """Take up what `dump` gave."""
        self._kept |= {key: Replay(**fields) for key, fields in dumped.items()}


def _refused(message: str) -> StripeFailure:
    return StripeFailure(message, type="idempotency_error")
