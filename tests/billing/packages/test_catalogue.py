"""billing/packages/catalogue.py: packages from three sources, each changed by its own."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from billing.errors import NoSuchObject, StateConflict
from billing.packages import catalogue
from billing.packages.offers import Offer
from config import PriceList, load_price_list
from ledger import audit
from ledger.database import Connection, Database

pytestmark = pytest.mark.anyio

PRICES = load_price_list(
    """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "http://127.0.0.1:9000" } }
routes: [{ path: "/*", upstream: api, price: 1 }]
packages:
  business: { name: Business, credits: 1000, price: { usd: 8000 }, sort: 2 }
  starter: { name: Starter, credits: 100, price: { usd: 1000, eur: 950 }, sort: 1 }
  hidden: { name: Hidden, credits: 5, price: { usd: 1 }, active: false }
  minutes: { name: Minutes, credits: 12.50, credit_type: calling, price: { usd: 500 }, expires: 30d, sort: 3, adjustable_quantity: true }
""",
    environ={},
)
OURS = Offer(
    name="summer", title="Summer", credit_type="credits", credits=70, scale=0,
    prices={"usd": 500}, source="admin", sort=0,
)  # fmt: skip


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    database = await Database.connect(database_url, most=1)
    async with database.connection() as connection:
        yield connection
    await database.close()


async def names(connection: Connection, prices: PriceList = PRICES) -> list[str]:
    return [offer.name for offer in await catalogue.for_sale(connection, prices, livemode=None)]


async def mirrored(connection: Connection, offer: Offer, *, livemode: bool = False) -> None:
    await connection.execute(
        "INSERT INTO billing.packages (name, source, livemode, stripe_product, definition)"
        " VALUES ($1, 'stripe', $2, 'prod_' || $1, $3)",
        offer.name, livemode, offer.to_json(),
    )  # fmt: skip


async def test_active_packages_are_listed_in_the_operators_order(connection: Connection) -> None:
    assert await names(connection) == ["starter", "business", "minutes"]


async def test_credits_are_smallest_units_of_their_type(connection: Connection) -> None:
    minutes = (await catalogue.for_sale(connection, PRICES, livemode=None))[-1]

    assert (minutes.credits, minutes.scale, minutes.credit_type) == (1250, 2, "calling")
    assert minutes.expires_ms == 30 * 24 * 3600 * 1000
    assert (minutes.least_quantity, minutes.most_quantity, minutes.adjustable) == (1, 99, True)


async def test_an_admins_package_is_sold_beside_the_files(connection: Connection) -> None:
    await catalogue.create(connection, PRICES, OURS, active=True, actor="ann")

    assert await names(connection) == ["summer", "starter", "business", "minutes"]
    assert [row.action for row in await audit.rows(connection, actor="ann")] == ["package.create"]


@pytest.mark.parametrize("name", ["starter", "summer"])
async def test_a_name_is_used_once(connection: Connection, name: str) -> None:
    await catalogue.create(connection, PRICES, OURS, active=True, actor="ann")

    with pytest.raises(StateConflict, match="choose another name"):
        await catalogue.create(
            connection, PRICES, replace(OURS, name=name), active=True, actor="ann"
        )


async def test_a_name_that_the_file_takes_later_is_sold_by_neither(connection: Connection) -> None:
    await catalogue.create(connection, PRICES, OURS, active=True, actor="ann")
    summer = replace(PRICES.packages["starter"], id="summer")
    later = replace(PRICES, packages={**PRICES.packages, "summer": summer})

    assert "summer" not in await names(connection, later)
    (shelf,) = [
        shelf
        for shelf in await catalogue.shelves(connection, later, livemode=None)
        if shelf.offer.name == "summer"
    ]
    assert shelf.problem == "the price file and admin both have a package summer"


async def test_a_changed_package_has_a_new_version(connection: Connection) -> None:
    await catalogue.create(connection, PRICES, OURS, active=True, actor="ann")

    for _ in range(2):
        await catalogue.change(connection, replace(OURS, credits=80), active=True, actor="ann")

    offer, active = await catalogue.defined(connection, "summer")
    assert (offer.credits, offer.version, active) == (80, 2, True)


async def test_only_the_source_changes_a_package(connection: Connection) -> None:
    await mirrored(connection, replace(OURS, name="plus", source="stripe"))

    with pytest.raises(StateConflict, match="defined at Stripe"):
        await catalogue.change(connection, replace(OURS, name="plus"), active=True, actor="ann")
    with pytest.raises(NoSuchObject, match="price file"):
        await catalogue.change(connection, replace(OURS, name="starter"), active=True, actor="ann")


async def test_packages_of_any_source_are_hidden_and_sorted(connection: Connection) -> None:
    for name, hidden, sort in (("starter", True, None), ("minutes", None, 1)):
        await catalogue.display(connection, PRICES, name, hidden=hidden, sort=sort, actor="ann")

    assert await names(connection) == ["minutes", "business"]
    await catalogue.display(connection, PRICES, "starter", hidden=False, sort=None, actor="ann")
    assert await names(connection) == ["starter", "minutes", "business"]
    with pytest.raises(NoSuchObject):
        await catalogue.display(connection, PRICES, "none", hidden=True, sort=None, actor="ann")


async def test_packages_of_the_other_mode_are_not_for_sale(connection: Connection) -> None:
    await mirrored(connection, replace(OURS, name="plus", source="stripe"), livemode=True)

    for livemode, seen in ((None, False), (False, False), (True, True)):
        offers = await catalogue.for_sale(connection, PRICES, livemode=livemode)
        assert ("plus" in [offer.name for offer in offers]) is seen


async def test_a_package_whose_credit_type_is_gone_is_not_sold(connection: Connection) -> None:
    gone = replace(OURS, credit_type="gems")
    await catalogue.create(connection, PRICES, gone, active=True, actor="ann")

    assert "summer" not in await names(connection)


def test_an_offer_is_read_back_as_it_was_written() -> None:
    offer = replace(OURS, feature_flags=("fast",), trial_days=7, metadata={"a": "b"})

    assert Offer.from_json(offer.to_json()) == offer
