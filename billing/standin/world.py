"""Everything there is at the stand-in: objects, time, and what is going to happen."""

import heapq
import itertools
import json
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import stripe

from billing.standin import shapes
from billing.standin.clock import WorldClock
from billing.standin.failures import ShapeError, missing_object
from billing.standin.faults import Faults
from billing.standin.idempotency import Replays
from billing.standin.post import Post
from billing.standin.rendering import public

Json = dict[str, Any]
Action = Callable[..., None]

_LETTERS = string.ascii_letters + string.digits
_SCHEDULED: dict[str, Action] = {}
API_VERSION: str = stripe.api_version  # the one version spoken here


def scheduled(name: str) -> Callable[[Action], Action]:
    """
    Name a function that `World.later` can call: `fn(world, *arguments)`.

    Names and not functions are scheduled, so that what is due survives saving and loading.
    """

    def register(function: Action) -> Action:
        if name in _SCHEDULED:
            raise ValueError(f"two actions are named {name}")
        _SCHEDULED[name] = function
        return function

    return register


class World:
    """
    Objects as Stripe's JSON, by id, in the order they were made.

    Fields whose names begin with `_` are the stand-in's own notes: they are kept and never
    shown. References to other objects are ids. One thread, one event loop and handlers that
    never wait make every request atomic.

    Args:
        key: The secret key that requests must carry.
        seed: Makes ids and chances repeatable; None for ones nobody has seen.
        base_url: Where browsers find the stand-in; without a slash at the end.

    """

    def __init__(
        self,
        *,
        key: str = "sk_test_standin",
        seed: int | None = None,
        clock: WorldClock | None = None,
        base_url: str = "http://127.0.0.1",
    ) -> None:
        self.key = key
        self.clock = clock or WorldClock()
        self.random = random.Random(seed)
        self.base_url = base_url
        self.objects: dict[str, Json] = {}
        self.faults = Faults(self.random)
        self.replays = Replays()
        self.post = Post(self)
        # The request being answered, for events: its id and its idempotency key.
        self.request: tuple[str | None, str | None] = (None, None)
        # What the stand-in did that Stripe never would; tests fail when there is any.
        self.bugs: list[str] = []
        self.changes = 0
        self._ids: dict[str, dict[str, None]] = {}
        self._due: list[tuple[float, int, str, list[Any]]] = []
        self._order = itertools.count()

    def now_s(self) -> int:
        """Seconds since 1970 in this world."""
        return self.clock.now_s()

    def new_id(self, prefix: str, length: int = 24) -> str:
        """Make an id like `cs_test_a1B2...` that no object has."""
        while True:
            made = f"{prefix}_{''.join(self.random.choices(_LETTERS, k=length))}"
            if made not in self.objects:
                return made

    def put(self, thing: Json) -> Json:
        """Keep an object under its id (a second time: in its old place) and return it."""
        self.objects[thing["id"]] = thing
        self._ids.setdefault(thing["object"], {})[thing["id"]] = None
        self.changes += 1
        return thing

    def get(self, kind: str, wanted: Any, param: str = "id", *, deleted: bool = False) -> Json:
        """
        Return the object itself, to be read and changed.

        Args:
            kind: Stripe's `object` name, like `checkout.session`.
            wanted: Its id, as given.
            param: What the request called it. `id` or the kind: the object asked for itself.
            deleted: Whether a deleted one will do.

        Raises:
            StripeFailure: resource_missing, worded as Stripe words it.

        """
        found = self.find(kind, wanted)
        if found is None or (found.get("deleted") and not deleted):
            raise missing_object(kind, str(wanted), param)
        return found

    def find(self, kind: str, wanted: Any) -> Json | None:
        """Return the object, or None."""
        found = self.objects.get(wanted) if isinstance(wanted, str) else None
        return found if found is not None and found["object"] == kind else None

    def every(self, kind: str) -> Iterator[Json]:
        """All objects of a kind that are not deleted, the oldest first."""
        for one in list(self._ids.get(kind, ())):
            if not self.objects[one].get("deleted"):
                yield self.objects[one]

    def emit(self, event_type: str, thing: Json, previous: Json | None = None) -> Json:
        """
        Make an event with a snapshot of the object as it is now, and send it to who listens.

        `previous` are the old values of what changed (`previous_attributes`), for `*.updated`.
        """
        request_id, idempotency_key = self.request
        data: Json = {"object": public(thing)}
        if previous is not None:
            data["previous_attributes"] = public(previous)
        event = self.put(
            {
                "id": self.new_id("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.now_s(),
                "data": data,
                "livemode": False,
                "pending_webhooks": 0,
                "request": {"id": request_id, "idempotency_key": idempotency_key},
                "type": event_type,
            }
        )
        try:
            shapes.check(event)
        except ShapeError as error:
            self.bugs.append(f"{event_type}: {error}")
        self.post.announce(event)
        return event

    def later(self, seconds: float, name: str, *arguments: Any) -> None:
        """Have an action called by name (see `scheduled`) after so much of this world's time."""
        if name not in _SCHEDULED:
            raise ValueError(f"no action is named {name}")
        due = self.clock.now() + seconds
        heapq.heappush(self._due, (due, next(self._order), name, list(arguments)))
        self.changes += 1

    def next_due(self) -> float | None:
        """When the next scheduled action is due, in seconds since 1970; None if none is."""
        return self._due[0][0] if self._due else None

    def run_due(self) -> None:
        """Do what is due by now."""
        while self._due and self._due[0][0] <= self.clock.now():
            _, _, name, arguments = heapq.heappop(self._due)
            self.changes += 1
            _SCHEDULED[name](self, *arguments)

    def advance(self, seconds: float) -> None:
        """Let time pass at once, stopping at each moment at which something is due."""
        target = self.clock.now() + seconds
        while self._due and self._due[0][0] <= target:
            # Never backwards: what was due in the past is done now.
            self.clock.advance(max(0.0, self._due[0][0] - self.clock.now()))
            self.run_due()
        self.clock.advance(max(0.0, target - self.clock.now()))
        self.post.wake()

    def save(self, path: Path) -> None:
        """Write everything that must outlive the process; the file is replaced whole."""
        state = {
            "ahead_s": self.clock.ahead_s,
            "objects": list(self.objects.values()),
            "due": [[due, name, arguments] for due, _, name, arguments in sorted(self._due)],
            "replays": self.replays.dump(),
            "post": self.post.dump(),
        }
        written = path.with_name(f"{path.name}.new")
        written.write_text(json.dumps(state))
        written.replace(path)

    def load(self, path: Path) -> None:
        """Take up what `save` wrote; this world must be new. Time has passed meanwhile."""
        state = json.loads(path.read_text())
        self.clock.ahead_s = state["ahead_s"]
        for thing in state["objects"]:
            self.put(thing)
        for due, name, arguments in state["due"]:
            heapq.heappush(self._due, (due, next(self._order), name, arguments))
        self.replays.take(state["replays"])
        self.post.take(state["post"])
