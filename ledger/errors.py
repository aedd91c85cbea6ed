"""
What can go wrong in the ledger.

* LedgerError
  - Refused                 the ledger said no; nothing changed
    - InsufficientCredits   the pool cannot cover the hold
    - AboveWindow           the ceiling is more than may ever be unposted; asking again is no use
    - AccountFrozen         an admin or a dispute froze the account
    - BadKey                the key is unknown, revoked or expired
    - ScopeMissing          the key may not do this
    - PlanChanged           the account is on another plan than the price is of
    - RateLimited           too many requests; ask again after `retry_after_ms`
    - Claimed               another hold has the order's Idempotency-Key
    - KeyCapped             the key may spend no more, until its window ends or for ever
    - LedgerBusy            the window of unposted credit or the journal is full; ask again
    - NotFound              no such account, key, charge...
    - Conflict              the state, or an earlier call, says otherwise
    - InvalidInput          an argument is outside what it may be
  - LedgerUnavailable       a store is down or silent; `unknown` says whether the change may
                            have happened. Asking again with the same id is harmless
    - PostgresBehind        Redis knows what Postgres has lost; a person decides
  - CorruptRecord           bytes that no release of Farebox wrote; nothing changed
"""

from collections.abc import Sequence
from typing import Literal


class LedgerError(Exception):
    """The root of the tree above."""


class Refused(LedgerError):
    """The ledger said no; nothing changed."""


class InsufficientCredits(Refused):
    """
    The pool cannot cover the hold; amounts in smallest units of the credit type.

    `standings`: how the limits stand, which this refusal has not changed.
    """

    def __init__(
        self, needed: int, available: int, credit_type_id: int, standings: Sequence[bytes] = ()
    ) -> None:
        super().__init__(f"{needed} needed, {available} available")
        self.needed = needed
        self.available = available
        self.credit_type_id = credit_type_id
        self.standings = standings

    @property
    def shortfall(self) -> int:
        """What is missing, at least 1."""
        return self.needed - self.available


class AboveWindow(Refused):
    """One hold is larger than the window; amounts in smallest units of the credit type."""

    def __init__(self, needed: int, window: int, credit_type_id: int) -> None:
        super().__init__(f"{needed} needed, {window} may be in flight at most")
        self.needed = needed
        self.window = window
        self.credit_type_id = credit_type_id


class AccountFrozen(Refused):
    """The account is frozen."""


class BadKey(Refused):
    """The key is unknown, revoked or expired."""


class ScopeMissing(Refused):
    """The key is good, but not for this."""


class PlanChanged(Refused):
    """The account is on plan `number` (0: on none), not on the one that the order was priced by."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the account is on plan {number} now")
        self.number = number


class RateLimited(Refused):
    """A limit is reached: number 0 is the key's own rate, else its place in the order's limits."""

    def __init__(self, retry_after_ms: int, number: int = 0) -> None:
        super().__init__(f"again after {retry_after_ms} ms")
        self.retry_after_ms = retry_after_ms
        self.number = number


class KeyCapped(Refused):
    """A cap of the key leaves no room; `retry_after_ms` is 0 where it is a total one."""

    def __init__(
        self, retry_after_ms: int, credit_type_id: int, per: Literal["total", "day", "month"]
    ) -> None:
        super().__init__(f"the cap by {per} on credit type {credit_type_id} leaves no room")
        self.retry_after_ms = retry_after_ms
        self.credit_type_id = credit_type_id
        self.per = per


class Claimed(Refused):
    """
    Another hold has the Idempotency-Key that an order claims.

    word: `running`; `done`, it captured; `mismatch`, it was for something else; `ask`, Postgres
    knows more by now than the order said. owner: that hold's id, empty where nobody said it.
    """

    def __init__(
        self, word: Literal["running", "done", "mismatch", "ask"], owner: bytes = b""
    ) -> None:
        super().__init__(f"the key is another hold's: {word}")
        self.word = word
        self.owner = owner


class LedgerBusy(Refused):
    """Credit not yet in Postgres fills the window, or the journal its cap; ask again soon."""


class NotFound(Refused):
    """There is no such thing."""


class Conflict(Refused):
    """The state, or an earlier call with the same reference, says otherwise."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class AlreadyRefunded(Conflict):
    """More than is left of a charge was asked back; amounts in smallest units."""

    def __init__(self, left: int, captured: int) -> None:
        super().__init__("already-refunded", f"{left} of {captured} is left to refund")
        self.left = left
        self.captured = captured


class InvalidInput(Refused):
    """An argument is outside what it may be."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class LedgerUnavailable(LedgerError):
    """A store is down, silent, or being rebuilt."""

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


class PostgresBehind(LedgerUnavailable):
    """Postgres lost commits, or is another database: nothing is served until a person decides."""


class CorruptRecord(LedgerError):
    """Stored bytes that cannot be read; whoever finds them stops rather than guesses."""
