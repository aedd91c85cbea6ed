"""billing/packages/mirror.py: products of Stripe become packages, one way, and are never deleted here."""

from typing import Any

import pytest
import stripe

from billing.packages import catalogue, mirror
from billing.shop import Settled, Shop
from billing.telling import alerts

pytestmark = pytest.mark.anyio


async def product(
    sdk: stripe.StripeClient, *, metadata: dict[str, str] | None = None, **price: Any
) -> Any:
    """A product with a default price, as somebody makes it in the dashboard."""
    made = await sdk.v1.products.create_async(
        {"name": "Plus", "metadata": {"credits": "250"} if metadata is None else metadata}
    )
    first = await sdk.v1.prices.create_async(
        {"product": made.id, "currency": "usd", "unit_amount": 2_000, **price}
    )
    await sdk.v1.products.update_async(made.id, {"default_price": first.id})
    return made.id


async def shelves(shop: Shop) -> dict[str, catalogue.Shelf]:
    async with shop.ledger.database.connection() as connection:
        found = await catalogue.shelves(connection, shop.prices(), livemode=shop.livemode)
    return {shelf.offer.name: shelf for shelf in found}


CREDITS = {"credits": "250", "credit_type": "credits"}


async def test_a_product_becomes_a_package(shop: Shop, sdk: stripe.StripeClient) -> None:
    product_id = await product(sdk, metadata={**CREDITS, "package": "plus"})

    assert (await mirror.settle_product(shop, product_id)).outcome == "updated"
    assert (await mirror.settle_product(shop, product_id)).outcome == "unchanged"

    plus = (await shelves(shop))["plus"]
    assert plus.for_sale
    assert (plus.offer.title, plus.offer.credits, dict(plus.offer.prices)) == (
        "Plus", 250, {"usd": 2_000},
    )  # fmt: skip


async def test_a_price_leads_to_its_product(shop: Shop, sdk: stripe.StripeClient) -> None:
    product_id = await product(sdk, metadata={**CREDITS, "package": "plus"})
    price = await sdk.v1.prices.create_async(
        {"product": product_id, "currency": "eur", "unit_amount": 1_900}
    )

    await mirror.settle_price(shop, price.id)

    assert (await shelves(shop))["plus"].offer.prices == {"usd": 2_000, "eur": 1_900}


async def test_a_new_price_is_a_new_version(shop: Shop, sdk: stripe.StripeClient) -> None:
    product_id = await product(sdk, metadata={**CREDITS, "package": "plus"})
    await mirror.settle_product(shop, product_id)
    before = (await shelves(shop))["plus"].offer
    dearer = await sdk.v1.prices.create_async(
        {"product": product_id, "currency": "usd", "unit_amount": 3_000}
    )
    await sdk.v1.products.update_async(product_id, {"default_price": dearer.id})

    await mirror.settle_product(shop, product_id)

    after = (await shelves(shop))["plus"].offer
    assert (before.prices["usd"], after.prices["usd"]) == (2_000, 3_000)
    assert (before.version, after.version) == (1, 2)


async def test_a_product_without_credits_is_not_ours(shop: Shop, sdk: stripe.StripeClient) -> None:
    product_id = await product(sdk, metadata={})

    assert (await mirror.settle_product(shop, product_id)).outcome == "ignored"


async def test_a_product_that_is_unclear_is_not_sold_and_somebody_is_told(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    product_id = await product(sdk, metadata={**CREDITS, "package": "plus"})
    await mirror.settle_product(shop, product_id)
    await sdk.v1.products.update_async(product_id, {"metadata": {"credits": "lots"}})

    await mirror.settle_product(shop, product_id)

    plus = (await shelves(shop))["plus"]
    assert not plus.for_sale
    assert plus.problem is not None
    assert "`credits` is 'lots'" in plus.problem
    async with shop.ledger.database.connection() as connection:
        (alert,) = await alerts.listed(connection)
    assert (alert.kind, alert.subject) == ("package-unsellable", product_id)


async def test_an_inactive_or_deleted_product_is_hidden_and_kept(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    one = await product(sdk, metadata={**CREDITS, "package": "one"})
    await mirror.settle_product(shop, one)
    await sdk.v1.products.update_async(one, {"active": False})
    await mirror.settle_product(shop, one)
    assert not (await shelves(shop))["one"].for_sale

    two = await sdk.v1.products.create_async({"name": "Two", "metadata": CREDITS})
    await mirror.settle_product(shop, two.id)
    await sdk.v1.products.delete_async(two.id)

    assert (await mirror.settle_product(shop, two.id)).outcome == "updated"
    async with shop.ledger.database.connection() as connection:
        kept = await connection.fetch("SELECT active FROM billing.packages")
    assert [row["active"] for row in kept] == [False, False]


async def test_a_full_look_finds_what_no_event_told(shop: Shop, sdk: stripe.StripeClient) -> None:
    for name in ("one", "two"):
        await product(sdk, metadata={**CREDITS, "package": name})
    await product(sdk, metadata={})
    await product(sdk, metadata={"credits": "5", "package": "three"})

    first, again = await mirror.sync(shop), await mirror.sync(shop)

    assert set(first.updated) == {"one", "two", "three"}
    assert set(again.unchanged) == {"one", "two", "three"}
    assert list(again.broken) == ["three"]
    assert "credit_type" in again.broken["three"]


async def test_a_product_that_cannot_be_taken_over_holds_up_no_other(
    shop: Shop, sdk: stripe.StripeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = sorted([await product(sdk, metadata=CREDITS), await product(sdk, metadata=CREDITS)])
    settle = mirror.settle_product

    async def faulty(shop: Shop, product_id: str) -> Settled:
        if product_id == ids[0]:
            raise KeyError(product_id)
        return await settle(shop, product_id)

    monkeypatch.setattr(mirror, "settle_product", faulty)
    synced = await mirror.sync(shop)

    assert list(synced.broken) == [ids[0]]
    assert len(synced.updated) == 1


async def test_a_product_put_right_closes_its_alert(shop: Shop, sdk: stripe.StripeClient) -> None:
    product_id = await product(sdk, metadata={"credits": "lots", "credit_type": "credits"})
    await mirror.settle_product(shop, product_id)
    await sdk.v1.products.update_async(product_id, {"metadata": CREDITS})

    await mirror.settle_product(shop, product_id)

    async with shop.ledger.database.connection() as connection:
        assert await alerts.listed(connection) == []


async def test_a_product_that_is_not_sold_may_be_unclear(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    product_id = await product(sdk, metadata={"credits": "lots", "credit_type": "credits"})
    await sdk.v1.products.update_async(product_id, {"active": False})

    await mirror.settle_product(shop, product_id)

    async with shop.ledger.database.connection() as connection:
        assert await alerts.listed(connection) == []
