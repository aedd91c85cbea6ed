"""gateway/admin/selling.py: what an operator sees and does about sales, each under a name."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.telling import alerts, notices
from tests.charging import Stores
from tests.selling import Market, selling

pytestmark = pytest.mark.anyio

DRAFT = {
    "id": "summer",
    "name": "Summer",
    "credit_type": "credits",
    "credits": 50,
    "price": {"usd": 400},
}


@pytest.fixture(scope="module")
async def market(shared_stores: Stores) -> AsyncIterator[Market]:
    async with selling(shared_stores) as running:
        yield running


async def audited(market: Market, action: str) -> list[dict[str, Any]]:
    rows = (await market.admin.get("/audit", params={"limit": 200})).json()["items"]
    return [row for row in rows if row["action"] == action]


async def for_sale(market: Market) -> list[str]:
    return [one["id"] for one in (await market.consumer.get("/v1/packages")).json()["items"]]


async def test_a_package_is_made_changed_hidden_and_sorted_by_an_admin(market: Market) -> None:
    made = await market.admin.post("/packages", json=DRAFT)
    assert (made.status_code, made.json()["source"], made.json()["for_sale"]) == (
        201,
        "admin",
        True,
    )
    assert "summer" in await for_sale(market)

    changed = await market.admin.patch("/packages/summer", json={"price": {"usd": 300}, "sort": -1})
    assert (changed.json()["price"], changed.json()["version"]) == ({"usd": 300}, 2)
    assert (await for_sale(market))[0] == "summer"

    hidden = await market.admin.patch("/packages/summer", json={"hidden": True})
    assert hidden.json()["for_sale"] is False
    assert "summer" not in await for_sale(market)
    assert await audited(market, "package.change")


async def test_an_admins_package_may_be_for_some_routes(market: Market) -> None:
    draft = DRAFT | {"id": "searches", "routes": ["search"]}
    made = (await market.admin.post("/packages", json=draft)).json()
    buyer = await market.buyer()
    begun = await market.begin(buyer, "searches")
    everywhere = (await market.admin.patch("/packages/searches", json={"routes": []})).json()
    market.standin.pay(begun["session_id"])

    assert (made["routes"], everywhere["routes"]) == (["search"], [])
    async with asyncio.timeout(20):
        while True:
            shown = (await market.admin.get(f"/accounts/{buyer.account}")).json()["balances"]
            limited = [one for balance in shown for one in balance["limited"]]
            if limited:
                break
            await asyncio.sleep(0.05)
    assert [(one["routes"], one["available"]) for one in limited] == [(["search"], 50)]


async def test_a_package_that_was_sold_keeps_its_meaning(market: Market) -> None:
    await market.admin.post("/packages", json=DRAFT | {"id": "kept"})
    buyer = await market.buyer()
    begun = await market.begin(buyer, "kept")
    await market.admin.patch("/packages/kept", json={"credits": 1, "active": False})

    market.standin.pay(begun["session_id"])

    await market.until_available(buyer, 50)


async def test_a_package_of_the_price_file_can_be_hidden_and_not_changed(market: Market) -> None:
    refused = await market.admin.patch("/packages/gift", json={"credits": 5})
    assert refused.status_code == 404
    hidden = await market.admin.patch("/packages/gift", json={"hidden": True})
    assert (hidden.status_code, hidden.json()["source"]) == (200, "file")
    assert "gift" not in await for_sale(market)
    await market.admin.patch("/packages/gift", json={"hidden": False})


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"id": "starter"}, 409),
        ({"id": "No Name"}, 422),
        ({"credit_type": "unheard-of"}, 422),
        ({"price": {}}, 422),
        ({"price": {"dollars": 1}}, 422),
        ({"price": {"usd": 1, "USD": 2}}, 422),
        ({"metadata": {"shelf": "a\0"}}, 422),
        ({"least_quantity": 3, "most_quantity": 2}, 422),
        ({"trial_days": 7}, 422),
        ({"routes": ["product", "serach"]}, 422),
        ({"credits": 0}, 422),
    ],
)
async def test_a_package_that_cannot_be_sold_is_not_made(
    market: Market, wrong: dict[str, Any], status: int
) -> None:
    refused = await market.admin.post("/packages", json=DRAFT | {"id": "wrong"} | wrong)

    assert refused.status_code == status
    assert (await market.admin.get("/packages/wrong")).status_code == 404


async def test_money_given_back_takes_its_share_of_the_credits(market: Market) -> None:
    buyer = await market.buyer()
    order = (await market.bought(buyer))["order_id"]
    draft = {"amount_minor": 250, "reason": "a part was not needed", "reference": "ticket-1"}

    for _ in range(2):  # the reference makes a repeat harmless
        made = await market.admin.post(f"/orders/{order}/refunds", json=draft)
        assert (made.status_code, made.json()["state"]) == (201, "succeeded")
    await market.until_available(buyer, 75)

    shown = (await market.admin.get(f"/orders/{order}")).json()
    assert [one["amount_minor"] for one in shown["refunds"]] == [250]
    [payment] = shown["payments"]
    assert (payment["refunded_minor"], payment["taken_back"], payment["account"]) == (
        250, 25, buyer.account,
    )  # fmt: skip
    rows = await audited(market, "refund")
    assert rows[0]["actor"] == "root"


async def test_more_than_was_paid_is_not_given_back(market: Market) -> None:
    order = (await market.bought(await market.buyer()))["order_id"]

    refused = await market.admin.post(f"/orders/{order}/refunds", json={"amount_minor": 1001})

    assert (refused.status_code, refused.json()["left_minor"]) == (409, 1000)
    assert refused.json()["type"].endswith("/not-refundable")


async def test_a_dispute_freezes_the_account_and_won_it_restores_it(market: Market) -> None:
    buyer = await market.buyer()
    purchase = await market.bought(buyer)
    dispute = market.standin.dispute(purchase["payment_intent_id"])["id"]
    await until(market, buyer, "frozen")

    listed = (await market.admin.get("/disputes", params={"open": True})).json()["items"]
    assert [(one["id"], one["withdrawn_minor"]) for one in listed] == [(dispute, 1000)]

    market.standin.dispute_step(dispute, "win")
    await until(market, buyer, "active")
    await market.until_available(buyer, 100)


async def test_what_was_spent_and_charged_back_is_owed_before_anything_is_served(
    market: Market,
) -> None:
    gateway, buyer = market.control.gateway, await market.buyer()
    purchase = await market.bought(buyer)
    for _ in range(2):
        spent = await gateway.ask("POST", "/v1/search", buyer.customer, json={"limit": 4_900})
        assert spent.headers["farebox-cost"] == "50"
    await gateway.settled()

    dispute = market.standin.dispute(purchase["payment_intent_id"])["id"]
    await until(market, buyer, "frozen")
    assert (await gateway.get("/v1/products/B1", buyer.customer)).status_code == 403
    market.standin.dispute_step(dispute, "lose")
    await until(market, buyer, "active")

    refused = await gateway.get("/v1/products/B1", buyer.customer)
    assert (refused.status_code, refused.json()["balance"]) == (402, -100)
    await market.bought(buyer)
    assert (await gateway.get("/v1/products/B1", buyer.customer)).status_code == 402
    await market.bought(buyer)
    assert (await gateway.get("/v1/products/B1", buyer.customer)).status_code == 200


async def until(market: Market, buyer: Any, status: str) -> None:
    for _ in range(700):
        shown = (await market.admin.get(f"/accounts/{buyer.account}")).json()
        if shown["status"] == status:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"{buyer.account} is {shown['status']}")


async def test_orders_are_listed_by_account_and_state(market: Market) -> None:
    buyer = await market.buyer()
    for _ in range(3):
        await market.begin(buyer)
    paid = await market.bought(buyer)

    seen, cursor = [], None
    while True:
        query = {"account": buyer.account, "limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await market.admin.get("/orders", params=query)).json()
        seen += [one["id"] for one in page["items"]]
        if not (cursor := page["next"]):
            break
    closed = await market.admin.get("/orders", params={"account": buyer.account, "state": "paid"})

    assert (len(seen), len(set(seen)), seen[0]) == (4, 4, paid["order_id"])
    assert [one["id"] for one in closed.json()["items"]] == [paid["order_id"]]


async def test_an_order_in_review_waits_for_an_admin(market: Market) -> None:
    buyer = await market.buyer()
    order = (await market.bought(buyer))["order_id"]

    refused = await market.admin.post(f"/orders/{order}/approve")

    assert (refused.status_code, refused.json()["type"][-8:]) == (409, "conflict")
    assert (await market.admin.post(f"/orders/ord_{'0' * 24}/approve")).status_code == 404


async def test_subscriptions_are_counted_and_ended(market: Market) -> None:
    buyer = await market.buyer()
    begun = await market.begin(buyer, "monthly")
    market.standin.pay(begun["session_id"])
    await market.until_available(buyer, 500)

    listed = (await market.admin.get("/subscriptions", params={"account": buyer.account})).json()
    [one] = listed["items"]
    assert listed["counts"]["active"] >= 1
    ended = await market.admin.delete(f"/subscriptions/{one['id']}", params={"when": "now"})
    assert (ended.json()["status"], ended.json()["account"]) == ("canceled", buyer.account)
    assert (await audited(market, "subscription.cancel"))[0]["target"] == one["id"]


async def test_figures_are_shown_by_day_and_currency(market: Market) -> None:
    await market.bought(await market.buyer(), "starter", currency="jpy")

    shown = (await market.admin.get("/figures")).json()

    [yen] = [one for one in shown["totals"] if one["currency"] == "jpy"]
    assert (yen["payments"], yen["revenue_minor"], yen["paying_accounts"]) == (1, 1500, 1)
    assert shown["purchases"]["completed"] >= 1
    today = datetime.now(UTC).date().isoformat()
    wrong = await market.admin.get("/figures", params={"from": today, "to": "2020-01-01"})
    assert wrong.status_code == 422


async def test_a_lost_payment_is_settled_by_hand_or_found_by_a_look(market: Market) -> None:
    buyer = await market.buyer()
    market.standin.deliver_badly(drop=1.0)
    try:
        by_hand, found = await market.begin(buyer), await market.begin(buyer)
        for one in (by_hand, found):
            market.standin.pay(one["session_id"])
        settled = await market.admin.post(
            "/stripe/settle", json={"object_id": by_hand["session_id"]}
        )
        await market.until_available(buyer, 100)
        looked = await market.admin.post("/stripe/reconcile", json={"passes": ["state"]})
        await market.until_available(buyer, 200)
    finally:
        market.standin.deliver_badly()

    assert (settled.json()["outcome"], settled.json()["account"]) == ("granted", buyer.account)
    [report] = looked.json()["passes"]
    assert (report["name"], report["complete"]) == ("state", True)
    assert (await audited(market, "stripe.settle"))[0]["target"] == by_hand["session_id"]


async def test_a_dry_run_changes_nothing(market: Market) -> None:
    buyer = await market.buyer()
    market.standin.deliver_badly(drop=1.0)
    try:
        begun = await market.begin(buyer)
        market.standin.pay(begun["session_id"])
        await market.admin.post("/stripe/reconcile", json={"passes": ["state"], "dry_run": True})
    finally:
        market.standin.deliver_badly()

    assert await market.control.gateway.available(buyer.customer) == 0


async def test_what_is_no_object_of_stripes_cannot_be_settled(market: Market) -> None:
    refused = await market.admin.post("/stripe/settle", json={"object_id": "nothing_1"})
    assert refused.status_code == 404


async def test_packages_are_taken_over_from_stripe(market: Market) -> None:
    client = market.control.gateway.billing.need().stripe.v1
    await client.products.create_async(
        {
            "name": "Sold at Stripe",
            "metadata": {"credits": "700", "credit_type": "credits", "package": "at-stripe"},
            "default_price_data": {"currency": "usd", "unit_amount": 6000},
        }
    )

    done = (await market.admin.post("/stripe/sync")).json()

    assert "at-stripe" in [*done["updated"], *done["unchanged"]]
    shown = (await market.admin.get("/packages/at-stripe")).json()
    assert (shown["source"], shown["credits"], shown["price"]) == ("stripe", 700, {"usd": 6000})
    refused = await market.admin.patch("/packages/at-stripe", json={"credits": 1})
    assert refused.status_code == 409


async def test_alerts_are_listed_until_somebody_resolves_them(market: Market) -> None:
    async with market.control.gateway.ledger.database.connection() as connection:
        alert = await alerts.raise_alert(connection, "test", "cs_1", "Look at this.")

    listed = (await market.admin.get("/alerts")).json()["items"]
    assert [(one["kind"], one["times"]) for one in listed if one["id"] == alert] == [("test", 1)]
    assert (await market.admin.post(f"/alerts/{alert}/resolve")).json() == {"id": alert}
    listed = (await market.admin.get("/alerts")).json()["items"]
    assert alert not in [one["id"] for one in listed]
    shown = (await market.admin.get("/alerts", params={"open": False})).json()["items"]
    assert [one["resolved_by"] for one in shown if one["id"] == alert] == ["root"]


async def test_notices_are_listed_with_their_ends_and_sent_again(market: Market) -> None:
    database = market.control.gateway.ledger.database
    async with database.transaction() as connection:
        await notices.tell(connection, "alert", account_id=None, key="t-1", payload={"alert": "t"})
    listed = (await market.admin.get("/notices", params={"limit": 200})).json()["items"]
    [told] = [one for one in listed if one["key"] == "t-1"]
    assert [end["channel"] for end in told["ends"]] == ["webhook"]
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE billing.notice_deliveries SET state = 'dead' WHERE notice_id = $1", told["id"]
        )

    again = await market.admin.post(f"/notices/{told['id']}/retry")
    assert again.json() == {"id": told["id"], "channels": ["webhook"]}
    assert (await market.admin.post(f"/notices/{told['id']}/retry")).status_code in (200, 409)


async def test_events_that_wait_for_a_person_are_tried_again_or_dismissed(market: Market) -> None:
    async with market.control.gateway.ledger.database.connection() as connection:
        ids = [
            await connection.fetchval(
                "INSERT INTO billing.inbox (livemode, event_id, type, origin, raw, status,"
                " event_created, object_type, object_id) VALUES (false, $1, 'charge.refunded',"
                " 'webhook', '{}', 'quarantined', now(), 'charge', 'ch_nobodys') RETURNING id",
                event_id,
            )
            for event_id in ("evt_retry", "evt_dismiss")
        ]
    waiting = (await market.admin.get("/inbox")).json()["items"]
    assert {one["id"] for one in waiting} >= set(ids)

    again = await market.admin.post(f"/inbox/{ids[0]}/retry")
    gone = await market.admin.post(f"/inbox/{ids[1]}/dismiss", json={"reason": "not ours"})

    assert (again.json()["status"], gone.json()["status"]) == ("received", "ignored")
    assert "not ours" in gone.json()["outcome"]
    assert (await audited(market, "inbox.dismiss"))[0]["actor"] == "root"
    refused = await market.admin.post(f"/inbox/{ids[1]}/dismiss", json={"reason": "again"})
    assert refused.status_code == 409


async def test_a_purchase_made_past_us_is_given_to_an_account(market: Market) -> None:
    buyer = await market.buyer()
    client = market.control.gateway.billing.need().stripe.v1
    price = {"currency": "usd", "unit_amount": 1000, "product_data": {"name": "By a link"}}
    session = await client.checkout.sessions.create_async(
        {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": "https://example.com",
        }
    )
    market.standin.pay(session.id, email="a@example.com")
    for _ in range(500):
        query = {"status": "any", "object": session.id}
        found = (await market.admin.get("/inbox", params=query)).json()["items"]
        if found and found[0]["status"] not in ("received", "failed"):
            break
        await asyncio.sleep(0.02)
    wish = {"account": buyer.account, "package": "starter"}

    given = await market.admin.post(f"/inbox/{found[0]['id']}/attach", json=wish)

    assert given.status_code == 200, given.text
    await market.until_available(buyer, 100)


async def test_without_stripe_the_routes_that_need_it_say_so(ctl: Any) -> None:
    for path in ("/orders", "/payments", "/disputes", "/subscriptions", "/figures"):
        refused = await ctl.admin.get(path)
        assert (refused.status_code, refused.json()["type"][-22:]) == (
            503,
            "selling-not-configured",
        )
    for path in ("/packages", "/alerts", "/notices", "/inbox"):
        assert (await ctl.admin.get(path)).status_code == 200
