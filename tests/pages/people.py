"""Who looks: a consumer and an admin, signed in as people do, and the pages that they see."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page, expect

from tests.pages.browser import Chromium
from tests.pages.demo import Demo
from tests.pages.visits import Visit


@dataclass(frozen=True, slots=True)
class People:
    """Sessions that several tests look with; a test that changes something makes its own."""

    chromium: Chromium
    demo: Demo
    account: str
    kept: dict[str, Any] = field(default_factory=dict)

    def cookies(self, site: str) -> Any:
        """Return what a browser keeps of a session there, for another window."""
        if site not in self.kept:
            with self.chromium.visitor() as page:
                if site == "consumer":
                    follow_link(page, self.demo, self.account)
                else:
                    enter_token(page, self.demo, self.demo.admin_token)
                self.kept[site] = page.context.storage_state()
        return self.kept[site]

    def address(self, visit: Visit, examples: Mapping[str, str]) -> str:
        """Return where a page is."""
        bases = {"consumer": f"{self.demo.public}/farebox", "admin": f"{self.demo.admin}/admin"}
        return bases[visit.site] + visit.address(examples)


def follow_link(page: Page, demo: Demo, account: str) -> None:
    """Sign in an account's owner by a link that works once."""
    page.goto(demo.sign_in_link(account))
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def enter_key(page: Page, demo: Demo, key: str) -> None:
    """Sign in an account's owner by a key."""
    page.goto(f"{demo.public}/farebox/")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def enter_token(page: Page, demo: Demo, token: str) -> None:
    """Sign in an admin."""
    page.goto(f"{demo.admin}/admin/")
    page.get_by_label("Admin token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def go(page: Page, words: str) -> None:
    """Follow an entry of the navigation."""
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=words, exact=True).click()
