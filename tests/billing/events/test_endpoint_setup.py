"""Our endpoint at Stripe: made once, with the pinned version and exactly our events."""

import dataclasses
from collections.abc import AsyncIterator

import pytest

from billing.errors import StateConflict, WrongPurchase
from billing.events.endpoint_setup import MOST_ENDPOINTS, check_url, setup
from billing.events.event_types import EVENT_TYPES
from billing.shop import Shop
from billing.stripe_door import API_VERSION
from tests.billing.inbox_rig import inbox_shop
from tests.standin import RunningStandIn

URL = "https://api.example.com/farebox/stripe/webhook"


@pytest.fixture
async def shop(template_copy: str, stripe_standin: RunningStandIn) -> AsyncIterator[Shop]:
    async with inbox_shop(
        template_copy, api_base=stripe_standin.url, key=stripe_standin.key
    ) as shop:
        yield shop


def endpoints(standin: RunningStandIn) -> list[dict]:
    return list(standin.world.every("webhook_endpoint"))


@pytest.mark.anyio
async def test_a_new_endpoint_has_our_version_and_our_events_and_shows_its_secret(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    done = await setup(shop, URL)

    [made] = endpoints(stripe_standin)
    assert (done.created, done.endpoint_id, done.secret) == (True, made["id"], made["_secret"])
    assert (made["url"], made["api_version"]) == (URL, API_VERSION)
    assert sorted(made["enabled_events"]) == sorted(EVENT_TYPES)
    assert made["metadata"] == {"farebox": shop.installation}
    assert made["_secret"] not in repr(done)


@pytest.mark.anyio
async def test_a_repeat_changes_nothing_and_shows_no_secret(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    first = await setup(shop, URL)
    again = await setup(shop, URL)

    assert (again.created, again.endpoint_id, again.secret) == (False, first.endpoint_id, None)
    assert again.differences == ()
    assert len(endpoints(stripe_standin)) == 1


@pytest.mark.anyio
async def test_an_endpoint_with_other_events_is_brought_up_to_date(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    stripe_standin.register_webhook(URL, ["payout.paid", *EVENT_TYPES[1:]], api_version=API_VERSION)

    done = await setup(shop, URL)

    assert done.differences == (f"it lacked {EVENT_TYPES[0]}", "it also delivered payout.paid")
    [changed] = endpoints(stripe_standin)
    assert sorted(changed["enabled_events"]) == sorted(EVENT_TYPES)
    assert (await setup(shop, URL)).differences == ()


@pytest.mark.anyio
async def test_a_switched_off_endpoint_is_switched_on(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    await setup(shop, URL)
    endpoints(stripe_standin)[0]["status"] = "disabled"

    assert (await setup(shop, URL)).differences == ("it was disabled",)
    assert endpoints(stripe_standin)[0]["status"] == "enabled"


@pytest.mark.anyio
async def test_our_endpoint_moves_to_a_new_address(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    await setup(shop, URL)
    moved = "https://credits.example.com/stripe/webhook"

    done = await setup(shop, moved)

    assert done.differences == (f"it delivered to {URL}",)
    assert [each["url"] for each in endpoints(stripe_standin)] == [moved]


@pytest.mark.anyio
async def test_another_installations_endpoint_is_not_ours(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    await setup(dataclasses.replace(shop, installation="another"), "https://other.example.com/hook")

    assert (await setup(shop, URL)).created
    assert len(endpoints(stripe_standin)) == 2


@pytest.mark.anyio
async def test_a_version_that_cannot_be_changed_is_told(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    stripe_standin.register_webhook(URL, EVENT_TYPES, api_version="2020-08-27")

    for _ in range(2):
        [difference] = (await setup(shop, URL)).differences
        assert "2020-08-27" in difference


@pytest.mark.anyio
async def test_the_seventeenth_is_refused(shop: Shop, stripe_standin: RunningStandIn) -> None:
    for number in range(MOST_ENDPOINTS):
        stripe_standin.register_webhook(f"https://example.com/{number}")

    with pytest.raises(StateConflict):
        await setup(shop, URL)

    assert len(endpoints(stripe_standin)) == MOST_ENDPOINTS


@pytest.mark.anyio
async def test_a_dry_run_only_tells(shop: Shop, stripe_standin: RunningStandIn) -> None:
    done = await setup(shop, URL, dry_run=True)
    assert (done.endpoint_id, done.differences) == ("", (f"there is no endpoint at {URL}",))
    assert endpoints(stripe_standin) == []

    stripe_standin.register_webhook(URL, ["payout.paid"], api_version=API_VERSION)
    assert (await setup(shop, URL, dry_run=True)).differences
    assert endpoints(stripe_standin)[0]["enabled_events"] == ["payout.paid"]


@pytest.mark.parametrize(
    "url", ["http://api.example.com/hook", "ftp://127.0.0.1/", "https://", "api.example.com", ""]
)
def test_an_address_that_stripe_cannot_use_is_refused(url: str) -> None:
    with pytest.raises(WrongPurchase):
        check_url(url, livemode=False)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_http_to_the_machine_itself_is_for_test_mode(host: str) -> None:
    check_url(f"http://{host}/hook", livemode=False)
    with pytest.raises(WrongPurchase):
        check_url(f"http://{host}/hook", livemode=True)


@pytest.mark.anyio
async def test_an_address_that_is_refused_is_not_sent(
    shop: Shop, stripe_standin: RunningStandIn
) -> None:
    with pytest.raises(WrongPurchase):
        await setup(shop, "http://api.example.com/hook")
    assert endpoints(stripe_standin) == []
