"""
What may happen to a Redis that serves, one method each; and doors that lead to one or another.

    faults = Faults(server, folder, chance)
    await faults.older_copy()
"""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from gateway.stores import EmbeddedRedis
from ledger.link import Link, RedisError
from ledger.ports import SystemClock
from tests.ledger.waiting import until

AOF = "appendonlydir"
SLOW_REWRITE_US = "2000"
"""Per key that is written anew, so that a rewrite lasts long enough to be killed in its middle."""

AT_ONCE = {"repl-diskless-sync-delay": "0"}
"""A master that does not wait five seconds for more replicas before it sends its data to one."""

Meanwhile = Callable[[], Awaitable[object]]


@asynccontextmanager
async def linked(server: EmbeddedRedis) -> AsyncIterator[Link]:
    """A connection of the test's own."""
    link = await Link.connect(server.url, clock=SystemClock(), timeout_ms=30_000)
    try:
        yield link
    finally:
        link.close()


async def asked(server: EmbeddedRedis, *words: str | bytes) -> Any:
    """One command on a connection of its own."""
    async with linked(server) as link:
        return await link.call(*words)


async def replication(server: EmbeddedRedis) -> dict[str, str]:
    """What the server says of its role."""
    lines = (await asked(server, "INFO", "replication")).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


async def follow(server: EmbeddedRedis, port: int) -> None:
    """Make the server a replica of what is behind this port, and wait until it has all of it."""
    await asked(server, "REPLICAOF", "127.0.0.1", str(port))

    async def synchronous() -> bool:
        return (await replication(server)).get("master_link_status") == "up"

    await until(synchronous)


