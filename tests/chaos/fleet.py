"""
The processes of a chaos run: a Postgres, a Valkey or Redis, and gateways before them.

Every gateway is a whole `farebox serve`: parent, steward and workers, with a proxy of its own
before each store. What is started here ends with this process, even if that is killed.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gateway.stores import EmbeddedPostgres, EmbeddedRedis
from gateway.stores.process import LAUNCHER
from tests.chaos.backend import PRICES
from tests.chaos.tcp_proxy import COMMIT, SCRIPT, TcpProxy, proxy
from tests.served import FAREBOX, Served, farebox, log_of, until_running

WINDOW = 600
"""Units that Redis may be ahead of Postgres: what the loss of both Redis and gateways may cost."""

LIFETIME_S = 10  # the shortest there is
END_LIMIT_S = 90


@dataclass(eq=False)
class Gateway:
    """One `farebox serve`, behind proxies to both stores."""

    name: str
    folder: Path
    workers: int
    redis: TcpProxy
    postgres: TcpProxy
    backend: str
    served: Served | None = None
    told_to_end: bool = False

    @property
    def url(self) -> str:
        """Where it listens; where it listened, while it is down."""
        assert self.served is not None
        return self.served.url

    @property
    def proxies(self) -> tuple[TcpProxy, TcpProxy]:
        return self.redis, self.postgres

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "farebox.yaml").write_text(
            PRICES.format(window=WINDOW, lifetime_s=LIFETIME_S)
        )
        variables = {
            "BACKEND": self.backend,
            "FAREBOX_REDIS_URL": f"redis://127.0.0.1:{self.redis.port}",
            "FAREBOX_POSTGRES_URL": f"postgresql://farebox@127.0.0.1:{self.postgres.port}/farebox",
        }
        serve = ["serve", "--port", "0", "--admin-port", "0", "--workers", str(self.workers)]
        with log_of(self.folder).open("ab") as log:
            process = subprocess.Popen(  # noqa: ASYNC220 - brief
                # The launcher sees to it that it ends when we are killed.
                [*(sys.executable, "-I", "-S", str(LAUNCHER), str(int(signal.SIGTERM)), "-", "--"),
                 *FAREBOX, *serve],
                cwd=self.folder,
                env={**_clean_environment(), "FAREBOX_DATA": str(self.folder / "data"), **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )  # fmt: skip
        self.told_to_end = False
        try:
            self.served = await asyncio.to_thread(until_running, process, self.folder, variables)
        except BaseException:
            process.kill()
            process.wait()
            raise

    async def pids(self, role: str) -> list[int]:
        """Processes by role: parent, worker, steward, or whole."""
        assert self.served is not None
        if role == "parent":
            return [self.served.process.pid]
        children = await asyncio.to_thread(self.served.children)
        if role == "whole":
            return [self.served.process.pid, *children.values()]
        return [pid for name, pid in children.items() if name.startswith(f"gateway.{role}")]

    async def kill(self) -> None:
        """SIGKILL to all of its processes."""
        assert self.served is not None
        send(signal.SIGKILL, await self.pids("whole"))
        await asyncio.to_thread(self.served.process.wait)

    def tell_to_end(self) -> None:
        """SIGTERM, once: a second one means that somebody is in a hurry, and kills."""
        assert self.served is not None
        if not self.told_to_end:
            self.served.process.send_signal(signal.SIGTERM)  # not if it has ended already
        self.told_to_end = True

    async def end(self) -> None:
        """End it in order."""
        assert self.served is not None
        self.tell_to_end()
        await asyncio.to_thread(self.served.process.wait, END_LIMIT_S)


@dataclass
class Fleet:
    """All of it. Addresses here lead to the stores directly, past the proxies."""

    folder: Path
    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    gateways: list[Gateway] = field(default_factory=list)
    paused: set[int] = field(default_factory=set)

    def gateway(self, name: str) -> Gateway:
        return next(one for one in self.gateways if one.name == name)

    @property
    def stores(self) -> dict[str, str]:
        return {"FAREBOX_POSTGRES_URL": self.postgres.url(), "FAREBOX_REDIS_URL": self.redis.url}

    def pause(self, pids: Iterable[int]) -> None:
        self.paused.update(send(signal.SIGSTOP, pids))

    def go_on(self, pids: Iterable[int]) -> None:
        pids = list(pids)
        send(signal.SIGCONT, pids)
        self.paused.difference_update(pids)

    async def postgres_pids(self) -> list[int]:
        """The server first, so that it makes no other while its children are told."""
        listed = await asyncio.to_thread(
            subprocess.run, ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True
        )
        pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()]
        server = self.postgres.pid
        return [server, *(pid for pid, parent in pairs if parent == server)]

    def lose_tail(self, lost_bytes: int) -> None:
        """Lose the end of the append-only file of a Redis that is down, as a power failure does."""
        parts = sorted((self.folder / "redis" / "appendonlydir").glob("*.incr.aof"))
        with parts[-1].open("r+b") as file:
            file.truncate(max(parts[-1].stat().st_size - lost_bytes, 0))

    async def audit(self, name: str) -> str:
        """Run `farebox verify` or `farebox reconcile`; what it found, empty if nothing."""
        done = await asyncio.to_thread(farebox, name, folder=self.folder, variables=self.stores)
        return "" if done.returncode == 0 else f"{name}: {done.stdout}{done.stderr}"


def send(number: signal.Signals, pids: Iterable[int]) -> list[int]:
    """Send a signal to those that are still there."""
    reached = []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            reached.append(pid)
    return reached


@asynccontextmanager
async def fleet(folder: Path, backend: str, gateways: int) -> AsyncIterator[Fleet]:
    """Start stores and gateways; the first gateway has two workers."""
    all_of_it = Fleet(
        folder, EmbeddedPostgres(folder / "postgres"), EmbeddedRedis(folder / "redis")
    )
    async with AsyncExitStack() as undo:
        for store in (all_of_it.postgres, all_of_it.redis):
            undo.callback(store.stop)
            await asyncio.to_thread(store.start)
        migrated = await asyncio.to_thread(
            farebox, "migrate", folder=folder, variables=all_of_it.stores
        )
        assert migrated.returncode == 0, migrated.stderr
        redis = all_of_it.redis.url.removeprefix("unix://")
        postgres = f"{urlsplit(all_of_it.postgres.url()).query.split('&')[0][5:]}/.s.PGSQL.5432"
        for number in range(1, gateways + 1):
            one = Gateway(
                f"g{number}",
                folder / f"g{number}",
                2 if number == 1 else 1,
                await undo.enter_async_context(proxy(redis, SCRIPT)),
                await undo.enter_async_context(proxy(postgres, COMMIT)),
                backend,
            )
            all_of_it.gateways.append(one)
        undo.push_async_callback(_end_all, all_of_it)
        await asyncio.gather(*(one.start() for one in all_of_it.gateways))
        yield all_of_it


async def _end_all(all_of_it: Fleet) -> None:
    """End the gateways: in order if they can, by force if not; the stores are there meanwhile."""
    all_of_it.go_on(tuple(all_of_it.paused))
    running = [one for one in all_of_it.gateways if one.served is not None]
    for one in running:
        for between in one.proxies:
            between.heal()
    for store in (all_of_it.postgres, all_of_it.redis):
        if not store.running:
            await asyncio.to_thread(store.start)
    ended = await asyncio.gather(*(one.end() for one in running), return_exceptions=True)
    for one, how in zip(running, ended, strict=True):
        if isinstance(how, BaseException):
            await one.kill()


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
