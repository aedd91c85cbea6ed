"""
What a strict route costs: the same call with and without `strict: true`, in turns, in one run.

    python -m bench.strict                      10 rounds of 2 s at 1 and at 32 connections
    python -m bench.strict --rounds 2 --seconds 1

A gateway of one worker with its own embedded stores, a backend that answers at once, and the
clients share this machine; the ratio means more than the milliseconds.
"""

import argparse
import asyncio
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import redis.asyncio as redis

from tests.served import Served, funded, serving

PRICES = """
version: 1
upstreams: {{ api: {{ url: "{backend}" }} }}
routes:
  - {{ path: /normal, methods: [GET], upstream: api, price: 1 }}
  - {{ path: /strict, methods: [GET], upstream: api, price: 1, strict: true }}
"""
CONNECTIONS = (1, 32)
CREDITS = 1_000_000_000
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@asynccontextmanager
async def answering() -> AsyncIterator[str]:
    """Run a backend that answers every request at once; gives its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.close()


async def calls(url: str, path: str, key: str, *, until: float) -> list[float]:
    """Call on one connection, one request after the other; returns how long each took, in ms."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = f"GET {path} HTTP/1.1\r\nhost: bench\r\nx-api-key: {key}\r\n\r\n".encode()
    took = []
    try:
        while time.monotonic() < until:
            began = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            took.append((time.monotonic() - began) * 1_000)
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{path}: {head.decode()}{body.decode()}")
    finally:
        writer.close()
    return took


async def one_round(
    served: Served, path: str, key: str, connections: int, seconds: float
) -> list[float]:
    until = time.monotonic() + seconds
    lists = await asyncio.gather(
        *(calls(served.url, path, key, until=until) for _ in range(connections))
    )
    return [took for some in lists for took in some]


async def measure(served: Served, rounds: int, seconds: float) -> None:
    key = (await funded(served, CREDITS))["X-Api-Key"]
    for path in ("/normal", "/strict"):
        await one_round(served, path, key, max(CONNECTIONS), 1)  # warm: loaded, connected
    for connections in CONNECTIONS:
        took: dict[str, list[float]] = {"/normal": [], "/strict": []}
        for _ in range(rounds):
            for path in took:
                took[path] += await one_round(served, path, key, connections, seconds)
        usual, strict = (statistics.median(each) for each in took.values())
        per_s = {path: len(each) / rounds / seconds for path, each in took.items()}
        worst = statistics.quantiles(took["/strict"], n=100)[98]
        print(
            f"{connections:>3} connections: {usual:.1f} ms, strict {strict:.1f} ms: "
            f"{strict - usual:.1f} ms more, {strict / usual:.1f} times; p99 of strict {worst:.1f} "
            f"ms; {per_s['/normal']:.0f} and {per_s['/strict']:.0f} calls a second"
        )


async def machine(served: Served) -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    connection = await asyncpg.connect(served.running.postgres_url)
    postgres = await connection.fetchval("SHOW server_version")
    await connection.close()
    async with redis.Redis.from_url(served.running.redis_url) as client:
        info = await client.info("server")
    cache = f"Valkey {info['valkey_version']}" if "valkey_version" in info else "Redis"
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), load {load:.1f}"
        f" before, Python {platform.python_version()}, Postgres {postgres}, {cache}"
    )


async def main(rounds: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as folder:
        async with answering() as backend:
            prices = PRICES.format(backend=backend)
            async with serving(Path(folder), prices, "--workers", "1") as served:
                print(await machine(served))
                await measure(served, rounds, seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.rounds, chosen.seconds))
