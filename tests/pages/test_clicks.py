"""Somebody who knows nothing but the address that the demo prints, and reads what is there."""

import re

from tests.pages.browser import Chromium
from tests.pages.clicks import Reader
from tests.pages.demo import Demo

MOST_TO_BUY = 8
MOST_TO_THE_REASON = 3


def test_few_clicks_lead_to_credits_and_to_the_reason_of_a_charge(
    chromium: Chromium, demo: Demo
) -> None:
    address = re.search(r"http://\S+/farebox/(?=\s)", demo.welcome)
    assert address is not None, "the welcome names no page"
    key = demo.keys[-1]  # of the account that has to buy
    assert demo.call(key).status_code == 402

    with chromium.visitor() as page:
        page.goto(address[0])
        reader = Reader(page)
        reader.write("API key", key)
        reader.click("Sign in")
        reader.click("Buy credits")
        reader.click("Buy Starter")
        reader.click("4242 4242 4242 4242")
        reader.click_like(r"^\s*Pay \d")
        reader.reads("Credits added")
        assert reader.clicks <= MOST_TO_BUY
        bought = reader.clicks

        charge = demo.charged(key)  # the call that was refused is made again
        reader.click("Your charges")
        reader.click("Why?")
        reader.reads(r"^Why it cost 2 credits$")
        reader.reads(charge)
        assert reader.clicks - bought <= MOST_TO_THE_REASON
