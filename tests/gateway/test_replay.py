"""Recorded charges at other prices, over the admin's route: as if they were charged afresh."""

from typing import Any

import pytest

from gateway.operations import replays
from ledger import charges
from tests.charging import Customer, fresh_stores
from tests.control import Control, control

pytestmark = pytest.mark.anyio

YAML = {"content-type": "application/yaml"}

OLD = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "{api}" } }
routes:
  - { path: "/v1/products/{asin}", methods: [GET], upstream: api, price: 2, name: product }
  - path: /v1/search
    methods: [POST]
    upstream: api
    price: { flat: 1, per: [{ body: /limit, unit: 100, cost: 1, default: 1 }], max: 50 }
  - { path: /v1/gone, methods: [GET], upstream: api, price: 4 }
  - { path: /v1/size, methods: [GET], upstream: api, price: { hold: 90, settle: { response_bytes: true, cost: 1 } } }
  - { path: /v1/calls, methods: [GET], upstream: api, price: { flat: "0.25", credit_type: calling } }
  - { path: /v1/seen, methods: [GET], upstream: api, price: 3, observe: true }
  - { path: /v1/free, methods: [GET], upstream: api, price: 0 }
"""
NEW = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "{api}" } }
routes:
  - { path: "/v1/products/{id}", methods: [GET], upstream: api, price: 5 }
  - path: /v1/search
    methods: [POST]
    upstream: api
    price: { flat: 2, per: [{ body: /limit, unit: 10, cost: 1, default: 1 }], max: 30 }
  - { path: /v1/size, methods: [GET], upstream: api, price: { hold: 90, settle: { response_bytes: true, unit: 2, cost: 1 } } }
  - { path: /v1/calls, methods: [GET], upstream: api, price: 1 }
  - { path: /v1/seen, methods: [GET], upstream: api, price: 3 }
  - { path: /v1/free, methods: [GET], upstream: api, price: 1 }
"""


WITH_ALLOWANCE = NEW + "limits: { per_account: { free: { requests: 4, per: month } } }\n"


async def called(ctl: Control, customer: Customer) -> None:
    """The same calls, whatever they cost."""
    gateway = ctl.gateway
    for asin in ("B1", "B2", "B3"):
        await gateway.get(f"/v1/products/{asin}", customer)
    for limit in (None, 1, 250, 9_999):
        body = {} if limit is None else {"limit": limit}
        await gateway.ask("POST", "/v1/search", customer, json=body)
    for path in ("size", "size", "calls", "seen", "free", "gone"):
        await gateway.get(f"/v1/{path}", customer)
    await ctl.posted()


