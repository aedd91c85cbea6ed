"""ASGI, as the control routes speak it, and what lets the proxy be served by any ASGI server."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.framing import TURN, Block, Given, Head, Refused, Successor, Turn
from gateway.headers import Headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def turn_of(scope: Scope, receive: Receive, send: Send) -> "Turn | AsgiTurn":
    """Return the request behind a scope."""
    turn: Turn | None = scope.get(TURN)
    return turn or AsgiTurn(scope, receive, send)


class AsgiTurn:
    """
    A request that another server has read: it answers as `Turn` does, by ASGI's messages alone.

    Such a server judges framing by its own rules, cannot give its connection away to a WebSocket,
    and takes an answer that is not completed for a fault of ours, which ends the connection.
    """

    can_upgrade = False
    refused: Refused | None = None
    begun: object = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope["query_string"]
        target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
        self.head = Head(scope["method"].encode(), target, Block(b"", scope["headers"]))
        self.scheme: bytes = scope["scheme"].encode()
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        self.arrived = False
        self.request_id = ""
        self._receive = receive
        self._send = send

    async def more(self) -> tuple[bytes, bool] | None:
        """Return the next piece of the body and whether it was the last; see `Turn.more`."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            return None
        self.arrived = not message.get("more_body", False)
        return message.get("body", b""), self.arrived

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin the answer."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def body(self, piece: bytes, *, more: bool) -> None:
        """Go on with the answer, or end it."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})

    def upgrade(self, _successor: Successor, _head: bytes) -> Given | None:
        """Refuse: see `can_upgrade`."""
        raise AssertionError("only our own server gives connections away")

    def cut(self) -> None:
        """Do nothing: the server sees that the answer is not complete."""
