"""A purchase that leads to no order is given to an account by a person, and checked all the same."""

from typing import Any

import pytest

from billing.errors import NoSuchObject, NotForSale, Quarantined, StateConflict
from billing.events import inbox_worker
from billing.events.attach import attach
from billing.reconciling import reconciler
from billing.shop import Shop
from ledger.errors import NotFound
from tests.billing.conftest import applied, buy, new_account, rows
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def delivered(shop: Shop, session_id: str) -> int:
    """The number of the event that tells of the session, after the inbox was worked through."""
    await reconciler.run(shop, ["events"])
    await inbox_worker.work(shop)
    [row] = await rows(
        shop,
        "SELECT id FROM billing.inbox WHERE object_id = $1 AND type = 'checkout.session.completed'",
        session_id,
    )
    return row["id"]


@pytest.fixture
async def link(shop: Shop, stripe_standin: RunningStandIn) -> str:
    """A session of a payment link made in the dashboard, paid; nothing on it is ours."""
    line = {"currency": "usd", "unit_amount": 8_000, "product_data": {"name": "A link"}}
    given: dict[str, Any] = {
        "mode": "payment",
        "success_url": "https://example.com",
        "line_items": [{"price_data": line, "quantity": 2}],
    }
    session = await shop.stripe.v1.checkout.sessions.create_async(given)
    stripe_standin.pay(session.id)
    return session.id


async def status(shop: Shop, item: int) -> str:
    [row] = await rows(shop, "SELECT status FROM billing.inbox WHERE id = $1", item)
    return row["status"]


async def test_a_lost_order_is_made_again_and_its_credits_are_given(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    async with shop.ledger.database.connection() as connection:
        await connection.execute("DELETE FROM billing.orders")
    item = await delivered(shop, started.session_id)
    assert await status(shop, item) == "quarantined"

    settled = await attach(shop, item, account, "starter", actor="anna")

    assert settled.outcome == "granted"
    assert await applied(shop, account) == {"credits": 100}
    assert await status(shop, item) == "done"
    still_open = "SELECT * FROM billing.alerts WHERE subject = $1 AND resolved_at IS NULL"
    assert await rows(shop, still_open, started.session_id) == []
    [audited] = await rows(shop, "SELECT * FROM audit WHERE action = 'inbox.attach'")
    assert (audited["actor"], audited["target"]) == ("anna", started.session_id)


async def test_a_repeat_gives_nothing_more(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    item = await delivered(shop, started.session_id)

    settled = await attach(shop, item, account, "starter", actor="anna")

    assert settled.outcome == "unchanged"
    assert await applied(shop, account) == {"credits": 100}


async def test_a_purchase_through_a_payment_link_is_given_as_far_as_it_was_paid(
    shop: Shop, account: int, link: str
) -> None:
    item = await delivered(shop, link)
    assert await status(shop, item) == "ignored"

    with pytest.raises(Quarantined, match="price of a line"):
        await attach(shop, item, account, "minutes", actor="anna")
    assert await rows(shop, "SELECT * FROM billing.orders") == [], "nothing stands in the way"

    assert (await attach(shop, item, account, "business", actor="anna")).outcome == "granted"
    assert await applied(shop, account) == {"credits": 2_000}


async def test_a_payment_links_own_reference_does_not_stand_in_the_way(
    shop: Shop, account: int, link: str, stripe_standin: RunningStandIn
) -> None:
    """Whoever shares a link may add any client_reference_id, also one of our orders' names."""
    lost = await buy(shop, account)
    session = stripe_standin.world.objects[link]
    session["client_reference_id"] = "user-17"
    item = await delivered(shop, link)

    session["client_reference_id"] = lost.order_id
    assert (await attach(shop, item, account, "business", actor="anna")).outcome == "granted"
    session["client_reference_id"] = "user-17"
    assert (await attach(shop, item, account, "business", actor="anna")).outcome == "unchanged"

    assert await applied(shop, account) == {"credits": 2_000}


async def test_what_somebody_has_is_not_given_to_another(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    item = await delivered(shop, started.session_id)

    with pytest.raises(StateConflict):
        await attach(shop, item, await new_account(shop), "starter", actor="anna")
    assert await applied(shop, account) == {"credits": 100}


async def test_what_is_not_there_cannot_be_given(shop: Shop, account: int, link: str) -> None:
    item = await delivered(shop, link)

    with pytest.raises(NoSuchObject):
        await attach(shop, 0, account, "starter", actor="anna")
    with pytest.raises(NotForSale):
        await attach(shop, item, account, "nothing", actor="anna")
    with pytest.raises(NotFound):
        await attach(shop, item, account + 1, "starter", actor="anna")
    [other] = await rows(
        shop, "SELECT min(id) AS id FROM billing.inbox WHERE object_type = 'payment_intent'"
    )
    with pytest.raises(StateConflict):
        await attach(shop, other["id"], account, "starter", actor="anna")
