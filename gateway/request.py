"""
One request as the client sent it: its head, and its body read once.

The body is either gathered whole, where the price depends on it, or handed on as it comes. In
both cases it is limited, and what was gathered is what is forwarded, byte for byte.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from gateway.framing import TURN, Given, Refused, Successor, Turn
from gateway.headers import Headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


_SAY_SOMETHING = frozenset(
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


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class BodyTooLarge(Exception):
    """The body grew past its limit; what follows is not read."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"more than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class Request:
    """
    The head of a request, and the way to its body.

    Attributes:
        raw_path: As sent, without the query; not yet canonical.
        body_bytes: Content-Length; 0 where there is no body, None where only its end will tell.
        received_bytes: How much of the body has come so far.
        body_ended: All of the body has come.
        idempotency_key: As sent; several lines are joined as lists are (RFC 9110 5.3).
        when_body_ended: Called once, when it has.
    """

    __slots__ = (
        "_gathered",
        "_receive",
        "_says_empty",
        "_turn",
        "body_bytes",
        "body_ended",
        "headers",
        "host",
        "idempotency_key",
        "method",
        "origin",
        "peer",
        "query",
        "raw_path",
        "received_bytes",
        "scheme",
        "upgrade",
        "waits_for_continue",
        "when_body_ended",
    )

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._turn: Turn | None = scope.get(TURN)
        self._receive = receive
        self._gathered = b""
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.headers: Headers = scope["headers"]
        self.scheme: bytes = scope["scheme"].encode()
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        self.host = b""
        self.origin: bytes | None = None
        self.idempotency_key: bytes | None = None
        self.upgrade = b""
        self.body_bytes: int | None = 0
        self._says_empty = False
        self.waits_for_continue = False
        for name, value in self.headers:
            if name not in _SAY_SOMETHING:
                continue
            if name == b"host":
                self.host = value
            elif name == b"content-length":
                self.body_bytes = int(value)  # digits only: the framing has seen to that
                self._says_empty = self.body_bytes == 0
            elif name == b"transfer-encoding":
                self.body_bytes = None
            elif name == b"origin":
                self.origin = value
            elif name == b"upgrade":
                self.upgrade = value
            elif name == b"idempotency-key":
                known: bytes | None = self.idempotency_key
                self.idempotency_key = value if known is None else b"%b, %b" % (known, value)
            elif name == b"expect":
                self.waits_for_continue = True
        self.when_body_ended: Callable[[], None] | None = None
        self.received_bytes = 0
        self.body_ended = self.body_bytes == 0

    @property
    def arrived(self) -> bool:
        """Whether all of the body is here, read or not: reading it waits for nobody."""
        return self.body_ended or (self._turn is not None and self._turn.arrived)

    @property
    def refused(self) -> Refused | None:
        """What the client was told whose body broke a rule: that nothing is charged, above all."""
        return None if self._turn is None else self._turn.refused

    def named(self, request_id: str) -> None:
        """Say what the request is called, so that a refusal amid its body says so too."""
        if self._turn is not None:
            self._turn.request_id = request_id

    @property
    def left_unread(self) -> bool:
        """Whether a client that waits for `100 Continue` has not been told to go on."""
        return self.waits_for_continue and not self.body_ended and not self.received_bytes

    def cut(self) -> None:
        """End the answer before its end: what the client has of it must not look whole."""
        if self._turn is not None:
            self._turn.cut()

    @property
    def can_upgrade(self) -> bool:
        """Whether it is a WebSocket handshake, by a server that can give its connection away."""
        return self._turn is not None and self._turn.can_upgrade

    def upgrade_to(self, successor: Successor, head: bytes) -> Given | None:
        """Answer the handshake with this head; None where the client is gone."""
        assert self._turn is not None, "only our own server gives connections away"
        return self._turn.upgrade(successor, head)

    async def gather(self, limit_bytes: int) -> bytes:
        """
        Read the whole body; `stream` gives the same bytes again.

        Raises:
            BodyTooLarge: What was read until then is kept for `stream`.
            ClientGone: The client left before the end.
        """
        if self.body_bytes is not None and self.body_bytes > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        pieces = [self._gathered]
        try:
            while not self.body_ended:
                pieces.append(await self._next())
                if self.received_bytes > limit_bytes:
                    raise BodyTooLarge(limit_bytes)
        finally:
            self._gathered = b"".join(pieces)
        return self._gathered

    def body(self, limit_bytes: int | None) -> AsyncIterator[bytes] | bytes | None:
        """
        Return the body to forward: None where there is none, bytes where it was gathered.

        A client that says `Content-Length: 0` has an empty one, and the backend is told so.
        """
        if self.body_bytes == 0:
            return b"" if self._says_empty else None
        if self.body_ended:
            return self._gathered
        return self.stream(limit_bytes)

    async def stream(self, limit_bytes: int | None) -> AsyncIterator[bytes]:
        """
        Give the body as it comes, what was gathered first.

        Raises:
            BodyTooLarge: More than `limit_bytes` came.
            ClientGone: The client left before the end.
        """
        if self._gathered:
            gathered, self._gathered = self._gathered, b""
            yield gathered
        while not self.body_ended:
            piece = await self._next()
            if limit_bytes is not None and self.received_bytes > limit_bytes:
                raise BodyTooLarge(limit_bytes)
            if piece:
                yield piece

    async def gone(self) -> None:
        """Return when the client has left; only to be asked once the body has ended."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        self.received_bytes += len(piece)
        self.body_ended = not message.get("more_body", False)
        if self.body_ended and self.when_body_ended is not None:
            ended, self.when_body_ended = self.when_body_ended, None
            ended()
        return piece
