"""Running the stand-in on a socket of this machine."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Generator
from pathlib import Path

import uvicorn

from billing.standin.access import TEST_KEYS
from billing.standin.app import StandInApp
from billing.standin.courier import Courier
from billing.standin.resources import load_all
from billing.standin.world import World

SAVE_EVERY_S = 1.0
SHUTDOWN_WITHIN_S = 1


class StandIn:
    """
    A stand-in that listens from `start` to `close`. Nothing it does moves money.

    Args:
        world: What it plays.
        host: A loopback address; any other is refused with ValueError.
        port: 0 for any free one.
        state: A file that keeps the world between runs; None to forget it.

    """

    def __init__(
        self,
        world: World | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        state: Path | None = None,
    ) -> None:
        self.world = world or World()
        if not self.world.key.startswith(TEST_KEYS):
            raise ValueError("the stand-in only takes test keys (sk_test_... or rk_test_...)")
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the stand-in only listens on this machine, not on {host}")
        load_all()
        self._host, self._port, self._state = host, port, state
        self._saved = -1
        if state is not None and state.exists():
            self.world.load(state)
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._courier: Courier | None = None

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return self.world.base_url

    @property
    def courier(self) -> Courier:
        """Who delivers events; there once it has started."""
        if self._courier is None:
            raise RuntimeError("the stand-in has not started")
        return self._courier

    async def start(self) -> None:
        """Listen, and begin to deliver."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.create_server((self._host, self._port), family=family)
        # asyncio does this by itself only for sockets it made; without it every answer takes 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The same address again when it is started once more.
        self._port = port = self._socket.getsockname()[1]
        host = f"[{self._host}]" if family == socket.AF_INET6 else self._host
        self.world.base_url = f"http://{host}:{port}"
        self._server = _Server(
            uvicorn.Config(
                StandInApp(self.world),
                lifespan="off",
                log_config=None,
                access_log=False,
                ws="none",
                date_header=False,  # its clock is ticked by the loop that is replaced below
                timeout_graceful_shutdown=SHUTDOWN_WITHIN_S,
            )
        )
        self._courier = Courier(self.world)
        self._courier.start()
        self._tasks.append(asyncio.create_task(self._server.serve(sockets=[self._socket])))
        if self._state is not None:
            self._tasks.append(asyncio.create_task(self._save_often()))

    async def close(self) -> None:
        """Stop listening and delivering, and write the state."""
        if self._server is None:
            return
        self._server.stopping.set()
        await self.courier.close()
        await self._tasks[0]
        for task in self._tasks[1:]:
            task.cancel()
        await asyncio.gather(*self._tasks[1:], return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        self._server, self._tasks = None, []
        self._save()

    async def _save_often(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            self._save()

    def _save(self) -> None:
        if self._state is not None and self._saved != self.world.changes:
            self._saved = self.world.changes
            self.world.save(self._state)


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it, and ends as soon as it is told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        await self.stopping.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
