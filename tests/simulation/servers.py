"""
Redis servers and the wires to them: real bytes of the protocol, on a network with a mood.

A gateway's own `Link` speaks at one end. What it sent may be late, even later than its
patience, may never arrive, and may be done without the reply ever coming back.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hiredis

from ledger.records import Meta
from ledger.scripts import Scripts
from tests.simulation.loop import START_S, PlayedLoop, Process, current_process
from tests.simulation.lua import CommandError, Lua
from tests.simulation.store import OK, Store

TICK_S = 1e-6
"""Between two messages on one wire: they arrive in their order."""

_NOTHING = object()
LUA = Lua()


@dataclass
class Mood:
    """How bad the network is; each of these is a chance per message."""

    late: float = 0.0
    very_late: float = 0.0
    lost: float = 0.0
    silent: float = 0.0

    def calm(self) -> None:
        self.late = self.very_late = self.lost = self.silent = 0.0


class Network:
    """Decides how long each message takes and whether it arrives."""

    def __init__(self, loop: PlayedLoop, chance: random.Random) -> None:
        self.loop = loop
        self.chance = chance
        self.mood = Mood()
        self.lost = 0

    def delay_s(self) -> float | None:
        """Seconds until a message arrives; None: the connection breaks instead."""
        chance, mood = self.chance.random, self.mood
        drawn = chance()
        if drawn < mood.lost:
            self.lost += 1
            return None
        if drawn < mood.lost + mood.very_late:
            return 2.0 + 4.0 * chance()
        if drawn < mood.lost + mood.very_late + mood.late:
            return 0.3 * chance()
        return 0.0002 + 0.001 * chance()


class Server:
    """One Redis process: its data set, what it calls itself, and who is connected."""

    def __init__(
        self, name: str, loop: PlayedLoop, scripts: Scripts, chance: random.Random, store: Store
    ) -> None:
        self.name = name
        self.loop = loop
        self.store = store
        self.run_id = f"{chance.getrandbits(64):016x}"
        self.replid = f"{chance.getrandbits(64):016x}"
        self.alive = True
        self.full = False
        self.refusal: str | None = None
        self.skew_ms = 0
        self.wires: list[Wire] = []
        self.watch: Callable[[Server, str, list[bytes], Any, bytes | None], None] | None = None
        self.meta_key = b""
        self._known: set[str] = set()
        self._by_sha = {scripts[name].sha: scripts[name] for name in scripts.names}

    def meta(self) -> Meta | None:
        """What the shard's state says here."""
        raw = self.store.data.get(self.meta_key)
        return Meta.unpack(raw) if isinstance(raw, bytes) else None

    def forget_scripts(self) -> None:
        """Lose the script cache, as a restart does."""
        self._known.clear()

    def execute(self, command: list[bytes]) -> bytes:
        """Run one command and return the bytes of its reply."""
        self.store.now_ms = int((START_S + self.loop.time()) * 1_000) + self.skew_ms
        try:
            if self.refusal is not None:
                raise CommandError(self.refusal)
            return _encode(self._run(command))
        except CommandError as error:
            return b"-%s\r\n" % str(error).encode().replace(b"\n", b" ")
        finally:
            self.store.finish()

    def stop(self) -> None:
        """Die: every connection breaks."""
        self.alive = False
        self.cut_all()

    def cut_all(self) -> None:
        for wire in list(self.wires):
            wire.cut("the server went away")

    def _run(self, command: list[bytes]) -> Any:
        name = command[0].upper()
        if name == b"EVALSHA":
            return self._script(command)
        if name == b"SCRIPT":
            for script in self._by_sha.values():
                if script.text.encode() == command[2]:
                    self._known.add(script.sha)
                    return script.sha.encode()
            raise CommandError("ERR a script that nobody knows")
        if name == b"INFO":
            return (
                f"run_id:{self.run_id}\r\nrole:master\r\nmaster_replid:{self.replid}\r\n".encode()
            )
        return self.store.call(*command)

    def _script(self, command: list[bytes]) -> Any:
        sha, count = command[1].decode(), int(command[2])
        if sha not in self._known:
            raise CommandError("NOSCRIPT No matching script. Please use EVAL.")
        script = self._by_sha[sha]
        if self.full and "allow-oom" not in script.text[:40]:
            raise CommandError("OOM command not allowed when used memory > 'maxmemory'.")
        before = self.store.data.get(self.meta_key)
        args = command[3 + count :]
        reply = LUA.run(script, command[3 : 3 + count], args, self.store.call)
        if self.watch is not None:
            self.watch(self, script.name, args, reply, before if type(before) is bytes else None)
        return reply


