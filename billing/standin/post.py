"""What is to be delivered to whom, and what became of it; `courier` does the sending."""

import itertools
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from billing.standin.failures import StripeFailure

if TYPE_CHECKING:
    from billing.standin.world import World

# Seconds between tries: for three days with growing pauses, as Stripe's documentation tells.
RETRY_S = (300, 1_800, 7_200, 18_000, 36_000, *[43_200] * 4)
LONGEST_LOG = 10_000  # tries remembered

Mishap = Literal["drop", "delay", "reorder", "duplicate", "twin"]
Forgery = Literal[
    "wrong_mode",
    "wrong_secret",
    "stale",
    "future",
    "oversized",
    "unknown_type",
    "unknown_customer",
]
State = Literal["waiting", "sending", "delivered", "failed", "dropped"]


@dataclass(slots=True)
class Delivery:
    """
    One event on its way to one endpoint.

    Attributes:
        due: In the world's time, seconds since 1970.
        order: Among those due, smaller goes first.
        forgery: How it is spoiled; None for a genuine one. Spoiled ones are never retried.
        tries: Made so far.

    """

    id: str
    event_id: str
    endpoint_id: str
    due: float
    order: float
    forgery: Forgery | None = None
    tries: int = 0
    state: State = "waiting"
    last_status: int = 0


@dataclass(slots=True)
class Plan:
    """
    How badly events are delivered: a chance between 0 and 1 for each way, decided by `seed`.

    Attributes:
        chances: By way. `drop`, `delay`, `reorder`, `duplicate` and `twin` (a duplicate at the
            same moment) happen to genuine deliveries; those of `Forgery` add a spoiled one.
        delay_s: The longest delay of a delayed or duplicated one, in the world's time.
        only: Event types concerned; empty for all.

    """

    seed: int = 0
    chances: dict[str, float] = field(default_factory=dict)
    delay_s: float = 2.0
    only: list[str] = field(default_factory=list)


