"""Examples to copy and paste, with the caller's own address."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from starlette.responses import Response

from config import PriceList, Route
from gateway.consumer.services import Services
from gateway.pages import forms
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.forms import Fields
from gateway.pages.site import Asked

KEY = "fbx_YOUR_KEY"
SAMPLE = 10
"""What stands for a number that a price reads from the body."""

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Example:
    """A call to show: `body` is JSON text, empty where there is none."""

    method: str
    path: str
    body: str


class Choice(Fields):
    """Which route's call to show, by its place in the price list."""

    route: Annotated[int | None, Field(ge=0, le=100_000)] = None


async def examples(asked: Asked[Services, Visitor]) -> Response:
    """Show how one of the routes is called."""
    services = asked.services
    prices = services.prices.current
    routes = [route for route in prices.routes if not route.websocket]
    wanted = forms.ask(Choice, asked.request).read
    chosen = next((one for one in routes if wanted and one.index == wanted.route), None)
    chosen = chosen or usual_route(prices)
    return asked.shows(
        "consumer/examples.html",
        example=None if chosen is None else example_of(chosen),
        form=forms.begin(route=None if chosen is None else chosen.index),
        routes=[(str(one.index), f"{' '.join(sorted(one.methods))} {one.path}") for one in routes],
        address=api_address(asked),
        key=KEY,
    )


def api_address(asked: Asked[Services, Visitor]) -> str:
    """Return where the API is: as it is set, or as this page was reached."""
    return asked.services.public_url.rstrip("/") or str(asked.request.base_url).removesuffix(
        f"{asked.site.rendering.base()}/"
    ).rstrip("/")


def usual_route(prices: PriceList) -> Route | None:
    """Return the first route that costs something and is easy to call."""
    routes = [route for route in prices.routes if not route.websocket]
    priced = [route for route in routes if not route.price.is_free and not route.observe]
    simple = [route for route in priced if "GET" in route.methods]
    return next(iter([*simple, *priced, *routes]), None)


def example_of(route: Route) -> Example:
    """Make up a call that a route would take."""
    method = "GET" if "GET" in route.methods else min(route.methods)
    path = _PARAMETER.sub(lambda found: found[1].upper(), route.path).replace("*", "anything")
    body: dict[str, Any] = {}
    query: list[str] = []
    for line in route.price.before_lines:
        value = line.default if line.default is not None else SAMPLE
        if line.source == "body":
            _put(body, line.selector, value)
        elif line.source == "query":
            query.append(f"{line.selector}={value}")
    if query:
        path += f"?{'&'.join(query)}"
    takes_body = method in {"POST", "PUT", "PATCH"}
    return Example(method, path, json.dumps(body) if takes_body else "")


def _put(body: dict[str, Any], pointer: str, value: int) -> None:
    """Set what a JSON pointer names, making the objects on the way; lists are left out."""
    *way, last = pointer.lstrip("/").split("/")
    place = body
    for name in way:
        inner = place.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        place = inner
    place[last] = value
