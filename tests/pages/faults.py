"""What anybody would stumble over on a page."""

from playwright.sync_api import Page

from tests.pages import pictures
from tests.pages.axe import grave_violations


def wrong_with(page: Page) -> list[str]:
    """Return what is wrong with a page as it is shown now."""
    over = pictures.overflow_px(page)
    return [
        *grave_violations(page),
        *([f"{over} px wider than the window"] if over else []),
        *(["not one heading of the page"] if page.locator("h1").count() != 1 else []),
        *(["not one main part"] if page.get_by_role("main").count() != 1 else []),
    ]
