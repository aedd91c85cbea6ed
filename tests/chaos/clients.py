"""
Clients of many keys that call all gateways, whatever happens to them.

Each answer has to be one that a gateway may give while its stores come and go: 200, 502, 503, and
402 where the account is one with scarce credit. Everything else is a violation.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.backend import DEAREST

PATIENCE_S = 60.0
AGAIN_S = 0.15  # after a broken connection or a 503, so that a gateway that starts is not hammered
KINDS = ("/paid", "/paid", "/dear", "/metered", "/metered", "/stream", "leave", "leave later")
MAY_BE_SAID = (200, 502, 503)


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays. `scarce`: there is often less in it than is wanted."""

    number: int
    key: str
    scarce: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client was told."""

    status: int
    body: bytes = b""


class Broken(Exception):
    """The connection ended before the answer did."""


class Call:
    """One connection to a gateway, for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, url: str) -> "Call":
        """Connect; raises Broken where nobody listens."""
        host, _, port = url.removeprefix("http://").partition(":")
        try:
            return cls(*await asyncio.open_connection(host, int(port)))
        except OSError as error:
            raise Broken(str(error)) from error

    async def get(self, path: str, key: str, gateway: str) -> Answer:
        """Ask and read the whole answer."""
        await self.ask(path, key, gateway)
        try:
            return await self._answer()
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Broken(str(error)) from error

    async def ask(self, path: str, key: str, gateway: str) -> None:
        """Send a request and read nothing."""
        head = f"GET {path} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\nx-gateway: {gateway}\r\n\r\n"
        self._writer.write(head.encode())
        try:
            await self._writer.drain()
        except OSError as error:
            raise Broken(str(error)) from error

    def leave(self) -> None:
        """Break the connection, as a client does that loses its network."""
        self._writer.transport.abort()

    async def _answer(self) -> Answer:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        if b"transfer-encoding: chunked" in head:
            body = b""
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                body += await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
            return Answer(status, body)
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        return Answer(status, await self._reader.readexactly(length))


@dataclass
class Crowd:
    """
    All clients, and what they were told.

    address: Of a gateway by its name; another one after it was started again.
    gate: Open while clients may ask; `idle` waits until none does.
    """

    address: Callable[[str], str]
    gateways: list[str]
    accounts: list[Account]
    seed: int
    think_s: float
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    said: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)
    _asking: int = 0

    async def client(self, number: int) -> None:
        """Call until cancelled."""
        chance = random.Random(f"{self.seed} client {number}")
        calls: dict[str, Call] = {}
        try:
            while True:
                await self.gate.wait()
                await self._once(calls, chance)
                await asyncio.sleep(self.think_s * chance.random() * 2)
        finally:
            for gateway in tuple(calls):
                _forget(calls, gateway)

    async def _once(self, calls: dict[str, Call], chance: random.Random) -> None:
        """One request to any gateway, on the connection to it if there is one."""
        gateway = chance.choice(self.gateways)
        self._asking += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                if gateway not in calls:
                    calls[gateway] = await Call.to(self.address(gateway))
                await self._request(calls, gateway, chance)
        except (Broken, TimeoutError):
            self.broken += 1
            _forget(calls, gateway)
            await asyncio.sleep(AGAIN_S)
        finally:
            self._asking -= 1

    async def idle(self, limit_s: float) -> None:
        """Let nobody begin, and wait until everybody has ended."""
        self.gate.clear()
        async with asyncio.timeout(limit_s):
            while self._asking:  # noqa: ASYNC110 - many end it, and it is only looked at before a rest
                await asyncio.sleep(0.02)

    async def _request(self, calls: dict[str, Call], gateway: str, chance: random.Random) -> None:
        kind, account = chance.choice(KINDS), chance.choice(self.accounts)
        call = calls[gateway]
        if kind.startswith("leave"):
            await call.ask(chance.choice(["/stream", "/dear"]), account.key, gateway)
            await asyncio.sleep(chance.random() * (0.3 if kind == "leave later" else 0.005))
            _forget(calls, gateway)
            self.left += 1
            return
        path = kind if kind != "/metered" else f"/metered?units={chance.randint(0, 12)}"
        answer = await call.get(path, account.key, gateway)
        self.said[answer.status] += 1
        if answer.status == 503:
            await asyncio.sleep(AGAIN_S)
        self._look_at(answer, account)

    def _look_at(self, answer: Answer, account: Account) -> None:
        if answer.status not in MAY_BE_SAID and not (answer.status == 402 and account.scarce):
            self.wrong.append(f"account {account.number} was told {answer}")
        elif answer.status >= 400:
            said = json.loads(answer.body)
            if said["charged"] != 0:
                self.wrong.append(f"refused and charged: {said}")
            if answer.status == 402 and said["balance"] >= DEAREST:
                self.wrong.append(f"refused with enough in it: {said}")


def _forget(calls: dict[str, Call], gateway: str) -> None:
    call = calls.pop(gateway, None)
    if call is not None:
        call.leave()
