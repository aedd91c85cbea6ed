"""gateway/consumer: what an account sees and does about itself, and nothing of others."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.consumer.table import TABLE, described
from ledger.errors import LedgerUnavailable
from tests.control import PREFIX, Control

pytestmark = pytest.mark.anyio


async def test_every_served_route_is_in_the_document(ctl: Control) -> None:
    document = (await ctl.consumer.get("/openapi.json")).json()

    served = {(row.path, row.method.lower()) for row in TABLE}
    assert served == {(path, method) for path, rows in document["paths"].items() for method in rows}
    assert document == described(PREFIX)


async def test_probes_need_no_key(ctl: Control) -> None:
    live, ready = await ctl.consumer.get("/livez"), await ctl.consumer.get("/readyz")

    assert (live.status_code, ready.status_code) == (200, 200)
    assert ready.json() == {"ready": True, "price_version": 1, "warnings": []}


async def test_readiness_names_the_store_that_is_away_and_not_its_address(
    ctl: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise LedgerUnavailable("Redis does not answer: connect call failed ('10.0.0.3', 6379)")

    monkeypatch.setattr(ctl.gateway.ledger, "ready", away)
    refused = await ctl.consumer.get("/readyz")

    assert refused.status_code == 503
    assert refused.json()["type"].endswith("/not-ready")
    assert refused.json()["detail"] == "Redis does not answer."


async def test_an_account_sees_its_balances_by_type(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=1250, credit_type="calling")
    await ctl.called(customer, "/v1/calls")

    shown = (await ctl.consumer.get("/v1/account", headers=customer.headers)).json()

    [balance] = shown["balances"]
    assert shown["id"] == f"acc_{customer.account}"
    assert (balance["credit_type"], balance["scale"], balance["available"]) == ("calling", 2, 1225)
    assert (balance["purchased"], balance["used"], balance["held"]) == (1250, 25, 0)
    assert balance["display"]["available"] == "12.25"


async def test_a_charge_explains_itself(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=100)
    charge = await ctl.called(customer, "/v1/search", method="POST", json={"limit": 250})

    shown = (await ctl.consumer.get(f"/v1/charges/{charge}", headers=customer.headers)).json()

    assert (shown["route"], shown["rule"], shown["price_version"]) == ("search", 1, 1)
    assert (shown["state"], shown["reason"], shown["status"]) == ("captured", "delivered", 200)
    assert (shown["held"], shown["captured"], shown["balance_after"]) == (4, 4, 96)
    assert shown["explanation"]["parts"] == [
        {"source": "body /limit", "quantity": 250, "unit": 100, "cost": 1}
    ]
    assert shown["explanation"]["arithmetic"].startswith("1 + 250 / 100 x 1")
    assert "4 credits charged: the answer was delivered" in shown["explanation"]["text"]


async def test_a_failed_call_says_why_nothing_was_charged(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=100)
    charge = await ctl.called(customer, "/v1/made")

    shown = (await ctl.consumer.get(f"/v1/charges/{charge}", headers=customer.headers)).json()

    assert (shown["state"], shown["reason"], shown["captured"]) == ("void", "status", 0)
    assert "nothing charged" in shown["explanation"]["text"]


async def test_charges_are_paged_newest_first(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=100)
    made = [await ctl.called(customer) for _ in range(3)]

    first = (await ctl.consumer.get("/v1/charges?limit=2", headers=customer.headers)).json()
    second = (
        await ctl.consumer.get(
            "/v1/charges", params={"limit": 2, "cursor": first["next"]}, headers=customer.headers
        )
    ).json()

    assert [row["id"] for row in first["items"] + second["items"]] == made[::-1]
    assert second["next"] is None
    assert first["items"][0]["record"] == {"asin": "B1"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("route=product", 1),
        ("route=search", 0),
        ("state=captured", 1),
        ("state=void", 0),
        ("type=credits", 1),
        ("type=calling", 0),
        ("from=2000-01-01T00:00:00Z", 1),
        ("to=2000-01-01T00:00:00Z", 0),
        ("key=key_999999", 0),
    ],
)
async def test_charges_are_filtered(ctl: Control, query: str, found: int) -> None:
    customer = await ctl.gateway.customer(credits=100)
    await ctl.called(customer)

    page = (await ctl.consumer.get(f"/v1/charges?{query}", headers=customer.headers)).json()

    assert len(page["items"]) == found


@pytest.mark.parametrize(
    "path",
    [
        "/v1/charges?limit=201",
        "/v1/charges?route=%00",
        "/v1/charges?limit=0",
        "/v1/charges?cursor=x",
        "/v1/charges?state=gone",
        "/v1/charges?type=gold",
        "/v1/charges?key=7",
        "/v1/charges?from=yesterday",
        "/v1/charges?from=2000-01-01T00:00:00",
        "/v1/charges?since=2000-01-01T00:00:00Z",
        "/v1/entries?kind=gift",
        "/v1/entries?cursor=x",
        "/v1/usage?from=2020-01-01T00:00:00Z",
        "/v1/quote",
        "/v1/quote?path=/v1/calls&method=G%20T",
    ],
)
async def test_a_wrong_query_is_refused_by_field(ctl: Control, path: str) -> None:
    customer = await ctl.gateway.customer()

    refused = await ctl.consumer.get(path, headers=customer.headers)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["message"]


async def test_another_accounts_charge_does_not_exist(ctl: Control) -> None:
    owner = await ctl.gateway.customer(credits=100)
    other = await ctl.gateway.customer(credits=100)
    charge = await ctl.called(owner)

    refused = await ctl.consumer.get(f"/v1/charges/{charge}", headers=other.headers)
    malformed = await ctl.consumer.get("/v1/charges/zz", headers=other.headers)
    listed = (await ctl.consumer.get("/v1/charges", headers=other.headers)).json()

    assert (refused.status_code, malformed.status_code) == (404, 404)
    assert listed["items"] == []


async def test_entries_tell_all_that_moved_the_balance(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=100)
    charge = await ctl.called(customer)

    page = (await ctl.consumer.get("/v1/entries", headers=customer.headers)).json()

    lines = [(row["kind"], row["amount"], row["balance_after"]) for row in page["items"]]
    assert lines == [("charge", -2, 98), ("purchase", 100, 100)]
    assert page["items"][0]["charge"] == charge
    assert page["items"][0]["metadata"] == {"asin": "B1"}
    only = (await ctl.consumer.get("/v1/entries?kind=purchase", headers=customer.headers)).json()
    assert [row["kind"] for row in only["items"]] == ["purchase"]


async def test_usage_is_summed_by_route_and_day(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=100)
    await ctl.called(customer)
    await ctl.called(customer, "/v1/search", method="POST", json={"limit": 250})

    report = (await ctl.consumer.get("/v1/usage", headers=customer.headers)).json()

    [part] = report["types"]
    assert (part["used"], part["count"], part["balance"]) == (6, 2, 94)
    assert {(row["route"], row["used"]) for row in part["routes"]} == {
        ("product", 2),
        ("search", 4),
    }
    assert sum(day["used"] for day in part["days"]) == 6


async def test_usage_of_an_empty_time_is_nothing(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=100)
    await ctl.called(customer)
    past = datetime.now(UTC) - timedelta(days=60)
    span = {"from": past.isoformat(), "to": (past + timedelta(days=1)).isoformat()}

    report = (await ctl.consumer.get("/v1/usage", params=span, headers=customer.headers)).json()

    assert [(part["used"], part["days"]) for part in report["types"]] == [(0, [])]


async def test_a_quote_says_the_cost_and_whether_there_is_enough(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=3)
    await ctl.posted()
    asked = {"method": "post", "path": "/v1/search", "body": {"limit": 250}}

    quote = (await ctl.consumer.post("/v1/quote", json=asked, headers=customer.headers)).json()
    plain = (
        await ctl.consumer.get("/v1/quote?path=/v1/products/B1", headers=customer.headers)
    ).json()

    assert (quote["cost"], quote["final"], quote["route"]) == (4, True, "search")
    assert (quote["available"], quote["sufficient"], quote["shortfall"]) == (3, False, 1)
    assert (plain["cost"], plain["sufficient"], plain["shortfall"]) == (2, True, 0)


async def test_a_quote_in_a_scaled_type_shows_decimals(ctl: Control) -> None:
    customer = await ctl.gateway.customer()

    quote = (await ctl.consumer.get("/v1/quote?path=/v1/calls", headers=customer.headers)).json()

    assert (quote["cost"], quote["shortfall"]) == (25, 25)
    assert quote["display"] == {"cost": "0.25", "available": "0.00", "shortfall": "0.25"}


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"path": "/nowhere"}, 404),
        ({"path": "/v1/search"}, 405),
        ({"path": "/a/../b"}, 400),
        ({"method": "POST", "path": "/v1/search", "body": {"limit": "many"}}, 422),
        ({"method": "POST", "path": "/v1/search", "body": "limit=5"}, 415),
        ({"method": "POST"}, 422),
        ({"path": "/v1/calls", "colour": 1}, 422),
        ({"path": "/v1/calls", "headers": {"a": 1}}, 422),
    ],
)
async def test_a_quote_is_refused_as_the_call_would_be(ctl: Control, asked, status) -> None:
    customer = await ctl.gateway.customer()

    refused = await ctl.consumer.post("/v1/quote", json=asked, headers=customer.headers)

    assert refused.status_code == status


async def test_packages_are_for_everybody(ctl: Control) -> None:
    [starter] = (await ctl.consumer.get("/v1/packages")).json()["items"]

    assert (starter["id"], starter["credits"], starter["price"]) == ("starter", 100, {"usd": 1000})


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/checkout", {"package": "starter"}),
        ("GET", "/v1/checkout/cs_1", None),
        ("GET", "/v1/subscriptions", None),
        ("POST", "/v1/portal", None),
        ("GET", "/buy?token=x", None),
    ],
)
async def test_what_sells_says_that_nothing_is_sold(ctl: Control, method, path, body) -> None:
    headers = await ctl.managing(await ctl.gateway.customer())

    refused = await ctl.consumer.request(method, path, json=body, headers=headers)

    assert refused.status_code == 503
    assert refused.json()["type"] == "/farebox/problems/selling-not-configured"


async def test_a_problems_type_can_be_looked_up(ctl: Control) -> None:
    refused = await ctl.consumer.get("/v1/account")

    meaning = await ctl.consumer.get(refused.json()["type"].removeprefix(PREFIX))

    assert meaning.json() == {
        "name": "key-missing",
        "status": 401,
        "title": refused.json()["title"],
    }
    assert (await ctl.consumer.get("/problems/unheard-of")).status_code == 404


async def test_what_will_end_is_listed_the_first_to_end_first(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=3)
    for year, amount in ((2042, 7), (2041, 5)):
        given = {"credit_type": "credits", "amount": amount, "description": f"for {year}",
                 "expires_at": f"{year}-01-01T00:00:00Z"}  # fmt: skip
        await ctl.admin.post(f"/accounts/acc_{customer.account}/grants", json=given)
    await ctl.posted()

    items = (await ctl.consumer.get("/v1/expiring", headers=customer.headers)).json()["items"]

    seen = [(one["remaining"], one["expires_at"], one["description"]) for one in items]
    assert seen == [
        (5, "2041-01-01T00:00:00Z", "for 2041"), (7, "2042-01-01T00:00:00Z", "for 2042")
    ]  # fmt: skip


async def test_a_charge_names_the_credits_that_it_took(ctl: Control) -> None:
    """Two credits are taken as the lots burn: what ends first goes first, the rest from the next."""
    customer = await ctl.gateway.customer(credits=10)
    given = {"credit_type": "credits", "amount": 1, "description": "ends soon",
             "expires_at": "2041-01-01T00:00:00Z"}  # fmt: skip
    await ctl.admin.post(f"/accounts/acc_{customer.account}/grants", json=given)
    await ctl.posted()
    charge = await ctl.called(customer)
    unpaid = await ctl.called(customer, "/v1/made")

    paid = (await ctl.consumer.get(f"/v1/charges/{charge}", headers=customer.headers)).json()
    free = (await ctl.consumer.get(f"/v1/charges/{unpaid}", headers=customer.headers)).json()

    assert [(one["amount"], one["description"]) for one in paid["paid_from"]] == [
        (1, "ends soon"), (1, "")
    ]  # fmt: skip
    assert free["paid_from"] == []
