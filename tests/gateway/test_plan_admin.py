"""Plans as admins and consumers meet them: set, shown, quoted, warned of, and tried on old charges."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ledger import accounts
from ledger.ids import account_text
from tests.charging import Customer, fresh_stores
from tests.control import Control, control

pytestmark = pytest.mark.anyio

YAML = {"content-type": "application/yaml"}
OLD = """
version: 1
upstreams: { api: { url: "{api}" } }
routes:
  - { path: "/v1/products/{asin}", methods: [GET], upstream: api, price: 10, name: product }
  - { path: /v1/list, methods: [GET], upstream: api, price: { per: [{ query: n, cost: 1, default: 5 }] } }
  - { path: /v1/pro, methods: [GET], upstream: api, price: 3 }
"""
PRICES = (
    OLD.replace("price: 3", "price: 3, plans: [pro]")
    + """
plans:
  pro: { factor: 0.5, routes: { product: { price: 7 } } }
  team: { factor: 0.8 }
"""
)


@pytest.fixture(scope="module")
async def ctl(
    postgres_server: str, template_database: str, redis_url: str
) -> AsyncIterator[Control]:
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        control(stores, PRICES) as running,
    ):
        yield running


async def put_on(ctl: Control, customer: Customer, plan: str) -> dict[str, Any]:
    path = f"/accounts/{account_text(customer.account)}/plan"
    answer = await ctl.admin.put(path, json={"plan": plan})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_an_admin_puts_accounts_on_plans(ctl: Control) -> None:
    """With the account, or by itself; the answer says when calls are priced by it."""
    made = (await ctl.admin.put("/accounts/ann", json={"plan": "pro"})).json()
    assert (made["plan"], made["plan_in_force"], made["plan_applied"]) == ("pro", "pro", True)
    await ctl.posted()
    assert (await ctl.admin.get("/accounts/ann")).json()["plan_applied"] is True

    told = (await ctl.admin.put("/accounts/ann/plan", json={"plan": ""})).json()

    assert (told["plan"], told["plan_in_force"], told["features"]) == ("", "", [])
    assert (await ctl.admin.put("/accounts/nobody/plan", json={"plan": "pro"})).status_code == 404
    assert (await ctl.admin.put("/accounts/ann/plan", json={"plan": "x" * 201})).status_code == 422
    entries = (await ctl.admin.get("/audit")).json()["items"]
    assert entries[0]["action"] == "account.update"
    assert entries[0]["detail"]["plan"] == ""


async def test_a_quote_is_for_the_plan_of_whoever_asks(ctl: Control) -> None:
    """And is refused as the call would be."""
    customer = await ctl.gateway.customer(credits=100)
    path = "/v1/quote?path=/v1/products/B1"
    assert (await ctl.consumer.get(path, headers=customer.headers)).json()["cost"] == 10
    closed = await ctl.consumer.get("/v1/quote?path=/v1/pro", headers=customer.headers)
    assert (closed.status_code, closed.json()["type"]) == (403, "/farebox/problems/plan-required")

    await put_on(ctl, customer, "pro")

    quoted = (await ctl.consumer.get(path, headers=customer.headers)).json()
    assert (quoted["cost"], quoted["plan"]) == (7, "pro")
    opened = await ctl.consumer.get("/v1/quote?path=/v1/pro", headers=customer.headers)
    assert opened.json()["cost"] == 2


async def test_plans_that_the_file_does_not_name_are_warned_of(ctl: Control) -> None:
    """On the admin's listener: what accounts are called on is nobody else's business."""
    customer = await ctl.gateway.customer()
    await put_on(ctl, customer, "gold")
    said = "accounts are on plans that the price file does not name: gold; the usual prices count"

    assert (await ctl.admin.get("/gateways")).json()["warnings"] == [said]
    assert (await ctl.consumer.get("/readyz")).json()["warnings"] == []
    await put_on(ctl, customer, "")

    assert (await ctl.admin.get("/gateways")).json()["warnings"] == []


async def test_a_replay_reprices_by_the_plan_on_the_charge(ctl: Control) -> None:
    """Not by the one of now; in all plans, and what they close is refused."""
    customer = await ctl.gateway.customer(credits=1_000)
    other = await ctl.gateway.customer(credits=1_000)
    await put_on(ctl, customer, "pro")
    await ctl.called(customer)
    await ctl.called(customer, "/v1/list?n=9")
    await ctl.called(customer, "/v1/pro")
    await put_on(ctl, customer, "team")
    await ctl.called(customer)
    await ctl.called(other)
    new = PRICES.replace("price: 7", "price: 9").replace("factor: 0.8", "factor: 0.1")
    new = new.replace("plans: [pro]", "plans: [team]")

    told = {}
    for name, who in (("customer", customer), ("other", other)):
        answer = await ctl.admin.post(
            f"/prices/replay?account={account_text(who.account)}", content=new, headers=YAML
        )
        assert answer.status_code == 200, answer.text
        told[name] = answer.json()

    sums = {row["route"]: (row["before"], row["after"]) for row in told["customer"]["routes"]}
    assert sums == {"GET /v1/products/{asin}": (7 + 8, 9 + 1), "GET /v1/list": (5, 5)}
    [refused] = told["customer"]["unrepriced"]
    assert (refused["why"], refused["route"]) == ("refused", "GET /v1/pro")
    assert refused["sentence"].endswith("plan-required")
    assert [row["plan"] for row in told["customer"]["plans"]] == ["team"]
    assert (told["other"]["totals"][0]["before"], told["other"]["totals"][0]["after"]) == (10, 10)
    assert told["customer"]["notes"] == []


async def test_a_replay_agrees_with_charging_afresh(ctl: Control) -> None:
    """The same calls, on every plan, charged by this gateway and replayed with its own file."""
    customer = await ctl.gateway.customer(credits=1_000)
    for plan in ("", "pro", "team"):
        await put_on(ctl, customer, plan)
        for path in ("/v1/products/B1", "/v1/list?n=7", "/v1/list"):
            await ctl.called(customer, path)

    path = f"/prices/replay?account={account_text(customer.account)}"
    told = (await ctl.admin.post(path, content=PRICES, headers=YAML)).json()

    assert told["unrepriced"] == []
    [total] = told["totals"]
    assert (total["charges"], total["change"]) == (9, 0)
    assert total["before"] == sum([10, 7, 5, 7, 4, 3, 8, 6, 4])


async def test_charges_from_before_there_were_plans_take_the_plan_of_now(
    postgres_server: str, template_database: str, redis_url: str
) -> None:
    """So plans can be tried before they are live; a note says so."""
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        control(stores, OLD) as ctl,
    ):
        pro, plain = await ctl.gateway.customer(credits=99), await ctl.gateway.customer(credits=99)
        async with ctl.gateway.ledger.database.connection() as connection:
            await accounts.set_plan(connection, pro.account, "pro", actor="test")
        for customer in (pro, plain):
            await ctl.called(customer)

        told = (await ctl.admin.post("/prices/replay", content=PRICES, headers=YAML)).json()

    assert {row["plan"]: (row["before"], row["after"]) for row in told["plans"]} == {
        "": (10, 10),
        "pro": (10, 7),
    }
    [note] = told["notes"]
    assert note == "charges of files without plans are repriced by the plan of their account now"