class Post:
    """
    Deliveries waiting, and the log of tries.

    Args:
        retry_s: Seconds of the world's time before each further try.

    """

    def __init__(self, world: "World", retry_s: tuple[float, ...] = RETRY_S) -> None:
        self._world = world
        self.retry_s = retry_s
        self.plan = Plan()
        self.wake: Callable[[], None] = lambda: None
        self.log: list[dict[str, Any]] = []
        self.waiting: list[Delivery] = []
        self._out: dict[str, Delivery] = {}
        self._chances = random.Random(0)
        self._ids = itertools.count(1)
        # Per event, the endpoints that have not taken it.
        self._open: dict[str, set[str]] = {}

    def follow(self, plan: Plan) -> None:
        """Deliver by this plan from now on; Plan() is the way without mishaps."""
        self.plan = plan
        self._chances = random.Random(plan.seed)

    def announce(self, event: dict[str, Any]) -> None:
        """Queue an event for every endpoint that wants it."""
        for endpoint in self._world.every("webhook_endpoint"):
            if wants(endpoint, event["type"]):
                self._open.setdefault(event["id"], set()).add(endpoint["id"])
                self._queue_by_plan(event, endpoint)
        event["pending_webhooks"] = len(self._open.get(event["id"], ()))
        self.wake()

    def _queue_by_plan(self, event: dict[str, Any], endpoint: dict[str, Any]) -> None:
        if self.plan.only and event["type"] not in self.plan.only:
            self.queue(event["id"], endpoint["id"])
            return
        happens = {
            way for way, chance in self.plan.chances.items() if self._chances.random() < chance
        }
        if "drop" in happens:
            self._note(self._delivery(event["id"], endpoint["id"]), "dropped", 0)
            return
        pause = self._chances.uniform(0, self.plan.delay_s)
        first = self.queue(event["id"], endpoint["id"], pause if "delay" in happens else 0)
        if "reorder" in happens:
            first.order += self._chances.randint(-6, 6) + 0.5
        if "twin" in happens:
            self.queue(event["id"], endpoint["id"]).due = first.due
        if "duplicate" in happens:
            self.queue(event["id"], endpoint["id"], self._chances.uniform(0, self.plan.delay_s))
        for way in Forgery.__args__:  # type: ignore[attr-defined]
            if way in happens:
                self.queue(event["id"], endpoint["id"], forgery=way)

    def queue(
        self, event_id: str, endpoint_id: str, after_s: float = 0, forgery: Forgery | None = None
    ) -> Delivery:
        """Have an event sent (again), genuine or spoiled, after so much of the world's time."""
        delivery = self._delivery(event_id, endpoint_id, after_s, forgery)
        self.waiting.append(delivery)
        self._world.changes += 1
        self.wake()
        return delivery

    def _delivery(
        self,
        event_id: str,
        endpoint_id: str,
        after_s: float = 0,
        forgery: Forgery | None = None,
    ) -> Delivery:
        number = next(self._ids)
        due = self._world.clock.now() + after_s
        return Delivery(f"dlv_{number}", event_id, endpoint_id, due, number, forgery)

    def resend(self, event_id: str, endpoint_id: str | None = None) -> int:
        """Send an event again, to one endpoint or to all that want it; the redelivery button."""
        event = self._world.get("event", event_id)
        count = 0
        for endpoint in self._world.every("webhook_endpoint"):
            if endpoint["id"] == endpoint_id or (
                endpoint_id is None and wants(endpoint, event["type"])
            ):
                self.queue(event_id, endpoint["id"])
                count += 1
        return count

    def hurry(self) -> None:
        """Make everything that waits due now."""
        for delivery in self.waiting:
            delivery.due = min(delivery.due, self._world.clock.now())
        self.wake()

    def take_due(self) -> list[Delivery]:
        """Remove and return what is due, in its order; each must come back to `done`."""
        now = self._world.clock.now()
        due = sorted((one for one in self.waiting if one.due <= now), key=lambda one: one.order)
        self.waiting = [one for one in self.waiting if one.due > now]
        for delivery in due:
            delivery.state = "sending"
        self._out |= {delivery.id: delivery for delivery in due}
        return due

    def done(self, delivery: Delivery, status: int) -> None:
        """
        Note how a try went and plan the next one.

        `status` is what the endpoint answered; 0 if it did not answer in time.
        """
        del self._out[delivery.id]
        delivery.tries += 1
        if 200 <= status < 300:
            self._note(delivery, "delivered", status)
            if delivery.forgery is None:
                self._taken(delivery)
        elif self._is_last(delivery):
            self._note(delivery, "failed", status)
        else:
            self._note(delivery, "waiting", status)
            delivery.due = self._world.clock.now() + self.retry_s[delivery.tries - 1]
            self.waiting.append(delivery)
        self._world.changes += 1

    def _is_last(self, delivery: Delivery) -> bool:
        endpoint = self._world.find("webhook_endpoint", delivery.endpoint_id)
        return (
            delivery.forgery is not None
            or delivery.tries > len(self.retry_s)
            or endpoint is None
            or "deleted" in endpoint
        )

    def _taken(self, delivery: Delivery) -> None:
        still = self._open.get(delivery.event_id, set())
        still.discard(delivery.endpoint_id)
        event = self._world.find("event", delivery.event_id)
        if event is not None:
            event["pending_webhooks"] = len(still)

    def _note(self, delivery: Delivery, state: State, status: int) -> None:
        delivery.state, delivery.last_status = state, status
        self.log.append({**asdict(delivery), "at": self._world.clock.now()})
        del self.log[:-LONGEST_LOG]

    def states(self, event_id: str) -> list[str]:
        """Tell how each delivery of an event stands, as far as the log goes back."""
        known: dict[str, str] = {}
        for tried in self.log:
            if tried["event_id"] == event_id:
                known[tried["id"]] = tried["state"]
        for delivery in self.waiting:
            if delivery.event_id == event_id:
                known[delivery.id] = "waiting"
        return list(known.values())

    @property
    def sending(self) -> int:
        """How many are on their way."""
        return len(self._out)

    def idle(self) -> bool:
        """Say whether nothing is being sent and nothing is due."""
        now = self._world.clock.now()
        return not self._out and all(delivery.due > now for delivery in self.waiting)

    def next_due(self) -> float | None:
        """When the next one is due, in the world's time."""
        return min((delivery.due for delivery in self.waiting), default=None)

    def dump(self) -> dict[str, Any]:
        """Give what waits, for saving."""
        return {
            # What is on its way may never arrive; sending it again is harmless.
            "waiting": [asdict(one) for one in (*self.waiting, *self._out.values())],
            "open": {event: sorted(ids) for event, ids in self._open.items() if ids},
        }

    def take(self, dumped: dict[str, Any]) -> None:
        """Take up what `dump` gave."""
        self.waiting = [Delivery(**fields) for fields in dumped["waiting"]]
        self._open = {event: set(ids) for event, ids in dumped["open"].items()}
        taken = [int(delivery.id.removeprefix("dlv_")) for delivery in self.waiting]
        self._ids = itertools.count(max(taken, default=0) + 1)


def wants(endpoint: dict[str, Any], event_type: str) -> bool:
    """Say whether an endpoint is enabled for events of this type."""
    if endpoint["status"] != "enabled":
        return False
    wanted = endpoint["enabled_events"]
    return "*" in wanted or event_type in wanted


def roll_secret(world: "World", endpoint_id: str, new_secret: str, old_for_s: float) -> None:
    """Give an endpoint another secret; the old one signs along for so long in the world's time."""
    endpoint = world.get("webhook_endpoint", endpoint_id)
    if old_for_s < 0:
        raise StripeFailure("A secret cannot expire in the past.", param="expires_in")
    endpoint["_old_secret"] = endpoint["_secret"]
    endpoint["_old_secret_until"] = world.clock.now() + old_for_s
    endpoint["_secret"] = new_secret
