"""httpbin behind the gateway is httpbin: see tests/transparency.py for what is compared."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import transparency
from tests.httpbin_server import httpbin_server
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
    with httpbin_server(folder) as url:
        yield url


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
