"""The admin listener over a real socket, and somebody who looks at its pages."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.charging import Stores
from tests.control import ROOT_TOKEN, Control, control
from tests.gateway.pages.admin.looking import Looking
from tests.gateway.serving import serving
from tests.selling import Market, selling


@pytest.fixture(scope="module")
async def market(shared_stores: Stores) -> AsyncIterator[Market]:
    """A gateway that sells, for the tests of one file."""
    async with selling(shared_stores) as running:
        yield running


@pytest.fixture(scope="module")
async def admin_url(market: Market) -> AsyncIterator[str]:
    async with serving(market.control.admin_app) as url:
        yield url


@pytest.fixture
async def stranger(admin_url: str) -> AsyncIterator[Looking]:
    """Who has not signed in."""
    async with httpx.AsyncClient(base_url=admin_url, timeout=30) as client:
        yield Looking(client)


@pytest.fixture
async def root(stranger: Looking) -> Looking:
    """Who has, as root."""
    answer = await stranger.sign_in(ROOT_TOKEN)
    assert answer.status_code == 303, answer.text
    return stranger


@pytest.fixture
async def alone(
    database_url: str, redis_url: str, namespace: str
) -> AsyncIterator[tuple[Control, Looking]]:
    """A gateway of one test's own, which sells nothing, and root at its pages."""
    async with (
        control(Stores(database_url, redis_url, namespace)) as running,
        serving(running.admin_app) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        looking = Looking(client)
        await looking.sign_in(ROOT_TOKEN)
        yield running, looking
