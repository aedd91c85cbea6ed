"""
A whole gateway in the test's own event loop: real stores, a real server, a real backend.

    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=100)
        answer = await gateway.get("/ok", customer)
        charge = await gateway.charge(answer)

The steward's jobs run beside it, so that what is charged is soon a row in Postgres.
"""

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from billing.billing import Billing
from config import Settings, load_price_list
from gateway.app import App
from gateway.prices import LivePrices
from gateway.websocket import WebSocketLimits
from ledger import accounts, api_keys, charges, credit_types, grants, price_versions
from ledger.charges import Charge
from ledger.controls import Grant
from ledger.errors import NotFound
from ledger.hold_order import HoldOrder
from ledger.ids import parse_hold
from ledger.ledger import Ledger, LedgerOptions
from ledger.ports import SystemClock
from ledger.price_versions import Rule
from tests.counting_backend import CountingBackend, counting_backend
from tests.gateway.serving import address_of, serving, until

LIMIT_S = 10.0
WINDOW = 1_000_000  # more than any test spends before it is posted
SECRET = b"a secret that signs buy links...."


@dataclass(frozen=True, slots=True)
class Stores:
    """Where this test's ledger is."""

    postgres_url: str
    redis_url: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Customer:
    """An account with one key."""

    account: int
    key: int
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"}


@dataclass
class Charging:
    """The running gateway and what a test wants of it."""

    url: str
    app: App
    ledger: Ledger
    billing: Billing
    backend: CountingBackend
    http: httpx.AsyncClient
    type_numbers: dict[str, int]
    log: list[bytes] = field(default_factory=list)

    async def customer(
        self,
        credits: int = 0,  # noqa: A002 - the word of this house
        credit_type: str = "credits",
    ) -> Customer:
        """Make an account with a key, and with credits if any."""
        async with self.ledger.database.connection() as connection:
            account = await accounts.create(connection, actor="test")
            made = await api_keys.create(
                connection, account.id, actor="test", random_bytes=secrets.token_bytes
            )
            if credits:
                grant = Grant(self.type_numbers[credit_type], credits)
                await grants.give(connection, account.id, grant, actor="test")
        assert await self.ledger.pusher.push(account.id) == "applied"
        return Customer(account.id, made.key.id, made.secret)

    async def give(self, customer: Customer, amount: int) -> None:
        """Give credits of the first type."""
        async with self.ledger.database.connection() as connection:
            grant = Grant(self.type_numbers["credits"], amount)
            await grants.give(connection, customer.account, grant, actor="test")
        assert await self.ledger.pusher.push(customer.account) == "applied"

    async def revoke(self, customer: Customer) -> None:
        """Revoke the customer's key."""
        async with self.ledger.database.connection() as connection:
            await api_keys.revoke(connection, customer.key, actor="test")
        assert await self.ledger.pusher.push(customer.account) == "applied"

    def forget(self) -> None:
        """Forget what was seen, for the next test."""
        self.backend.heads.clear()
        self.backend.served.clear()
        self.backend.gate.clear()
        self.log.clear()

    async def get(self, path: str, customer: Customer | None = None, **more: Any) -> httpx.Response:
        return await self.ask("GET", path, customer, **more)

    async def ask(
        self, method: str, path: str, customer: Customer | None = None, **more: Any
    ) -> httpx.Response:
        headers = {**(customer.headers if customer else {}), **more.pop("headers", {})}
        return await self.http.request(method, f"{self.url}{path}", headers=headers, **more)

    async def charge(self, answer: httpx.Response | str) -> Charge:
        """Wait for the charge of an answer to be posted and closed."""
        text = answer if isinstance(answer, str) else answer.headers["farebox-request-id"]
        charge_id = parse_hold(text)
        assert charge_id is not None
        async with asyncio.timeout(LIMIT_S):
            while True:
                async with self.ledger.database.connection() as connection:
                    try:
                        charge = await charges.get(connection, charge_id)
                    except NotFound:
                        charge = None
                if charge is not None and charge.closed_at is not None:
                    return charge
                await asyncio.sleep(0.02)

    async def settled(self) -> None:
        """Wait until every hold of this worker is settled and posted."""
        assert await self.ledger.settler.drain(LIMIT_S) == 0
        await self.ledger.post_all()

    async def quiet(self) -> None:
        """Wait until no request is being served."""
        await until(lambda: self.app.open_requests == 0, LIMIT_S)

    async def available(self, customer: Customer, credit_type: str = "credits") -> int:
        """What Redis would let the customer spend now."""
        order = HoldOrder(
            account=customer.account,
            key=customer.key,
            credit_type=self.type_numbers[credit_type],
            ceiling=1,
            version=self.app.prices.version,
            rule=0,
            lifetime_ms=1_000,
        )
        return await self.ledger.holds.check(order)

    async def logged(self) -> list[dict[str, Any]]:
        """The access log so far."""
        await self.app.flush_log()
        return [json.loads(line) for lines in self.log for line in lines.splitlines()]


