"""A whole `farebox serve` as a process of its own, for tests that look at it from outside."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from gateway.data_folder import DataFolder, Running

FAREBOX = [sys.executable, "-P", "-c", "from gateway.cli import main; main()"]

START_LIMIT_S = 120
POLL_S = 0.05
STOP_LIMIT_S = 90


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that answers."""

    process: subprocess.Popen[bytes]
    running: Running
    folder: Path
    variables: Mapping[str, str]

    @property
    def url(self) -> str:
        return self.running.public_url

    @property
    def log(self) -> str:
        """What it said; without the access log's lines."""
        return words_of(self.folder)

    @property
    def admin_headers(self) -> dict[str, str]:
        token, _ = DataFolder(self.folder / "data").admin_token()
        return {"Authorization": f"Bearer {token}"}

    def farebox(self, *arguments: str) -> dict[str, Any]:
        """Run a command beside this gateway; returns its JSON answer."""
        done = farebox(*arguments, "--json", folder=self.folder, variables=self.variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def children(self) -> dict[str, int]:
        """Process ids of the children, by module."""
        found: dict[str, int] = {}
        for pid in children_of(self.process.pid):
            module = _command_line(pid)[-1]
            name = module if module not in found else f"{module} {pid}"
            found[name] = pid
        return found

    def store_pid(self, name: str) -> int:
        """The process of an embedded store: `postgres` or `valkey`, as it says itself."""
        if name == "postgres":
            noted = self.folder / "data" / "postgres" / "data" / "postmaster.pid"
            return int(noted.read_text().split()[0])
        with redis.Redis.from_url(self.running.redis_url) as client:
            return client.info("server")["process_id"]


def farebox(
    *arguments: str, folder: Path, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end, in `folder`, on the data below it."""
    return subprocess.run(
        [*FAREBOX, *arguments],
        cwd=folder,
        env=_environment(folder, variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@asynccontextmanager
async def serving(
    folder: Path, prices: str, *flags: str, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """Run `farebox serve` on free ports for as long as the block runs; data lie below `folder`."""
    process = start(folder, prices, *flags, variables=variables)
    try:
        yield await asyncio.to_thread(until_running, process, folder, variables)
    finally:
        await asyncio.to_thread(stop, process, folder)


def start(
    folder: Path, prices: str, *flags: str, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `farebox serve` on free ports."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "farebox.yaml").write_text(prices)
    with log_of(folder).open("ab") as out:
        return subprocess.Popen(
            [*FAREBOX, "serve", "--port", "0", "--admin-port", "0", *flags],
            cwd=folder,
            env=_environment(folder, variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


def until_running(
    process: subprocess.Popen[bytes], folder: Path, variables: Mapping[str, str] | None = None
) -> Served:
    """Wait until a started `serve` answers; fail with its log when it does not."""
    data = DataFolder(folder / "data")
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        running = data.running()
        if running is not None and running.pid == process.pid:
            return Served(process, running, folder, variables or {})
        if process.poll() is not None:
            break
        time.sleep(POLL_S)
    raise AssertionError(f"serve did not start ({process.returncode}): {words_of(folder)}")


def stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End `serve` in order."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"serve did not stop: {words_of(folder)[-2_000:]}") from None


def log_of(folder: Path) -> Path:
    """Where a `serve` in this folder prints."""
    return folder / "serve.log"


def words_of(folder: Path) -> str:
    """What a `serve` in this folder said, without the access log's lines."""
    lines = log_of(folder).read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("{"))


def _environment(folder: Path, variables: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAREBOX_")}
    return {**kept, "FAREBOX_DATA": str(folder / "data"), **(variables or {})}


def children_of(parent: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return [pid for pid, of in pairs if of == parent]


def _command_line(pid: int) -> list[str]:
    shown = subprocess.run(
        ["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False
    ).stdout
    return shown.split() or [""]


async def command(served: Served, *arguments: str) -> dict[str, Any]:
    """Run a command beside a gateway, without holding up this loop; returns its JSON answer."""
    return await asyncio.to_thread(served.farebox, *arguments)


async def funded(served: Served, amount: int) -> dict[str, str]:
    """Make the account acme with credits and a key; returns the headers of its calls."""
    account = (await command(served, "account", "create", "acme"))["id"]
    await command(served, "grant", account, str(amount))
    key = (await command(served, "key", "create", account))["key"]
    return {"X-Api-Key": key}
