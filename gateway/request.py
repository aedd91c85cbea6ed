"""
One request as the client sent it: its head, and its body read once.

The body is either gathered whole, where the price depends on it, or handed on as it comes. In
both cases it is limited, and what was gathered is what is forwarded, byte for byte.
"""

from collections.abc import AsyncIterator, Callable

from gateway.asgi import AsgiTurn
from gateway.framing import Block, Given, Refused, Successor, Turn
from gateway.header_facts import HeaderFacts


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
        turn: Where its answer goes.
        facts: What its headers say.
        method: As sent, like `raw_path` and `query`; the path is not yet canonical.
        body_bytes: Content-Length; 0 where there is no body, None where only its end will tell.
        received_bytes: How much of the body has come so far.
        body_ended: All of the body has come.
        when_body_ended: Called once, when it has.
    """

    __slots__ = (
        "_gathered",
        "body_bytes",
        "body_ended",
        "facts",
        "headers",
        "method",
        "query",
        "raw_path",
        "received_bytes",
        "turn",
        "when_body_ended",
    )

    def __init__(self, turn: Turn | AsgiTurn) -> None:
        head = turn.head
        self.turn = turn
        self.facts = facts = header_facts(head.block)
        self.method = head.method
        self.raw_path, _, self.query = head.target.partition(b"?")
        self.headers = facts.headers
        self.body_bytes = facts.body_bytes
        self.body_ended = facts.body_bytes == 0
        self.received_bytes = 0
        self.when_body_ended: Callable[[], None] | None = None
        self._gathered = b""

    @property
    def peer(self) -> str:
        """The address at the other end; empty for a Unix socket."""
        return self.turn.peer

    @property
    def scheme(self) -> bytes:
        """Either `http` or `https`, as the client came to us."""
        return self.turn.scheme

    @property
    def arrived(self) -> bool:
        """Whether all of the body is here, read or not: reading it waits for nobody."""
        return self.body_ended or self.turn.arrived

    @property
    def refused(self) -> Refused | None:
        """What the client was told whose body broke a rule: that nothing is charged, above all."""
        return self.turn.refused

    def named(self, request_id: str) -> None:
        """Say what the request is called, so that a refusal amid its body says so too."""
        self.turn.request_id = request_id

    @property
    def left_unread(self) -> bool:
        """Whether a client that waits for `100 Continue` has not been told to go on."""
        return self.facts.waits_for_continue and not self.body_ended and not self.received_bytes

    def cut(self) -> None:
        """End the answer before its end: what the client has of it must not look whole."""
        self.turn.cut()

    @property
    def can_upgrade(self) -> bool:
        """Whether it is a WebSocket handshake, by a server that can give its connection away."""
        return self.turn.can_upgrade

    def upgrade_to(self, successor: Successor, head: bytes) -> Given | None:
        """Answer the handshake with this head; None where the client is gone."""
        return self.turn.upgrade(successor, head)

    def has_body(self, body: bytes) -> None:
        """Note that this is all of the body: nothing of it is read from the client any more."""
        self._gathered = body
        self.received_bytes = len(body)
        self.body_ended = True

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
            return b"" if self.facts.says_empty else None
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
        while await self.turn.more() is not None:
            pass

    async def _next(self) -> bytes:
        more = await self.turn.more()
        if more is None:
            raise ClientGone
        piece, self.body_ended = more
        self.received_bytes += len(piece)
        if self.body_ended and self.when_body_ended is not None:
            ended, self.when_body_ended = self.when_body_ended, None
            ended()
        return piece


def header_facts(block: Block) -> HeaderFacts:
    """Read the headers, or find what the connection's request before this one found in them."""
    facts = block.reading
    if not isinstance(facts, HeaderFacts):
        facts = block.reading = HeaderFacts(block.headers)
    return facts
