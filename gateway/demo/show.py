"""`farebox demo`: a gateway, a backend behind it, and a key to call it with."""

import asyncio
import contextlib
import secrets
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn

from billing.stripe_keys import LIVE_KEYS
from config import Settings
from gateway.data_folder import DataFolder
from gateway.demo.backend import demo_backend
from gateway.demo.seeding import Seeded, seed
from gateway.demo.till import till
from gateway.operations.desk import Desk
from gateway.serve import Gateway, ServeOptions, address, listening, serving
from gateway.server import Server
from gateway.startup import Refused
from gateway.supervisor import Supervisor
from ledger.ledger import Ledger, LedgerOptions
from ledger.ports import Clock

PRICES = Path(__file__).with_name("demo.yaml")
STATE = "stripe.json"
STRIPE_HOST, STRIPE_PORT = "127.0.0.1", 8002
"""The same place each time, if it is free: pages that were left open go on working."""

PRODUCT = 2
"""What the call in the welcome costs, as `demo.yaml` says."""

PAGES = "/farebox"
"""Where the consumer's pages are, as the demo's price file leaves it."""

DRAIN_LIMIT_S = 5
"""The backend only answers the gateway, which has finished when this one is told to stop."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs."""

    gateway: Gateway
    backend_url: str
    stripe_url: str
    prices: Path
    data: Path
    seeded: Seeded


@asynccontextmanager
async def demonstrating(settings: Settings, supervisor: Supervisor) -> AsyncIterator[Demo]:
    """
    Run the demo for as long as the block runs. Data, key and price file are kept between runs.

    Stripe is played by its stand-in, so that buying can be tried without an account there.

    Raises:
        Refused, FolderInUse, ChildFailed: As `serving`; Refused also with a live key.

    """
    refuse_real_money(settings)
    folder = DataFolder(settings.data)
    prices = price_file(folder)
    ours = replace(
        settings,
        config=prices,
        port=free_port(settings.host, settings.port),
        admin_port=free_port(settings.admin_host, settings.admin_port),
    )
    port = free_port(STRIPE_HOST, STRIPE_PORT)
    async with backend() as backend_url, till(folder.path / STATE, STRIPE_HOST, port) as stripe:
        options = ServeOptions(
            settings=replace(ours, **stripe.settings()),
            variables={"DEMO_BACKEND": backend_url},
        )
        async with serving(options, supervisor) as gateway:
            stripe.deliver_to(f"{gateway.public_url}/farebox/stripe/webhook")
            seeded = await seeded_by(gateway, folder, supervisor.clock)
            yield Demo(gateway, backend_url, stripe.url, prices, folder.path, seeded)


def refuse_real_money(settings: Settings) -> None:
    """Refuse a live key: somebody who set it would expect it to be used."""
    key = settings.stripe_secret_key
    if key is not None and key.get_secret_value().startswith(LIVE_KEYS):
        raise Refused(["the demo takes no live key: unset STRIPE_SECRET_KEY, it plays Stripe"])


async def seeded_by(gateway: Gateway, folder: DataFolder, clock: Clock) -> Seeded:
    """Seed through the same operations as the admin routes and the command line."""
    options = LedgerOptions(postgres_url=gateway.postgres_url, redis_url=gateway.redis_url)
    ledger = await Ledger.open(options, role="command")
    try:
        desk = Desk(ledger, "command:demo", secrets.token_bytes, f"{gateway.public_url}{PAGES}")
        return await seed(desk, folder, clock)
    finally:
        await ledger.aclose()


@asynccontextmanager
async def backend() -> AsyncIterator[str]:
    """Answer as the demo's backend on a free port of this machine."""
    started = asyncio.Event()
    config = uvicorn.Config(
        demo_backend(),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=DRAIN_LIMIT_S,
    )
    server = Server(config, started.set)
    with listening("127.0.0.1", 0, "--port") as listener:
        serve = asyncio.create_task(server.serve(sockets=[listener]), name="demo backend")
        await started.wait()
        try:
            yield address(listener)
        finally:
            server.stop()
            await serve


def price_file(folder: DataFolder) -> Path:
    """Put the demo's price file where it may be edited; an edited one stays."""
    path = folder.path / "farebox.yaml"
    if not path.exists():
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(PRICES, path)
    return path


def free_port(host: str, wanted: int) -> int:
    """Return `wanted` if nobody listens there, else 0: any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, wanted))
        return wanted
    return 0


def welcome(demo: Demo) -> str:
    """Say what runs, and what to try first."""
    public, admin, key = demo.gateway.public_url, demo.gateway.admin_url, demo.seeded.key
    token = demo.gateway.admin_token_path or "the one in FAREBOX_ADMIN_TOKEN"
    poor, poor_key = demo.seeded.poor, demo.seeded.poor_key
    refused = "402, with a `buy` link" if poor < PRODUCT else "served, until it has less than 2"
    return f"""
Farebox is running: a gateway in front of a small backend that knows nothing of credits.

  account    {demo.seeded.account}, {demo.seeded.available:,} credits
  key        {key}

Try, in another terminal:

  curl -i {public}/v1/products/B000123456 -H "X-Api-Key: {key}"
      2 credits; see Farebox-Cost and Farebox-Balance in the answer
  curl -i {public}/v1/search -H "X-Api-Key: {key}" \\
       -H "Content-Type: application/json" -d '{{"limit": 120}}'
      3 credits: 1, and 1 for each 100 results
  curl -N {public}/v1/chat -H "X-Api-Key: {key}" \\
       -H "Content-Type: application/json" -d '{{"prompt": "how much is this", "stream": true}}'
      the price follows from the usage in the last event
  curl -i {public}/v1/failing -H "X-Api-Key: {key}"
      the backend fails: nothing is charged
  curl {public}/farebox/v1/charges -H "X-Api-Key: {key}"
      what was charged, and why

Pages for people, with balance, charges and why, buying, keys and a calculator:

  {public}{PAGES}/
      sign in with the key above; or open this link, which works once and for ten minutes:
  {demo.seeded.sign_in}

Buy credits. No money moves: a stand-in plays Stripe. This key's account has {poor:,}
credit{"s" if poor != 1 else ""}:

  curl -i {public}/v1/products/B000123456 -H "X-Api-Key: {poor_key}"
      {refused}
      open it in a browser, choose a package, pay with 4242 4242 4242 4242 (any date to come,
      any CVC), and repeat the call: it works
  4000 0000 0000 0002 is declined, 4000 0025 0000 3155 asks for 3-D Secure first,
  4000 0000 0000 0259 is paid and then disputed, which freezes the account
  GET {admin}/admin/v1/orders, with the admin's token, lists the orders; POST
      .../orders/ORDER/refunds with {{"amount_minor": 500}} gives money back, and takes its share
      of the credits

Addresses:

  {public}/farebox/v1/account      balance (with the key)
  {public}/farebox/openapi.json    the consumer's routes
  {admin}/admin/                  the admin's pages; sign in with the token in
      {token}
  {admin}/admin/v1/accounts       the admin's routes, with the same token

  {demo.stripe_url} is Stripe's dashboard here: payments are refunded there, disputes won or lost

  Prices     {demo.prices} (edit it: taken within two seconds)
  Data       {demo.data} (kept for the next run)

Ctrl-C stops everything.
"""
