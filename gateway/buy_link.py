"""
The signed link in a 402: it lets whoever holds it buy credits for one account.

It works from a terminal, where nobody is signed in, so it must carry its own right:
one account, buying only, 15 minutes. It opens nothing else and reads nothing.
The token is `<account>.<expiry>.<mac>`, checked without asking any store.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode

LIFETIME_S = 15 * 60  # long enough to find a card, short enough to be worthless in a log
MAX_TOKEN_CHARS = 120  # two 19-digit numbers and the mac fit; anything longer is not ours
_PURPOSE = b"farebox buy link 1\0"  # the secret may sign other things; none of them is this
_DIGITS = frozenset("0123456789")


class InvalidLink(Exception):
    """The token was not signed by us, or its time is over. Nothing changed."""


def sign(account: int, *, secret: bytes, now_s: int) -> str:
    """Return a token by which `account` may buy until LIFETIME_S after `now_s`."""
    text = f"{account}.{now_s + LIFETIME_S}"
    return f"{text}.{_mac(text, secret)}"


def verify(token: str, *, secret: bytes, now_s: int) -> int:
    """
    Return the account that the token lets buy.

    Raises:
        InvalidLink: Changed, signed with another secret, or expired.
    """
    account, _, rest = token.partition(".")
    expiry, _, mac = rest.partition(".")
    digits = account and expiry and _DIGITS.issuperset(account) and _DIGITS.issuperset(expiry)
    if len(token) > MAX_TOKEN_CHARS or not digits or not token.isascii():
        raise InvalidLink
    if not hmac.compare_digest(mac, _mac(f"{account}.{expiry}", secret)):
        raise InvalidLink
    if now_s >= int(expiry):
        raise InvalidLink
    return int(account)


def _mac(text: str, secret: bytes) -> str:
    digest = hmac.new(secret, _PURPOSE + text.encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
