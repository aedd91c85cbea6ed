"""Farebox that sleeps whenever it waits: what `FAREBOX_BUSY_POLL_US` gives and takes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.peers.farebox import HELLO, gateway, peer, price_file, size_bytes
from bench.peers.peer import Peer, Stage


@asynccontextmanager
async def farebox_asleep(stage: Stage) -> AsyncIterator[Peer]:
    prices, asleep = price_file(stage.upstream.url, HELLO), {"FAREBOX_BUSY_POLL_US": "0"}
    async with gateway(stage.folder / "asleep", prices, asleep) as (served, headers):
        yield peer(served, headers, size_before=await size_bytes(served))
