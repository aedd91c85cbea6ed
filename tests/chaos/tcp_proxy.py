"""
A TCP proxy before a store, which delays, cuts, swallows, and loses the answer to a COMMIT.

What is swallowed is gone, and a connection it happened to stays dumb for good: neither end is
told, as when a firewall forgot it. Only when its own patience ends does the gateway find out.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

PIECE_BYTES = 64 * 1024
COMMIT = b"COMMIT"
SCRIPT = b"EVALSHA"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(eq=False)
class _Connection:
    """Both halves of a connection that was passed on."""

    client: Streams
    store: Streams
    dumb: bool = False
    lose_answer: bool = False

    def break_off(self) -> None:
        for _, writer in (self.client, self.store):
            writer.transport.abort()


@dataclass(eq=False)
class TcpProxy:
    """
    Passes connections on to a Unix socket; what it does to them is set from outside.

    delay_s: Each piece waits so long, either way.
    refusing: Connections are broken off as they come.
    swallowing: Connections are taken, and nothing ever comes of what they send.
    lost_answers: So many answers to `word` are lost from now on: the store has done what was
        asked, the gateway's connection ends instead of an answer.
    lost_questions: The same, but the store is not asked.
    """

    store: str
    word: bytes = SCRIPT
    port: int = 0
    delay_s: float = 0.0
    refusing: bool = False
    swallowing: bool = False
    lost_answers: int = 0
    lost_questions: int = 0
    lost: int = 0  # of both kinds, so far
    _connections: set[_Connection] = field(default_factory=set)

    def cut(self) -> None:
        """Break off all connections, and refuse others until `heal`."""
        self.refusing = True
        for connection in tuple(self._connections):
            connection.break_off()

    def swallow(self) -> None:
        """Make all connections dumb for good, and those that come until `heal`."""
        self.swallowing = True
        for connection in self._connections:
            connection.dumb = True

    def heal(self) -> None:
        """Treat new connections well; those that are dumb stay so."""
        self.refusing = self.swallowing = False
        self.delay_s = 0.0
        self.lost_answers = self.lost_questions = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Treat one connection as it is to be treated now."""
        try:
            if self.swallowing:
                await _discard(reader)
            elif not self.refusing:
                await self._pass_on(reader, writer)
        finally:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            store = await asyncio.open_unix_connection(self.store)
        except OSError:
            return  # it is being restarted
        connection = _Connection((reader, writer), store)
        self._connections.add(connection)
        downwards = asyncio.create_task(self._down(connection))
        try:
            await self._up(connection)
        finally:
            self._connections.discard(connection)
            connection.break_off()
            downwards.cancel()
            await asyncio.gather(downwards, return_exceptions=True)

    async def _up(self, connection: _Connection) -> None:
        """From the gateway to the store, until the gateway leaves."""
        reader, writer = connection.client[0], connection.store[1]
        with suppress(ConnectionError):
            while piece := await reader.read(PIECE_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if connection.dumb:
                    continue
                if self.word in piece:
                    if self.lost_questions:
                        self.lost_questions -= 1
                        self.lost += 1
                        return
                    if self.lost_answers and not connection.lose_answer:
                        self.lost_answers -= 1
                        connection.lose_answer = True
                writer.write(piece)
                await writer.drain()

    async def _down(self, connection: _Connection) -> None:
        """From the store to the gateway; a dumb gateway is not even told that it ended."""
        reader, writer = connection.store[0], connection.client[1]
        with suppress(ConnectionError):
            while piece := await reader.read(PIECE_BYTES):
                if connection.lose_answer:
                    self.lost += 1
                    break
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not connection.dumb:
                    writer.write(piece)
                    await writer.drain()
        if not connection.dumb:
            writer.transport.abort()


async def _discard(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(PIECE_BYTES):
            pass


@asynccontextmanager
async def proxy(store: str, word: bytes) -> AsyncIterator[TcpProxy]:
    """Listen on a free port of loopback, before the Unix socket of a store."""
    passing = TcpProxy(store, word)
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with suppress(asyncio.CancelledError):
            await passing.serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=512)
    passing.port = server.sockets[0].getsockname()[1]
    try:
        yield passing
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
