"""An embedded Valkey (or Redis): append-only file on, nothing evicted, Unix socket only."""

import shutil
import signal
import socket
from pathlib import Path

from gateway.stores.binaries import find_redis
from gateway.stores.process import StoreFailed, StoreProcess, socket_folder


class EmbeddedRedis:
    """A server of our own in one folder. Data stay there between runs."""

    def __init__(
        self,
        folder: Path,
        *,
        program: Path | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        """
        Say where it lives; nothing is started yet.

        Args:
            folder: Made when absent; holds the append-only file and `redis.log`.
            program: The server; found when not given.
            settings: Server settings over the defaults (redis.conf names).

        """
        self._folder = folder
        self._program = program
        self._settings = settings or {}
        self._sockets: Path | None = None
        self._process = StoreProcess("Valkey", folder / "redis.log", stop_signal=signal.SIGTERM)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server is there."""
        return self._process.running

    @property
    def url(self) -> str:
        """The address of the running server."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """
        Start the server on what its folder holds, and wait until it has loaded it.

        Raises:
            StoreMissing: Neither Valkey nor Redis is installed.
            StoreFailed: It did not start; the sentence says why.

        """
        program = self._program or find_redis()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sockets = self._sockets or socket_folder(None)
        command = [str(program)]
        for name, value in {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder.resolve()),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            **self._settings,
        }.items():
            command += [f"--{name}", value]
        self._process.start(command, user=None, ready=self._answers)

    def stop(self) -> None:
        """End the server in order; its data stay. Harmless when it does not run."""
        self._process.stop()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def kill(self) -> None:
        """End the server as a crash would; `start` brings it back under the same address."""
        self._process.kill()

    @property
    def _socket(self) -> Path:
        if self._sockets is None:
            raise StoreFailed("Valkey is not running")
        return self._sockets / "redis.sock"

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self._socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
            except OSError:
                return False
