"""How a program of this folder serves: on a free port, until its standard input ends."""

import asyncio
import sys
from collections.abc import Callable

import uvloop


def serve(protocol: Callable[[], asyncio.Protocol]) -> None:
    uvloop.run(_serve(protocol))


async def _serve(protocol: Callable[[], asyncio.Protocol]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=2_048)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
