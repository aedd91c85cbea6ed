"""uvicorn with the least application: the gate where there is no nginx."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.peers.asgi import uvicorn
from bench.peers.peer import Peer, Stage


@asynccontextmanager
async def hello(_stage: Stage) -> AsyncIterator[Peer]:
    async with uvicorn("bench.peers.hello_app:app", {}) as (port, pid):
        yield Peer(f"http://127.0.0.1:{port}/hello", {}, [pid])
