"""
The token in the address that Stripe sends a buyer back to.

It shows one order to whoever holds it, and nothing else: somebody who bought through a link in a
terminal is not signed in. The token is `<order>.<expiry>.<mac>`, checked without asking a store.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

from billing.errors import NoSuchObject
from billing.ids import is_order_id

LIFETIME = timedelta(days=7)
"""From the order's making: a session lives a day, and slow methods of payment some more."""

MAX_TOKEN_CHARS = 120

_PURPOSE = b"farebox come back 1\0"  # the secret signs other things too; none of them is this


def sign(order_id: str, made_at: datetime, *, secret: bytes) -> str:
    """Return the order's token; always the same one, since a repeated call must not differ."""
    text = f"{order_id}.{int((made_at + LIFETIME).timestamp())}"
    return f"{text}.{_mac(text, secret)}"


def verify(token: str, *, secret: bytes, now_s: int) -> str:
    """
    Return the id of the order that the token shows.

    Raises:
        NoSuchObject: Changed, signed with another secret, or expired.

    """
    text, _, mac = token.rpartition(".")
    order_id, _, expiry = text.partition(".")
    if len(token) > MAX_TOKEN_CHARS or not token.isascii() or not is_order_id(order_id):
        raise NoSuchObject("this link does not show an order")
    if not expiry.isdecimal() or not hmac.compare_digest(mac, _mac(text, secret)):
        raise NoSuchObject("this link does not show an order")
    if now_s >= int(expiry):
        raise NoSuchObject("this link is over; sign in to see the order")
    return order_id


def _mac(text: str, secret: bytes) -> str:
    digest = hmac.new(secret, _PURPOSE + text.encode(), hashlib.sha256).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
