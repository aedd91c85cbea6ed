"""The admin's pages about accounts, keys and charges: what a form does is done, and audited."""

import re
from typing import Any

import pytest

from tests.control import Control
from tests.gateway.pages.admin.looking import Looking, text_of
from tests.selling import Buyer, Market

pytestmark = pytest.mark.anyio


@pytest.fixture
async def buyer(market: Market) -> Buyer:
    return await market.buyer(credits=20)


async def last(market: Market, action: str) -> dict[str, Any]:
    rows = (await market.admin.get("/audit", params={"limit": 100})).json()["items"]
    return next(row for row in rows if row["action"] == action)


async def test_an_account_is_made_found_and_changed(root: Looking, market: Market) -> None:
    page = await root.done("/accounts/new", external_id="globex-1", name="Globex", plan="pro")
    assert "The account is made" in text_of(page)
    assert (await last(market, "account.create"))["actor"] == "root"

    found = await root.get("/accounts", params={"search": "globex"})
    assert ("Globex" in found.text, "pro" in found.text) == (True, True)
    nobody = await root.get("/accounts", params={"search": "nobody-at-all"})
    assert "No account has that id" in text_of(nobody)

    place = page.url.path.removeprefix("/admin")
    changed = await root.done(f"{place}/change", name="Globex Corporation")
    assert "Globex Corporation" in changed.text
    shown = (await market.admin.get("/accounts/globex-1")).json()
    assert (shown["name"], shown["plan"]) == ("Globex Corporation", "pro")


async def test_a_form_that_is_wrong_says_so_beside_the_field_and_keeps_what_was_typed(
    root: Looking, buyer: Buyer, market: Market
) -> None:
    answer = await root.send(f"/accounts/{buyer.account}/grant", amount="1.5", description="Kept")

    assert answer.status_code == 422
    assert re.search(r'id="e-amount">[^<]*decimal places', answer.text)
    assert 'aria-invalid="true"' in answer.text
    assert 'value="Kept"' in answer.text
    shown = (await market.admin.get(f"/accounts/{buyer.account}/grants")).json()
    assert len(shown["items"]) == 1


async def test_credits_are_given_once_however_often_the_form_is_sent(
    root: Looking, buyer: Buyer, market: Market
) -> None:
    path = f"/accounts/{buyer.account}/grant"
    page = await root.get(path)
    once = re.search(r'name="once" value="([^"]+)"', page.text)
    assert once is not None

    for _ in range(3):
        shown = await root.done(path, amount="30", once=once[1], description="A gift")

    assert "The credits are given" in text_of(shown)
    await market.until_available(buyer, 50)
    items = (await market.admin.get(f"/accounts/{buyer.account}/grants")).json()["items"]
    assert [(one["amount"], one["actor"], one["description"]) for one in items[:-1]] == [
        (30, "root", "A gift")
    ]


async def test_a_balance_is_corrected_with_a_reason(
    root: Looking, buyer: Buyer, market: Market
) -> None:
    await root.done(f"/accounts/{buyer.account}/adjust", amount="-5", reason="counted twice")
    await market.until_available(buyer, 15)
    await root.done(f"/accounts/{buyer.account}/adjust", amount="+2", reason="well")
    await market.until_available(buyer, 17)

    assert (await last(market, "adjust"))["actor"] == "root"
    for wrong in ({"amount": "0"}, {"amount": "x"}, {"amount": "5", "reason": " "}):
        answer = await root.send(f"/accounts/{buyer.account}/adjust", **{"reason": "odd", **wrong})
        assert answer.status_code == 422


async def test_a_frozen_account_is_refused_until_it_is_thawed(
    root: Looking, buyer: Buyer, market: Market
) -> None:
    gateway = market.control.gateway
    page = await root.done(f"/accounts/{buyer.account}/freeze", reason="a strange pattern")
    assert "frozen" in text_of(page)
    assert (await gateway.get("/v1/products/B1", buyer.customer)).status_code == 403

    await root.done(f"/accounts/{buyer.account}/thaw", reason="it was theirs")
    assert (await gateway.get("/v1/products/B1", buyer.customer)).status_code == 200
    assert (await last(market, "account.thaw"))["detail"]["reason"] == "it was theirs"


async def test_a_key_is_shown_once_and_revoked(root: Looking, buyer: Buyer, market: Market) -> None:
    gateway = market.control.gateway
    made = await root.send(f"/accounts/{buyer.account}/keys/new", name="build server")
    assert (made.status_code, made.headers["cache-control"]) == (200, "no-store")
    secret = re.search(r"fbx_\w+", made.text)
    assert secret is not None
    headers = {"x-api-key": secret[0]}
    assert (await gateway.get("/v1/products/B1", headers=headers)).status_code == 200
    page = await root.get(f"/accounts/{buyer.account}")
    assert secret[0] not in page.text
    found = re.search(r'keys/(key_\d+)/revoke" aria-label="Revoke key build server', page.text)
    assert found is not None

    shown = await root.done(f"/accounts/{buyer.account}/keys/{found[1]}/revoke")

    assert "The key is revoked" in text_of(shown)
    assert (await gateway.get("/v1/products/B1", headers=headers)).status_code == 401
    assert (await last(market, "key.revoke"))["actor"] == "root"


