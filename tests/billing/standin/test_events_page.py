import httpx
import pytest

from billing.standin.app import BANNER
from billing.standin.resources import customers
from tests.billing.standin.receiver import receiver
from tests.standin import RunningStandIn

pytestmark = pytest.mark.anyio


async def test_the_page_shows_events_and_sends_one_again(stripe_standin: RunningStandIn) -> None:
    async with (
        receiver() as taken,
        httpx.AsyncClient(
            base_url=stripe_standin.url, trust_env=False, follow_redirects=True
        ) as browser,
    ):
        empty = await browser.get("/")
        stripe_standin.register_webhook(taken.url)
        customer = customers.make(stripe_standin.world)
        await stripe_standin.delivered()
        event = stripe_standin.events()[-1]["id"]
        shown = await browser.post(f"/events/{event}/resend")
        await stripe_standin.delivered()
    assert "Nothing has happened yet" in empty.text
    assert BANNER in empty.text
    assert customer["id"] in shown.text
    assert "delivered" in shown.text
    assert len(taken.bodies) == 2


async def test_an_unknown_event_is_not_found(stripe_standin: RunningStandIn) -> None:
    async with httpx.AsyncClient(base_url=stripe_standin.url, trust_env=False) as browser:
        assert (await browser.post("/events/evt_1/resend")).status_code == 404
        assert (await browser.get("/nothing")).status_code == 404
