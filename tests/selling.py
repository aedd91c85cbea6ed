"""Both listeners beside a stand-in for Stripe, which delivers its events to them.

async with selling(stores) as market:
    buyer = await market.buyer()
    bought = await market.buy(buyer, "starter")
    market.standin.pay(bought["session_id"])
    await market.until_available(buyer, 100)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from billing.standin.resources import webhook_endpoints
from tests.charging import Customer, Stores
from tests.control import PREFIX, Control, control
from tests.control import PRICES as ROUTES
from tests.standin import RunningStandIn, running_standin

LIMIT_S = 15.0
LOOK_S = 0.02

PRICES = (
    ROUTES.partition("packages:")[0]
    + """
packages:
  starter: { name: Starter, credits: 100, price: { usd: 1000, jpy: 1500 }, sort: 1 }
  business: { name: Business, credits: 1000, price: { usd: 8000 }, adjustable_quantity: { min: 1, max: 10 }, sort: 2 }
  minutes: { name: Minutes, credits: 12.50, credit_type: calling, price: { usd: 500 }, sort: 3 }
  monthly: { name: Monthly, credits: 500, price: { usd: 2000 }, interval: month, plan_tier: pro, sort: 4 }
  gift: { name: Gift, credits: 100, price: { usd: 1000 }, promotion_codes: true, sort: 5 }
"""
)


@dataclass(frozen=True)
class Buyer:
    """An account, and headers with a key of it that may manage."""

    customer: Customer
    headers: dict[str, str]

    @property
    def account(self) -> str:
        return f"acc_{self.customer.account}"


@dataclass(frozen=True)
class Market:
    """A gateway that sells, and Stripe's stand-in."""

    control: Control
    standin: RunningStandIn

    @property
    def consumer(self) -> httpx.AsyncClient:
        return self.control.consumer

    @property
    def admin(self) -> httpx.AsyncClient:
        return self.control.admin

    @property
    def url(self) -> str:
        return f"{self.control.gateway.url}{PREFIX}"

    async def buyer(self, credits: int = 0) -> Buyer:  # noqa: A002 - the word of this house
        customer = await self.control.gateway.customer(credits=credits)
        return Buyer(customer, await self.control.managing(customer))

    async def begin(self, buyer: Buyer, package: str = "starter", **fields: Any) -> Any:
        """Begin a purchase; returns the answer's body."""
        body = {"package": package, **fields}
        begun = await self.consumer.post("/v1/checkout", json=body, headers=buyer.headers)
        assert begun.status_code == 201, begun.text
        return begun.json()

    async def bought(self, buyer: Buyer, package: str = "starter", **fields: Any) -> Any:
        """Buy and pay; returns what became of it once the credits are there."""
        begun = await self.begin(buyer, package, **fields)
        self.standin.pay(begun["session_id"])
        shown = await self.consumer.get(
            f"/v1/checkout/{begun['session_id']}", headers=buyer.headers
        )
        assert shown.json()["state"] == "paid", shown.text
        return shown.json()

    async def until_available(
        self, buyer: Buyer, amount: int, credit_type: str = "credits"
    ) -> None:
        """Wait until Redis would let the buyer spend so much; fail if it does not come."""
        seen = None
        for _ in range(int(LIMIT_S / LOOK_S)):
            seen = await self.control.gateway.available(buyer.customer, credit_type)
            if seen == amount:
                return
            await asyncio.sleep(LOOK_S)
        raise AssertionError(f"{seen} are available, not {amount}")


@asynccontextmanager
async def selling(stores: Stores, prices: str = PRICES) -> AsyncIterator[Market]:
    """Run a gateway that sells through a stand-in, with an admin listener beside it."""
    async with running_standin() as standin:
        # The address is known only once the gateway listens, and that needs the secret.
        secret = standin.register_webhook("http://127.0.0.1:9/")
        settings = {
            "stripe_secret_key": standin.key,
            "stripe_webhook_secrets": (secret,),
            "stripe_api_base": standin.url,
        }
        async with control(stores, prices, **settings) as running:
            # The SDK rests half a second before it asks again; there is no time for that.
            door = running.gateway.billing.need().stripe
            door._http.INITIAL_DELAY = door._http.MAX_DELAY = 0.001
            market = Market(running, standin)
            (endpoint,) = standin.world.every("webhook_endpoint")
            webhook_endpoints.update(
                standin.world,
                {"url": f"{market.url}/stripe/webhook"},
                {"webhook_endpoint": endpoint["id"]},
            )
            yield market
