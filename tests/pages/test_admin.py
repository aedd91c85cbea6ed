"""What admins do on their pages has the effect that it says, and a stranger gets nowhere."""

import re

import httpx
from playwright.sync_api import Page, expect

from tests.pages import pictures
from tests.pages.browser import Chromium
from tests.pages.demo import Demo, until
from tests.pages.faults import wrong_with
from tests.pages.people import enter_token, go

SLOW = "path: /v1/slow, methods: [GET], upstream: demo, price: "


def test_a_charge_is_given_back(chromium: Chromium, demo: Demo) -> None:
    dora = demo.account("dora", granted=10)
    charge = demo.charged(dora.key)
    until(lambda: demo.available(dora.key) == 8, "the charge is posted")

    with chromium.visitor() as page:
        enter_token(page, demo, demo.admin_token)
        go(page, "Charges")
        page.get_by_text("More", exact=True).click()
        page.get_by_label("Request id").fill(charge)
        page.get_by_role("button", name="Show").click()
        expect(page.get_by_text("Why it cost that")).to_be_visible()
        page.get_by_role("link", name="Give it back").click()
        page.get_by_role("button", name="Give back").click()
        assert page.url.endswith("/refund"), "without a reason nothing is given back"
        page.get_by_label("Reason").fill("it was late")
        page.get_by_role("button", name="Give back").click()
        expect(page.get_by_text("The credits are given back.")).to_be_visible()
        expect(page.get_by_role("link", name="Give it back")).to_have_count(0)
        page.reload()

    until(lambda: demo.available(dora.key) == 10, "the credits are there again")
    shown = demo.call(dora.key, f"/farebox/v1/charges/{charge}").json()
    assert (shown["captured"], shown["refunded"]) == (2, 2)


def test_prices_are_edited_corrected_tried_and_published(chromium: Chromium, demo: Demo) -> None:
    emil = demo.account("emil", granted=100)
    demo.charged(emil.key, "/v1/slow?seconds=0")
    assert cost(demo, emil.key) == 1

    with chromium.visitor() as page:
        enter_token(page, demo, demo.admin_token)
        go(page, "Price file")
        page.get_by_role("link", name="Edit", exact=True).click()

        line = write_price(page, "many")
        page.get_by_role("button", name="Publish").click()
        wrong = page.get_by_role("alert")
        expect(wrong).to_contain_text("nothing was published")
        expect(wrong.get_by_role("link", name=f"Line {line}, column")).to_be_visible()
        marked = page.locator(f"#line-{line}")
        expect(marked).to_contain_text("/v1/slow")
        expect(marked.get_by_role("paragraph")).not_to_be_empty()
        pictures.keep(page, "admin-prices-edit-refused", "light")
        assert wrong_with(page) == []
        assert cost(demo, emil.key) == 1, "a refused edit changes nothing"

        write_price(page, "4")
        page.get_by_role("button", name="Check and compare").click()
        expect(page.get_by_text("The file is good")).to_be_visible()
        expect(page.get_by_role("listitem").filter(has_text="/v1/slow").first).to_be_visible()
        assert cost(demo, emil.key) == 1, "a check publishes nothing"

        page.get_by_role("button", name="Try it against the last day").click()
        expect(page.get_by_role("heading", name="By route")).to_be_visible()
        repriced = page.get_by_role("row").filter(
            has=page.get_by_role("rowheader", name="/v1/slow")
        )
        expect(repriced).to_contain_text(re.compile(r"\+\d+"))
        pictures.keep(page, "admin-prices-tried", "light")
        assert wrong_with(page) == []
        assert cost(demo, emil.key) == 1, "a try publishes nothing"

        page.get_by_role("link", name="Back to this text").click()
        page.get_by_role("button", name="Publish").click()
        expect(page.get_by_text(re.compile(r"Published as version \d+"))).to_be_visible()
        until(lambda: cost(demo, emil.key) == 4, "the next call costs the new price")

        page.get_by_role("link", name="Go back to version 1").click()
        page.get_by_role("button", name="Go back to version 1").click()
        expect(page.get_by_text(re.compile(r"Published as version \d+"))).to_be_visible()
        until(lambda: cost(demo, emil.key) == 1, "the next call costs the old price again")


def test_an_admin_whose_token_is_revoked_is_out(chromium: Chromium, demo: Demo) -> None:
    token = demo.ask_admin("POST", "/admins", {"name": "otto"})["token"]
    with chromium.visitor() as page:
        enter_token(page, demo, token)
        go(page, "Accounts")
        expect(page.get_by_role("heading", name="Accounts")).to_be_visible()
        demo.ask_admin("DELETE", "/admins/otto")
        go(page, "Charges")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        page.get_by_label("Admin token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        expect(page.get_by_text("Nobody has this token").first).to_be_visible()


def test_the_public_listener_has_no_admin_page_in_any_spelling(demo: Demo) -> None:
    spellings = (
        "/admin/", "/admin", "//admin/", "/%61dmin/", "/farebox/admin/", "/farebox/../admin/",
        "/farebox/%2e%2e/admin/", "/farebox/..%2fadmin/", "/ADMIN/", "/admin/accounts", "/./admin/",
    )  # fmt: skip
    kept = {"farebox_admin": "x", "farebox_session": "x"}
    for spelling in spellings:
        with httpx.Client(cookies=kept) as client:
            url = httpx.URL(demo.public).copy_with(raw_path=spelling.encode())
            answer = client.get(url, headers={"accept": "text/html"})
        assert answer.status_code >= 400, spelling
        assert "Farebox admin" not in answer.text, spelling


def write_price(page: Page, price: str) -> int:
    """Put another price into the text; returns the number of the line."""
    field = page.get_by_label("Price file", exact=True)
    text = field.input_value()
    before, _, rest = text.partition(SLOW)
    assert rest, text
    field.fill(f"{before}{SLOW}{price} {rest.partition(' ')[2]}")
    return before.count("\n") + 1


def cost(demo: Demo, key: str) -> int:
    """What the next call costs."""
    return int(demo.call(key, "/v1/slow?seconds=0").headers["farebox-cost"])
