"""
A whole gateway that is attacked over raw sockets, and what must be true after each attack.

    async with target.unharmed():
        reply = await target.say(b"POST /costly HTTP/1.1\\r\\n...")
    target.refused(reply, 400, "bad-length", closed=True)
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.attacks.echo import Echo, Seen, echoing
from tests.charging import Charging, Customer, Stores, charging

CREDITS = 1_000
TOKEN = "Bearer a-token-that-only-the-backend-may-see"

PRICES = """
version: 1
credit_types: { credits: { scale: 0 } }
upstreams:
  api: { url: "{api}", timeout: 5s, headers: { authorization: "{token}" } }
routes:
  - { path: /cheap, methods: [GET, POST], upstream: api, price: 1, name: cheap, max_body: 1000 }
  - { path: /costly, methods: [GET, POST], upstream: api, price: 50, name: costly, max_body: 1000 }
  - { path: "/items/{id}", methods: [GET], upstream: api, price: 3, name: items }
  - { path: "/files/*", methods: [GET, PUT], upstream: api, price: 5, name: files }
  - { path: /files/secret, methods: [GET], upstream: api, price: 40, name: secret }
  - { path: "/blobs/{id}", methods: [GET], upstream: api, price: 4, name: blobs, encoded_slash: allow }
  - { path: /deleted, methods: [POST], upstream: api, price: 2, name: post }
  - { path: /deleted, methods: [DELETE], upstream: api, price: 20, name: delete }
  - path: /models
    methods: [GET]
    upstream: api
    name: models
    price: { per: [{ query: n, unit: 1, cost: 1 }], max: 50 }
  - path: /pages
    methods: [GET]
    upstream: api
    name: pages
    price: { per: [{ header: x-pages, unit: 1, cost: 1 }], max: 50 }
  - path: /search
    methods: [POST]
    upstream: api
    name: search
    max_body: 20000
    price: { flat: 1, per: [{ body: /limit, unit: 1, cost: 1 }], max: 50 }
  - path: /upload
    methods: [POST, PUT]
    upstream: api
    name: upload
    price: { per: [{ request_bytes: true, unit: 1, cost: 1 }], max: 500 }
    max_body: 500
  - path: /chat
    methods: [GET]
    upstream: api
    name: chat
    price: { hold: 60, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 30 }
  - { path: /hang, methods: [GET, POST], upstream: api, price: 2, name: hang }
  - { path: /free, methods: [GET], upstream: api, price: 0, name: free }
""".replace("{token}", TOKEN)


@dataclass
class Reply:
    """One answer, as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    kept: bool
    raw: bytes

    def value(self, name: str) -> str:
        return next((value for each, value in self.headers if each == name), "")


@dataclass
class Target:
    """The gateway, the backend behind it, and who pays."""

    gateway: Charging
    echo: Echo
    customer: Customer
    heard: list[bytes] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        """The header line with the customer's key."""
        return b"x-api-key: %b\r\n" % self.customer.secret.encode()

    def request(
        self, path: bytes = b"/costly", *lines: bytes, method: bytes = b"GET", body: bytes = b""
    ) -> bytes:
        """A request that is valid but for what a test makes of it."""
        head = b"%b %b HTTP/1.1\r\nhost: api.example\r\n" % (method, path) + self.key
        return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body

    async def say(self, data: bytes) -> Reply:
        """Send bytes, read one answer, and see whether the connection goes on after it."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            reply = await read_reply(reader, bodiless=data.startswith(b"HEAD "))
            reply.kept = await goes_on(reader, writer)
            self.heard.append(reply.raw)
            return reply
        finally:
            writer.transport.abort()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.gateway.url.removeprefix("http://").split(":")
        return await asyncio.open_connection(host, int(port))

    async def available(self) -> int:
        """What is left, once all is settled: what is held is not in it."""
        await self.gateway.quiet()
        await self.gateway.settled()
        return await self.gateway.available(self.customer)

    @asynccontextmanager
    async def charged(self, amount: int, *, forwarded: int = 1) -> AsyncIterator[list[Seen]]:
        """The block costs so much, and so many requests reach the backend; gives them at its end."""
        before, place = await self.available(), len(self.echo.seen)
        seen: list[Seen] = []
        yield seen
        assert before - await self.available() == amount
        seen += self.echo.seen[place:]
        assert len(seen) == forwarded
        assert self.echo.broken == []
        await self.tells_nothing()

    def unharmed(self) -> "asynccontextmanager[list[Seen]]":  # type: ignore[valid-type]
        """The block costs nothing and nothing reaches the backend."""
        return self.charged(0, forwarded=0)

    async def tells_nothing(self) -> None:
        """No secret is in any answer or line of the log so far."""
        lines = await self.gateway.logged()
        said = b"".join(self.heard) + json.dumps(lines).encode()
        assert self.customer.secret.encode() not in said
        assert TOKEN.encode() not in said
        self.heard.clear()

    async def refused(
        self, reply: Reply, status: int, name: str = "", *, closed: bool | None = None
    ) -> None:
        """It was told so in our own words, and the log has the line."""
        assert reply.status == status, reply.raw
        problem = json.loads(reply.body)
        assert problem["charged"] == 0
        assert reply.value("farebox-cost") == "0"
        assert problem["type"].startswith("/farebox/problems/")
        if name:
            assert problem["type"].removeprefix("/farebox/problems/") == name
        assert problem["instance"] == reply.value("farebox-request-id")
        if closed is not None:
            assert reply.kept is not closed
        line = await self.line(problem["instance"])
        assert (line["status"], line["captured"]) == (status, 0)

    async def line(self, request_id: str) -> dict[str, Any]:
        """The log's one line on a request; it is written in a thread, a moment later."""
        async with asyncio.timeout(20):
            while True:
                lines = [one for one in await self.gateway.logged() if one["id"] == request_id]
                if lines:
                    (line,) = lines
                    return line
                await asyncio.sleep(0.005)


async def read_reply(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Reply:
    """Read one final answer with a known length."""
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 1"):
            head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        headers = [
            (name.lower(), value)
            for name, _, value in (line.partition(": ") for line in lines)
        ]  # fmt: skip
        length = int(next((value for name, value in headers if name == "content-length"), 0))
        body = b"" if bodiless else await reader.readexactly(length)
    return Reply(int(first.split(" ")[1]), headers, body, kept=False, raw=head + body)


async def goes_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether another request is answered on this connection."""
    try:
        async with asyncio.timeout(20):
            writer.write(b"GET /farebox/livez HTTP/1.1\r\nhost: a\r\n\r\n")
            return (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    except (asyncio.IncompleteReadError, ConnectionError):
        return False


@asynccontextmanager
async def attacked(
    stores: Stores, prices: str = PRICES, **settings: object
) -> AsyncIterator[Target]:
    """Run a gateway with an echo behind it, and make a customer with credits."""
    async with (
        echoing() as echo,
        charging(stores, prices, upstream=echo.url, **settings) as gateway,
    ):
        yield Target(gateway, echo, await gateway.customer(credits=CREDITS))
