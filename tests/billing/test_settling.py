"""billing/settling.py: every type of object we listen to has one place that settles it."""

import pytest

from billing import settling
from billing.errors import NoSuchObject
from billing.settling import HANDLERS, PREFIXES
from billing.shop import Shop
from tests.billing.conftest import applied, buy
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("prefix", sorted(PREFIXES))
def test_the_id_alone_tells_the_type(prefix: str) -> None:
    assert settling.object_type_of(f"{prefix}_1AbC") == PREFIXES[prefix]
    assert PREFIXES[prefix] in HANDLERS


def test_every_type_can_be_named_by_an_id() -> None:
    assert set(PREFIXES.values()) == set(HANDLERS)


def test_a_session_has_its_mode_in_its_id() -> None:
    assert settling.object_type_of("cs_test_1AbC") == "checkout.session"


@pytest.mark.parametrize("text", ["", "cs", "cs_", "evt_1", "CS_1", "cs_1/2", " cs_1", "cs_1\n"])
def test_other_texts_name_nothing(text: str) -> None:
    with pytest.raises(NoSuchObject):
        settling.object_type_of(text)


async def test_settling_by_type_and_id_is_settling_the_object(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)

    settled = await settling.settle(shop, "checkout.session", started.session_id)

    assert settled.outcome == "granted"
    assert await applied(shop, account) == {"credits": 100}


async def test_all_events_of_a_purchase_together_give_its_credits_once(
    shop: Shop, account: int, stripe_standin: RunningStandIn
) -> None:
    """Session, intent, charge, invoice and the rest all tell of one payment, in any order."""
    started = await buy(shop, account)
    stripe_standin.pay(started.session_id)
    about = [event["data"]["object"] for event in stripe_standin.events()]

    for thing in [*reversed(about), *about]:
        await settling.settle(shop, thing["object"], thing.get("id") or "")

    assert await applied(shop, account) == {"credits": 100}


async def test_a_product_may_have_a_name_that_people_chose(shop: Shop) -> None:
    """Stripe lets them; the type comes with the event."""
    await shop.stripe.v1.products.create_async(
        {"id": "gold-2031", "name": "Gold", "metadata": {"credits": "100"}}
    )

    settled = await settling.settle(shop, "product", "gold-2031")

    assert settled.outcome == "updated"


async def test_what_we_do_nothing_about_is_ignored_without_asking(shop: Shop) -> None:
    await shop.stripe.aclose()

    for named in (("payout", "po_1"), ("", ""), ("customer", ""), ("invoice", "../")):
        assert (await settling.settle(shop, *named)).outcome == "ignored"
