"""The stand-in's own API below `/_control`: what Stripe's dashboard, banks and time would do."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from billing.standin import envelope
from billing.standin.failures import invalid
from billing.standin.faults import Fault
from billing.standin.post import Plan, roll_secret
from billing.standin.rendering import public

if TYPE_CHECKING:
    from billing.standin.world import World

Control = Callable[..., Any]

_CONTROLS: dict[str, Control] = {}


def control(name: str) -> Callable[[Control], Control]:
    """Register `fn(world, **given) -> JSON` as `POST /_control/<name>`; the body is given."""

    def register(function: Control) -> Control:
        if name in _CONTROLS:
            raise ValueError(f"two controls are named {name}")
        _CONTROLS[name] = function
        return function

    return register


def controls() -> list[str]:
    """Give the names of all controls."""
    return sorted(_CONTROLS)


def run(world: "World", name: str, given: dict[str, Any]) -> Any:
    """Do what is asked. Raises StripeFailure where that is not possible."""
    if name not in _CONTROLS:
        raise invalid(f"There is no control named {name}. There are: {', '.join(controls())}")
    try:
        return call(world, name, **given)
    except (TypeError, ValueError) as error:
        raise invalid(f"{name}: {error}") from error


def call(world: "World", name: str, *arguments: Any, **given: Any) -> Any:
    """Call a control as a function."""
    answer = _CONTROLS[name](world, *arguments, **given)
    world.changes += 1
    return answer


@control("advance")
def advance(world: "World", seconds: float) -> dict[str, Any]:
    """Let time pass; what falls due happens at its moment."""
    world.advance(seconds)
    return {"now": world.now_s()}


@control("fault")
def fault(world: "World", **fields: Any) -> list[dict[str, Any]]:
    """Have a coming request fail; fields as in `faults.Fault`. Answers what is waiting."""
    world.faults.add(**{"path": "*", **dataclasses.asdict(Fault(**fields))})
    return world.faults.waiting()


@control("heal")
def heal(world: "World") -> dict[str, Any]:
    """Take back all faults and the delivery plan."""
    world.faults.clear()
    world.post.follow(Plan())
    return {}


@control("plan")
def plan(world: "World", **fields: Any) -> dict[str, Any]:
    """Deliver badly from now on; fields as in `post.Plan`."""
    world.post.follow(Plan(**fields))
    return dataclasses.asdict(world.post.plan)


@control("deliver_now")
def deliver_now(world: "World") -> dict[str, Any]:
    """Make every waiting delivery due now."""
    world.post.hurry()
    return {"waiting": len(world.post.waiting)}


@control("resend")
def resend(world: "World", event: str, endpoint: str | None = None) -> dict[str, Any]:
    """Deliver an event again."""
    return {"sent": world.post.resend(event, endpoint)}


@control("forge")
def forge(world: "World", event: str, how: Any, endpoint: str | None = None) -> dict[str, Any]:
    """Deliver an event spoiled in one way; see `post.Forgery`."""
    sent = 0
    for one in world.every("webhook_endpoint"):
        if endpoint in (None, one["id"]):
            world.post.queue(event, one["id"], forgery=how)
            sent += 1
    return {"sent": sent}


@control("roll_secret")
def roll(world: "World", endpoint: str, old_for_s: float = 86_400) -> dict[str, Any]:
    """Replace an endpoint's secret, the old one signing along for a while."""
    secret = world.new_id("whsec", 32)
    roll_secret(world, endpoint, secret, old_for_s)
    return {"secret": secret}


@control("thin_endpoint")
def thin_endpoint(world: "World", url: str, enabled_events: list[str]) -> dict[str, Any]:
    """Add an endpoint that gets thin events; at Stripe an event destination of API v2."""
    secret = world.new_id("whsec", 32)
    made = world.put(
        {
            "id": world.new_id("we"),
            "object": "webhook_endpoint",
            "api_version": None,
            "application": None,
            "created": world.now_s(),
            "description": None,
            "enabled_events": [name.removeprefix("v1.") for name in enabled_events],
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": url,
            "_secret": secret,
            "_thin": True,
        }
    )
    return {"id": made["id"], "secret": secret}


@control("thin")
def thin(world: "World", event: str) -> dict[str, Any]:
    """Show the thin twin of an event."""
    return envelope.thin(world.get("event", event))


@control("deliveries")
def deliveries(world: "World") -> dict[str, Any]:
    """Show the log of tries and what waits."""
    waiting = [dataclasses.asdict(delivery) for delivery in world.post.waiting]
    return {"log": world.post.log, "waiting": waiting, "sending": world.post.sending}


@control("state")
def state(world: "World", kind: str | None = None) -> dict[str, Any]:
    """Show every object, or those of a kind."""
    wanted = [thing for thing in world.objects.values() if kind in (None, thing["object"])]
    return {"now": world.now_s(), "objects": [public(thing) for thing in wanted]}
