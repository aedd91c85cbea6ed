"""From a refused call to a served one, through a whole `farebox serve` and a browser's forms."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from billing.standin.resources import webhook_endpoints
from tests.counting_backend import counting_backend
from tests.served import Served, command, funded, serving
from tests.standin import RunningStandIn, running_standin

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0
LOOK_S = 0.05
BROWSER = {"accept": "text/html"}
CARD = {
    "card": "4242424242424242",
    "expiry": "12/40",
    "cvc": "123",
    "name": "Ann",
    "email": "a@example.com",
}

PRICES = """
version: 1
upstreams: { api: { url: "URL" } }
routes: [{ path: /ok, methods: [GET], upstream: api, price: 2 }]
packages:
  starter: { name: Starter, credits: 100, price: { usd: 1000 } }
"""


@dataclass
class Shop:
    """A gateway that sells, seen from outside."""

    served: Served
    standin: RunningStandIn
    http: httpx.AsyncClient
    key: dict[str, str]
    spent: int = 0

    async def call(self) -> httpx.Response:
        answer = await self.http.get(f"{self.served.url}/ok", headers=self.key)
        self.spent += int(answer.headers["farebox-cost"]) if answer.is_success else 0
        return answer

    async def admin(self, method: str, path: str, **more: Any) -> Any:
        address = f"{self.served.running.admin_url}/admin/v1{path}"
        answer = await self.http.request(method, address, headers=self.served.admin_headers, **more)
        assert answer.is_success, answer.text
        return answer.json()

    async def checkout(self) -> httpx.Response:
        """Follow the 402's link to Stripe's page."""
        refused = await self.call()
        assert refused.status_code == 402, refused.text
        link = refused.json()["buy"]
        page = await self.http.get(link, headers=BROWSER)
        leads_on = await self.submit(link, page.text, headers=BROWSER)
        assert leads_on.status_code == 303, leads_on.text
        return await self.http.get(leads_on.headers["location"], headers=BROWSER)

    async def submit(self, at: str, page: str, **fields: Any) -> httpx.Response:
        """Send the first form of a page with its hidden fields and these."""
        headers = fields.pop("headers", BROWSER)
        form = re.search(r'(?s)<form[^>]* action="([^"]*)".*?</form>', page)
        assert form is not None, page
        hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form[0]))
        data = {name: unescape(value) for name, value in hidden.items()} | fields
        return await self.http.post(urljoin(at, unescape(form[1])), data=data, headers=headers)

    async def pay(self, checkout: httpx.Response, **fields: str) -> httpx.Response:
        """Fill in Stripe's page."""
        return await self.submit(str(checkout.url), checkout.text, action="pay", **CARD | fields)

    async def until(self, what: str, holds: Callable[[], Any]) -> Any:
        for _ in range(int(LIMIT_S / LOOK_S)):
            if found := await holds():
                return found
            await asyncio.sleep(LOOK_S)
        pytest.fail(f"not within {LIMIT_S:g} s: {what}\n{self.served.log[-3000:]}")

    async def available(self) -> int:
        shown = await self.http.get(f"{self.served.url}/farebox/v1/account", headers=self.key)
        return sum(one["available"] for one in shown.json()["balances"])

    async def order(self) -> str:
        return str((await self.admin("GET", "/orders"))["items"][0]["id"])


@asynccontextmanager
async def selling(folder: Path) -> AsyncIterator[Shop]:
    async with counting_backend() as backend, running_standin() as standin:
        # The address is known only once the gateway listens, and that needs the secret.
        secret = standin.register_webhook("http://127.0.0.1:9/")
        variables = {
            "STRIPE_SECRET_KEY": standin.key,
            "STRIPE_WEBHOOK_SECRET": secret,
            "STRIPE_API_BASE": standin.url,
        }
        prices = PRICES.replace("URL", backend.url)
        async with serving(folder, prices, variables=variables) as served:
            (endpoint,) = standin.world.every("webhook_endpoint")
            webhook_endpoints.update(
                standin.world,
                {"url": f"{served.url}/farebox/stripe/webhook"},
                {"webhook_endpoint": endpoint["id"]},
            )
            async with httpx.AsyncClient(timeout=30) as http:
                yield Shop(served, standin, http, await funded(served, 1))


@pytest.mark.slow
async def test_a_refused_call_is_served_after_buying_in_a_browser(folder: Path) -> None:
    async with selling(folder) as shop:
        assert "selling in test mode" in shop.served.log
        assert "takes Stripe's place" in shop.served.log

        # A card that is declined leaves nothing, and another may be tried on the same page.
        checkout = await shop.checkout()
        declined = await shop.pay(checkout, card="4000000000000002")
        assert "declined" in declined.text
        assert (await shop.call()).status_code == 402

        # 3-D Secure asks first; who fails it has not paid.
        asked = await shop.pay(checkout, card="4000002500003155")
        assert asked.status_code == 303
        question = await shop.http.get(urljoin(str(checkout.url), asked.headers["location"]))
        failed = await shop.submit(str(question.url), question.text, action="fail")
        assert urlsplit(failed.headers.get("location", "")).path != "/farebox/bought"
        assert (await shop.call()).status_code == 402

        paid = await shop.pay(checkout)
        assert urlsplit(paid.headers["location"]).path == "/farebox/bought"
        # Nobody comes back: the webhook alone has to do.
        await shop.until("the call is served", lambda: served(shop))
        back = await shop.http.get(paid.headers["location"], headers=BROWSER)
        assert "100 credits were added" in back.text

        # A part of the money takes its share of the credits, by the command line.
        order = await shop.order()
        given = await command(shop.served, "stripe", "refund", order, "500")
        assert (given["state"], given["amount_minor"]) == ("succeeded", 500)
        await shop.until("half is taken back", lambda: has(shop, 1 + 100 - 50))

        # A dispute freezes the account and takes the rest; won, it gives it back.
        [payment] = (await shop.admin("GET", f"/orders/{order}"))["payments"]
        dispute = shop.standin.dispute(payment["payment_intent_id"])["id"]
        await shop.until("the account is frozen", lambda: answers(shop, 403))
        shop.standin.dispute_step(dispute, "win")
        await shop.until("the call is served again", lambda: served(shop))
        await shop.until("the rest is back", lambda: has(shop, 1 + 100 - 50))

        assert (await command(shop.served, "verify"))["clean"]
        metrics = await shop.http.get(
            f"{shop.served.running.admin_url}/metrics", headers=shop.served.admin_headers
        )
        assert 'farebox_orders{kind="checkout",state="paid"} 1' in metrics.text


async def served(shop: Shop) -> bool:
    return await answers(shop, 200)


async def answers(shop: Shop, status: int) -> bool:
    return (await shop.call()).status_code == status


async def has(shop: Shop, put_in: int) -> bool:
    """Whether so much is there, but for what the calls have cost."""
    return await shop.available() == put_in - shop.spent
