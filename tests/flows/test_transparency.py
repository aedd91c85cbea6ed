"""httpbin behind the gateway is httpbin: see tests/transparency.py for what is compared."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import transparency
from tests.served import funded, serving

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstream_client: CLIENT
upstreams: { api: { url: "${BACKEND}" } }
routes:
  - { path: /, upstream: api, price: 1 }
  - { path: "/*", upstream: api, price: 1 }
"""


@pytest.fixture
def httpbin(folder: Path) -> Iterator[str]:
    """The address of an httpbin under gunicorn's threads."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        (folder / "httpbin.log").open("wb") as log,
    ):
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--threads", "8"),
                *("--bind", f"fd://{listening.fileno()}", "httpbin:app"),
            ],
            pass_fds=[listening.fileno()],
            env={**os.environ, "HOME": str(folder)},  # it keeps a socket in the home directory
            stdout=log,
            stderr=log,
        )
        # What is asked before it is up waits in the socket's queue.
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait()


@pytest.mark.parametrize("client", ["own", "httpx"])
async def test_nothing_of_httpbin_differs_through_the_gateway(
    folder: Path, httpbin: str, client: str
) -> None:
    prices = PRICES.replace("CLIENT", client)
    async with serving(folder, prices, variables={"BACKEND": httpbin}) as served:
        key = (await funded(served, 10_000))["X-Api-Key"]

        asked, differences = await asyncio.to_thread(transparency.compare, httpbin, served.url, key)

    assert asked > 400
    assert differences == []
