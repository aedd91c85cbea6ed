"""gateway/admin: accounts, keys, prices and watching, for named admins only."""

import pytest

from gateway.admin.table import TABLE, described
from tests.control import PRICES, ROOT_TOKEN, Control

pytestmark = pytest.mark.anyio

OPEN = {"/livez", "/readyz"}


async def test_every_served_route_is_in_the_document(ctl: Control) -> None:
    document = (await ctl.admin.get("http://admin/openapi.json")).json()

    served = {(row.path, row.method.lower()) for row in TABLE}
    assert served == {(path, method) for path, rows in document["paths"].items() for method in rows}
    assert document == described()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_a_stranger_gets_nothing_done(ctl: Control, row) -> None:
    path = row.path.replace("{", "").replace("}", "")
    customer = await ctl.gateway.customer()

    answers = [
        await ctl.admin.request(row.method, f"http://admin{path}", headers={"authorization": value})
        for value in ("", "Bearer wrong", ROOT_TOKEN, f"Bearer {customer.secret}")
    ]

    expected = {200} if row.path in OPEN else {401}
    assert {answer.status_code for answer in answers} == expected


async def test_an_account_is_made_once_by_its_external_id(ctl: Control) -> None:
    body = {"name": "Ann", "email": "ann@example.com", "plan": "gold"}

    first = await ctl.admin.put("/accounts/user-1", json=body)
    second = await ctl.admin.put("/accounts/user-1", json=body)
    changed = await ctl.admin.put("/accounts/user-1", json={"plan": "silver"})

    assert first.json() == second.json()
    assert (changed.json()["id"], changed.json()["plan"]) == (first.json()["id"], "silver")
    assert changed.json()["name"] == "Ann"
    rows = (await ctl.admin.get(f"/audit?target={first.json()['id']}")).json()["items"]
    assert [(row["action"], row["actor"]) for row in rows] == [
        ("account.update", "root"),
        ("account.create", "root"),
    ]


async def test_an_account_is_found_by_id_external_id_and_part_of_a_name(ctl: Control) -> None:
    made = (
        await ctl.admin.post("/accounts", json={"external_id": "zebra 7", "name": "Zoë Löwe"})
    ).json()

    by_id = await ctl.admin.get(f"/accounts/{made['id']}")
    by_external_id = await ctl.admin.get("/accounts/zebra 7")
    found = (await ctl.admin.get("/accounts", params={"search": "ë Lö"})).json()

    assert by_id.json() == by_external_id.json() == made
    assert [row["id"] for row in found["items"]] == [made["id"]]


async def test_accounts_are_paged(ctl: Control) -> None:
    for number in range(3):
        await ctl.admin.post("/accounts", json={"name": f"paged {number}"})

    first = (await ctl.admin.get("/accounts?search=paged&limit=2")).json()
    query = {"search": "paged", "limit": 2, "cursor": first["next"]}
    second = (await ctl.admin.get("/accounts", params=query)).json()

    names = [row["name"] for row in first["items"] + second["items"]]
    assert names == ["paged 0", "paged 1", "paged 2"]
    assert second["next"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"external_id": "acc_5"},
        {"external_id": ""},
        {"external_id": "x" * 201},
        {"external_id": "a\nb"},
        {"email": "nobody"},
        {"name": 5},
        {"colour": "red"},
    ],
)
async def test_a_bad_account_is_refused_by_field(ctl: Control, body) -> None:
    refused = await ctl.admin.post("/accounts", json=body)

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == list(body)


async def test_an_external_id_is_used_once(ctl: Control) -> None:
    await ctl.admin.post("/accounts", json={"external_id": "taken"})

    again = await ctl.admin.post("/accounts", json={"external_id": "taken"})

    assert again.status_code == 409
    assert again.json()["type"].endswith("/external-id-used")


