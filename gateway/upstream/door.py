"""The door every upstream client stands behind; `tests/gateway/upstream` holds its promises."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

Headers = list[tuple[bytes, bytes]]


class UpstreamAddress(Protocol):
    """Which backend: what a client needs of the price file's `upstreams` entry."""

    @property
    def scheme(self) -> Literal["http", "https"]:
        """Whether to speak TLS."""

    @property
    def host(self) -> str:
        """Name or address, IPv6 without brackets."""

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def authority(self) -> bytes:
        """What the Host header says where the request has none."""

    @property
    def timeout_ms(self) -> int:
        """How long the head of a response may take, and the next bytes of its body."""

    @property
    def connect_timeout_ms(self) -> int:
        """How long TCP and TLS may take."""

    @property
    def max_connections(self) -> int:
        """How many connections, in use and idle together, one client keeps to it."""

    @property
    def ca_file(self) -> str | None:
        """Certificates to trust instead of the system's."""


@dataclass(frozen=True, slots=True)
class SharedLines:
    """Header lines as they are written, which several requests have in common: `shared_lines`."""

    written: bytes
    has_host: bool


@dataclass(slots=True)
class UpstreamRequest:
    """
    One request for a backend.

    Attributes:
        method: Written as it is.
        target: Path and query, written as they are: nothing is decoded, joined or encoded.
        headers: Written in this order, duplicates kept. `Content-Length`, `Transfer-Encoding`,
            `Connection` and `Expect` in it are ignored: framing is the client's own affair.
            A `Host` is added where there is none.
        shared: Header lines that come before these.
        body: None sends no body and no length; an iterator is streamed as it comes.
        body_bytes: Length of an iterator's body; None sends it chunked. What the iterator
            raises comes out of the block unchanged, and the connection is closed.
        websocket: Ask for a WebSocket; the answer may be a 101 then, and `switch` gives its
            connection. Such a request is never repeated and has a connection of its own.
        head_sent: Set by the client when the request's head has left: from here on the
            upstream may act on it.
    """

    method: bytes
    target: bytes
    headers: Headers
    body: AsyncIterator[bytes] | bytes | None = None
    body_bytes: int | None = None
    websocket: bool = False
    shared: SharedLines | None = None
    head_sent: bool = False


class UpstreamResponse(Protocol):
    """A response whose head has come. Good only inside the block it was got from."""

    @property
    def status(self) -> int:
        """Three digits; of 1xx only the 101 that was asked for."""

    @property
    def headers(self) -> Headers:
        """Names in lower case, values raw; order and duplicates as sent, trailers dropped."""

    @property
    def arrived(self) -> bool:
        """Some of the body is here: `chunks` gives it at once."""

    def whole(self, most_bytes: int) -> bytes | None:
        """Give a body that is here to its end and not larger; None: `chunks` has to be asked."""

    def chunks(self) -> AsyncIterator[bytes]:
        """
        Give the body as it comes, not decompressed, never an empty piece. To be called once.

        Raises:
            UpstreamCut: It ended too early.
            UpstreamTimeout: Nothing came for the address's `timeout_ms`.
            UpstreamInvalid: Its chunks are malformed.
        """

    def switch(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """
        Leave the connection of a 101 to another protocol, for as long as the block lasts.

        Returns its transport, which does not read until it is told to, and what has come behind
        the answer's head already.

        Raises:
            UpstreamReset: The connection is gone.
        """


class UpstreamClient(Protocol):
    """
    Sends requests to any number of upstreams and keeps connections to each.

    Attributes:
        websockets: Requests for a WebSocket can be sent.
    """

    websockets: bool

    def send(
        self, request: UpstreamRequest, upstream: UpstreamAddress
    ) -> AbstractAsyncContextManager[UpstreamResponse]:
        """
        Send the request; the block begins when the response head has come.

        Redirects are not followed, 1xx are swallowed. Leaving the block before the body was
        read to its end closes the connection. Leaving awaits nothing.

        Repeats: a request is sent a second time only if a kept connection turned out to be
        dead before any response byte, the method is idempotent (RFC 9110 9.2.2) and there is
        no body; or if not one byte had been written.

        Raises:
            UpstreamError: One of its kinds; see `errors.py` for what may have happened.
        """

    async def aclose(self, drain_ms: int = 0) -> None:
        """Take no more requests, wait up to `drain_ms` for those under way, close everything."""
