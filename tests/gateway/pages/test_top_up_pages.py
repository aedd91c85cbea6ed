"""gateway/pages/consumer/topup.py: agreed with the key in hand, shown, ended."""

from typing import Any

import pytest

from tests.gateway.pages.browsing import Browser, text_of
from tests.selling import Buyer, Market

pytestmark = pytest.mark.anyio

ASKED = {
    "package": "starter", "threshold": "20", "most_month": "50.00", "most_count_day": "2",
    "consent": "yes",
}  # fmt: skip


async def agreed(market: Market, buyer: Buyer) -> Any:
    return (await market.consumer.get("/v1/top-up", headers=buyer.headers)).json()


async def with_card(market: Market, browser: Browser, buyer: Buyer) -> None:
    """Buy once with a card that is kept."""
    await market.bought(buyer, "starter", save_card=True)
    await browser.get("/top-up")


async def test_without_a_card_it_offers_to_save_one(market: Market, browser: Browser) -> None:
    words = text_of((await browser.get("/top-up")).text)
    assert "Save a card first" in words
    leads_on = await browser.send("/top-up/cards")
    assert leads_on.status_code == 303
    assert leads_on.headers["location"].startswith(market.standin.url)


async def test_it_is_switched_on_shown_and_off(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    proof = {"key_again": buyer.headers["x-api-key"]}
    await with_card(market, browser, buyer)
    on = await browser.send("/top-up", **ASKED, **proof)
    assert (on.status_code, on.headers.get("location")) == (303, "/farebox/top-up?done=set"), (
        on.text
    )
    shown = await browser.get("/top-up?done=set")
    assert "Automatic top-up is on." in text_of(shown.text)
    assert 'value="50.00"' in shown.text
    told = await agreed(market, buyer)
    assert (told["enabled"], told["threshold"], told["most_minor_month"]) == (True, 20, 5_000)

    refused = await browser.send("/top-up/end")
    assert refused.status_code == 422
    assert (await agreed(market, buyer))["enabled"] is True
    off = await browser.send("/top-up/end", **proof)
    assert off.headers["location"] == "/farebox/top-up?done=off"
    assert (await agreed(market, buyer))["enabled"] is False


@pytest.mark.parametrize(
    ("change", "field"),
    [({"consent": ""}, "consent"), ({"threshold": "0"}, "threshold"),
     ({"threshold": "1.5"}, "threshold"), ({"most_month": "1"}, "most_month"), ({"most_month": "x"}, "most_month"),
     ({"most_count_day": "0"}, "most_count_day"), ({"package": "gold"}, "package"),
     ({"key_again": ""}, "key_again"), ({"key_again": "fbx_" + "0" * 49}, "key_again")],
)  # fmt: skip
async def test_what_is_not_agreed_changes_nothing_and_is_told_where_it_is_wrong(
    market: Market, browser: Browser, buyer: Buyer, change: dict[str, str], field: str
) -> None:
    await with_card(market, browser, buyer)
    proof = {"key_again": buyer.headers["x-api-key"]}
    refused = await browser.send("/top-up", **{**ASKED, **proof, **change})
    assert refused.status_code == 422
    assert 'class="notice bad"' in refused.text
    if field and field != "consent":
        assert f'id="e-{field}"' in refused.text
    assert (await agreed(market, buyer))["enabled"] is False


async def test_a_removed_card_ends_it(market: Market, browser: Browser, buyer: Buyer) -> None:
    await with_card(market, browser, buyer)
    await browser.send("/top-up", **ASKED, key_again=buyer.headers["x-api-key"])
    (card,) = (await market.consumer.get("/v1/cards", headers=buyer.headers)).json()["items"]
    await browser.get("/top-up")
    gone = await browser.send(f"/top-up/cards/{card['id']}/remove")
    assert gone.headers["location"] == "/farebox/top-up?done=removed"
    assert (await agreed(market, buyer))["enabled"] is False


async def test_an_account_says_from_which_balance_on_it_is_told(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    async def thresholds() -> dict[str, int | None]:
        told = (await market.consumer.get("/v1/notices", headers=buyer.headers)).json()
        return {one["credit_type"]: one["threshold"] for one in told["items"]}

    await browser.get("/top-up")
    await browser.send("/top-up/notices", credit_type="calling", threshold="2.50")
    assert (await thresholds())["calling"] == 250
    assert 'value="2.50"' in (await browser.get("/top-up")).text
    await browser.send("/top-up/notices", credit_type="calling", threshold="")
    assert (await thresholds())["calling"] is None
    wrong = await browser.send("/top-up/notices", credit_type="credits", threshold="-1")
    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in wrong.text
