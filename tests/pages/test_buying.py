"""Buying in a browser: paid, declined, on its way, left; and what the buyer reads each time."""

import re

import httpx
from playwright.sync_api import Page, expect

from gateway.demo.till import KEY
from tests.pages import pictures
from tests.pages.browser import Chromium
from tests.pages.demo import Demo, until
from tests.pages.faults import wrong_with
from tests.pages.people import enter_key, go


def test_who_signs_in_with_a_key_buys_and_has_more(chromium: Chromium, demo: Demo) -> None:
    fay = demo.account("fay", granted=1)
    assert demo.call(fay.key).status_code == 402

    with chromium.visitor() as page:
        enter_key(page, demo, fay.key)
        expect(figure(page, "Available")).to_have_text("1")
        begin(page, "Starter")
        pay(page, "4242 4242 4242 4242")
        expect(page.get_by_text("Credits added")).to_be_visible()
        pictures.keep(page, "consumer-bought", "light")
        assert wrong_with(page) == []
        expect(page.get_by_text("100 credits", exact=True)).to_be_visible()
        expect(page.get_by_text(re.compile(r"^pi_"))).to_be_visible()
        expect(page.get_by_role("link", name="Open the receipt")).to_be_visible()
        until(lambda: demo.available(fay.key) == 101, "what was bought is posted")
        go(page, "Overview")
        expect(figure(page, "Available")).to_have_text("101")
        go(page, "Payments")
        expect(page.get_by_role("row").filter(has_text="Starter")).to_be_visible()

    assert demo.call(fay.key).headers["farebox-balance"] == "99"


def test_a_declined_card_is_told_and_another_one_pays(chromium: Chromium, demo: Demo) -> None:
    gus = demo.account("gus", granted=1)
    with chromium.visitor() as page:
        enter_key(page, demo, gus.key)
        begin(page, "Starter")
        pay(page, "4000 0000 0000 0002")
        expect(page.get_by_role("alert")).to_contain_text("declined")
        assert demo.available(gus.key) == 1
        pay(page, "4242 4242 4242 4242")
        expect(page.get_by_text("Credits added")).to_be_visible()
    assert demo.call(gus.key).headers["farebox-balance"] == "99"


def test_a_bank_debit_is_shown_on_its_way_until_it_has_arrived(
    chromium: Chromium, demo: Demo
) -> None:
    hal = demo.account("hal", granted=1)
    with chromium.visitor() as page:
        enter_key(page, demo, hal.key)
        begin(page, "Starter")
        page.get_by_label("Email").fill("hal@example.com")
        page.get_by_label("Name on card").fill("Hal")
        page.get_by_label("Bank debit").check()
        page.get_by_role("button", name=re.compile(r"^Pay \d")).click()
        expect(page.get_by_text("Your bank has not sent the money yet")).to_be_visible()
        expect(page.get_by_text("Credits added")).to_have_count(0)
        pictures.keep(page, "consumer-bought-processing", "light")
        assert wrong_with(page) == []
        assert demo.available(hal.key) == 1

        key = {"Authorization": f"Bearer {KEY}"}
        httpx.post(f"{demo.stripe}/_control/advance", json={"seconds": 60}, headers=key)
        until(lambda: demo.available(hal.key) == 101, "the debit has arrived")
        page.reload()
        expect(page.get_by_text("Credits added")).to_be_visible()


def test_who_goes_back_without_paying_can_go_on(chromium: Chromium, demo: Demo) -> None:
    ida = demo.account("ida", granted=1)
    with chromium.visitor() as page:
        enter_key(page, demo, ida.key)
        begin(page, "Starter")
        page.get_by_role("link", name="Cancel and go back").click()
        expect(page.get_by_role("link", name="Choose a package again")).to_be_visible()
        pictures.keep(page, "consumer-bought-cancelled", "light")
        assert wrong_with(page) == []
        page.get_by_role("link", name="Go on with this payment").click()
        pay(page, "4242 4242 4242 4242")
        expect(page.get_by_text("Credits added")).to_be_visible()


def test_a_refused_call_leads_to_credits_without_signing_in_or_a_script(
    chromium: Chromium, demo: Demo
) -> None:
    jan = demo.account("jan", granted=1)
    link = demo.call(jan.key).json()["buy"]
    with chromium.visitor(script=False) as page:
        page.goto(link)
        pictures.keep(page, "consumer-buy-link", "light")
        page.get_by_role("button", name="Buy Starter").click()
        pay(page, "4242 4242 4242 4242")
        expect(page.get_by_text("Credits added")).to_be_visible()
        expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    with chromium.visitor() as page:
        page.goto(link)
        assert wrong_with(page) == []
    assert demo.call(jan.key).status_code == 200


def begin(page: Page, package: str) -> None:
    """Choose a package; Stripe's page follows."""
    go(page, "Buy credits")
    page.get_by_role("button", name=f"Buy {package}", exact=True).click()
    expect(page.get_by_role("heading", name="Your order")).to_be_visible()


def pay(page: Page, card: str) -> None:
    """Fill in Stripe's page and pay."""
    page.get_by_label("Email").fill("buyer@example.com")
    page.get_by_label("Card number").fill(card)
    page.get_by_label("Expiry").fill("12 / 40")
    page.get_by_label("CVC").fill("123")
    page.get_by_label("Name on card").fill("A Buyer")
    page.get_by_role("button", name=re.compile(r"^Pay \d")).click()


def figure(page: Page, name: str) -> object:
    """A figure of the first page by its name."""
    box = page.locator(".figure").filter(has=page.get_by_text(name, exact=True))
    return box.locator(".value")
