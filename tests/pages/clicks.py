"""Somebody who reads: finds everything by the text that is seen, and counts what it takes."""

import re
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

CLICKABLE = "a, button, summary, label"


@dataclass
class Reader:
    """Uses a page by what can be read on it; knows no addresses, names or ids."""

    page: Page
    clicks: int = 0

    def click(self, words: str) -> None:
        """Click on the first that looks as if it could be clicked and says this, or begins so."""
        self.click_like(rf"^\s*{re.escape(words)}")

    def click_like(self, pattern: str) -> None:
        """Click on the first that looks as if it could be clicked and says something like this."""
        self._click(self.page.locator(CLICKABLE).filter(has_text=re.compile(pattern)))

    def write(self, label: str, text: str) -> None:
        """Click into the field beside a label, and type."""
        place = self.page.get_by_label(label, exact=True)
        self._click(place)
        place.filter(visible=True).first.press_sequentially(text)

    def reads(self, pattern: str) -> None:
        """Wait until the page says something like this."""
        seen = self.page.get_by_text(re.compile(pattern)).filter(visible=True)
        expect(seen.first).to_be_visible()

    def _click(self, place: Locator) -> None:
        place.filter(visible=True).first.click()
        self.clicks += 1
