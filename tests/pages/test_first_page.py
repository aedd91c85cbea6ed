"""What a first visit fetches: little, all of it from here, and the rest of it only once."""

import pytest
from playwright.sync_api import Page, Response

from tests.pages.browser import Chromium
from tests.pages.demo import Demo
from tests.pages.people import People
from tests.pages.visits import Visit

MOST_BYTES = 100 * 1024


@pytest.mark.parametrize("site", ["consumer", "admin"])
@pytest.mark.parametrize("who", ["stranger", "signed in"])
def test_the_first_page_is_small(
    site: str, who: str, chromium: Chromium, demo: Demo, people: People
) -> None:
    cookies = people.cookies(site) if who == "signed in" else None
    answers: list[Response] = []
    with chromium.visitor(cookies=cookies) as page:
        # Playwright marks its handlers, and a list's method bears no mark.
        page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108
        page.goto(people.address(Visit(site, "/"), {}))
        page.wait_for_load_state("networkidle")
        fetched = {answer.url: answer.body() for answer in answers}
        sizes = {url: len(body) for url, body in fetched.items()}
        head = sum(
            len(f"{name}: {value}") for one in answers for name, value in one.headers.items()
        )
    assert len(sizes) >= 3, "a page, its style and its script"
    assert sum(sizes.values()) + head < MOST_BYTES, sizes


def test_style_and_script_are_fetched_once(chromium: Chromium, demo: Demo, people: People) -> None:
    address = people.address(Visit("consumer", "/"), {})
    with chromium.visitor(cookies=people.cookies("consumer")) as page:
        page.goto(address)
        first = transferred(page)
        page.goto(address)
        again = transferred(page)
    assert len(first) >= 2
    assert all(first.values())
    assert again == dict.fromkeys(first, 0)


def transferred(page: Page) -> dict[str, int]:
    """Return how many bytes came over the wire for each file of a page; 0: the browser had it."""
    sizes: dict[str, int] = page.evaluate(
        """() => Object.fromEntries(performance.getEntriesByType('resource')
            .filter(({ name }) => name.includes('/static/') && !name.endsWith('.svg'))
            .map(({ name, transferSize }) => [name, transferSize]))"""
    )
    return sizes
