"""
The least that can stand between: bytes from one socket to another, read by nobody.

    python -m bench.programs.relay HOST PORT
"""

import asyncio
import sys
from typing import cast

from bench.programs.served import serve


class Side(asyncio.Protocol):
    """One of two connections; what comes by it goes to the other."""

    def __init__(self, other: "Side | None" = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        for data in self._early:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.pass_on(data)

    def pass_on(self, data: bytes) -> None:
        if self.transport is None:
            self._early.append(data)
        else:
            self.transport.write(data)

    def connection_lost(self, _why: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Front(Side):
    """The client's side: it opens the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.other = Side(self)
        loop = asyncio.get_running_loop()
        back = self.other
        self._opening = loop.create_task(loop.create_connection(lambda: back, HOST, int(PORT)))


if __name__ == "__main__":
    HOST, PORT = sys.argv[1:]
    serve(Front)
