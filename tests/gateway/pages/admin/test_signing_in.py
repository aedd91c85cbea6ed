"""Who gets into the admin's pages: a named admin with the token, until it is revoked."""

import pytest

from gateway.pages.admin.visitor import GUESSES_PER_MINUTE
from tests.control import ROOT_TOKEN
from tests.gateway.pages.admin.looking import BASE, Looking, text_of
from tests.selling import Market

pytestmark = pytest.mark.anyio


async def made(market: Market, name: str) -> str:
    """A new admin's token."""
    answer = await market.admin.post("/admins", json={"name": name})
    return str(answer.json()["token"])


async def test_a_token_is_traded_for_a_short_cookie_of_these_pages_only(
    stranger: Looking, market: Market
) -> None:
    answer = await stranger.sign_in(await made(market, "eve"))

    assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/")
    cookie = answer.headers["set-cookie"]
    for said in ("farebox_admin=", "HttpOnly", "SameSite=strict", "Path=/admin", "Max-Age=14400"):
        assert said in cookie
    assert "Secure" not in cookie  # no TLS here
    page = await stranger.get("/")
    assert (page.status_code, "eve" in page.text) == (200, True)
    rows = (await market.admin.get("/audit", params={"actor": "eve"})).json()["items"]
    assert [row["action"] for row in rows] == ["admin.sign-in"]


async def test_behind_tls_the_cookie_stays_there(stranger: Looking) -> None:
    answer = await stranger.http.post(
        f"{BASE}/sign-in", data={"token": ROOT_TOKEN}, headers={"x-forwarded-proto": "https"}
    )

    assert "Secure" in answer.headers["set-cookie"]


async def test_who_signs_in_goes_on_with_the_page_that_was_asked_for(stranger: Looking) -> None:
    page = await stranger.get("/charges?state=void")
    assert 'name="next" value="/admin/charges?state=void"' in page.text

    for wanted, led in (
        ("/admin/charges?state=void", "/admin/charges?state=void"),
        ("//evil.example/", "/admin/"),
        ("/admin//evil.example", "/admin/"),
        ("https://evil.example/admin/", "/admin/"),
        ("/farebox/", "/admin/"),
    ):
        answer = await stranger.http.post(
            f"{BASE}/sign-in", data={"token": ROOT_TOKEN, "next": wanted}
        )
        assert answer.headers["location"] == led


@pytest.mark.parametrize("token", ["no such token", "fba_" + "0" * 64, "a\0b", "é" * 30])
async def test_a_wrong_token_opens_nothing(
    stranger: Looking, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await stranger.sign_in(token)

    assert answer.status_code in (401, 422)
    assert "set-cookie" not in answer.headers
    assert "www-authenticate" not in answer.headers
    assert token not in answer.text
    assert token not in caplog.text
    assert answer.status_code == 422 or "wrong admin token" in caplog.text


async def test_an_empty_form_is_told_what_is_missing(stranger: Looking) -> None:
    answer = await stranger.http.post(f"{BASE}/sign-in", data={"token": " "})

    assert answer.status_code == 422
    assert "Is missing" in text_of(answer)


async def test_a_revoked_admins_session_ends_at_once(
    stranger: Looking, root: Looking, market: Market
) -> None:
    token = await made(market, "mallory")
    assert stranger is root  # one client: it is mallory now
    await stranger.sign_in(token)
    assert (await stranger.get("/")).status_code == 200

    await market.admin.delete("/admins/mallory")

    assert (await stranger.get("/")).status_code == 401
    assert (await stranger.sign_in(token)).status_code == 401


async def test_signing_out_ends_the_session_not_only_the_cookie(
    root: Looking, market: Market
) -> None:
    session = root.http.cookies["farebox_admin"]
    page = await root.get("/")
    assert "Sign out" in page.text

    answer = await root.send("/", "/sign-out")

    assert answer.status_code == 303
    assert "farebox_admin=" in answer.headers["set-cookie"]
    again = await root.http.get(f"{BASE}/", headers={"cookie": f"farebox_admin={session}"})
    assert again.status_code == 401


async def test_another_site_cannot_sign_anybody_in(stranger: Looking) -> None:
    answer = await stranger.http.post(
        f"{BASE}/sign-in",
        data={"token": ROOT_TOKEN},
        headers={"sec-fetch-site": "cross-site", "origin": "http://evil.example"},
    )

    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


async def test_a_consumers_session_is_none_here(stranger: Looking, market: Market) -> None:
    buyer = await market.buyer()
    link = (await market.admin.post(f"/accounts/{buyer.account}/sign-in")).json()["url"]
    answer = await market.control.gateway.http.get(link)
    session = answer.cookies["farebox_session"]

    for name in ("farebox_admin", "farebox_session"):
        page = await stranger.http.get(f"{BASE}/", headers={"cookie": f"{name}={session}"})
        assert page.status_code == 401


async def test_a_session_is_no_token_of_the_api_and_a_token_no_session(root: Looking) -> None:
    session = root.http.cookies["farebox_admin"]

    as_cookie = await root.http.get(f"{BASE}/v1/admins")
    as_token = await root.http.get(
        f"{BASE}/v1/admins", headers={"authorization": f"Bearer {session}"}
    )
    root.http.cookies.clear()
    as_session = await root.http.get(f"{BASE}/", headers={"authorization": f"Bearer {ROOT_TOKEN}"})

    assert (as_cookie.status_code, as_token.status_code, as_session.status_code) == (401, 401, 401)


async def test_who_guesses_tokens_has_to_wait(
    alone: tuple[object, Looking], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.throttle.PER_S", 10**9)  # this minute does not end
    _, looking = alone
    looking.http.cookies.clear()

    wrong = [await looking.sign_in(f"wrong-{number}") for number in range(GUESSES_PER_MINUTE + 1)]
    right = await looking.sign_in(ROOT_TOKEN)

    assert [answer.status_code for answer in wrong] == [401] * GUESSES_PER_MINUTE + [429]
    assert (right.status_code, "retry-after" in right.headers) == (429, True)
