"""
Requests charged without a gateway, by the parts that charge them in one.

`charged(prices, request)` is what a worker would capture and record; generated price files and
requests for it are here too.
"""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from config import Match, PriceList, RequestFacts, Route, Unpriceable, load_price_list
from config.routing import BadPath
from gateway.metering import Metering
from gateway.outcome import End, Ending, Outcome, outcome
from gateway.repricing import Recorded
from gateway.watched import Met
from ledger.books import ChargeState
from ledger.detail import read_detail


@dataclass(frozen=True)
class Played:
    """A request and how it ended, whatever it costs."""

    method: str
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    announced: bool
    end: End
    status: int
    answer_headers: tuple[tuple[bytes, bytes], ...]
    answer: bytes
    elapsed_ms: int
    account: int | None = 1


@dataclass(frozen=True)
class Charged:
    """What became of it: what was captured, and its row, if it left one."""

    captured: int
    route: Route | None = None
    row: Recorded | None = None


class _Clock:
    def __init__(self, elapsed_ms: int) -> None:
        self.us, self._elapsed_us = 0, elapsed_ms * 1000

    def now_us(self) -> int:
        was, self.us = self.us, self._elapsed_us
        return was


@dataclass
class _Body:
    body_bytes: int | None
    received_bytes: int


def charged(prices: PriceList, played: Played) -> Charged:
    """Charge a request as a worker does, with all the credits in the world."""
    try:
        found = prices.match(played.method.encode(), played.path.encode())
    except BadPath:
        return Charged(0)
    if not isinstance(found, Match):
        return Charged(0)
    route, price = found.route, found.route.price
    length = len(played.body) if played.announced else None
    body = played.body if price.needs_body else None
    facts = RequestFacts(found.params, played.query, played.headers, body, length)
    try:
        measured = price.before(facts)
    except Unpriceable:
        return Charged(0, route)
    free = measured.final and measured.ceiling == 0
    if not route.observe and (free or played.account is None):
        return Charged(0, route)
    clock: Any = _Clock(played.elapsed_ms)
    request: Any = _Body(length, len(played.body))
    metering = Metering(price, measured, request, clock)
    if metering.meter is not None and played.status:
        metering.meter.head(played.status, played.answer_headers)
        metering.meter.feed(played.answer)
    ending = Ending(played.end, played.status, route.charge_on.covers(played.status))
    result = outcome(ending, metering.charge(), cut_is_delivered=route.on_cut == "delivered")
    return Charged(
        0 if route.observe else result.amount,
        route,
        _row(route, played, metering, result, route.recorded(facts)),
    )


def _row(
    route: Route, played: Played, metering: Metering, result: Outcome, record: dict[str, str]
) -> Recorded:
    before = read_detail(metering.detail_before(record))
    if route.observe:
        note = Met().ended(result).note
        both = read_detail(
            metering.detail_observed(record, result.uncollected, note, played.elapsed_ms)
        )
        return Recorded(
            played.account, ChargeState.OBSERVED, None, played.status, result.amount, 0,
            both.units, both.measured, both.record, both.note,
        )  # fmt: skip
    after = read_detail(metering.detail_after(result.uncollected) if result.capture else b"")
    state = ChargeState.CAPTURED if result.capture else ChargeState.VOID
    return Recorded(
        played.account, state, result.reason, played.status or None, metering.measured.ceiling,
        result.amount, before.units, after.measured, before.record, None,
    )  # fmt: skip


SMALL = st.integers(1, 9)
FEW = st.none() | st.integers(0, 4)


def _unit(source: st.SearchStrategy[dict[str, Any]], *, default: bool) -> Any:
    optional: dict[str, Any] = {"unit": SMALL}
    if default:
        optional["default"] = st.integers(0, 4)
    more = st.fixed_dictionaries({"cost": SMALL}, optional=optional)
    return st.builds(lambda one, two: one | two, source, more)