@asynccontextmanager
async def fresh_stores(
    postgres_server: str, template: str, redis_url: str
) -> AsyncIterator[Stores]:
    """Make stores that several tests share; a fixture of one test uses `database_url`."""
    name = f"test_{secrets.token_hex(6)}"
    server = await asyncpg.connect(postgres_server)
    try:
        await server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        url = postgres_server.replace("/postgres?", f"/{name}?", 1)
        yield Stores(url, redis_url, namespace=name)
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await server.close()


@asynccontextmanager
async def charging(
    stores: Stores,
    prices: str,
    *,
    upstream: str | None = None,
    metrics_folder: Path | None = None,
    websockets: WebSocketLimits | None = None,
    fast_path: bool = True,
    http: Callable[[App], type[asyncio.Protocol]] = App.protocol,
    **settings: Any,
) -> AsyncIterator[Charging]:
    """Run a gateway with these prices; `{api}` in them is the backend's address."""
    async with counting_backend() as backend:
        text = prices.replace("{api}", upstream or backend.url)
        ledger = await Ledger.open(
            LedgerOptions(stores.postgres_url, stores.redis_url, namespace=stores.namespace),
            "worker",
        )
        steward = await Ledger.open(
            LedgerOptions(stores.postgres_url, stores.redis_url, namespace=stores.namespace),
            "steward",
        )
        live, numbers = await published(ledger, text)
        decided = Settings.from_environment({}, **settings)
        listening = socket.create_server(("127.0.0.1", 0))
        selling = partial(
            Billing.open,
            decided,
            prices=lambda: live.current,
            pages_url=f"{address_of(listening)}{live.current.prefix}",
            link_secret=SECRET,
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
        )
        billing, jobs = await selling(ledger), await selling(steward)
        stewarding = asyncio.create_task(steward.steward(more=jobs.jobs()).run())
        try:
            log: list[bytes] = []

            async def open_billing() -> Billing:
                return billing

            app = App(
                ledger=ledger,
                open_billing=open_billing,
                prices=live,
                settings=decided,
                link_secret=SECRET,
                write_log=log.append,
                metrics_folder=metrics_folder,
                websockets=websockets,
                fast_path=fast_path,
            )
            limits = httpx.Limits(max_connections=None)
            async with (
                serving(app, lifespan="on", listening=listening, http=http(app)) as url,
                httpx.AsyncClient(timeout=30, limits=limits) as client,
            ):
                yield Charging(url, app, ledger, billing, backend, client, numbers, log)
        finally:
            await billing.aclose()
            await ledger.aclose(LIMIT_S)
            stewarding.cancel()
            await asyncio.gather(stewarding, return_exceptions=True)
            await jobs.aclose()
            await steward.aclose(0)


async def published(ledger: Ledger, text: str) -> tuple[LivePrices, dict[str, int]]:
    """Put a price file in force, as the steward does it."""
    prices = load_price_list(text, environ={})
    scales = {name: one.scale for name, one in prices.credit_types.items()}
    rules = [
        Rule(route.index, route.name, route.path, route.methods, route.price.credit_type, {})
        for route in prices.routes
    ]
    async with ledger.database.connection() as connection:
        numbers = await credit_types.register(connection, scales)
        version = await price_versions.publish(connection, text, rules, actor="test")
    await ledger.windows.choose(dict.fromkeys(numbers.values(), WINDOW))
    return LivePrices(prices, version.version, numbers), numbers
