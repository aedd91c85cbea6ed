"""Every page is fit for everybody: light, dark, narrow, by keyboard, read out, without a script."""

import pytest
from playwright.sync_api import Page

from tests.pages import keyboard, pictures
from tests.pages.browser import Chromium
from tests.pages.demo import Demo
from tests.pages.faults import wrong_with
from tests.pages.furnishing import Furnished
from tests.pages.people import People
from tests.pages.visits import Visit, visits


@pytest.mark.parametrize("visit", visits(), ids=str)
def test_a_page_is_fit_for_everybody(
    visit: Visit, chromium: Chromium, demo: Demo, furnished: Furnished, people: People
) -> None:
    address = people.address(visit, furnished.examples)
    cookies = people.cookies(visit.site)
    with chromium.visitor(cookies=cookies) as page:
        opened(page, address)
        heading = page.locator("h1").inner_text()
        wrong = looked_at(page, visit, "light")
        page.emulate_media(color_scheme="dark")
        wrong += looked_at(page, visit, "dark")
        wrong += keyboard.left_out(page)
    with chromium.visitor(cookies=cookies, narrow=True) as page:
        opened(page, address)
        wrong += looked_at(page, visit, "narrow")
    with chromium.visitor(cookies=cookies, script=False) as page:
        opened(page, address)
        if page.locator("h1").inner_text() != heading:
            wrong.append("without a script it is another page")
    assert wrong == []


@pytest.mark.parametrize("site", ["consumer", "admin"])
def test_a_stranger_finds_the_way_in_and_the_skip_link(
    site: str, chromium: Chromium, demo: Demo, people: People
) -> None:
    with chromium.visitor() as page:
        page.goto(people.address(Visit(site, "/"), {}))
        pictures.keep(page, f"{site}-way-in", "light")
        assert wrong_with(page) == []
        assert keyboard.left_out(page) == []
        page.reload()
        assert keyboard.skips_to_main(page)


@pytest.mark.parametrize(
    "visit", [one for one in visits() if one.site == "consumer" and "{" not in one.path], ids=str
)
def test_a_page_with_nothing_to_show_says_so(
    visit: Visit, chromium: Chromium, demo: Demo, newcomer: People
) -> None:
    with chromium.visitor(cookies=newcomer.cookies("consumer"), narrow=True) as page:
        opened(page, newcomer.address(visit, {}))
        pictures.keep(page, str(visit), "empty")
        assert wrong_with(page) == []


def looked_at(page: Page, visit: Visit, look: str) -> list[str]:
    """Take a picture, and return what is wrong with what is seen."""
    pictures.keep(page, str(visit), look)
    return [f"{look}: {one}" for one in wrong_with(page)]


def opened(page: Page, address: str) -> None:
    """Go to a page that is there."""
    answer = page.goto(address)
    assert answer is not None
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, "text/html")
