"""A quote says what an account's allowances, quotas and caps would do, as the call finds it."""

from typing import Any

import pytest

from ledger import key_caps
from ledger.key_caps import Cap
from ledger.limits import Per
from tests.charging import Customer, Stores
from tests.control import Control, control

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
upstreams: { api: { url: "{api}" } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 3, limits: { LIMITS } }
  - { path: /heavy, methods: [GET], upstream: api, price: 3, weight: 2, limits: { LIMITS } }
  - { path: /free, methods: [GET], upstream: api, price: 0 }
  - { path: /seen, methods: [GET], upstream: api, price: 3, observe: true, limits: { LIMITS } }
"""
FREE = "per_account: { free: { requests: 2, per: month } }"
QUOTA = "per_key: { quota: { requests: 3, per: month }, in_flight: 9 }"


async def quoted(ctl: Control, customer: Customer, path: str = "/ok") -> Any:
    answer = await ctl.consumer.get(f"/v1/quote?path={path}", headers=customer.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def cap(ctl: Control, customer: Customer, units: int, per: Per = "month") -> None:
    number = ctl.gateway.type_numbers["credits"]
    async with ctl.gateway.ledger.database.connection() as connection:
        await key_caps.put(connection, customer.key, [Cap(number, per, units)], actor="test")
    assert await ctl.gateway.ledger.pusher.push(customer.account) == "applied"


async def test_a_quote_knows_free_calls_and_every_call_agrees(shared_stores: Stores) -> None:
    async with control(shared_stores, PRICES.replace("LIMITS", FREE)) as ctl:
        customer = await ctl.gateway.customer(credits=3)
        await ctl.posted()
        seen = []
        for _ in range(4):
            quote = await quoted(ctl, customer)
            [limit] = quote["limits"]
            seen.append((quote["cost"], quote["free"], limit["left"], quote["refused"]))
            answer = await ctl.gateway.get("/ok", customer)
            if answer.status_code == 200:
                assert answer.headers["farebox-cost"] == str(quote["cost"])
                await ctl.gateway.charge(answer)
            else:
                assert answer.json()["type"].endswith(quote["refused"])
        assert seen == [
            (0, True, 2, None),
            (0, True, 1, None),
            (3, False, 0, None),
            (3, False, 0, "insufficient-credits"),
        ]
        assert (limit["limit"], limit["kind"], limit["most"]) == (
            "account-free-month /ok",
            "free",
            2,
        )
        assert (quote["price"], quote["shortfall"], limit["resets_at"][7:10]) == (3, 3, "-01")


async def test_a_quote_says_which_quota_refuses(shared_stores: Stores) -> None:
    async with control(shared_stores, PRICES.replace("LIMITS", QUOTA)) as ctl:
        customer = await ctl.gateway.customer(credits=100)
        await ctl.gateway.charge(await ctl.gateway.get("/ok", customer))
        assert (await quoted(ctl, customer))["refused"] is None
        await ctl.gateway.charge(await ctl.gateway.get("/heavy", customer))
        heavy = await quoted(ctl, customer, "/heavy")  # which counts as two
        assert (heavy["limits"][0]["left"], heavy["refused"]) == (1, "rate-limited")
        assert (await ctl.gateway.get("/heavy", customer)).status_code == 429
        for _ in range(2):
            await ctl.gateway.charge(await ctl.gateway.get("/ok", customer))

        quote = await quoted(ctl, customer)
        refused = await ctl.gateway.get("/ok", customer)

        named = (quote["refused"], quote["refused_by"])
        assert named == ("rate-limited", "key-quota-month /ok")
        assert refused.json()["limit"] == quote["refused_by"]
        seen, free = await quoted(ctl, customer, "/seen"), await quoted(ctl, customer, "/free")
        assert (seen["refused"], seen["limits"], free["refused"]) == (None, [], None)


async def test_a_quote_says_when_the_keys_cap_is_reached(shared_stores: Stores) -> None:
    async with control(shared_stores, PRICES.replace("LIMITS", QUOTA)) as ctl:
        customer = await ctl.gateway.customer(credits=100)
        await cap(ctl, customer, 5)
        await ctl.gateway.charge(await ctl.gateway.get("/ok", customer))

        quote = await quoted(ctl, customer)

        assert (quote["refused"], quote["refused_by"], quote["sufficient"]) == (
            "key-cap", "cap-month", True,
        )  # fmt: skip
        assert [(one["kind"], one["most"], one["left"]) for one in quote["limits"]] == [
            ("quota", 3, 2),
            ("cap", 5, 2),
        ]
        refused = await ctl.gateway.get("/ok", customer)
        assert refused.json()["type"].endswith("key-cap")
