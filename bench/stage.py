"""What the peers of a row share: the backend, and a Redis for those that bring none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme

from bench.peers import Stage
from bench.upstream import upstream
from gateway.stores import EmbeddedRedis


@asynccontextmanager
async def stage(folder: Path, authority: trustme.CA | None = None) -> AsyncIterator[Stage]:
    """Run them below a folder of the row's own."""
    server = EmbeddedRedis(folder / "redis")  # append-only file as ours: the same durability
    server.start()
    try:
        async with upstream(folder / "upstream", authority) as backend:
            socket = Path(server.url.removeprefix("unix://"))
            yield Stage(folder, backend, socket)
    finally:
        server.stop()
