"""How limits are told to clients, and to the ledger."""

from config import PriceList, load_price_list
from gateway.limits import NONE, RouteLimits, limits_of
from ledger.errors import RateLimited
from ledger.limits import Limit, limits_block, window_id

ROUTES = """
version: 1
upstreams: { api: { url: "http://127.0.0.1:9" } }
routes:
  - { path: /a, methods: [GET], upstream: api, price: 1 }
  - path: /b
    methods: [GET]
    upstream: api
    price: 1
    name: größe "b"
    weight: 2
    limits: { everyone: { requests: 5, per: second }, per_key: { in_flight: 3 } }
  - { path: /c, methods: [GET], upstream: api, price: 0, public: true }
"""
LIMITS = (
    "limits: { per_key: { requests: 600, per: minute, burst: 30 }, per_account: { in_flight: 7 } }"
)


def of(prices: PriceList, route: int) -> RouteLimits:
    return limits_of(prices, prices.routes[route])


def test_without_limits_nothing_is_sent_and_nothing_is_told() -> None:
    prices = load_price_list(ROUTES, environ={})
    assert of(prices, 0) == NONE
    assert (NONE.block, NONE.rate, NONE.headers([])) == (b"", (0, 0), [])


def test_the_policy_names_every_limit_and_the_other_field_how_it_stands() -> None:
    limits = of(load_price_list(ROUTES + LIMITS, environ={}), 1)

    assert limits.headers([b"12", b"2", b"6", b"0", b"2", b"0", b"0", b"1"]) == [
        (
            b"ratelimit-policy",
            (
                b'"key-minute";q=30;w=3, "account-in-flight";q=7;qu="concurrent-requests", '
                b'"key-in-flight gr??e \\"b\\"";q=3;qu="concurrent-requests", '
                b'"everyone-second gr??e \\"b\\"";q=5;w=1'
            ),
        ),
        (
            b"ratelimit",
            (
                b'"key-minute";r=12;t=2, "account-in-flight";r=6, '
                b'"key-in-flight gr??e \\"b\\"";r=2, "everyone-second gr??e \\"b\\"";r=0;t=1'
            ),
        ),
    ]
    assert [name for name, _ in limits.headers()] == [b"ratelimit-policy"]


def test_a_name_with_a_percent_sign_is_told_as_it_is() -> None:
    text = ROUTES.replace("größe", "100%d %b") + LIMITS
    [_, (_, told)] = of(load_price_list(text, environ={}), 1).headers([b"1"] * 8)
    assert b'"everyone-second 100%d %b \\"b\\"";r=1;t=1' in told


def test_the_keys_own_rate_goes_its_own_way_and_slices_are_only_in_flight() -> None:
    prices = load_price_list(ROUTES + LIMITS, environ={})
    plain, other = of(prices, 0), of(prices, 1)

    flying = Limit("a", bytes(4), b"F\0\0\0", "F", 7)
    assert plain.rate == other.rate == (100_000, 2_900_000)
    assert plain.block == limits_block([flying])
    assert plain.slices == limits_block([flying._replace(most=2**48 - 1)])
    assert other.block[1:3] == b"\2\0"
    assert of(prices, 2) == NONE


def test_a_route_keeps_its_number_from_version_to_version() -> None:
    """Only what tells it from others counts: its methods and path."""
    first = of(load_price_list(ROUTES, environ={}), 1)
    moved = ROUTES.replace("  - { path: /a, methods: [GET], upstream: api, price: 1 }\n", "")
    renamed = moved.replace("größe", "another name").replace("price: 1", "price: 9")

    assert of(load_price_list(renamed, environ={}), 0).block == first.block


def test_a_refusal_names_the_limit() -> None:
    prices = load_price_list(ROUTES + LIMITS, environ={})
    of_key = of(prices, 0).problem(RateLimited(1_001, 0))
    of_account = of(prices, 0).problem(RateLimited(1_000, 1))

    assert of_key.extra == {"limit": "key-minute"}
    assert of_key.detail == (
        "The limit key-minute is reached (600 requests per minute of one key); try again in 2 s."
    )
    assert dict(of_key.headers) == {b"retry-after": b"2", b"ratelimit": b'"key-minute";r=0;t=2'}
    assert of_account.extra == {"limit": "account-in-flight"}
    without = limits_of(prices, prices.routes[1])
    assert without.problem(RateLimited(1, 2)).extra == {"limit": 'key-in-flight größe "b"'}


def test_where_no_rate_is_the_keys_own_the_first_limit_is_number_one() -> None:
    limits = of(load_price_list(ROUTES, environ={}), 1)
    assert limits.problem(RateLimited(1, 1)).extra == {"limit": 'key-in-flight größe "b"'}


def test_quotas_are_told_and_allowances_are_not_limits() -> None:
    """What is free refuses nobody, so a client need not slow down for it."""
    file = (
        "limits: { per_account: [{ quota: { requests: 9, per: day } }, { quota: { requests: 99,"
        " per: month }, free: { requests: 5, per: month } }] }"
    )
    limits = of(load_price_list(ROUTES + file, environ={}), 0)

    told = dict(limits.headers([b"8", b"60", b"98", b"3600"]))
    assert (
        told[b"ratelimit-policy"] == b'"account-quota-day";q=9;w=86400, "account-quota-month";q=99'
    )
    assert told[b"ratelimit"] == b'"account-quota-day";r=8;t=60, "account-quota-month";r=98;t=3600'
    assert limits.counts_free
    assert limits.block == limits_block(
        [
            Limit("a", bytes(4), window_id("Q", "day"), "Q", 9),
            Limit("a", bytes(4), window_id("Q", "month"), "Q", 99),
            Limit("a", bytes(4), window_id("A", "month"), "A", 5),
        ]
    )


def test_a_limit_of_a_credit_type_is_for_routes_priced_in_it() -> None:
    types = "credit_types: { credits: { scale: 0 }, calling: { scale: 0 } }\n"
    file = "limits: { per_key: { credit_type: calling, in_flight: 5 } }"
    routes = ROUTES.replace(
        "path: /a, methods: [GET], upstream: api, price: 1",
        "path: /a, methods: [GET], upstream: api, price: { flat: 1, credit_type: calling }",
    )
    prices = load_price_list(routes + types + file, environ={})

    assert [limit.name for limit in of(prices, 0).named] == ["key-in-flight calling"]
    assert "calling" not in str(of(prices, 1).named)
