"""What the script adds: times in the reader's zone, colours of one's choice, copying."""

from datetime import datetime
from zoneinfo import ZoneInfo

from playwright.sync_api import Page, expect

from tests.pages.browser import ZONE, Chromium
from tests.pages.demo import Demo
from tests.pages.furnishing import Furnished
from tests.pages.people import People
from tests.pages.visits import Visit

CHARGES = Visit("consumer", "/charges")


def test_times_are_the_readers_and_without_a_script_utc(
    chromium: Chromium, demo: Demo, furnished: Furnished, people: People
) -> None:
    address, cookies = people.address(CHARGES, {}), people.cookies("consumer")
    with chromium.visitor(cookies=cookies) as page:
        page.goto(address)
        moment = page.locator("table time").first
        at = datetime.fromisoformat(moment.get_attribute("datetime") or "")
        here = at.astimezone(ZoneInfo(ZONE)).strftime("%Y-%m-%d %H:%M:%S")
        expect(moment).to_have_text(here)
        expect(page.get_by_text(ZONE)).to_be_visible()
    with chromium.visitor(cookies=cookies, script=False) as page:
        page.goto(address)
        expect(page.locator("table time").first).to_contain_text("UTC")
        expect(page.get_by_text("Times in UTC.")).to_be_visible()


def test_colours_can_be_chosen_and_stay(chromium: Chromium, demo: Demo, people: People) -> None:
    with chromium.visitor(cookies=people.cookies("consumer")) as page:
        page.goto(people.address(CHARGES, {}))
        light = ground(page)
        page.get_by_role("button", name="Dark colours").click()
        dark = ground(page)
        assert dark != light
        page.reload()
        assert ground(page) == dark
        page.get_by_role("button", name="Light colours").click()
        assert ground(page) == light


def test_an_example_is_copied(chromium: Chromium, demo: Demo, people: People) -> None:
    with chromium.visitor(cookies=people.cookies("consumer")) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(people.address(Visit("consumer", "/examples"), {}))
        page.get_by_role("button", name="Copy").first.click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith("curl ")
    assert demo.public in copied


def ground(page: Page) -> str:
    """The colour behind everything."""
    return str(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
