"""Who looks: a consumer and an admin, signed in as people do, and the pages that they see."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import expect

from tests.pages.browser import Chromium
from tests.pages.demo import Demo
from tests.pages.visits import Visit

Cookies = Any
"""What a browser keeps of a session, for another window of the same person."""


@dataclass(frozen=True, slots=True)
class People:
    """Sessions that several tests look with; a test that changes something makes its own."""

    demo: Demo
    cookies: dict[str, Cookies]

    def address(self, visit: Visit, examples: Any) -> str:
        """Return where a page is."""
        bases = {"consumer": f"{self.demo.public}/farebox", "admin": f"{self.demo.admin}/admin"}
        return bases[visit.site] + visit.address(examples)


def signed_in(chromium: Chromium, demo: Demo, account: str) -> People:
    """Sign in an account's owner, by a link, and an admin, by a token."""
    cookies = {}
    with chromium.visitor() as page:
        page.goto(demo.sign_in_link(account))
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        cookies["consumer"] = page.context.storage_state()
    with chromium.visitor() as page:
        page.goto(f"{demo.admin}/admin/")
        page.get_by_label("Token").fill(demo.admin_token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        cookies["admin"] = page.context.storage_state()
    return People(demo, cookies)
