"""Screenshots of each page, kept as artefacts of the run."""

from pathlib import Path

from playwright.sync_api import Page

KEPT = Path(__file__).parents[2] / "build" / "pages"


def keep(page: Page, name: str, look: str) -> Path:
    """Take a picture of a whole page."""
    path = KEPT / f"{name}.{look}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path, full_page=True)
    return path


def overflow_px(page: Page) -> int:
    """Return by how much a page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return max(0, wide)
