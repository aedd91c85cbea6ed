"""One write for what is sent within one turn of the event loop."""

import asyncio
import socket
import struct
from typing import Any

# Beyond this much, joining costs more than the system call it saves, and the transport has to
# hear of it for its flow control to work.
_JOIN_BYTES = 64 * 1024
_NO_LINGERING = struct.pack("ii", 1, 0)


class JoinedWrites:
    """
    Stands before a transport and gathers writes until the turn ends or `flush` is called.

    uvicorn writes an answer's head and body apart; together they are one packet.
    """

    __slots__ = (
        "_bytes",
        "_flushing",
        "_loop",
        "_pieces",
        "_transport",
        "get_extra_info",
        "is_closing",
        "pause_reading",
        "resume_reading",
        "set_protocol",
    )

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._flushing = False
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.set_protocol = transport.set_protocol

    def write(self, data: bytes) -> None:
        """Send this soon, in order."""
        self._pieces.append(data)
        self._bytes += len(data)
        if self._bytes >= _JOIN_BYTES:
            self.flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._turn_ended)

    def flush(self) -> None:
        """Send what was gathered now; to a client that is gone, nothing."""
        pieces = self._pieces
        if pieces:
            self._pieces = []
            self._bytes = 0
            if self.is_closing():
                return  # uvloop's transports raise where asyncio's drop
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def close(self) -> None:
        """Send what was gathered, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._pieces = []
        self._transport.abort()

    def reset(self) -> None:
        """Send what was gathered, as far as it goes at once, and break the connection (RST)."""
        self.flush()
        if self.is_closing():
            return
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        self._transport.abort()

    def bare(self) -> asyncio.Transport:
        """Send what was gathered, and give the transport away."""
        self.flush()
        return self._transport

    def write_eof(self) -> None:
        """Send what was gathered, then say that nothing more will come."""
        self.flush()
        if not self.is_closing():
            self._transport.write_eof()

    def can_write_eof(self) -> bool:
        """Whether the transport can be half closed; TLS cannot."""
        return self._transport.can_write_eof()

    def get_write_buffer_size(self) -> int:
        """Bytes the client has not taken yet."""
        return self._bytes + self._transport.get_write_buffer_size()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _turn_ended(self) -> None:
        self._flushing = False
        self.flush()
