"""An embedded Postgres: its own initdb and start, reached through a Unix socket only."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from gateway.stores.binaries import find_postgres
from gateway.stores.process import (
    LAUNCHER,
    POLL_S,
    StoreFailed,
    StoreProcess,
    socket_folder,
    unprivileged_user,
)

USER = "farebox"
PORT = 5432  # only part of the socket's name: nothing listens on TCP

INIT_LIMIT_S = 120
"""initdb writes some 40 MB; this is for the slowest disk we met, times ten."""


UNCOLLECTED_LIMIT_S = 10
"""Longer than an init takes to collect a dead process; it may also be another one's number now."""


class EmbeddedPostgres:
    """A Postgres server of our own in one folder. Data stay there between runs."""

    def __init__(
        self,
        folder: Path,
        *,
        programs: Path | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        """
        Say where it lives; nothing is started yet.

        Args:
            folder: Made when absent; holds `data/` and `postgres.log`.
            programs: The folder of `initdb` and `postgres`; found when not given.
            settings: Server settings over the defaults (postgresql.conf names).

        """
        self._folder = folder
        self._programs = programs
        self._settings = settings or {}
        self._sockets: Path | None = None
        self._process = StoreProcess("Postgres", folder / "postgres.log", stop_signal=signal.SIGINT)

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server is there."""
        return self._process.running

    def url(self, database: str = USER) -> str:
        """Return the address of `database` on the running server."""
        if self._sockets is None:
            raise StoreFailed("Postgres is not running")
        return f"postgresql://{USER}@/{database}?host={self._sockets}&port={PORT}"

    def start(self) -> None:
        """
        Start the server, making its data folder first when there is none.

        Raises:
            StoreMissing: No Postgres is installed.
            StoreFailed: It did not start; the sentence says why.

        """
        programs = self._programs or find_postgres()
        user = unprivileged_user()
        self._folder.mkdir(parents=True, exist_ok=True)
        data = self._folder.resolve() / "data"
        if not (data / "PG_VERSION").exists():
            self._initialise(programs, data, user)
        self._sockets = self._sockets or socket_folder(user)
        command = [str(programs / "postgres"), "-D", str(data), "-k", str(self._sockets)]
        for name, value in {
            "listen_addresses": "",
            "port": str(PORT),
            "shared_buffers": "64MB",
            "max_connections": "100",
            "unix_socket_permissions": "0700" if user is None else "0777",
            **self._settings,
        }.items():
            command += ["-c", f"{name}={value}"]
        _wait_for_the_last(data / "postmaster.pid")
        self._process.start(command, user=user, ready=self._answers)
        if not self._has_database(programs):
            self._create_database(programs)

    def stop(self) -> None:
        """End the server in order; its data stay. Harmless when it does not run."""
        self._process.stop()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def kill(self) -> None:
        """End the server as a crash would; `start` brings it back under the same address."""
        self._process.kill()

    def _initialise(self, programs: Path, data: Path, user: str | None) -> None:
        """Make the data folder beside its final place, so that a broken start leaves none."""
        draft = data.with_name("data.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if user is not None:
            entry = pwd.getpwnam(user)
            os.chown(draft, entry.pw_uid, entry.pw_gid)
        command = [str(programs / "initdb"), "-D", str(draft), "-U", USER]
        command += ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        finished = self._run(command, user)
        if finished.returncode != 0:
            words = finished.stdout.decode(errors="replace").strip().splitlines()[-3:]
            raise StoreFailed(f"initdb failed: {' | '.join(words)}")
        draft.rename(data)

    def _answers(self) -> bool:
        """Return whether the server takes connections: it greets an SSLRequest with N."""
        path = f"{self._sockets}/.s.PGSQL.{PORT}"
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(path)
                probe.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
                if probe.recv(1) != b"N":
                    return False
            except OSError:
                return False
        # It listens before recovery is over; the state file says when it is.
        status = (self._folder / "data" / "postmaster.pid").read_text().splitlines()
        return status[-1].strip() == "ready"

    def _has_database(self, programs: Path) -> bool:
        question = f"SELECT 1 FROM pg_database WHERE datname = '{USER}'"  # noqa: S608 - a constant
        found = self._run([str(programs / "psql"), self.url("postgres"), "-AXtc", question], None)
        return found.stdout.strip() == b"1"

    def _create_database(self, programs: Path) -> None:
        made = self._run(
            [str(programs / "psql"), self.url("postgres"), "-AXqc", f"CREATE DATABASE {USER}"], None
        )
        if made.returncode != 0:
            raise StoreFailed(f"no database could be made: {made.stdout.decode().strip()}")

    def _run(self, command: list[str], user: str | None) -> subprocess.CompletedProcess[bytes]:
        if user is not None:
            launch = [sys.executable, "-I", "-S", str(LAUNCHER)]
            command = [*launch, "0", user, "--", *command]
        return subprocess.run(  # noqa: S603 - our own command, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=INIT_LIMIT_S,
            check=False,
        )


def _wait_for_the_last(noted: Path) -> None:
    """Wait until no process has the number of the last server: Postgres would not start."""
    limit = time.monotonic() + UNCOLLECTED_LIMIT_S
    while time.monotonic() < limit:
        try:
            os.kill(int(noted.read_text().split()[0]), 0)
        except (FileNotFoundError, IndexError, ValueError, ProcessLookupError, PermissionError):
            return
        time.sleep(POLL_S)
