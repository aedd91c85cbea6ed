"""One gateway for the attacks of a file: what they do must not harm it, so they can share it."""

from collections.abc import AsyncIterator

import pytest

from tests.attacks.rig import CREDITS, Target, attacked
from tests.charging import Stores, fresh_stores


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


@pytest.fixture(scope="module")
async def shared(
    postgres_server: str, template_database: str, redis_url: str
) -> AsyncIterator[Target]:
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        attacked(stores) as target,
    ):
        yield target


@pytest.fixture
async def target(shared: Target) -> Target:
    """The shared gateway with a new customer, and nothing seen yet."""
    await shared.gateway.app.flush_log()
    shared.gateway.forget()
    shared.echo.seen.clear()
    shared.echo.gate.clear()
    shared.echo.plays.clear()
    shared.heard.clear()
    shared.customer = await shared.gateway.customer(credits=CREDITS)
    return shared
