"""What a request's header lines tell the proxy; requests that repeat them share it."""

from typing import Final

from gateway.headers import Headers, key_secrets
from gateway.upstream import SharedLines

_SAY_SOMETHING: Final = frozenset(
    {
        b"content-length",
        b"expect",
        b"host",
        b"idempotency-key",
        b"origin",
        b"transfer-encoding",
        b"upgrade",
    }
)


class HeaderFacts:
    """
    The headers of a request, read once.

    Attributes:
        headers: Names in lower case.
        host: Empty where there is none, as `upgrade`.
        body_bytes: Content-Length; 0 where there is no body, None where only its end will tell.
        idempotency_key: As sent; several lines are joined as lists are (RFC 9110 5.3).
        says_empty: There is a `Content-Length: 0`.
        waits_for_continue: The body is sent when we say so.
        secrets: Every Farebox key; two are the caller's mistake.
        upward: What a backend gets of them, and for whom that was made; see `upward.py`.
        prepared: What the fast path has made of the last request that had them.
    """

    __slots__ = (
        "body_bytes",
        "headers",
        "host",
        "idempotency_key",
        "origin",
        "prepared",
        "says_empty",
        "secrets",
        "upgrade",
        "upward",
        "waits_for_continue",
    )

    def __init__(self, headers: Headers) -> None:
        self.headers = headers
        self.host = b""
        self.idempotency_key: bytes | None = None
        self.origin: bytes | None = None
        self.upgrade = b""
        self.body_bytes: int | None = 0
        self.says_empty = False
        self.waits_for_continue = False
        for name, value in headers:
            if name not in _SAY_SOMETHING:
                continue
            if name == b"host":
                self.host = value
            elif name == b"content-length":
                self.body_bytes = int(value)  # digits only: the framing has seen to that
                self.says_empty = self.body_bytes == 0
            elif name == b"transfer-encoding":
                self.body_bytes = None
            elif name == b"origin":
                self.origin = value
            elif name == b"upgrade":
                self.upgrade = value
            elif name == b"idempotency-key":
                before: bytes | None = self.idempotency_key
                self.idempotency_key = value if before is None else b"%b, %b" % (before, value)
            elif name == b"expect":
                self.waits_for_continue = True
        self.secrets = key_secrets(headers)
        self.upward: tuple[object, SharedLines] | None = None
        self.prepared: object = None