def _distinct(units: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({next(iter(unit)): unit for unit in units}.values())


REQUEST_UNIT = _unit(
    st.sampled_from([{"query": "q"}, {"header": "x-n"}, {"body": "/n"}, {"path": "x"}]),
    default=True,
) | _unit(st.just({"request_bytes": True}), default=False)
ANSWER_UNIT = _unit(
    st.sampled_from([{"response": "/u/n"}, {"response_header": "x-u"}]), default=True
) | _unit(st.sampled_from([{"response_bytes": True}, {"seconds": True}]), default=False)
PRICES = st.one_of(
    st.integers(0, 5),
    st.fixed_dictionaries(
        {"per": st.lists(REQUEST_UNIT, min_size=1, max_size=3).map(_distinct)},
        optional={"flat": SMALL, "min": SMALL, "max": st.integers(9, 90)},
    ),
    st.fixed_dictionaries(
        {
            "hold": st.integers(9, 60),
            "settle": st.lists(ANSWER_UNIT, min_size=1, max_size=2).map(_distinct),
        },
        optional={
            "flat": SMALL,
            "per": st.lists(REQUEST_UNIT, min_size=1, max_size=2).map(_distinct),
            "missing": st.integers(0, 9),
        },
    ),
)
SHAPES = (*["/a/{}"] * 4, "/a/5", "/b/{}", "/*")
METHODS = (*[["GET", "POST"]] * 4, ["GET"], ["POST"])


@st.composite
def price_texts(draw: st.DrawFn) -> str:
    """A price file whose paths, units and names are those of the next one."""
    return json.dumps(draw(_files()))


@st.composite
def changed_texts(draw: st.DrawFn) -> tuple[str, str]:
    """A price file and a later one: another altogether, or the same with other numbers."""
    old = draw(_files())
    if draw(st.integers(0, 3)) == 0:
        return json.dumps(old), draw(price_texts())
    new = json.loads(json.dumps(old))
    for route in new["routes"]:
        if type(route["price"]) is dict:
            for unit in [*route["price"].get("per", ()), *route["price"].get("settle", ())]:
                _change(draw, unit, "cost", SMALL)
                _change(draw, unit, "unit", SMALL)
                if {"query", "header", "body", "path", "response", "response_header"} & {*unit}:
                    _change(draw, unit, "default", st.integers(0, 4))
            _change(draw, route["price"], "flat", SMALL)
            if "hold" in route["price"]:
                _change(draw, route["price"], "hold", st.integers(9, 60))
                _change(draw, route["price"], "missing", st.integers(0, 9))
                _change(draw, route, "on_cut", st.sampled_from(["void", "delivered"]))
        else:
            _change(draw, route, "price", st.integers(0, 5))
        _change(draw, route, "charge_on", st.sampled_from([["2xx"], ["2xx", 404], [404]]))
    return json.dumps(old), json.dumps(new)


def _change(draw: st.DrawFn, of: dict[str, Any], key: str, values: st.SearchStrategy[Any]) -> None:
    if draw(st.integers(0, 3)) == 0:
        of[key] = draw(values)


@st.composite
def _files(draw: st.DrawFn) -> dict[str, Any]:
    routes = []
    taken: set[tuple[str, str]] = set()
    for at in draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4)):
        name = draw(st.sampled_from(["x", "x", "x", "y"]))
        methods = draw(st.sampled_from(METHODS))
        price = draw(PRICES)
        units = [*price.get("per", ()), *price.get("settle", ())] if type(price) is dict else []
        if taken & {(at, method) for method in methods}:
            continue
        if name == "y" or "{}" not in at:
            units_of_path = [unit for unit in units if "path" in unit]
            for unit in units_of_path:
                if "{}" in at:
                    unit["path"] = name
                else:
                    unit.pop("path")
                    unit["query"] = "p"
        taken |= {(at, method) for method in methods}
        route = {
            "path": at.replace("{}", f"{{{name}}}"), "methods": methods, "upstream": "api",
            "price": price,
        }  # fmt: skip
        if draw(st.integers(0, 5)) == 0:
            route["observe"] = True
        if draw(st.booleans()):
            route["charge_on"] = draw(st.sampled_from([["2xx"], ["2xx", 404], [404]]))
        if draw(st.booleans()) and "settle" in (price if type(price) is dict else {}):
            route["on_cut"] = draw(st.sampled_from(["void", "delivered"]))
        if draw(st.booleans()):
            route["record"] = {"q": "query/q", **({"place": f"path/{name}"} if "{}" in at else {})}
        routes.append(route)
    return {"version": 1, "upstreams": {"api": {"url": "http://127.0.0.1:9"}}, "routes": routes}


def loaded(text: str) -> PriceList:
    return load_price_list(text, environ={})


COUNT = FEW.map(lambda number: None if number is None else str(number).encode())


@st.composite
def requests(draw: st.DrawFn) -> Played:
    """A request that most of these prices can price, and any way for it to end."""
    query, header, number = draw(COUNT), draw(COUNT), draw(FEW)
    usage = draw(FEW | st.just(-1) | st.just("many"))
    told = draw(COUNT | st.just(b"x"))
    answer = {} if usage is None else {"u": {"n": usage}}
    end = draw(st.sampled_from([End.COMPLETE] * 6 + list(End)))
    before_head = {End.REFUSED, End.RESET, End.TIMEOUT, End.GONE_EARLY}
    return Played(
        method=draw(st.sampled_from(["GET", "POST"])),
        path=draw(st.sampled_from(["/a/5", "/a/7", "/a/7", "/b/3", "/c"])),
        query=b"" if query is None else b"q=" + query,
        headers=(
            (b"content-type", b"application/json"),
            *(() if header is None else ((b"x-n", header),)),
        ),
        body=b"" if number is None else json.dumps({"n": number}).encode(),
        announced=draw(st.booleans()),
        end=end,
        status=0 if end in before_head else draw(st.sampled_from([200, 200, 200, 404, 500])),
        answer_headers=(
            (b"content-type", b"application/json"),
            *(() if told is None else ((b"x-u", told),)),
        ),
        answer=json.dumps(answer).encode(),
        elapsed_ms=draw(st.sampled_from([0, 1, 1500, 70_000])),
        account=draw(st.sampled_from([1, 1, 1, None])),
    )
