"""Starlette, redis-py and httpx: the first version anyone writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis

from bench.peers.asgi import uvicorn
from bench.peers.nginx import PLENTY, install
from bench.peers.peer import Peer, Stage


@asynccontextmanager
async def simple(stage: Stage) -> AsyncIterator[Peer]:
    variables = {"BENCH_REDIS": str(stage.redis_socket), "BENCH_UPSTREAM": stage.upstream.url}
    with redis.Redis(unix_socket_path=str(stage.redis_socket)) as client:
        install(client, "simple")
        async with uvicorn("bench.peers.simple_app:app", variables) as (port, pid):
            yield Peer(
                f"http://127.0.0.1:{port}/hello",
                {"X-Api-Key": "simple"},
                [pid],
                charged=lambda: PLENTY - int(client.hget("{b}balances", "simple") or 0),
            )
