"""One gateway that sells for all tests of a file, and a buyer who is signed in for each."""

from collections.abc import AsyncIterator

import pytest

from tests.charging import Stores
from tests.gateway.pages.browsing import Browser, signed_in, stranger
from tests.selling import Buyer, Market, selling


@pytest.fixture(scope="module")
async def market(shared_stores: Stores) -> AsyncIterator[Market]:
    async with selling(shared_stores) as running:
        yield running


@pytest.fixture
async def buyer(market: Market) -> Buyer:
    """With 100 credits, which pages show already."""
    made = await market.buyer(credits=100)
    await market.control.posted()
    return made


@pytest.fixture
async def browser(market: Market, buyer: Buyer) -> AsyncIterator[Browser]:
    """Signed in as `buyer`."""
    async with signed_in(market, buyer) as entered:
        yield entered


@pytest.fixture
async def nobody(market: Market) -> AsyncIterator[Browser]:
    """Not signed in."""
    async with stranger(market) as fresh:
        yield fresh
