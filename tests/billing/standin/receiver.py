"""A server that takes deliveries, as ours does, and can be told to fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import stripe


@dataclass
class Receiver:
    """
    What arrived.

    Attributes:
        statuses: Answered in this order; then 200 for ever.
        during: The most deliveries that were being taken at the same moment.

    """

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    during: int = 0
    gate: asyncio.Event | None = None
    _now: int = 0

    def event(self, secret: str, number: int = -1) -> stripe.Event:
        """One that arrived, checked as the SDK checks it."""
        return stripe.Webhook.construct_event(self.bodies[number], self.signatures[number], secret)

    @property
    def types(self) -> list[str]:
        return [stripe.Event.construct_from(self.json(body), None).type for body in self.bodies]

    @staticmethod
    def json(body: bytes) -> dict[str, object]:
        import json

        return json.loads(body)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(
            line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line
        )
        body = await reader.readexactly(int(fields["Content-Length"]))
        self._now += 1
        self.during = max(self.during, self._now)
        if self.gate is not None:
            await self.gate.wait()
        self._now -= 1
        self.bodies.append(body)
        self.signatures.append(fields["stripe-signature"])
        status = self.statuses.pop(0) if self.statuses else 200
        writer.write(
            f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[Receiver]:
    taken = Receiver(statuses=list(statuses))
    server = await asyncio.start_server(taken.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    taken.url = f"http://127.0.0.1:{port}/webhook"
    async with server:
        yield taken
