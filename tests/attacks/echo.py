"""
A backend that says what it saw: method, target, host and body of each request, as h11 reads them.

h11 is more lenient than the gateway's own parsers, which is what a backend should be here: what
the gateway lets slip must show.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import h11


@dataclass(frozen=True)
class Seen:
    """One request at the backend."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]

    @property
    def request_id(self) -> str:
        """The hold's, or the id of a request without one; the gateway says it once."""
        (text,) = self.values("farebox-request-id")
        return text


@dataclass
class Echo:
    """
    The running backend.

    Attributes:
        seen: Every request whose head arrived, also one whose body never ended.
        broken: What h11 said of bytes that are no request. Stays empty.
        gate: `/hang` answers once this is set.
        plays: Bytes to answer with instead, by path; the connection is closed behind them.
    """

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    plays: dict[str, bytes] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=256 * 1024)
        try:
            while await self._one(connection, reader, writer):
                connection.start_next_cycle()
        except h11.RemoteProtocolError as error:
            self.broken.append(str(error))
        except ConnectionError:
            pass  # the gateway leaves when its client does
        finally:
            writer.close()

    async def _one(
        self,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        head = await _event(connection, reader)
        if not isinstance(head, h11.Request):
            return False
        headers = [(name.decode(), value.decode("latin-1")) for name, value in head.headers]
        method, target = head.method.decode(), head.target.decode("latin-1")
        place = len(self.seen)
        self.seen.append(Seen(method, target, headers, b""))
        body = b""
        while isinstance(event := await _event(connection, reader), h11.Data):
            body += event.data
            self.seen[place] = Seen(method, target, headers, body)
        if not isinstance(event, h11.EndOfMessage):
            return False
        if target.startswith("/hang"):
            await self.gate.wait()
        if target in self.plays:
            writer.write(self.plays[target])
            return False
        answer = json.dumps(
            {
                "method": method,
                "target": target,
                "host": self.seen[place].values("host"),
                "body_bytes": len(body),
                "usage": {"total_tokens": 7},
            }
        ).encode()
        about = [("content-type", "application/json"), ("content-length", str(len(answer)))]
        out = connection.send(h11.Response(status_code=200, headers=about)) or b""
        if method != "HEAD":
            out += connection.send(h11.Data(data=answer)) or b""
        out += connection.send(h11.EndOfMessage()) or b""
        writer.write(out)
        await writer.drain()
        return connection.our_state is h11.DONE


async def _event(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Event | type:
    while (event := connection.next_event()) is h11.NEED_DATA:
        data = await reader.read(64 * 1024)
        if not data and connection.their_state is h11.SEND_BODY:
            raise ConnectionResetError  # a body broken off is no malformed one
        connection.receive_data(data)
    return event


@asynccontextmanager
async def echoing() -> AsyncIterator[Echo]:
    """Run the backend on a free port of loopback."""
    echo = Echo()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with suppress(asyncio.CancelledError):
            await echo.serve(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=2_048)
    echo.port = server.sockets[0].getsockname()[1]
    try:
        yield echo
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