class Faults:
    """What may happen to a Redis. `meanwhile` of those that need time: some traffic."""

    def __init__(
        self, server: EmbeddedRedis, folder: Path, chance: random.Random, meanwhile: Meanwhile
    ) -> None:
        self._server = server
        self._folder = folder
        self._chance = chance
        self._meanwhile = meanwhile
        self._copies = 0

    async def kill(self) -> None:
        await asyncio.to_thread(self._server.kill)
        await asyncio.to_thread(self._server.start)

    async def cut(self) -> None:
        """Lose the end of the append-only file, as a power failure does."""
        await asyncio.to_thread(self._server.kill)
        [tail] = (self._folder / AOF).glob("*.incr.aof")
        lost = self._chance.choice([1, 50, 700, 5_000, 60_000])
        with tail.open("r+b") as file:
            file.truncate(max(tail.stat().st_size - lost, 0))
        await asyncio.to_thread(self._server.start)

    async def restart(self) -> None:
        """In order: nothing is lost. (`stop` would also give up the socket's address.)"""
        with suppress(RedisError):
            await asked(self._server, "SHUTDOWN", "NOSAVE")
        await until(lambda: not self._server.running)
        await asyncio.to_thread(self._server.start)

    async def flush(self) -> None:
        await asked(self._server, "FLUSHALL")

    async def flush_database(self) -> None:
        await asked(self._server, "FLUSHDB", "ASYNC")

    async def disk_gone(self) -> None:
        await asyncio.to_thread(self._server.kill)
        shutil.rmtree(self._folder / AOF)
        await asyncio.to_thread(self._server.start)

    async def forget(self) -> None:
        """Scripts, functions, figures and connections; everything but the data."""
        async with linked(self._server) as link:
            await link.call("SCRIPT", "FLUSH")
            await link.call("FUNCTION", "FLUSH")
            await link.call("CONFIG", "RESETSTAT")
            await link.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def forget_scripts(self) -> None:
        """Under connections that stay."""
        await asked(self._server, "SCRIPT", "FLUSH", self._chance.choice(["SYNC", "ASYNC"]))

    async def older_copy(self) -> None:
        """Put back a copy from any moment since the test began, so also of earlier epochs."""
        if self._copies % 2:  # then the copy begins with a snapshot (RDB), not with commands
            await self._rewritten()
        copies = self._folder / "copies"
        shutil.copytree(self._folder / AOF, copies / str(self._copies))
        self._copies += 1
        await self._meanwhile()
        await asyncio.to_thread(self._server.kill)
        shutil.rmtree(self._folder / AOF)
        which = (
            self._copies - 1
            if self._chance.random() < 0.5
            else self._chance.randrange(self._copies)
        )
        shutil.copytree(copies / str(which), self._folder / AOF)
        await asyncio.to_thread(self._server.start)

    async def killed_while_rewriting(self) -> None:
        """At any moment of it, from before the snapshot is begun to after it is in use."""
        async with linked(self._server) as link:
            await link.call("CONFIG", "SET", "rdb-key-save-delay", SLOW_REWRITE_US)
            await link.call("BGREWRITEAOF")
        await asyncio.sleep(self._chance.random() * 0.1)
        await self.kill()

    async def read_only(self) -> None:
        """A replica of nobody for a while: every write is answered READONLY."""
        await asked(self._server, "REPLICAOF", "127.0.0.1", "1")
        await asyncio.sleep(self._chance.random() * 0.3)
        await asked(self._server, "REPLICAOF", "NO", "ONE")

    async def swap_databases(self) -> None:
        """The data of a moment ago, under a live connection and by the same server."""
        async with linked(self._server) as link:
            await link.call("SELECT", "1")
            await link.call("FLUSHDB")
            await link.call("SELECT", "0")
            names = await link.call("KEYS", "*")
            await link.call("MULTI")
            for name in names:
                await link.call("COPY", name, name, "DB", "1")
            await link.call("EXEC")
            await self._meanwhile()
            await link.call("SWAPDB", "0", "1")

    async def restore_keys(self) -> None:
        """Every key of a moment ago, one by one in one transaction."""
        async with linked(self._server) as link:
            names = await link.call("KEYS", "*")
            await link.call("MULTI")
            for name in names:
                await link.call("DUMP", name)
            dumps = await link.call("EXEC")
            await self._meanwhile()
            await link.call("MULTI")
            await link.call("FLUSHDB")
            for name, dump in zip(names, dumps, strict=True):
                if dump is not None:
                    await link.call("RESTORE", name, "0", dump, "REPLACE")
            await link.call("EXEC")

    async def reload_older(self) -> None:
        """A live server loads a snapshot of a moment ago (it must allow DEBUG)."""
        async with linked(self._server) as link:
            await link.call("SAVE")
            await self._meanwhile()
            await link.call("DEBUG", "RELOAD", "NOSAVE")

    async def follow_another_and_back(self) -> None:
        """Become the replica of a server with older data, and master again, while connected."""
        other = EmbeddedRedis(self._folder / f"other{self._copies}", settings=AT_ONCE)
        self._copies += 1
        shutil.copytree(self._folder / AOF, self._folder / f"other{self._copies - 1}" / AOF)
        await self._meanwhile()
        await asyncio.to_thread(other.start)
        try:
            async with Door.to(other) as door:
                await follow(self._server, door.port)
                await asked(self._server, "REPLICAOF", "NO", "ONE")
        finally:
            await asyncio.to_thread(other.stop)

    async def _rewritten(self) -> None:
        await asked(self._server, "BGREWRITEAOF")

        async def done() -> bool:
            told = (await asked(self._server, "INFO", "persistence")).decode()
            return "aof_rewrite_in_progress:0" in told and "aof_rewrite_scheduled:0" in told

        await until(done)


class Door:
    """A TCP address that leads to one server, then to another, or nowhere."""

    def __init__(self) -> None:
        self._leads_to: str | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, server: EmbeddedRedis | None) -> "AsyncIterator[Door]":
        door = cls()
        door.lead(server)
        door._server = await asyncio.start_server(door._serve, "127.0.0.1", 0)
        try:
            yield door
        finally:
            door.lead(None)
            door._server.close()
            await until(lambda: not door._open)

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def lead(self, server: EmbeddedRedis | None) -> None:
        """Cut every connection; new ones go there."""
        self._leads_to = None if server is None else server.url.removeprefix("unix://")
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        leads_to = self._leads_to
        self._open.add(writer)
        try:
            if leads_to is None:
                return
            theirs, to_them = await asyncio.open_unix_connection(leads_to)
            self._open.add(to_them)
            try:
                if leads_to == self._leads_to:
                    await asyncio.gather(_pump(reader, to_them), _pump(theirs, writer))
            finally:
                to_them.transport.abort()
                self._open.discard(to_them)
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._open.discard(writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes one way, until either side has ended; then both have."""
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
