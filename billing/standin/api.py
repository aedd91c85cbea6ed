"""One request to the API, from its bytes to its answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from billing.standin import shapes
from billing.standin.access import check_access
from billing.standin.endpoints import Endpoint, find_endpoint
from billing.standin.failures import ShapeError, StripeFailure
from billing.standin.faults import Fault
from billing.standin.forms import decode
from billing.standin.parameters import checked
from billing.standin.rendering import public, render
from billing.standin.unsupported import refuse_unknown

if TYPE_CHECKING:
    from billing.standin.world import World


@dataclass(slots=True)
class Asked:
    """A request, read. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    text: str


@dataclass(slots=True)
class Answered:
    """
    What to send back.

    Attributes:
        fault: What goes wrong after the work; None if nothing does.
        key: The idempotency key that waits for this answer; None if none does.

    """

    status: int
    body: str
    request_id: str
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    key: str | None = None


class Api:
    """The API's front door. Nothing here waits, so a request is done whole or not begun."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def answer(self, asked: Asked) -> Answered:
        """
        Do what is asked.

        The answer of a request with an idempotency key is not kept yet: see `keep`.
        """
        request_id = self._world.new_id("req", 14)
        key = asked.headers.get("idempotency-key") if asked.method == "POST" else None
        try:
            check_access(self._world, asked.headers)
            fault = self._world.faults.take(asked.method, asked.path)
            failed = _fail_before(fault, request_id)
            return failed or self._dispatched(asked, request_id, key, fault)
        except StripeFailure as failure:
            # What is not supported will not be a moment later either.
            headers = {"stripe-should-retry": "false"} if failure.status == 501 else {}
            return Answered(failure.status, _text(public(failure.body())), request_id, headers)

    def keep(self, answered: Answered) -> None:
        """Keep the answer for repeats of its key; called just before it is sent."""
        if answered.key is not None:
            self._world.replays.end(
                answered.key, answered.status, answered.body, answered.request_id
            )

    def _dispatched(
        self, asked: Asked, request_id: str, key: str | None, fault: Fault | None
    ) -> Answered:
        found = find_endpoint(asked.method, asked.path)
        if found is None:
            raise refuse_unknown(asked.method, asked.path)
        endpoint, path = found
        given = decode(asked.text)
        if key is not None:
            kept = self._world.replays.begin(
                key, asked.method, asked.path, given, self._world.now_s()
            )
            if kept is not None:
                headers = {"idempotent-replayed": "true", "original-request": kept.request_id}
                return Answered(kept.status, kept.body, request_id, headers)
        try:
            parameters = checked(endpoint.params, given)
        except StripeFailure:
            if key is not None:
                self._world.replays.forget(key)  # nothing was begun
            raise
        self._world.request = (request_id, key)
        try:
            status, body = self._handled(endpoint, parameters, path)
        finally:
            self._world.request = (None, None)
        if fault is not None and fault.kind == "error_after":
            status, body = 500, _text(_our_fault().body())
        return Answered(status, body, request_id, fault=fault, key=key)

    def _handled(
        self, endpoint: Endpoint, given: dict[str, Any], path: dict[str, str]
    ) -> tuple[int, str]:
        expand = given.pop("expand", [])
        try:
            self._world.run_due()
            thing = endpoint.handler(self._world, given, path)
            self._world.changes += endpoint.method != "GET"
            rendered = render(self._world, thing, expand)
            _check_kind(endpoint, rendered)
            shapes.check(rendered)
            return 200, _text(rendered)
        except StripeFailure as failure:
            return failure.status, _text(public(failure.body()))
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it is a bug of the stand-in, told loudly.
            kind = "answer" if isinstance(error, ShapeError) else "handler"
            said = f"{endpoint.method} {endpoint.path}: wrong {kind}: {error!r}"
            self._world.bugs.append(said)
            return 500, _text(_our_fault(f"A bug of the stand-in: {said}").body())


def _check_kind(endpoint: Endpoint, rendered: dict[str, Any]) -> None:
    expected = endpoint.answers.OBJECT_NAME
    things = rendered["data"] if rendered["object"] == "list" else [rendered]
    for thing in things:
        if thing["object"] != expected:
            raise ShapeError(f"{thing['object']} was answered instead of {expected}")


def _fail_before(fault: Fault | None, request_id: str) -> Answered | None:
    """Make the answer of a request that fails before anything is done."""
    if fault is None:
        return None
    if fault.kind == "error_before":
        return Answered(500, _text(_our_fault().body()), request_id, _retry_header(fault))
    if fault.kind == "rate_limited":
        failure = StripeFailure(
            "Request rate limit exceeded. Learn more about rate limits here "
            "https://docs.stripe.com/rate-limits.",
            status=429,
            code="rate_limit",
        )
        return Answered(429, _text(failure.body()), request_id, _retry_header(fault))
    if fault.kind == "cut_before":
        return Answered(200, "", request_id, fault=fault)
    return None


def _retry_header(fault: Fault) -> dict[str, str]:
    if fault.should_retry is None:
        return {}
    return {"stripe-should-retry": str(fault.should_retry).lower()}


def _our_fault(message: str = "An unknown error occurred") -> StripeFailure:
    return StripeFailure(message, status=500, type="api_error")


def _text(answer: dict[str, Any]) -> str:
    return json.dumps(answer, indent=2)
