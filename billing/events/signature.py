"""
Whether a body was signed by Stripe: the `Stripe-Signature` header, `t=<seconds>,v1=<hex>`.

The SDK checks one secret and only the past; here any of several secrets may have signed (one is
being replaced by another), and a time that is too far ahead is refused as well. The signed bytes
are the digits of `t`, a dot, and the body exactly as it came.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

Reason: TypeAlias = Literal["missing", "malformed", "no_v1", "mismatch", "too_old", "too_new"]

TOLERANCE_S = 300
"""Stripe's own default for the past. A captured body is of no use for longer than this."""

MAX_HEADER_CHARACTERS = 2_048
"""Stripe sends about 100 for each secret at work; what is longer was not sent by Stripe."""

_SIGNED_AT = re.compile(r"[0-9]{1,12}", re.ASCII)


class BadSignature(Exception):
    """The body cannot be believed. Carries one word for why, never header, secret or body."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def verify(raw: bytes, header: str | None, secrets: Sequence[str], now_s: float) -> None:
    """
    Return if one of the secrets signed the body within `TOLERANCE_S` of now, before or after.

    Args:
        raw: The body as it came, never parsed and written again.
        header: `Stripe-Signature`; of several `v1` one has to fit.
        secrets: `whsec_...`, each as Stripe shows it. An empty one signs nothing.
        now_s: Seconds since 1970.

    Raises:
        BadSignature: It was not, or the header is not one of Stripe's.

    """
    if not header:
        raise BadSignature("missing")
    signed_at, signatures = _parts(header)
    if not signatures:
        raise BadSignature("no_v1")
    signed = signed_at.encode() + b"." + raw
    expected = [_sign(secret, signed) for secret in secrets if secret]
    # Every pair is compared, so that the time this takes does not tell which secret is used.
    fitting = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures]
    if not any(fitting):
        raise BadSignature("mismatch")
    if int(signed_at) < now_s - TOLERANCE_S:
        raise BadSignature("too_old")
    if int(signed_at) > now_s + TOLERANCE_S:
        raise BadSignature("too_new")


def _parts(header: str) -> tuple[str, list[bytes]]:
    """Return the digits of the only `t` and all `v1` values."""
    if len(header) > MAX_HEADER_CHARACTERS or not header.isascii():
        raise BadSignature("malformed")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if len(times) != 1 or not _SIGNED_AT.fullmatch(times[0]):
        raise BadSignature("malformed")
    return times[0], [value.encode() for name, _, value in pairs if name == "v1"]


def _sign(secret: str, signed: bytes) -> bytes:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
