"""
One request and its answer on a connection.

An answer's head leaves with the first piece of its body, empty or not, in one write, as the ASGI
specification allows: an application that has no body yet sends an empty piece.
"""

import asyncio
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.framing.head import Head
from gateway.framing.refusal import Refusal
from gateway.framing.upgrade import Given, Successor
from gateway.header_lines import Headers

if TYPE_CHECKING:
    from gateway.framing.protocol import StrictHttpProtocol

TURN: Final = "farebox.turn"
"""Key of the scope: the request's `Turn`, for what ASGI has no word for."""

FULL_BYTES: Final = 64 * 1024
"""Of a body that the application has not asked for; no more is read then."""

JOINED_BYTES: Final = 64 * 1024
"""Beyond this much, joining head and body costs more than the system call it saves."""

_FRAMING: Final = frozenset({b"connection", b"content-length", b"transfer-encoding"})
_GO_ON: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_DISCONNECT: Final = {"type": "http.disconnect"}


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())


_STATUS_LINES: Final = [b""] * 100 + [_status_line(status) for status in range(100, 1000)]


def answer_lines(status: int, headers: Headers) -> bytes:
    """
    Write the status line and these header lines of an answer, without the empty line.

    Raises:
        RuntimeError: A header would break out of its line.
    """
    lines = b"".join([_STATUS_LINES[status], *[b"%b: %b\r\n" % header for header in headers]])
    _check_lines(lines, len(headers) + 1)
    return lines


def _check_lines(written: bytes, lines: int) -> None:
    # One look at the whole instead of one at each part: none may have brought its own line.
    if written.count(b"\n") != lines or written.count(b"\r") != lines or b"\0" in written:
        raise RuntimeError("a header of the answer holds a line end or NUL")


class Refused(NamedTuple):
    """A refusal that was told, under this id."""

    refusal: Refusal
    request_id: str


