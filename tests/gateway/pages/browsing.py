"""Somebody who looks at the consumer's pages, as a browser without scripts does."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx

from tests.charging import Customer
from tests.selling import Buyer, Market

PAGES = (
    "/", "/use", "/charges", "/entries", "/packages", "/payments", "/subscriptions", "/top-up",
    "/keys", "/examples", "/prices", "/calculator",
)  # fmt: skip
"""Every page that needs no name of something in its address."""

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass
class Browser:
    """A browser with its cookies; `url` is where the pages are."""

    http: httpx.AsyncClient
    url: str
    page: str = ""

    async def get(self, path: str, **more: Any) -> httpx.Response:
        """Open a page; its forms can be sent from then on."""
        answer = await self.http.get(f"{self.url}{path}", **more)
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.page = answer.text
        return answer

    async def send(self, path_: str, /, **fields: Any) -> httpx.Response:
        """Send a form of the page that was opened last."""
        return await self.post(path_, {"form_token": self.form_token, **fields})

    async def post(
        self, path: str, fields: dict[str, Any], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a form that may be nobody's."""
        sent = {"sec-fetch-site": "same-origin"} if headers is None else headers
        answer = await self.http.post(f"{self.url}{path}", data=fields, headers=sent)
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.page = answer.text
        return answer

    @property
    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="(\w+)"', self.page)
        return found[1] if found else ""


@asynccontextmanager
async def stranger(market: Market) -> AsyncIterator[Browser]:
    """A browser that has been nowhere yet."""
    async with httpx.AsyncClient(headers=HTML) as http:
        yield Browser(http, market.url)


@asynccontextmanager
async def signed_in(market: Market, buyer: Buyer) -> AsyncIterator[Browser]:
    """A browser that has signed in with the buyer's key."""
    async with stranger(market) as browser:
        entered = await browser.post("/sign-in", {"key": buyer.headers["x-api-key"]})
        assert entered.status_code == 303, entered.text
        yield browser


async def one_charge(market: Market, customer: Customer, path: str = "/v1/products/B1") -> str:
    """Make a charged call and return its id once it can be seen."""
    return await market.control.called(customer, path)


def text_of(page: str) -> str:
    """The words of a page, in one line."""
    body = re.sub(r"(?s)<(script|style).*?</\1>", "", page)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def values_of(page: str) -> dict[str, str]:
    """What stands in the fields of a page's forms."""
    found = re.findall(r'<input id="[^"]*" name="([^"]*)"[^>]*?value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}
