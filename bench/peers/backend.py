"""The backend itself, with nothing before it: what every gateway's latency is added to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.peers.peer import Peer, Stage
from bench.processes import children_of


@asynccontextmanager
async def backend(stage: Stage) -> AsyncIterator[Peer]:
    upstream = stage.upstream
    yield Peer(f"{upstream.url}/hello", {}, children_of(upstream.pid))
