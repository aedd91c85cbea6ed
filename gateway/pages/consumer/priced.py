"""What calls cost: the price list as it is in force, and a calculator."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError
from starlette.responses import Response

from config import PriceList, Route, price_words
from gateway.consumer.services import Services
from gateway.operations import quotes
from gateway.operations.quotes import QuoteAnswer, QuoteBody
from gateway.pages import forms
from gateway.pages.consumer.visitor import Visitor
from gateway.pages.forms import Fields, Form
from gateway.pages.site import Asked
from gateway.problems import Problem
from gateway.reading import field_errors, invalid

Looking = Asked[Services, Visitor]
MOST_HEADERS = 50
MOST_BODY = 32_000
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)")


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A route and what it costs, in words."""

    methods: str
    path: str
    name: str
    price: str
    notes: list[str]
    ask: str


class Calculation(Fields):
    """A request to price."""

    method: Annotated[str, Field(pattern="^[A-Za-z]{1,20}$")] = "GET"
    path: Annotated[str, Field(max_length=8_000)]
    headers: Annotated[str, Field(max_length=8_000)] = ""
    body: Annotated[str, Field(max_length=MOST_BODY)] = ""


async def prices(asked: Looking) -> Response:
    """Show the price list."""
    services = asked.services
    rows = price_rows(services.prices.current)
    return asked.shows("consumer/prices.html", rows=rows, version=services.prices.version)


async def calculator(asked: Looking) -> Response:
    """Show the form, filled in where a link says how."""
    given = asked.request.query_params
    form = forms.begin(
        method=given.get("method", "GET")[:20],
        path=given.get("path", "")[:2_000],
        body=given.get("body", "")[:2_000],
    )
    return _shown(asked, form)


async def calculate(asked: Looking) -> Response:
    """Say what the request would cost."""
    services, form = asked.services, forms.fill(Calculation, asked.form)
    if form.read is None:
        return _shown(asked, form, status=422)
    try:
        quote = await quotes.quoted(
            services.ledger.database,
            services.prices.current,
            services.prices.version,
            asked.who.account,
            _request(form.read),
        )
    except Problem as refused:
        return _shown(asked, form.refused(refused), status=refused.status)
    return _shown(asked, form, quote)


def price_rows(prices: PriceList) -> list[PriceRow]:
    """Return what is served and what it costs, in the order of the price file."""
    return [
        PriceRow(
            methods=" ".join(sorted(route.methods)),
            path=route.path,
            name=route.name if route.name != route.path else "",
            price=price_words(route.price),
            notes=_notes(route),
            ask=_method_of(route),
        )
        for route in prices.routes
    ]


def _notes(route: Route) -> list[str]:
    notes = []
    if route.public:
        notes.append("no key needed")
    if route.observe:
        notes.append("only recorded, nothing is charged")
    if route.websocket:
        notes.append("WebSocket")
    notes += [f"{one.free} free in each {one.per}" for one in route.limits if one.free]
    notes += [f"{one.quota} at most in each {one.per}" for one in route.limits if one.quota]
    return notes


def _method_of(route: Route) -> str:
    return "GET" if "GET" in route.methods else min(route.methods)


def _request(form: Calculation) -> QuoteBody:
    """Put a form's texts together as a request."""
    headers: dict[str, str] = {}
    lines = [line.strip() for line in form.headers.splitlines() if line.strip()]
    for line in lines[:MOST_HEADERS]:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise invalid([("headers", "one on each line, like Content-Type: application/json")])
        headers[found[1]] = found[2]
    body = form.body or None
    typed = any(name.lower() == "content-type" for name in headers)
    if body is not None and not typed and body.lstrip()[:1] in ("{", "["):
        headers["Content-Type"] = "application/json"
    try:
        return QuoteBody(method=form.method, path=form.path, headers=headers, body=body)
    except ValidationError as error:
        raise invalid(field_errors(error)) from None


def _shown(
    asked: Looking, form: Form[Calculation], quote: QuoteAnswer | None = None, *, status: int = 200
) -> Response:
    return asked.shows(
        "consumer/calculator.html",
        status=status,
        form=form,
        quote=quote,
        methods=[(one, one) for one in METHODS],
        rows=price_rows(asked.services.prices.current),
    )