async def test_a_frozen_account_is_refused_until_it_is_thawed(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    path = f"/accounts/acc_{customer.account}"

    frozen = await ctl.admin.post(f"{path}/freeze", json={"reason": "a dispute"})
    refused = await ctl.gateway.get("/v1/products/B1", customer)
    thawed = await ctl.admin.post(f"{path}/thaw", json={"reason": "settled"})

    assert (frozen.json()["status"], frozen.json()["applied"]) == ("frozen", True)
    assert refused.status_code == 403
    assert thawed.json()["applied"]
    assert (await ctl.gateway.get("/v1/products/B1", customer)).status_code == 200
    assert (await ctl.admin.post(f"{path}/freeze", json={})).status_code == 422


async def test_a_key_is_made_used_rotated_and_revoked(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    path = f"/accounts/acc_{customer.account}/keys"

    made = (await ctl.admin.post(path, json={"scopes": ["call"]})).json()
    other = (await ctl.admin.post(f"/keys/{made['id']}/rotate", json={"overlap_s": 0})).json()
    gone = (await ctl.admin.delete(f"/keys/{other['id']}")).json()
    rows = (await ctl.admin.get(path)).json()["items"]

    assert other["replaces"] == made["id"]
    assert gone["status"] == "revoked"
    assert [row["status"] for row in rows] == ["revoked", "revoked", "active"]
    for key in (made["key"], other["key"]):
        answer = await ctl.gateway.get("/v1/products/B1", headers={"x-api-key": key})
        assert answer.status_code == 401


async def test_an_unknown_account_or_key_is_404(ctl: Control) -> None:
    answers = [
        await ctl.admin.get("/accounts/nobody"),
        await ctl.admin.get("/accounts/acc_999999"),
        await ctl.admin.get("/accounts/nobody/keys"),
        await ctl.admin.get("/accounts/nobody/entries"),
        await ctl.admin.get("/accounts/nobody/usage"),
        await ctl.admin.get("/accounts/nobody/grants"),
        await ctl.admin.get("/charges?account=nobody"),
        await ctl.admin.delete("/keys/key_999999"),
        await ctl.admin.get("/charges/000000000000000000000000"),
        await ctl.admin.get("/prices/999"),
        await ctl.admin.delete("/admins/nobody"),
        await ctl.admin.delete("/admins/%00"),
        await ctl.admin.get("/accounts/a%00b"),
        await ctl.admin.post("/findings/999999/resolve", json={"reason": "none"}),
    ]

    assert {answer.status_code for answer in answers} == {404}


async def test_prices_are_listed_shown_and_rolled_back(ctl: Control) -> None:
    current = (await ctl.admin.get("/prices/current")).json()
    rolled = await ctl.admin.post(f"/prices/{current['version']}/rollback")
    versions = (await ctl.admin.get("/prices")).json()["items"]

    assert current["text"].strip().startswith("version: 1")
    assert (await ctl.admin.get("/prices/1")).json()["sha256"] == versions[-1]["sha256"]
    assert rolled.status_code == 201
    assert rolled.json()["sha256"] == current["sha256"]
    assert (await ctl.admin.get("/prices/refusal")).json()["problems"] == []
    assert (await ctl.admin.get("/prices/one")).status_code == 422


async def test_a_price_text_is_checked_without_being_published(ctl: Control) -> None:
    before = (await ctl.admin.get("/prices")).json()
    headers = {"content-type": "application/yaml"}
    good = PRICES.replace("{api}", "http://127.0.0.1:9")

    fine = await ctl.admin.post("/prices/check", content=good, headers=headers)
    wrong = await ctl.admin.post("/prices/check", content="version: 2\n", headers=headers)

    routes = good.count("path: ")
    assert fine.json() == {"good": True, "problems": [], "routes": routes, "unpriced": []}
    assert (wrong.json()["good"], wrong.json()["routes"]) == (False, 0)
    assert wrong.json()["problems"][0]["line"] == 1
    assert (await ctl.admin.get("/prices")).json() == before
    assert (await ctl.admin.post("/prices/check", content=b"\xff", headers=headers)).is_error


async def test_routes_without_a_price_are_listed_when_a_text_is_checked(ctl: Control) -> None:
    text = """version: 1
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes:
  - { path: /a, methods: [GET], upstream: api, price: 1 }
  - { path: /b, methods: [GET], upstream: api, price: unpriced, observe: true, name: later }
"""
    headers = {"content-type": "application/yaml"}
    checked = (await ctl.admin.post("/prices/check", content=text, headers=headers)).json()
    assert checked == {
        "good": True,
        "problems": [],
        "routes": 2,
        "unpriced": [{"route": "GET /b", "name": "later", "line": 5}],
    }


async def test_an_admin_acts_under_a_name_until_revoked(ctl: Control) -> None:
    made = (await ctl.admin.post("/admins", json={"name": "Bea"})).json()
    hers = {"authorization": f"Bearer {made['token']}"}

    account = (await ctl.admin.post("/accounts", json={}, headers=hers)).json()["id"]
    rows = (await ctl.admin.get(f"/audit?target={account}&actor=Bea")).json()["items"]
    listed = await ctl.admin.get("/admins")
    revoked = await ctl.admin.delete("/admins/Bea")

    assert [row["actor"] for row in rows] == ["Bea"]
    assert made["token"] not in listed.text
    assert revoked.json()["revoked_at"]
    assert (await ctl.admin.get("/admins", headers=hers)).status_code == 401
    assert (await ctl.admin.post("/admins", json={"name": "Bea"})).status_code == 409
    assert (await ctl.admin.post("/admins", json={"name": "root"})).status_code == 422


async def test_the_books_are_checked_on_request(ctl: Control) -> None:
    customer = await ctl.gateway.customer(credits=10)
    await ctl.called(customer)

    verified = (await ctl.admin.get("/verify")).json()
    reconciled = (await ctl.admin.get("/reconcile")).json()

    assert verified == reconciled == {"clean": True, "findings": []}
    assert (await ctl.admin.get("/findings")).json() == {"items": [], "next": None}


async def test_gateways_and_metrics_are_shown(ctl: Control) -> None:
    assert (await ctl.admin.get("/gateways")).json() == {"items": [], "warnings": []}
    metrics = await ctl.admin.get("http://admin/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")


async def test_a_sign_in_link_names_the_public_address(ctl: Control) -> None:
    customer = await ctl.gateway.customer()

    link = (await ctl.admin.post(f"/accounts/acc_{customer.account}/sign-in")).json()

    assert link["url"].startswith(f"{ctl.gateway.url}/farebox/sign-in?token=")


async def test_root_is_not_revoked_here(ctl: Control) -> None:
    refused = await ctl.admin.delete("/admins/root")

    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "root-stays")
    assert "FAREBOX_ADMIN_TOKEN" in refused.json()["detail"]
    assert (await ctl.admin.get("/admins")).status_code == 200
