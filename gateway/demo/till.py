"""Stripe's stand-in beside the demo: its world is kept in the data folder, as everything is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from billing.events.event_types import EVENT_TYPES
from billing.standin import StandIn, World
from billing.standin.resources import webhook_endpoints
from billing.stripe_door import API_VERSION
from config import Secret

KEY = "sk_test_farebox_demo"
"""No secret: the stand-in listens on this machine only and has nothing of worth."""

NOWHERE = "http://127.0.0.1:9/"
"""Where deliveries go until the gateway listens, whose start needs their secret."""


class Till:
    """The stand-in, running."""

    def __init__(self, standin: StandIn) -> None:
        self._world = standin.world
        self.url = standin.url
        self._endpoint = _endpoint(standin.world)

    def settings(self) -> dict[str, Any]:
        """Return what a gateway needs to sell through it."""
        return {
            "stripe_secret_key": Secret(self._world.key),
            "stripe_webhook_secrets": (Secret(self._endpoint["_secret"]),),
            "stripe_api_base": self.url,
        }

    def deliver_to(self, url: str) -> None:
        """Have events delivered there from now on."""
        webhook_endpoints.update(
            self._world, {"url": url}, {"webhook_endpoint": self._endpoint["id"]}
        )


def _endpoint(world: World) -> dict[str, Any]:
    """Return the endpoint of an earlier run, or a new one."""
    for known in world.every("webhook_endpoint"):
        return known
    given = {"url": NOWHERE, "enabled_events": list(EVENT_TYPES), "api_version": API_VERSION}
    return webhook_endpoints.make(world, given)


@asynccontextmanager
async def till(state: Path, host: str, port: int) -> AsyncIterator[Till]:
    """Play Stripe for as long as the block runs."""
    state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    standin = StandIn(World(key=KEY), host=host, port=port, state=state)
    await standin.start()
    try:
        yield Till(standin)
    finally:
        await standin.close()
