"""What a request's head decides before anybody asks for a key."""

import pytest

from config import PriceList, load_price_list
from gateway.admission import check_head, find_route
from gateway.asgi import Message
from gateway.problems import Problem
from gateway.request import BodyTooLarge, Request
from tests.gateway.turns import request_of

PRICES = """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9000" } }
routes:
  - { path: /read, methods: [GET], upstream: api, price: 1 }
  - { path: /write, methods: [POST], upstream: api, price: 1, max_body: 10 }
  - { path: /watched, methods: [POST], upstream: api, price: 1, max_body: 10, observe: true }
  - { path: /open, methods: [GET], upstream: api, price: 0, public: true }
  - { path: /live, upstream: api, websocket: true, price: { per: [{ seconds: true, unit: 60, cost: 2 }] } }
  - { path: "/rest/*", methods: [GET], upstream: api, price: 1 }
"""


@pytest.fixture(scope="module")
def prices() -> PriceList:
    return load_price_list(PRICES, environ={})


def request(
    method: str = "GET", path: bytes = b"/read", query: bytes = b"", **headers: bytes
) -> Request:
    async def receive() -> Message:
        raise AssertionError("the body is not to be read")

    scope = {
        "method": method,
        "raw_path": path,
        "query_string": query,
        "headers": [(name.replace("_", "-").encode(), value) for name, value in headers.items()],
        "scheme": "http",
        "client": ("127.0.0.1", 1),
    }
    return request_of(scope, receive)


def refused(prices: PriceList, asked: Request) -> Problem:
    with pytest.raises(Problem) as problem:
        find_route(prices, asked, asked.raw_path)
    return problem.value


def admit(prices: PriceList, asked: Request) -> None:
    check_head(asked, find_route(prices, asked, asked.raw_path).match.route)


def test_an_unknown_path_is_404(prices: PriceList) -> None:
    assert refused(prices, request(path=b"/none")).name == "no-route"


def test_a_known_path_with_another_method_is_405_and_names_the_right_ones(
    prices: PriceList,
) -> None:
    problem = refused(prices, request("DELETE", b"/read"))
    assert problem.status == 405
    assert dict(problem.headers)[b"allow"] == b"GET, HEAD"


@pytest.mark.parametrize("path", [b"/farebox", b"/farebox/v1/account"])
def test_no_backend_answers_in_our_name(path: bytes) -> None:
    """Another spelling of our own path, once canonical, is not for a catch-all route."""
    everything = PRICES.replace("/rest/*", "/*")
    assert refused(load_price_list(everything, environ={}), request(path=path)).status == 404


def test_a_preflight_belongs_to_the_method_it_asks_about(prices: PriceList) -> None:
    asked = request(
        "OPTIONS", b"/write", origin=b"https://a", access_control_request_method=b"POST"
    )
    found = find_route(prices, asked, b"/write")
    assert (found.match.route.path, found.preflight) == ("/write", True)


def test_a_preflight_for_another_method_still_reaches_the_backend(prices: PriceList) -> None:
    asked = request(
        "OPTIONS", b"/write", origin=b"https://a", access_control_request_method=b"DELETE"
    )
    found = find_route(prices, asked, b"/write")
    assert (found.match.route.path, found.preflight) == ("/write", True)


def test_a_preflight_for_an_unknown_path_does_not(prices: PriceList) -> None:
    asked = request("OPTIONS", b"/none", origin=b"https://a", access_control_request_method=b"GET")
    assert refused(prices, asked).status == 404


def test_a_preflight_can_be_kept_out_and_is_never_charged(prices: PriceList) -> None:
    asked = request("OPTIONS", b"/read", origin=b"https://a", access_control_request_method=b"GET")
    closed = load_price_list(PRICES + "cors: off\n", environ={})
    assert refused(closed, asked).status == 405


def test_options_without_the_question_is_no_preflight(prices: PriceList) -> None:
    assert refused(prices, request("OPTIONS", b"/read", origin=b"https://a")).status == 405


@pytest.mark.parametrize(
    "query",
    [b"_method=DELETE", b"a=1&_METHOD=x", b"%5fmethod=PUT", b"a=1;_method=x", b"+_method=x"],
)
def test_a_method_override_in_the_query_is_refused(prices: PriceList, query: bytes) -> None:
    with pytest.raises(Problem, match="_method"):
        admit(prices, request(query=query))


@pytest.mark.parametrize("query", [b"method=x", b"my_method=x", b"q=_method", b"a%20b=c_d"])
def test_other_queries_are_none_of_our_business(prices: PriceList, query: bytes) -> None:
    admit(prices, request(query=query))


def test_a_websocket_handshake_on_another_route_is_400(prices: PriceList) -> None:
    with pytest.raises(Problem) as problem:
        admit(prices, request(upgrade=b"WebSocket", connection=b"upgrade"))
    assert problem.value.status == 400


def test_an_upgrade_to_http2_is_just_not_taken(prices: PriceList) -> None:
    admit(prices, request(upgrade=b"h2c", connection=b"upgrade"))


def test_under_a_server_that_gives_no_connection_away_there_are_no_websockets(
    prices: PriceList,
) -> None:
    with pytest.raises(Problem) as problem:
        admit(prices, request(path=b"/live", upgrade=b"websocket"))
    assert (problem.value.status, problem.value.name) == (501, "websocket-not-available")


@pytest.mark.parametrize(("method", "more"), [("GET", {}), ("HEAD", {"upgrade": b"websocket"})])
def test_a_websocket_route_takes_nothing_but_a_handshake(
    prices: PriceList, method: str, more: dict[str, bytes]
) -> None:
    with pytest.raises(Problem) as problem:
        admit(prices, request(method, path=b"/live", **more))
    assert (problem.value.status, problem.value.name) == (426, "upgrade-required")
    assert (b"upgrade", b"websocket") in problem.value.headers


def test_a_body_too_large_by_its_own_account_is_refused_unread(prices: PriceList) -> None:
    with pytest.raises(BodyTooLarge):
        admit(prices, request("POST", b"/write", content_length=b"11"))


def test_what_is_only_watched_is_not_refused(prices: PriceList) -> None:
    admit(prices, request("POST", b"/watched", b"_method=PUT", content_length=b"11"))
