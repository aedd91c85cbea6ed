"""A stand-in for Stripe on a real socket, in the test's own event loop."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stripe

from billing.standin import StandIn, World, control
from billing.standin.clock import WorldClock
from billing.standin.post import Plan
from billing.standin.resources import webhook_endpoints


class RunningStandIn:
    """
    What tests do with a stand-in that answers.

    Other attributes are controls by name: `.pay(session_id)` does what `POST /_control/pay` does.
    """

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self.world: World = standin.world

    @property
    def url(self) -> str:
        return self._standin.url

    @property
    def key(self) -> str:
        return self.world.key

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or name not in control.controls():
            raise AttributeError(name)
        return lambda *arguments, **given: control.call(self.world, name, *arguments, **given)

    def register_webhook(
        self, url: str, events: Sequence[str] = ("*",), *, api_version: str | None = None
    ) -> str:
        """Have events delivered; returns the secret they are signed with."""
        made = webhook_endpoints.make(
            self.world, {"url": url, "enabled_events": list(events), "api_version": api_version}
        )
        return str(made["_secret"])

    def events(self, *types: str) -> list[dict[str, Any]]:
        """All events so far, the oldest first; of these types only, if any are given."""
        return [one for one in self.world.every("event") if not types or one["type"] in types]

    def deliver_badly(self, seed: int = 0, **chances: float) -> None:
        """Have mishaps happen to deliveries, like `drop=0.2, duplicate=0.5`; see `Plan`."""
        self.world.post.follow(Plan(seed=seed, chances=chances))

    async def delivered(self, limit_s: float = 30) -> None:
        """Return once everything that is due has been delivered or has failed."""
        await self._standin.courier.idle(limit_s)

    async def restart(self) -> None:
        """Not there for a moment: stop and listen again under the same address."""
        await self._standin.close()
        await self._standin.start()


class _Http(stripe.HTTPXClient):
    """The SDK's client; it hands bodies over in a way that httpx has deprecated."""

    def _get_request_args_kwargs(self, *request: Any) -> tuple[Any, dict[str, Any]]:
        args, kwargs = super()._get_request_args_kwargs(*request)
        kwargs["content"] = kwargs.pop("data") or None
        return args, kwargs


@asynccontextmanager
async def running_standin(
    *, seed: int | None = None, clock: WorldClock | None = None, **options: Any
) -> AsyncIterator[RunningStandIn]:
    """
    A stand-in for as long as the block runs; options are `StandIn`'s.

    Fails at the end if it answered or sent what Stripe never would.
    """
    standin = StandIn(World(seed=seed, clock=clock), **options)
    await standin.start()
    try:
        yield RunningStandIn(standin)
    finally:
        await standin.close()
    if standin.world.bugs:
        raise AssertionError(f"the stand-in did what Stripe never would: {standin.world.bugs}")


@asynccontextmanager
async def sdk_for(standin: RunningStandIn, **options: Any) -> AsyncIterator[stripe.StripeClient]:
    """The real SDK, pointed at a stand-in, without retries unless they are asked for."""
    stripe.enable_telemetry = False
    http = _Http(timeout=10)
    client = stripe.StripeClient(
        options.pop("api_key", standin.key),
        base_addresses={"api": standin.url},
        http_client=http,
        max_network_retries=options.pop("max_network_retries", 0),
        **options,
    )
    try:
        yield client
    finally:
        await http.close_async()


@pytest.fixture
async def stripe_standin(anyio_backend: str) -> AsyncIterator[RunningStandIn]:
    async with running_standin() as standin:
        yield standin


@pytest.fixture
async def sdk(stripe_standin: RunningStandIn) -> AsyncIterator[stripe.StripeClient]:
    """The real SDK, pointed at this test's stand-in."""
    async with sdk_for(stripe_standin) as client:
        yield client
