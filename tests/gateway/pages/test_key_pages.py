"""gateway/pages/consumer/keys.py: made and shown once, renamed, replaced, capped, revoked."""

import re
from typing import Any

import pytest

from tests.gateway.pages.browsing import Browser, text_of
from tests.selling import Buyer, Market

pytestmark = pytest.mark.anyio

CALL = "/v1/products/B1"


async def keys_of(market: Market, buyer: Buyer) -> list[dict[str, Any]]:
    listed = await market.consumer.get("/v1/keys", headers=buyer.headers)
    found: list[dict[str, Any]] = listed.json()["items"]
    return found


def secret_in(page: str) -> str:
    (secret,) = re.findall(r"<code>(fbx_\w{49})</code>", page)
    return str(secret)


async def test_a_key_is_made_shown_once_and_works(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    await browser.get("/keys")
    made = await browser.send(
        "/keys", name="laptop", scopes=["call"], key_again=buyer.headers["x-api-key"]
    )

    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert "only time the key is shown" in text_of(made.text)
    secret = secret_in(made.text)
    called = await market.control.gateway.get(CALL, headers={"x-api-key": secret})
    assert called.status_code == 200
    listed = await browser.get("/keys")
    assert secret not in listed.text
    assert "laptop" in listed.text
    (newest, *_) = await keys_of(market, buyer)
    assert (newest["name"], newest["scopes"]) == ("laptop", ["call"])
    audit = (await market.admin.get("/audit", params={"target": newest["id"]})).json()["items"]
    assert re.fullmatch(r"key_\d+", audit[0]["actor"])


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"scopes": []}, "scopes"), ({"scopes": ["all"]}, "scopes"),
     ({"scopes": ["call"], "expires": "2001-01-01"}, "expires"),
     ({"scopes": ["call"], "expires": "soon"}, "expires"),
     ({"scopes": ["call"], "name": "n" * 201}, "name")],
)  # fmt: skip
async def test_a_key_that_cannot_be_made_is_told_beside_its_field(
    market: Market, browser: Browser, buyer: Buyer, fields: dict[str, Any], field: str
) -> None:
    before = await keys_of(market, buyer)
    await browser.get("/keys")
    refused = await browser.send("/keys", **fields, key_again=buyer.headers["x-api-key"])
    assert refused.status_code == 422
    found = re.findall(r'<p class="error"[^>]*>([^<]+)', refused.text)
    assert len(found) == 1
    assert field == "scopes" or f'id="e-{field}"' in refused.text
    assert await keys_of(market, buyer) == before


async def test_what_lets_somebody_spend_more_asks_for_the_key_again(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    key = f"key_{buyer.customer.key}"
    other = await market.buyer()
    before = await keys_of(market, buyer)
    wrong = ("", "fbx_" + "0" * 49, buyer.customer.secret, other.headers["x-api-key"])
    forms: tuple[tuple[str, dict[str, Any]], ...] = (
        ("/keys", {"scopes": ["call", "manage"]}),
        (f"/keys/{key}/rotate", {"overlap": "0"}),
        (f"/keys/{key}/caps", {"credit_type": "credits", "day": "5"}),
    )

    for path, fields in forms:
        for typed in wrong:
            await browser.get(f"/keys/{key}")
            refused = await browser.send(path, **fields, key_again=typed)
            assert refused.status_code == 422, (path, typed)
            assert re.search(r'id="e-[a-z0-9-]*key_again"', refused.text)
            assert not typed or typed not in refused.text
    assert await keys_of(market, buyer) == before


async def test_a_key_is_renamed_and_the_audit_knows(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    key = f"key_{buyer.customer.key}"
    await browser.get(f"/keys/{key}")
    done = await browser.send(f"/keys/{key}/rename", name="shop front")
    again = await browser.send(f"/keys/{key}/rename", name="shop front")

    assert (
        done.headers["location"] == again.headers["location"] == f"/farebox/keys/{key}?done=renamed"
    )
    assert "shop front" in (await browser.get(f"/keys/{key}?done=renamed")).text
    assert "shop front" in {one["name"] for one in await keys_of(market, buyer)}
    rows = (await market.admin.get("/audit", params={"target": key})).json()["items"]
    renamed = [row for row in rows if row["action"] == "key.rename"]
    assert [row["detail"]["before"] for row in renamed] == [""]


async def test_a_key_is_replaced_and_the_old_one_stops(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    key = f"key_{buyer.customer.key}"
    await browser.get(f"/keys/{key}")
    made = await browser.send(
        f"/keys/{key}/rotate", overlap="0", key_again=buyer.headers["x-api-key"]
    )
    assert made.status_code == 201
    new = {"x-api-key": secret_in(made.text)}
    assert (await market.control.gateway.get(CALL, headers=new)).status_code == 200
    assert (await market.control.gateway.get(CALL, buyer.customer)).status_code == 401


async def test_a_revoked_key_is_refused_on_the_next_call(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    key = f"key_{buyer.customer.key}"
    assert (await market.control.gateway.get(CALL, buyer.customer)).status_code == 200
    await browser.get(f"/keys/{key}")
    gone = await browser.send(f"/keys/{key}/revoke")
    assert gone.headers["location"] == f"/farebox/keys/{key}?done=revoked"
    assert (await market.control.gateway.get(CALL, buyer.customer)).status_code == 401
    shown = text_of((await browser.get(f"/keys/{key}?done=revoked")).text)
    assert "calls with it are refused" in shown
    assert "Revoke this key" not in shown


async def test_caps_are_set_by_type_in_its_decimals_and_taken_away(
    market: Market, browser: Browser, buyer: Buyer
) -> None:
    key = f"key_{buyer.customer.key}"
    proof = {"key_again": buyer.headers["x-api-key"]}
    await browser.get(f"/keys/{key}")
    await browser.send(f"/keys/{key}/caps", credit_type="calling", day="1.50", **proof)
    await browser.send(f"/keys/{key}/caps", credit_type="credits", day="2", total="1,000", **proof)

    (shown,) = [one for one in await keys_of(market, buyer) if one["id"] == key]
    caps = {(cap["credit_type"], cap["per"], cap["amount"]) for cap in shown["caps"]}
    assert caps == {("calling", "day", 150), ("credits", "day", 2), ("credits", "total", 1000)}
    assert (await market.control.gateway.get(CALL, buyer.customer)).status_code == 200
    assert (await market.control.gateway.get(CALL, buyer.customer)).status_code == 429

    await browser.send(f"/keys/{key}/caps", credit_type="credits", **proof)
    assert (await market.control.gateway.get(CALL, buyer.customer)).status_code == 200
    wrong = await browser.send(f"/keys/{key}/caps", credit_type="credits", day="2.5", **proof)
    assert wrong.status_code == 422
    assert "decimal places" in text_of(wrong.text)
