"""What an Idempotency-Key is, and when two requests under one are the same."""

import hashlib
import re
from typing import Final

from gateway.problems import Problem
from ledger.claims import HASH_BYTES

LARGEST_BODY: Final = 1024 * 1024
"""Bytes of a request's body: it is read whole before anything is held, to know what is asked."""

_KEY: Final = re.compile(rb"[!-~]{1,255}")
_STRING: Final = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPED: Final = re.compile(rb"\\(.)")


def read_key(value: bytes) -> bytes:
    """
    Return the key: what stands in a structured field's string (RFC 8941), or the bare token.

    Raises:
        Problem: 400, it is neither; two lines of the header are none, either.
    """
    value = value.strip(b" \t")
    string = _STRING.fullmatch(value)
    key = _ESCAPED.sub(rb"\1", string[1]) if string else value
    if not _KEY.fullmatch(key) or (value[:1] == b'"' and not string):
        raise Problem(
            "idempotency-key-invalid",
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters, bare or in double"
            ' quotes, like "8e03978e-40d5-43dd-bc93-6894a57f9324".',
        )
    return key


def key_hash(key: bytes) -> bytes:
    """Return what stands for a key everywhere else: it may be a secret of the caller's."""
    return hashlib.sha256(key).digest()[:HASH_BYTES]


def fingerprint(*, method: bytes, route: str, path: bytes, query: bytes, body: bytes) -> bytes:
    """Return what tells one request from another; headers do not count, they differ by attempt."""
    parts = (method, route.encode(), path, query, hashlib.sha256(body).digest())
    said = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(said).digest()[:HASH_BYTES]
