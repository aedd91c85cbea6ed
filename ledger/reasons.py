"""
Why a charge ended as it did: stable codes for facts and rows, stable words for people.

1 to 19 are captures, 20 to 39 voids; 40, 41 and 42 name an ending that has its own fact.
The Lua scripts read the outcome of a settlement from these ranges, so a code never moves.
"""

from enum import IntEnum


class Reason(IntEnum):
    """One code per ending; `Reason(code).word` is what the API and the logs show."""

    DELIVERED = 1
    CLIENT_GONE = 2
    USAGE_MISSING = 3
    CUT_DELIVERED = 4
    UNCOLLECTED = 5  # the cost came out above the hold

    STATUS = 20
    UPSTREAM_REFUSED = 21
    UPSTREAM_RESET = 22
    UPSTREAM_TIMEOUT = 23
    UPSTREAM_CUT = 24
    CLIENT_GONE_EARLY = 25
    GATEWAY_ERROR = 26
    UPSTREAM_INVALID = 27
    BODY_REJECTED = 28
    NOT_POSTED = 29  # a strict route, and Postgres did not get the hold
    OVERTAKEN = 31  # while it ran, another answer was kept under its Idempotency-Key
    UNUSED = 30  # held ahead for a WebSocket that ended before

    EXPIRED = 40
    OBSERVED = 41
    LATE = 42

    def __init__(self, _code: int) -> None:
        self.word = self._name_.lower().replace("_", "-")
        """The stable word, such as `client-gone`."""

    @property
    def captures(self) -> bool:
        """Whether a settlement for this reason captures (possibly 0 units)."""
        return self < Reason.STATUS


_BY_WORD = {reason.word: reason for reason in Reason}


def reason_of(word: str) -> Reason:
    """
    Return the reason with this word.

    Raises:
        KeyError: No reason is called so.
    """
    return _BY_WORD[word]


def word_of(code: int) -> str:
    """Return the word of a stored code; a code of a newer release is shown as `reason-N`."""
    try:
        return Reason(code).word
    except ValueError:
        return f"reason-{code}"
