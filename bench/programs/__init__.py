"""
Small servers that the bench runs beside the gateways, each a process of its own.

A program prints the address that it listens on, and ends with its standard input.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

START_LIMIT_S = 20


class Started(NamedTuple):
    url: str
    pid: int


@asynccontextmanager
async def program(module: str, *arguments: str) -> AsyncIterator[Started]:
    """Run `python -m module` for as long as the block runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_LIMIT_S):
            said = (await process.stdout.readline()).decode().strip()
        if not said:
            raise RuntimeError(f"{module} did not start")
        yield Started(said, process.pid)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
