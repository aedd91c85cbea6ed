"""
The operator's end of notices: a POST of JSON, signed as https://www.standardwebhooks.com says.

The receiver checks `webhook-signature` (v1, HMAC-SHA256 of `id.timestamp.body`), refuses old
timestamps, and knows a repeat by `webhook-id`, which stays the same over all tries.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
from typing import Self

import httpx

from billing.telling.delivery import NotTaken, Refused, Told
from ledger.ports import Clock

LIMIT_S = 15.0
"""For the whole answer's head; what the Standard Webhooks specification advises, at the least."""

_ENCODED = "whsec_"


class OperatorWebhook:
    """Sends notices to one address."""

    def __init__(self, url: str, secret: str, client: httpx.AsyncClient, clock: Clock) -> None:
        self._url = url
        self._key = key_of(secret)
        self._client = client
        self._clock = clock

    @classmethod
    def open(cls, url: str, secret: str, clock: Clock) -> Self:
        """Make one with a client of its own; `aclose` ends it."""
        return cls(url, secret, httpx.AsyncClient(timeout=LIMIT_S, trust_env=False), clock)

    async def aclose(self) -> None:
        """Close the connections. A repeat is harmless."""
        await self._client.aclose()

    async def send(self, told: Told) -> None:
        """
        Post one notice; any answer of 2xx takes it.

        Raises:
            NotTaken: No answer, or another one.
            Refused: 410 Gone, by which a receiver says that it wants no more of it.

        """
        notice = told.notice
        body = json.dumps(
            {
                "type": notice.kind,
                "timestamp": notice.created_at.isoformat(),
                "data": told.to_json(),
            },
            separators=(",", ":"),
        ).encode()
        name, now_s = f"ntc_{notice.id}", self._clock.now_ms() // 1_000
        headers = {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature(self._key, name, now_s, body),
        }
        try:
            # The answer's body is of no interest and may be endless: only its head is read.
            async with (
                asyncio.timeout(LIMIT_S),
                self._client.stream(
                    "POST", self._url, content=body, headers=headers, timeout=LIMIT_S
                ) as answer,
            ):
                status = answer.status_code
        except (httpx.HTTPError, TimeoutError) as away:
            raise NotTaken(f"no answer: {str(away) or type(away).__name__}") from away
        if status == httpx.codes.GONE:
            raise Refused("the receiver answers 410 Gone")
        if not 200 <= status < 300:
            raise NotTaken(f"the receiver answers {status}")


def key_of(secret: str) -> bytes:
    """Return the key in a secret: `whsec_` and base64, or any other text as it is."""
    if secret.startswith(_ENCODED):
        try:
            return base64.b64decode(secret.removeprefix(_ENCODED), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def signature(key: bytes, name: str, now_s: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    digest = hmac.new(key, f"{name}.{now_s}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
