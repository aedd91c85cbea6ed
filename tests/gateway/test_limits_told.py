"""Every answer of a limited route tells its limits; others tell nothing."""

import pytest

from tests.charging import Stores, charging

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "{api}", timeout: 2s } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 2 }
  - { path: /fail, methods: [GET], upstream: api, price: 2, weight: 2 }
  - { path: /reset, methods: [GET], upstream: api, price: 2 }
  - { path: /slow, methods: [GET], upstream: api, price: 90 }
  - { path: /free, methods: [GET], upstream: api, price: 0 }
  - { path: /open, methods: [GET], upstream: api, price: 0, public: true }
limits:
  per_key: { requests: 60, per: minute, in_flight: 5 }
  per_account: { quota: { requests: 20, per: month } }
"""
POLICY = '"key-minute";q=60;w=60, "key-in-flight";q=5;qu="concurrent-requests", "account-quota-month";q=20'


async def test_every_answer_of_a_limited_route_tells_its_limits(
    database_url: str, redis_url: str, namespace: str
) -> None:
    """Those of the backend and our own; of a refusal before the key, only the policy."""
    async with charging(Stores(database_url, redis_url, namespace), PRICES) as gateway:
        customer = await gateway.customer(credits=50)
        left = []
        for path, status in (
            ("/ok", 200),
            ("/fail", 500),
            ("/reset", 502),
            ("/slow", 402),
            ("/free", 200),
        ):
            answer = await gateway.get(path, customer)
            await gateway.settled()
            assert answer.status_code == status, path
            assert answer.headers["ratelimit-policy"] == POLICY
            minute, flying, month = answer.headers["ratelimit"].split(", ")
            assert minute.startswith('"key-minute";r=')
            left.append((flying, month.partition(";t=")[0]))
        assert left == [
            ('"key-in-flight";r=4', '"account-quota-month";r=19'),
            ('"key-in-flight";r=4', '"account-quota-month";r=17'),
            ('"key-in-flight";r=4', '"account-quota-month";r=18'),  # what failed came back
            ('"key-in-flight";r=5', '"account-quota-month";r=19'),  # refused: nothing is used
            ('"key-in-flight";r=4', '"account-quota-month";r=18'),  # free, and held for the quota
        ]
        nobody = await gateway.get("/ok")
        assert (nobody.status_code, nobody.headers["ratelimit-policy"]) == (401, POLICY)
        assert "ratelimit" not in nobody.headers
        for path in ("/open", "/nowhere"):
            answer = await gateway.get(path, customer)
            assert not [name for name in answer.headers if name.startswith("ratelimit")]
