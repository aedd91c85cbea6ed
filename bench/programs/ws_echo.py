"""
A backend that sends every WebSocket message back: `python -m bench.programs.ws_echo`.

It knows short frames (under 126 bytes) and closing, which is all that the bench sends.
"""

import asyncio
import base64
import hashlib
import re
from typing import cast

from bench.programs.served import serve

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE = 8


class Echo(asyncio.Protocol):
    def __init__(self) -> None:
        self._rest = b""
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if not self._open:
            head, end, self._rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self._shake_hands(head)
        answers = []
        while len(self._rest) >= 6 and len(self._rest) >= (size := 6 + (self._rest[1] & 127)):
            answers.append(_answer(self._rest[:size]))
            closing = self._rest[0] & 15 == CLOSE
            self._rest = self._rest[size:]
            if closing:
                self._transport.write(b"".join(answers))
                self._transport.close()
                return
        if answers:
            self._transport.write(b"".join(answers))

    def _shake_hands(self, head: bytes) -> None:
        self._open = True
        key = re.search(rb"\r\nsec-websocket-key: *(\S+)", head, re.IGNORECASE)
        assert key, head
        accept = base64.b64encode(hashlib.sha1(key[1] + MAGIC).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: %b\r\n\r\n" % accept
        )


def _answer(frame: bytes) -> bytes:
    """The same frame as a server sends it: not masked."""
    size = frame[1] & 127
    mask = int.from_bytes((frame[2:6] * (size // 4 + 1))[:size], "big")
    payload = (int.from_bytes(frame[6:], "big") ^ mask).to_bytes(size, "big")
    return bytes((frame[0], size)) + payload


if __name__ == "__main__":
    serve(Echo)
