"""What anybody would stumble over on a page."""

from playwright.sync_api import Page

from tests.pages import pictures
from tests.pages.axe import grave_violations

_TWICE = """() => {
    const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
    return ids.filter((id, place) => ids.indexOf(id) !== place);
}"""
"""A label leads to the first of them, whichever it stands beside."""


def wrong_with(page: Page) -> list[str]:
    """Return what is wrong with a page as it is shown now."""
    over = pictures.overflow_px(page)
    twice: list[str] = page.evaluate(_TWICE)
    return [
        *grave_violations(page),
        *([f"{over} px wider than the window"] if over else []),
        *(f"two elements have the id {one}" for one in twice),
        *(["not one heading of the page"] if page.locator("h1").count() != 1 else []),
        *(["not one main part"] if page.get_by_role("main").count() != 1 else []),
    ]