class Turn:
    """
    One request and its answer.

    Attributes:
        head: The request's.
        keep_alive: Another request may follow.
        disconnected: The client is gone, or was told a refusal; nothing more can be sent.
        started: The application has begun its answer.
        complete: The answer was written whole.
        waits_for_continue: The client was not told yet to send its body.
        request_id: How the application names it, for a refusal amid its body.
        refused: What the client was told whose body broke a rule.
        endless: Only the end of the connection ends the answer (HTTP/1.0).
        begun: What was done for it before the application was asked; the application knows what.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_ended",
        "_head",
        "_left",
        "_news",
        "_pieces",
        "_waiting",
        "begun",
        "complete",
        "disconnected",
        "endless",
        "head",
        "keep_alive",
        "refused",
        "request_id",
        "started",
        "waits_for_continue",
    )

    def __init__(self, connection: "StrictHttpProtocol", head: Head) -> None:
        self._connection = connection
        self.begun: object = None
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._ended = head.block.body_bytes == 0
        self._news: asyncio.Event | None = None
        self._head = b""
        self._left = 0
        self._chunked = False
        self.head = head
        self.keep_alive = not head.block.last
        self.disconnected = False
        self.started = False
        self.complete = False
        self.waits_for_continue = head.block.expects
        self.request_id = ""
        self.refused: Refused | None = None
        self.endless = False

    # What the application asks

    @property
    def peer(self) -> str:
        """The address at the other end; empty for a Unix socket."""
        return self._connection.peer

    @property
    def scheme(self) -> bytes:
        """Either `http` or `https`, as the client came to us."""
        return self._connection.scheme

    async def more(self) -> tuple[bytes, bool] | None:
        """
        Return what has come of the body since the last time, and whether that was its end.

        None: The client is gone, or was told a refusal, or has its answer.
        """
        if self.waits_for_continue and not self.disconnected:
            self.waits_for_continue = False
            self._connection.write(_GO_ON)
        while not (self.disconnected or self.complete or self._pieces or self._ended):
            self._connection.go_on_reading()
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        if self.disconnected or self.complete:
            return None
        pieces, self._pieces = self._pieces, []
        self._waiting = 0
        ended, self._ended = self._ended, False  # told once; what comes next is the client's end
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), ended

    async def begin(self, status: int, headers: Headers) -> None:
        """
        Begin the answer; its head leaves with the first piece of its body.

        A client that is gone is answered nothing, here and in `body`: nobody is told.
        """
        if self._connection.write_paused:
            await self._connection.drained()
        if self.disconnected:
            return
        if self.started:
            raise RuntimeError("an answer that has begun already")
        self.started = True
        self.waits_for_continue = False
        self._head = self._head_of(status, headers)

    def begin_at_once(self, status: int, headers: Headers) -> None:
        """As `begin`, of a connection whose `write_paused` was asked."""
        self._head = self._head_of(status, headers)
        self.started = True

    def pass_on(self, piece: bytes) -> None:
        """Go on as `body` does, where there is more to come and `write_paused` was asked."""
        self._body(piece, more=True)

    async def body(self, piece: bytes, *, more: bool) -> None:
        """Go on with the answer, or end it; waits while the client takes it slower than this."""
        if self._connection.write_paused:
            await self._connection.drained()
        if self.disconnected:
            return
        if self.complete or not self.started:
            raise RuntimeError("a piece of an answer that is complete, or has not begun")
        self._body(piece, more=more)

    @property
    def arrived(self) -> bool:
        """Whether all of the request's body has come, read or not."""
        return self._connection.arrived()

    @property
    def can_upgrade(self) -> bool:
        """Whether it is a WebSocket handshake."""
        return self.head.block.upgrade

    def upgrade(self, successor: Successor, head: bytes) -> Given | None:
        """
        Answer a handshake with that head and leave the connection; None where the client is gone.

        The application has nothing more to send then, but its task may go on.
        """
        return self._connection.give_away(self, successor, head)

    def cut(self) -> None:
        """
        End an answer that cannot be completed, so that the client cannot take it for whole.

        An application that just returns instead has a fault, which is logged.
        """
        if not self.complete and not self.disconnected:
            self.disconnected = True
            self._connection.cut(self)

    # What the connection says

    def take(self, piece: bytes, *, ended: bool) -> bool:
        """Keep a piece of the body; True if so much waits that reading should stop."""
        if self.complete:
            return False
        if piece:
            self._pieces.append(piece)
            self._waiting += len(piece)
        self._ended = ended
        self.tell()
        return self._waiting > FULL_BYTES

    def tell(self) -> None:
        """Wake who waits in `receive`."""
        if self._news is not None:
            self._news.set()

    def leave(self) -> None:
        """Note that the client is gone, or will hear no more of this."""
        if not self.complete:
            self.disconnected = True
        self.tell()

    # What ASGI asks

    def scope(self) -> dict[str, Any]:
        """Return ASGI's picture of the request."""
        return self._connection.scope_of(self)

    async def receive(self) -> dict[str, Any]:
        """Return the next piece of the body, or that the client is gone or has its answer."""
        more = await self.more()
        if more is None:
            return _DISCONNECT
        return {"type": "http.request", "body": more[0], "more_body": not more[1]}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Write what the application answers."""
        kind = message["type"]
        if kind == "http.response.start":
            await self.begin(message["status"], message.get("headers", []))
        elif kind == "http.response.body":
            await self.body(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"an answer has no {kind}")

    def _head_of(self, status: int, headers: Headers) -> bytes:
        parts = [_STATUS_LINES[status], *[b"%b: %b\r\n" % header for header in headers]]
        told = close = False
        for name, value in headers:
            if name not in _FRAMING:
                continue
            if name == b"content-length":
                told = True
                self._left = int(value)
            elif name == b"transfer-encoding":
                told = self._chunked = True  # the application's word: it sends no other coding
            elif b"close" in value.lower():
                close = True
                self.keep_alive = False
        lines = len(headers) + 2
        if self.head.method == b"HEAD" or status in (204, 304):
            self._left = 0
            self._chunked = False
        elif not told and self.head.block.old:
            self.endless = True
        elif not told:
            self._chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
            lines += 1
        if not self.keep_alive and not close:
            parts.append(b"connection: close\r\n")
            lines += 1
        parts.append(b"\r\n")
        head = b"".join(parts)
        _check_lines(head, lines)
        return head

    def _body(self, piece: bytes, *, more: bool) -> None:
        if self.head.method == b"HEAD":
            piece = b""
        elif self._chunked:
            if piece:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            if not more:
                piece += b"0\r\n\r\n"
        elif not self.endless:
            self._left -= len(piece)
            if self._left < 0:
                raise RuntimeError("an answer longer than its Content-Length")
            if self._left and not more:
                raise RuntimeError("an answer shorter than its Content-Length")
        head = self._head
        if head:
            self._head = b""
            if len(piece) <= JOINED_BYTES:
                self._connection.write(head + piece)
            else:
                self._connection.write(head)
                self._connection.write(piece)
        elif piece:
            self._connection.write(piece)
        if not more:
            self.complete = True
            self.tell()
            self._connection.answered(self)
