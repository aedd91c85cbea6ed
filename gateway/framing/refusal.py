"""A request that is not let in, and the answer it gets."""

import json
from dataclasses import dataclass
from http import HTTPStatus

_TITLES = {
    "bad-request": "The request cannot be understood",
    "bad-length": "Where the body ends is ambiguous",
    "bad-chunk": "The chunked body is malformed",
    "bad-host": "The Host header is not valid",
    "bad-path": "The path is ambiguous or malformed",
    "method-not-allowed": "The method is not allowed here",
    "request-timeout": "The request took too long to arrive",
    "uri-too-long": "The request line is too long",
    "expectation-failed": "The expectation cannot be met",
    "headers-too-large": "The headers are too large",
    "method-unknown": "The method is not known",
    "version-unknown": "The version of HTTP is not supported",
    "too-many-connections": "Too many connections from one address",
    "server-full": "The gateway has no room for another connection",
}

# Idle connections are closed after a few seconds: then there is room.
_RETRY_AFTER_S = {429: 5, 503: 5}


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    Why a request is not let in. Nothing was charged.

    The connection is closed after it: where the next request begins is no longer certain.

    Attributes:
        name: The last part of the problem's `type`.
        sentence: For the person who reads it; holds nothing of what the client sent.
        allow: Methods for the Allow header that a 405 needs.
    """

    status: int
    name: str
    sentence: str
    allow: bytes = b""

    def answer(self, prefix: str = "/farebox", request_id: str = "") -> bytes:
        """Give the whole HTTP response; `request_id` is how the log names it."""
        document: dict[str, str | int] = {
            "type": f"{prefix}/problems/{self.name}",
            "title": _TITLES[self.name],
            "status": self.status,
            "detail": self.sentence,
            "charged": 0,
        }
        if request_id:
            document["instance"] = request_id
        body = json.dumps(document, separators=(",", ":")).encode()
        reason = HTTPStatus(self.status).phrase.encode()
        more = b"allow: %b\r\n" % self.allow if self.allow else b""
        if self.status in _RETRY_AFTER_S:
            more += b"retry-after: %d\r\n" % _RETRY_AFTER_S[self.status]
        if request_id:
            more += b"farebox-request-id: %b\r\n" % request_id.encode()
        return (
            b"HTTP/1.1 %d %b\r\n"
            b"content-type: application/problem+json\r\n"
            b"content-length: %d\r\n"
            b"cache-control: no-store\r\n"
            b"farebox-cost: 0\r\n"
            b"%b"
            b"connection: close\r\n\r\n"
            b"%b"
        ) % (self.status, reason, len(body), more, body)