async def replayed(ctl: Control, text: str, **query: Any) -> Any:
    answer = await ctl.admin.post("/prices/replay", content=text, headers=YAML, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def captured(ctl: Control, account: int) -> dict[str, int]:
    async with ctl.gateway.ledger.database.connection() as connection:
        rows = await charges.find(connection, account_id=account, limit=200)
    found: dict[str, int] = {}
    for row in rows:
        found[row.credit_type] = found.get(row.credit_type, 0) + row.captured
    return found


@pytest.mark.parametrize(("new", "spared"), [(NEW, 0), (WITH_ALLOWANCE, 4)])
async def test_a_replay_is_what_a_gateway_with_these_prices_charges(
    postgres_server: str, template_database: str, redis_url: str, new: str, spared: int
) -> None:
    """The whole way round: gateway, ledger, replay, and another gateway that charges afresh."""
    sums = []
    for text in (OLD, new):
        async with (
            fresh_stores(postgres_server, template_database, redis_url) as stores,
            control(stores, text) as ctl,
        ):
            customer = await ctl.gateway.customer(credits=1_000)
            await ctl.admin.post(
                f"/accounts/acc_{customer.account}/grants",
                json={"amount": 1_000, "credit_type": "calling", "kind": "promotion"},
            )
            await called(ctl, customer)
            if text is OLD:
                told = await replayed(ctl, new)
            sums.append(await captured(ctl, customer.account))

    totals = {row["credit_type"]: (row["before"], row["after"]) for row in told["totals"]}
    before, after = sums
    gone, free = 4, 1  # served by no route now; called, but never recorded
    assert totals["credits"] == (before["credits"] - gone, after["credits"] - free)
    assert totals["calling"] == (before["calling"], 0)
    assert [(row["why"], row["charges"], row["charged"]) for row in told["unrepriced"]] == [
        ("route-gone", 1, gone)
    ]
    assert (told["charges"], told["repriced"], told["free"]) == (12, 11, spared)
    assert told["notes"] == [
        "GET /v1/free is free now: its calls are not recorded, and count nowhere"
    ]
    by_route = {row["route"]: row for row in told["routes"] if row["credit_type"] == "credits"}
    assert by_route["GET /v1/products/{asin}"]["after"] == (0 if spared else 15)
    assert by_route["GET /v1/products/{asin}"]["now"] == "GET /v1/products/{id}"
    assert by_route["GET /v1/seen"]["before"] == 0


async def test_who_would_run_dry_is_named_with_how_long_it_lasts(ctl: Control) -> None:
    rich, poor = await ctl.gateway.customer(100), await ctl.gateway.customer(9)
    for customer in (rich, poor):
        for _ in range(3):
            await ctl.called(customer)

    text = (await ctl.admin.get("/prices/current")).json()["text"]
    told = await replayed(ctl, text.replace("price: 2, name: product", "price: 4, name: product"))

    assert [
        (row["account"], row["available"], row["after"], row["anyway"]) for row in told["dry"]
    ] == [(f"acc_{poor.account}", 3, 12, True)]
    assert told["dry"][0]["lasts_s"] == 86_400 * 3 // 12
    changed = {row["account"]: row["change"] for row in told["accounts"]}
    assert changed == {f"acc_{rich.account}": 6, f"acc_{poor.account}": 6}
    one = await replayed(ctl, text, account=f"acc_{rich.account}")
    assert (one["charges"], one["accounts"]) == (3, [])


async def test_plans_are_added_up(ctl: Control) -> None:
    gold = await ctl.gateway.customer(100)
    async with ctl.gateway.ledger.database.connection() as connection:
        await connection.execute("UPDATE accounts SET plan = 'gold' WHERE id = $1", gold.account)
    await ctl.called(gold)
    text = (await ctl.admin.get("/prices/current")).json()["text"]

    told = await replayed(ctl, text, account=f"acc_{gold.account}")

    assert [(row["plan"], row["before"], row["after"]) for row in told["plans"]] == [("gold", 2, 2)]


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, OLD, "from"),
        ({"from": "yesterday"}, OLD, "from"),
        ({}, "version: 2\n", "line 1, column 1"),
    ],
)
async def test_a_replay_that_cannot_be_is_refused(
    ctl: Control, query: dict[str, str], body: str, field: str
) -> None:
    body = body.replace("{api}", "http://127.0.0.1:9")
    answer = await ctl.admin.post("/prices/replay", content=body, headers=YAML, params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_a_changed_scale_cannot_be_compared(ctl: Control) -> None:
    text = OLD.replace("credits: { scale: 0 }", "credits: { scale: 1 }")
    answer = await ctl.admin.post(
        "/prices/replay", content=text.replace("{api}", "http://x"), headers=YAML
    )
    assert (answer.status_code, answer.json()["type"]) == (409, "/farebox/problems/scale-changed")


async def test_too_many_charges_at_once_are_refused(ctl: Control, monkeypatch: Any) -> None:
    customer = await ctl.gateway.customer(100)
    for _ in range(3):
        await ctl.called(customer)
    monkeypatch.setattr(
        replays.replay, "__kwdefaults__", {**replays.replay.__kwdefaults__, "most": 2}
    )
    answer = await ctl.admin.post(
        "/prices/replay", content=OLD.replace("{api}", "http://x"), headers=YAML
    )
    assert answer.status_code == 422
    assert "farebox replay" in answer.json()["detail"]


async def test_a_text_is_compared_with_what_is_in_force(ctl: Control) -> None:
    text = (await ctl.admin.get("/prices/current")).json()["text"]
    changed = text.replace("price: 2, name: product", "price: 3, name: product")

    same = await ctl.admin.post("/prices/diff", content=text, headers=YAML)
    other = await ctl.admin.post("/prices/diff", content=changed, headers=YAML)
    wrong = await ctl.admin.post("/prices/diff", content="version: 2", headers=YAML)
    binary = await ctl.admin.post("/prices/diff", content=b"\xff", headers=YAML)

    assert same.json() == {"same": True, "changes": []}
    assert [row["sentence"] for row in other.json()["changes"]] == [
        "GET /v1/products/{asin}: 2 credits -> 3 credits"
    ]
    assert (wrong.status_code, binary.status_code) == (422, 400)
