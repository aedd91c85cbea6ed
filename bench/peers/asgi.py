"""An ASGI application under uvicorn, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bench.upstream import free_port, listening


@asynccontextmanager
async def uvicorn(app: str, variables: Mapping[str, str]) -> AsyncIterator[tuple[int, int]]:
    """Run it as long as the block runs; gives port and process id."""
    port = free_port()
    options = {"port": str(port), "loop": "uvloop", "http": "httptools", "log-level": "error"}
    command = [sys.executable, "-m", "uvicorn", app, "--no-access-log", "--no-proxy-headers"]
    command += [word for name, value in options.items() for word in (f"--{name}", value)]
    process = subprocess.Popen(command, env={**os.environ, **variables})
    try:
        await listening(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()
