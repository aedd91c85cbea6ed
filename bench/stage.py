"""What the peers of a run share: the backend, and a Redis for those that bring none."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.peers import Stage
from bench.upstream import upstream
from gateway.stores import EmbeddedRedis


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as name:
        folder = Path(name)
        server = EmbeddedRedis(folder / "redis")  # append-only file as ours: the same durability
        server.start()
        try:
            async with upstream(folder / "upstream") as backend:
                socket = Path(server.url.removeprefix("unix://"))
                yield Stage(folder, backend, socket)
        finally:
            server.stop()
