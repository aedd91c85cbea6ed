"""One warm gateway for the tests of a file: their customers are their own, so they can share it."""

from collections.abc import AsyncIterator

import pytest

from tests.charging import Stores, charging
from tests.gateway.fast_path.rig import Warm, counted_passages, keep_connections, played_backend

PRICES = """
version: 1
credit_types: { credits: { window: 1000000 } }
upstreams: { api: { url: "{api}", timeout: 20s } }
routes:
  - { path: /ok, upstream: api, price: 1, methods: [GET, POST] }
  - { path: /ten, upstream: api, price: 10, methods: [GET, POST, PUT] }
  - { path: /late, upstream: api, price: 3, timeout: 1s }
  - { path: /dear, upstream: api, price: 5000 }
  - path: /chat
    methods: [POST]
    upstream: api
    price: { hold: 50, settle: { response: /total, cost: 1 } }
"""


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: the workers' is uvloop, whose transports behave differently at the ends."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def warm(shared: Warm) -> Warm:
    """The shared gateway, with nothing played and counted yet."""
    await shared.gateway.quiet()
    shared.forget()
    return shared


@pytest.fixture(scope="module")
async def shared(shared_stores: Stores, request: pytest.FixtureRequest) -> AsyncIterator[Warm]:
    prices = getattr(request.module, "PRICES", PRICES)
    with counted_passages() as passages:
        async with (
            played_backend() as backend,
            charging(shared_stores, prices, upstream=backend.url) as gateway,
        ):
            keep_connections(gateway)
            yield Warm(gateway, backend, passages)
