"""Both upstream clients, each as a fixture."""

from collections.abc import AsyncIterator, Callable

import pytest

from gateway.upstream import H1Client, UpstreamClient, UpstreamLimits
from gateway.upstream.httpx_client import HttpxClient

CLIENTS: dict[str, Callable[[UpstreamLimits], UpstreamClient]] = {
    "own": H1Client,
    "httpx": HttpxClient,
}


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: the workers' is uvloop, whose transports behave differently at the ends."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def limits() -> UpstreamLimits:
    """The usual limits, looked at often enough for tests to be quick."""
    return UpstreamLimits(sweep_ms=20)


@pytest.fixture(params=CLIENTS)
async def client(
    request: pytest.FixtureRequest, limits: UpstreamLimits
) -> AsyncIterator[UpstreamClient]:
    """Each client in turn."""
    client = CLIENTS[request.param](limits)
    yield client
    await client.aclose()


@pytest.fixture
async def own(limits: UpstreamLimits) -> AsyncIterator[H1Client]:
    """The client in use."""
    client = H1Client(limits)
    yield client
    await client.aclose()
