"""From a ceiling to a cost, and what the charge keeps to explain it."""

import json

from config import Price, RequestFacts, load_price_list
from gateway.asgi import Message
from gateway.metering import MAX_DETAIL_BYTES, Metering
from gateway.outcome import Charge
from gateway.request import Request
from ledger.ports import SystemClock
from tests.gateway.turns import request_of


def price(text: str) -> Price:
    prices = load_price_list(
        f"""
version: 1
upstreams: {{ api: {{ url: "http://127.0.0.1:9000" }} }}
routes: [{{ path: /x, methods: [GET], upstream: api, price: {text} }}]
""",
        environ={},
    )
    return prices.routes[0].price


def metering(text: str, query: bytes = b"") -> Metering:
    asked = price(text)
    facts = RequestFacts({}, query, [], None, 0)
    return Metering(asked, asked.before(facts), request(), SystemClock())


def request() -> Request:
    async def receive() -> Message:
        raise AssertionError("there is no body to read")

    scope = {
        "method": "GET",
        "raw_path": b"/x",
        "query_string": b"",
        "headers": [],
        "scheme": "http",
    }
    return request_of(scope, receive)


def answered(one: Metering, body: bytes) -> Metering:
    assert one.meter is not None
    one.meter.head(200, [(b"content-type", b"application/json")])
    one.meter.feed(body)
    return one


USAGE = "{ hold: 50, settle: { response: /n, unit: 1, cost: 1 }, missing: 20 }"


def test_a_flat_price_is_known_and_needs_no_words() -> None:
    one = metering("3")
    assert one.charge() == Charge(3, 3, final=True)
    assert one.detail_before({}) == b""
    assert one.detail_after(0) == b""


def test_measured_units_and_the_record_are_kept_with_the_hold() -> None:
    one = metering("{ per: [{ query: n, unit: 10, cost: 1 }] }", b"n=25")
    assert one.charge() == Charge(3, 3, final=True)
    assert json.loads(one.detail_before({"asin": "B01"})) == {"u": [25], "r": {"asin": "B01"}}


def test_what_the_answer_tells_is_kept_with_the_settlement() -> None:
    one = answered(metering(USAGE), b'{"n": 61}')
    assert one.charge() == Charge(50, 61, final=False)
    kept = json.loads(one.detail_after(11))
    assert (kept["m"], kept["o"]) == ([61], 11)
    assert kept["ms"] >= 0


def test_what_the_answer_does_not_tell_has_an_empty_place() -> None:
    one = answered(metering(USAGE), b"{}")
    assert one.charge() == Charge(50, 20, final=False, missing=True)
    assert json.loads(one.detail_after(0))["m"] == [None]


def test_the_first_look_at_the_cost_decides() -> None:
    one = answered(metering(USAGE), b'{"n": 5}')
    assert one.charge() == one.charge()


def test_time_counts_from_when_the_request_began() -> None:
    asked, clock = price(USAGE), SystemClock()
    before = asked.before(RequestFacts({}, b"", [], None, 0))
    one = Metering(asked, before, request(), clock, since_us=clock.now_us() - 5_000_000)
    assert one.elapsed_ms() >= 5_000


def test_a_detail_fits_into_a_fact() -> None:
    one = metering("{ per: [{ query: n, unit: 10, cost: 1 }] }", b"n=25")
    huge = {f"name-{number}": "\x01" * 100 for number in range(5)}
    assert len(one.detail_before(huge)) <= MAX_DETAIL_BYTES
    assert json.loads(one.detail_before(huge))["u"] == [25]