class Wire(asyncio.Transport):
    """One connection, as its client holds it."""

    def __init__(self, network: Network, server: Server, process: Process | None) -> None:
        super().__init__()
        self.server = server
        self.process = process
        self.closed = False
        self.silent = False
        self._network = network
        self._loop = network.loop
        self._context = network.loop.world if process is None else process.context
        self._protocol: Any = None
        self._requests = hiredis.Reader(notEnoughData=_NOTHING)
        self._last_out = self._last_in = 0.0
        server.wires.append(self)

    def begin(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        if self.closed or (self.process is not None and self.process.dead):
            return
        delay_s = self._network.delay_s()
        if delay_s is None:
            self.cut("connection reset")
            return
        self._last_out = max(self._last_out + TICK_S, self._loop.time() + delay_s)
        self._loop.later(self._last_out, self._arrive, bytes(data))

    def abort(self) -> None:
        self._end(None)

    def close(self) -> None:
        self._end(None)

    def is_closing(self) -> bool:
        return self.closed

    def cut(self, why: str) -> None:
        """Break the connection; what is on its way to the server may still arrive there."""
        self._end(ConnectionResetError(why))

    def _arrive(self, data: bytes) -> None:
        """Also after the client has given up: what is on its way stays on its way."""
        if not self.server.alive:
            self.cut("connection reset")
            return
        self._requests.feed(data)
        replies = []
        while (command := self._requests.gets()) is not _NOTHING:
            replies.append(self.server.execute(command))
        if self.closed or self.silent:
            return
        if self._network.chance.random() < self._network.mood.silent:
            self.silent = True  # half open: nobody hears of it
            return
        delay_s = self._network.delay_s()
        if delay_s is None:
            self.cut("connection reset")
            return
        self._last_in = max(self._last_in + TICK_S, self._loop.time() + delay_s)
        self._loop.call_at(
            self._last_in, self._deliver, b"".join(replies), context=self._context.copy()
        )

    def _deliver(self, data: bytes) -> None:
        if not self.closed:
            self._protocol.data_received(data)

    def _end(self, error: Exception | None) -> None:
        if self.closed:
            return
        self.closed = True
        if self in self.server.wires:
            self.server.wires.remove(self)
        self._loop.call_soon(self._protocol.connection_lost, error, context=self._context.copy())


class Routes:
    """Which server a process reaches; more than one while two think that they are the master."""

    def __init__(self, network: Network, master: Server) -> None:
        self.network = network
        self.master = master
        self.stale: dict[str, Server] = {}
        network.loop.connector = self._connect

    async def _connect(self, factory: Callable[[], asyncio.Protocol]) -> tuple[Wire, Any]:
        process = current_process()
        delay_s = self.network.delay_s()
        await asyncio.sleep(0.0005 if delay_s is None else delay_s)
        server = self.stale.get(process.name if process else "", self.master)
        if delay_s is None or not server.alive:
            raise ConnectionRefusedError("no server there")
        wire, protocol = Wire(self.network, server, process), factory()
        wire.begin(protocol)
        return wire, protocol


def _encode(value: Any) -> bytes:
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    if value is None:
        return b"$-1\r\n"
    if value is OK:
        return b"+OK\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    return b"*%d\r\n%s" % (len(value), b"".join(map(_encode, value)))
