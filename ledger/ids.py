"""
The names of things, inside and outside.

Accounts, keys and grants are numbers inside and `acc_12`, `key_7`, `grt_9` outside. A
charge, its hold and the request share one id of 12 bytes: n (u64, big-endian,
microseconds, below 2^53), then the session (u32, big-endian), so that ids sort by time.
Outside it is 24 lower-case hex characters.
"""

import re

from ledger.errors import InvalidInput
from ledger.ports import Clock

HOLD_ID_BYTES = 12
MAX_N = 2**53 - 1
MAX_SESSION = 2**32 - 1
MAX_NUMBER = 2**53 - 1
MAX_EXTERNAL_ID_CHARACTERS = 200

_OUTSIDE = re.compile(r"(acc|key|grt)_([1-9][0-9]{0,15})", re.ASCII)
_RESERVED = re.compile(r"(acc|key|grt)_[0-9]+", re.ASCII)
_HOLD = re.compile(r"[0-9a-f]{24}", re.ASCII)


def account_text(account: int) -> str:
    """`acc_12`."""
    return f"acc_{account}"


def key_text(key: int) -> str:
    """`key_7`."""
    return f"key_{key}"


def grant_text(grant: int) -> str:
    """`grt_9`."""
    return f"grt_{grant}"


def parse_account(text: str) -> int | None:
    """Return the number in `acc_12`; None if the text is not an account id."""
    return _parse("acc", text)


def parse_key(text: str) -> int | None:
    """Return the number in `key_7`; None if the text is not a key id."""
    return _parse("key", text)


def parse_grant(text: str) -> int | None:
    """Return the number in `grt_9`; None if the text is not a grant id."""
    return _parse("grt", text)


def check_external_id(text: str) -> str:
    """
    Return the text if a host application may name an account so.

    Raises:
        InvalidInput: Empty, too long, not printable, or it looks like one of our own ids.
    """
    if not 1 <= len(text) <= MAX_EXTERNAL_ID_CHARACTERS:
        raise InvalidInput("external_id", f"1 to {MAX_EXTERNAL_ID_CHARACTERS} characters")
    if not text.isprintable():
        raise InvalidInput("external_id", "printable characters only")
    if _RESERVED.fullmatch(text):
        raise InvalidInput("external_id", "acc_1, key_1 and grt_1 are Farebox's own ids")
    return text


def hold_id(n: int, session: int) -> bytes:
    """Return the 12 bytes for n (0..2^53-1) in a session (0..2^32-1)."""
    if n > MAX_N:
        raise ValueError(f"n {n} is beyond 2^53")
    return n.to_bytes(8, "big") + session.to_bytes(4, "big")


def session_of(hold: bytes) -> int:
    """Return the session a hold id was minted in."""
    return int.from_bytes(hold[8:], "big")


def minted_us(hold: bytes) -> int:
    """Return the gateway's clock when the id was minted, microseconds since 1970."""
    return int.from_bytes(hold[:8], "big")


def hold_text(hold: bytes) -> str:
    """24 lower-case hex characters."""
    return hold.hex()


def parse_hold(text: str) -> bytes | None:
    """Return the 12 bytes of a charge id; None if the text is not one."""
    return bytes.fromhex(text) if _HOLD.fullmatch(text) else None


class HoldIds:
    """Mints hold ids that rise, whatever the clock does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def mint(self, session: int) -> bytes:
        """Return a new id, later than every id minted here before."""
        return self.mint_at(self._clock.now_us(), session)

    def mint_at(self, now_us: int, session: int) -> bytes:
        """Do as `mint`, for who has just read the clock."""
        n = now_us
        if n <= self._last:
            n = self._last + 1
        self._last = n
        return hold_id(n, session)


def _parse(kind: str, text: str) -> int | None:
    match = _OUTSIDE.fullmatch(text)
    if match is None or match[1] != kind:
        return None
    number = int(match[2])
    return number if number <= MAX_NUMBER else None
