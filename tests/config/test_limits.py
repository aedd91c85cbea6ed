"""Limits in the price file: what can be written, and what is refused at its place."""

import pytest

from config import Limit, PriceList, RateLimit, load_price_list
from tests.config.files import HEAD, problems


def text(route: str = "", file: str = "", price: str = "1") -> str:
    lines = [f"routes: [{{ path: /a, methods: [GET], upstream: api, price: {price}{route} }}]"]
    return HEAD + "\n".join([*lines, *([f"limits: {file}"] if file else [])]) + "\n"


def loaded(route: str = "", file: str = "") -> PriceList:
    return load_price_list(text(route, file), environ={})


def test_each_owner_can_have_rates_and_requests_in_flight() -> None:
    file = (
        "{ per_key: [{ requests: 5, per: second, burst: 2 }, { requests: 100, per: hour }],"
        " per_account: { requests: 600, per: minute, in_flight: 20 }, everyone: { in_flight: 500 } }"
    )
    assert loaded(file=file).limits.all == (
        Limit("key-second", "key", rate=RateLimit(5, 1, 2)),
        Limit("key-hour", "key", rate=RateLimit(100, 3600)),
        Limit("account-minute", "account", rate=RateLimit(600, 60)),
        Limit("account-in-flight", "account", in_flight=20),
        Limit("everyone-in-flight", "everyone", in_flight=500),
    )


def test_a_route_has_limits_of_its_own_and_a_weight() -> None:
    route = loaded(
        ", name: search, weight: 3, limits: { per_key: { requests: 9, per: day } }"
    ).routes[0]

    assert route.limits == (Limit("key-day search", "key", "GET /a", RateLimit(9, 86_400)),)
    assert route.weight == 3
    assert loaded().routes[0].limits == ()
    assert loaded().routes[0].weight == 1


def test_quotas_and_what_is_free_are_by_the_calendar_and_may_be_of_a_credit_type() -> None:
    file = (
        "{ per_account: [{ quota: { requests: 9, per: day }, free: { requests: 5, per: month } },"
        " { credit_type: calling, quota: { requests: 2, per: day }, requests: 1, per: second }] }"
    )
    assert loaded(file=file).limits.all == (
        Limit("account-quota-day", "account", quota=9, per="day"),
        Limit("account-free-month", "account", free=5),
        Limit("account-second calling", "account", rate=RateLimit(1, 1), credit_type="calling"),
        Limit("account-quota-day calling", "account", quota=2, per="day", credit_type="calling"),
    )


def test_a_burst_is_how_many_come_at_once_at_the_same_pace() -> None:
    whole, small = RateLimit(600, 60), RateLimit(600, 60, 10)

    assert (whole.interval_us, small.interval_us) == (100_000, 100_000)
    assert (whole.burst_us, small.burst_us) == (599 * 100_000, 9 * 100_000)


@pytest.mark.parametrize(
    ("route", "file", "place", "said"),
    [
        ("", "{ per_key: {} }", (5, 20), "`requests` is missing"),
        ("", "{ per_key: { requests: 5 } }", (5, 20), "`per` is missing"),
        ("", "{ per_key: { per: day } }", (5, 20), "`requests` is missing"),
        ("", "{ per_key: { per: day, in_flight: 1 } }", (5, 20), "`requests` is missing"),
        ("", "{ per_key: { in_flight: 1, burst: 1 } }", (5, 43), "for `requests`"),
        ("", "{ per_key: { in_flight: 0 } }", (5, 33), "between 1"),
        ("", "{ per_key: { requests: 1, per: day, burst: 40 } }", (5, 52), "for a month"),
        ("", "{ per_key: [{ in_flight: 1 }, { in_flight: 2 }] }", (5, 39), "key-in-flight already"),
        ("", "{ per_key: { quota: { requests: 5, per: hour } } }", (5, 49), "one of"),
        ("", "{ per_key: { quota: { per: day } } }", (5, 29), "`requests` is missing"),
        ("", "{ per_key: { in_flight: 1, credit_type: gold } }", (5, 49), "no credit type `gold`"),
        (", weight: 6", "{ per_key: { quota: { requests: 5, per: day } } }", (4, 71), "never pass"),
        (", limits: { per_key: { free: { requests: 5, per: day } } }", "", (4, 71), "cost something"),
        ("", "{ per_kee: { in_flight: 1 } }", (5, 11), "Did you mean `per_key`?"),
        (", weight: 0", "", (4, 71), "between 1"),
        (", weight: 6", "{ per_key: { requests: 5, per: day } }", (4, 71), "never pass the limit key-day"),
        (", weight: 6, limits: { everyone: { requests: 9, per: day, burst: 5 } }", "", (4, 71), "5 through"),
        (", public: true, weight: 2", "", (4, 85), "nobody's requests"),
        (", public: true, limits: { per_key: { in_flight: 1 } }", "", (4, 85), "nobody's requests"),
        (", limits: { per_key: { in_flight: 1 } }", "", (4, 71), "holds nothing"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_at_its_place(
    route: str, file: str, place: tuple[int, int], said: str
) -> None:
    free = "public" in route or said in ("holds nothing", "cost something")
    found = problems(text(route, file, "0" if free else "1"))

    assert len(found) == 1, found
    assert said in f"{found[0].message} {found[0].hint}"
    assert (found[0].line, found[0].column) == place
