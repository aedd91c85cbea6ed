"""gateway/pages/consumer/signing.py: who comes in, how often they may try, and how it ends."""

import secrets

import asyncpg
import pytest

from ledger import api_keys
from tests.charging import Stores
from tests.gateway.pages.browsing import PAGES, Browser, signed_in, stranger, text_of
from tests.selling import Buyer, Market, selling

pytestmark = pytest.mark.anyio


async def test_a_manage_key_signs_in_and_the_session_is_kept_from_scripts(
    market: Market, nobody: Browser, buyer: Buyer
) -> None:
    form = await nobody.get("/sign-in")
    entered = await nobody.post("/sign-in", {"key": f" {buyer.headers['x-api-key']} "})

    assert form.status_code == 200
    assert 'type="password"' in form.text
    assert (entered.status_code, entered.headers["location"]) == (303, "/farebox/")
    cookie = entered.headers["set-cookie"].lower()
    assert cookie.startswith("farebox_session=")
    assert all(word in cookie for word in ("httponly", "samesite=lax", "path=/farebox"))
    assert buyer.headers["x-api-key"] not in cookie
    assert (await nobody.get("/")).status_code == 200


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_asks_strangers_to_sign_in_and_goes_on_afterwards(
    nobody: Browser, buyer: Buyer, page: str
) -> None:
    asked = await nobody.get(page)
    assert asked.status_code == 401
    assert "Sign in" in asked.text
    assert "www-authenticate" not in asked.headers  # a browser would ask for a password

    entered = await nobody.post(
        "/sign-in", {"key": buyer.headers["x-api-key"], "next": f"/farebox{page}"}
    )
    assert entered.headers["location"] == f"/farebox{page}"


@pytest.mark.parametrize(
    "next_",
    ["https://evil.example/", "//evil.example/", "/farebox//evil.example", "/farebox/\\evil",
     "/v1/products/B1", "/fareboxed/x", "javascript:alert(1)"],
)  # fmt: skip
async def test_signing_in_leads_nowhere_but_to_our_pages(
    nobody: Browser, buyer: Buyer, next_: str
) -> None:
    entered = await nobody.post("/sign-in", {"key": buyer.headers["x-api-key"], "next": next_})
    assert entered.headers["location"] == "/farebox/"


async def test_a_key_that_may_only_call_does_not_sign_in(nobody: Browser, buyer: Buyer) -> None:
    refused = await nobody.post("/sign-in", {"key": buyer.customer.secret})
    assert refused.status_code == 403
    assert "scope manage" in text_of(refused.text)
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("key", ["", "x", "fbx_" + "0" * 49, "fbx_ü", "fbx_\x00"])
async def test_a_bad_key_is_told_beside_its_field_and_never_shown_again(
    nobody: Browser, key: str
) -> None:
    refused = await nobody.post("/sign-in", {"key": key})
    assert refused.status_code in (401, 422)
    assert 'aria-invalid="true"' in refused.text
    assert len(key) < 5 or key not in refused.text


async def test_who_guesses_keys_in_the_form_has_to_wait(
    database_url: str, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.consumer.caller.BAD_KEYS_PER_MINUTE", 5)
    seen = set()
    stores = Stores(database_url, redis_url, namespace)
    async with selling(stores) as alone, stranger(alone) as guessing:
        for _ in range(15):  # a new minute may begin in between
            answer = await guessing.post("/sign-in", {"key": "fbx_" + "0" * 49})
            seen.add(answer.status_code)
            if answer.status_code == 429:
                break
    assert seen == {401, 429}
    assert "try again later" in text_of(answer.text)


async def test_the_session_ends_with_the_key_that_began_it(market: Market) -> None:
    buyer = await market.buyer()
    async with signed_in(market, buyer) as entered:
        assert (await entered.get("/")).status_code == 200
        sha256 = api_keys.check_secret(buyer.headers["x-api-key"])
        assert sha256 is not None
        async with market.control.gateway.ledger.database.connection() as connection:
            key = await api_keys.find(connection, sha256)
            assert key is not None
            await api_keys.revoke(connection, key.id, actor="test")
        assert (await entered.get("/")).status_code == 401


async def test_signing_out_ends_the_session_for_whoever_kept_its_cookie(
    browser: Browser, nobody: Browser
) -> None:
    await browser.get("/")
    kept = dict(browser.http.cookies)
    left = await browser.send("/sign-out")
    assert (left.status_code, left.headers["location"]) == (303, "/farebox/sign-in")
    cookie = {"cookie": f"farebox_session={kept['farebox_session']}"}
    assert (await nobody.get("/", headers=cookie)).status_code == 401


async def test_a_session_is_over_after_its_hours(
    market: Market, browser: Browser, shared_stores: Stores
) -> None:
    assert (await browser.get("/")).status_code == 200
    connection = await asyncpg.connect(shared_stores.postgres_url)
    try:
        left = await connection.fetchval("SELECT max(expires_at) - now() FROM page_sessions")
        await connection.execute("UPDATE page_sessions SET expires_at = now()")
    finally:
        await connection.close()
    assert left.total_seconds() <= 12 * 3600
    assert (await browser.get("/")).status_code == 401


async def test_a_made_up_session_is_nobodys(nobody: Browser) -> None:
    for token in (secrets.token_hex(32), "", "x" * 5000, "é"):
        cookie = {"cookie": f"farebox_session={token}".encode()}
        assert (await nobody.get("/", headers=cookie)).status_code == 401