async def test_a_key_is_renamed(root: Looking, buyer: Buyer, market: Market) -> None:
    key = f"key_{buyer.customer.key}"
    page = await root.done(f"/accounts/{buyer.account}/keys/{key}/rename", name="laptop")

    assert "laptop" in text_of(page)
    assert (await last(market, "key.rename"))["actor"] == "root"


async def test_a_key_is_replaced(root: Looking, buyer: Buyer, market: Market) -> None:
    key = f"key_{buyer.customer.key}"
    made = await root.send(f"/accounts/{buyer.account}/keys/{key}/rotate", overlap_s="0")

    assert re.search(r"fbx_\w+", made.text)
    answer = await market.control.gateway.get("/v1/products/B1", buyer.customer)
    assert answer.status_code == 401


async def test_a_key_of_another_account_is_not_found_here(
    root: Looking, buyer: Buyer, market: Market
) -> None:
    other = await market.buyer()
    page = await root.get(f"/accounts/{other.account}/keys/key_{buyer.customer.key}/revoke")
    assert page.status_code == 404


async def test_a_sign_in_link_opens_the_accounts_own_pages(
    root: Looking, buyer: Buyer, market: Market
) -> None:
    made = await root.send(f"/accounts/{buyer.account}/sign-in")
    link = re.search(r"http://[^<\s]+token=\w+", made.text)
    assert link is not None

    answer = await market.control.gateway.http.get(link[0])

    assert "farebox_session" in answer.headers["set-cookie"]


async def test_a_charge_explains_itself_and_is_given_back_in_parts(
    root: Looking, buyer: Buyer, market: Market
) -> None:
    charge = await market.control.called(
        buyer.customer, "/v1/search", method="POST", json={"limit": 250}
    )
    page = await root.get(f"/charges/{charge}")
    assert "Rule 1 (search, /v1/search) of price version" in text_of(page)
    assert "4 credits charged: the answer was delivered" in text_of(page)

    shown = await root.done(f"/charges/{charge}/refund", amount="1", reason="slow")
    assert "The credits are given back" in text_of(shown)
    await market.until_available(buyer, 17)
    await root.done(f"/charges/{charge}/refund", reason="the rest")
    await market.until_available(buyer, 20)

    again = await root.send(f"/charges/{charge}/refund", reason="once more")
    assert again.status_code == 409
    assert "Give it back" not in (await root.get(f"/charges/{charge}")).text
    assert (await last(market, "charge.refund"))["actor"] == "root"


async def test_charges_are_found_by_account_route_state_day_and_id(
    root: Looking, buyer: Buyer, market: Market
) -> None:
    charge = await market.control.called(buyer.customer, "/v1/made")
    own = {"account": buyer.account}

    assert charge in (await root.get("/charges", params=own)).text
    assert charge in (await root.get("/charges", params={**own, "state": "void"})).text
    assert charge not in (await root.get("/charges", params={**own, "state": "captured"})).text
    assert charge not in (await root.get("/charges", params={**own, "route": "other"})).text
    before = {**own, "last": "2020-01-01"}
    assert "No charge fits" in text_of(await root.get("/charges", params=before))
    led = await root.get("/charges", params={"id": charge})
    assert led.headers["location"] == f"/admin/charges/{charge}"


async def test_lists_are_paged_and_keep_their_filter(
    alone: tuple[Control, Looking],
) -> None:
    running, looking = alone
    customer = await running.gateway.customer(credits=500)
    for _ in range(52):
        await running.gateway.get("/v1/products/B1", customer)
    await running.posted()

    first = await looking.get("/charges", params={"state": "captured"})
    older = re.search(r'href="([^"]+)" rel="next"', first.text)
    assert older is not None
    assert "state=captured" in older[1]
    second = await looking.http.get(older[1].replace("&amp;", "&"))

    ids = [re.findall(r"/admin/charges/(\w{24})", page.text) for page in (first, second)]
    assert [len(one) for one in ids] == [50, 2]
    assert len({*ids[0], *ids[1]}) == 52
    assert 'rel="first"' in second.text


async def test_charges_are_taken_away_as_csv(root: Looking, buyer: Buyer, market: Market) -> None:
    charge = await market.control.called(buyer.customer)
    answer = await root.get("/charges.csv", params={"account": buyer.account})

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    lines = answer.text.splitlines()
    assert lines[0].startswith("id,time,account")
    assert [line.split(",")[0] for line in lines[1:]] == [charge]
