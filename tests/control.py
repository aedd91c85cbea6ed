"""
Both listeners beside a gateway that charges, with every answer held against its document.

    async with control(stores) as control:
        customer = await control.gateway.customer(credits=100)
        answer = await control.consumer.get("/v1/account", headers=customer.headers)
        answer = await control.admin.get("/accounts")
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.admin import admin_app
from gateway.admin.table import described as admin_document
from gateway.consumer.table import described as consumer_document
from gateway.publishing import FilePlace
from ledger import admins, api_keys
from tests.charging import Charging, Customer, Stores, charging
from tests.gateway.described import check_answer
from tests.gateway.serving import serving

PREFIX = "/farebox"
ROOT_TOKEN = "the token of the admin named root"

PRICES = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams: { api: { url: "{api}" } }
routes:
  - { path: "/v1/products/{asin}", methods: [GET], upstream: api, price: 2, name: product, record: { asin: path/asin } }
  - path: /v1/search
    methods: [POST]
    upstream: api
    name: search
    price: { flat: 1, per: [{ body: /limit, unit: 100, cost: 1, default: 1 }], max: 50 }
  - { path: /v1/calls, methods: [GET], upstream: api, price: { flat: "0.25", credit_type: calling } }
  - { path: /v1/made, methods: [GET], upstream: api, price: 2, charge_on: [201] }
  - { path: /free, methods: [GET], upstream: api, price: 0 }
  - { path: /seen, methods: [GET], upstream: api, price: 3, observe: true, name: seen }
packages:
  starter: { name: Starter, credits: 100, price: { usd: 1000 } }
"""


@dataclass(frozen=True)
class Control:
    """A gateway, and clients of both listeners that fail on an answer nobody described."""

    gateway: Charging
    consumer: httpx.AsyncClient
    admin: httpx.AsyncClient
    admin_app: ASGIApp

    async def managing(self, customer: Customer) -> dict[str, str]:
        """Headers with a key of that customer that has the scope manage."""
        async with self.gateway.ledger.database.connection() as connection:
            made = await api_keys.create(
                connection,
                customer.account,
                actor="test",
                random_bytes=secrets.token_bytes,
                scopes=api_keys.MANAGE,
            )
        return {"x-api-key": made.secret}

    async def called(self, customer: Customer, path: str = "/v1/products/B1", **more: Any) -> str:
        """Make a charged call, wait until it is posted, and return the charge's id."""
        answer = await self.gateway.ask(more.pop("method", "GET"), path, customer, **more)
        return (await self.gateway.charge(answer)).text_id

    async def posted(self) -> None:
        """Wait until Postgres has all that happened so far."""
        await self.gateway.settled()
        await self.gateway.ledger.post_all()


async def served(_request: Request) -> JSONResponse:
    """The backend: all is well."""
    return JSONResponse({"served": True})


async def nothing_counted() -> str:
    """Stand for the metrics of workers that these tests do not run."""
    return "# nothing counted\n"


@asynccontextmanager
async def control(
    stores: Stores, prices: str = PRICES, *, price_file: FilePlace | None = None, **settings: Any
) -> AsyncIterator[Control]:
    """Run a gateway with an admin listener beside it."""
    async with (
        serving(Starlette(routes=[Route("/{path:path}", served, methods=["GET", "POST"])])) as api,
        charging(stores, prices, upstream=api, **settings) as gateway,
    ):
        async with gateway.ledger.database.connection() as connection:
            await admins.put_root(connection, ROOT_TOKEN)
        app = admin_app(
            ledger=gateway.ledger,
            billing=gateway.billing,
            prices=lambda: gateway.app.prices.current,
            pages_url=f"{gateway.url}{PREFIX}",
            metrics=nothing_counted,
            environ={},
            price_file=price_file,
        )

        async def described_to_consumers(response: httpx.Response) -> None:
            await response.aread()
            check_answer(consumer_document(PREFIX), PREFIX, response)

        async def described_to_admins(response: httpx.Response) -> None:
            await response.aread()
            check_answer(admin_document(), "", response)

        async with (
            httpx.AsyncClient(
                base_url=f"{gateway.url}{PREFIX}",
                event_hooks={"response": [described_to_consumers]},
            ) as consumer,
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://admin/admin/v1",
                headers={"authorization": f"Bearer {ROOT_TOKEN}"},
                event_hooks={"response": [described_to_admins]},
            ) as admin,
        ):
            yield Control(gateway, consumer, admin, app)
