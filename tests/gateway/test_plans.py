"""Plans: what an account is on decides price, limits and which routes are open, from call to call."""

import asyncio
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.operations import charges as shown
from gateway.operations.price_book import PriceBook
from ledger import accounts, plans
from ledger.books import ChargeState
from ledger.facts import ControlFact, HoldFact
from ledger.journal import read_tail
from ledger.keys import Keys
from ledger.link import Link
from ledger.plans import OnPlan
from ledger.ports import SystemClock
from tests.charging import Charging, Customer, Stores, charging
from tests.flows.test_limits import wipe
from tests.gateway.serving import until
from tests.gateway.test_proxy import problem
from tests.proof import Proof, tell

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
credit_types: { credits: { scale: 1 } }
upstreams: { api: { url: "{api}", timeout: 20s } }
routes:
  - { path: /ok, methods: [GET], upstream: api, price: 1, name: plain }
  - { path: /echo, methods: [GET], upstream: api, price: { per: [{ query: n, cost: 1 }] } }
  - path: /chat
    methods: [POST]
    upstream: api
    price: { hold: 50, settle: { response: /usage/total_tokens, cost: 1 } }
  - { path: /closed, methods: [GET], upstream: api, price: 1, plans: [pro, team] }
  - { path: /export, methods: [GET], upstream: api, price: 1, feature: export }
  - { path: /watched, methods: [GET], upstream: api, price: 1, observe: true, plans: [pro] }
  - { path: /open, methods: [GET], upstream: api, price: 0, public: true }
limits: { per_account: { quota: { requests: 3, per: day } } }
plans:
  pro:
    factor: 0.33
    routes: { plain: { price: 0.4 } }
    limits: { per_account: { quota: { requests: 1000, per: day } } }
  team: { features: [export], limits: { per_account: { quota: { requests: 1000, per: day } } } }
  free:
    routes: { plain: { price: 0 } }
    limits: { per_account: { quota: { requests: 5, per: day } } }
  allowed: { limits: { per_account: { free: { requests: 2, per: day } } } }
"""


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


@pytest.fixture
async def gateway(stores: Stores) -> AsyncIterator[Charging]:
    async with charging(stores, PRICES) as gateway:
        yield gateway


async def put_on(gateway: Charging, customer: Customer, plan: str) -> None:
    """Put an account on a plan, and return when Redis knows it."""
    async with gateway.ledger.database.connection() as connection:
        await accounts.set_plan(connection, customer.account, plan, actor="test")
    assert await gateway.ledger.pusher.push(customer.account) == "applied"


async def subscribed(gateway: Charging, customer: Customer, on: OnPlan | None) -> None:
    async with gateway.ledger.database.connection() as connection:
        await plans.subscribe(connection, customer.account, on, actor="test")
    assert await gateway.ledger.pusher.push(customer.account) == "applied"


async def cost(gateway: Charging, customer: Customer, path: str = "/ok") -> str:
    answer = await gateway.get(path, customer)
    assert answer.status_code == 200, answer.text
    return answer.headers["farebox-cost"]


async def test_a_change_of_plan_counts_from_the_next_call_on(gateway: Charging) -> None:
    """Whatever the worker remembers, nothing is charged twice, and a plan may be taken off again."""
    customer = await gateway.customer(credits=1_000)
    assert await cost(gateway, customer) == "1.0"

    await put_on(gateway, customer, "pro")
    assert await cost(gateway, customer) == "0.4"
    assert await cost(gateway, customer, "/echo?n=10") == "3.3"
    await put_on(gateway, customer, "free")
    assert await cost(gateway, customer) == "0.0"
    await put_on(gateway, customer, "a plan that is in no file")
    assert (await gateway.get("/ok", customer)).status_code == 429  # the usual quota, used up
    await put_on(gateway, customer, "team")
    assert await cost(gateway, customer) == "1.0"
    await put_on(gateway, customer, "")
    assert (await gateway.get("/ok", customer)).status_code == 429

    await gateway.settled()
    assert await gateway.available(customer) == 1_000 - 10 - 4 - 33 - 10
    assert len(gateway.backend.served) == 5


async def test_what_only_the_answer_tells_is_multiplied_too(gateway: Charging) -> None:
    """Rounded up once; the hold as well."""
    customer = await gateway.customer(credits=1_000)
    await put_on(gateway, customer, "pro")

    usage = {"usage": {"total_tokens": 7}}
    charge = await gateway.charge(await gateway.ask("POST", "/chat", customer, json=usage))

    assert (charge.held, charge.captured) == (165, 24)  # 7 x 1.0 x 0.33 = 2.31


async def test_a_route_that_the_plan_does_not_open_is_refused(gateway: Charging) -> None:
    """403 names the plans that would; the backend hears nothing, and nothing is charged."""
    customer = await gateway.customer(credits=100)
    await put_on(gateway, customer, "allowed")
    gateway.forget()

    answer = await gateway.get("/closed", customer)

    found = problem(answer, 403, "plan-required")
    assert found["detail"] == (
        "/closed is for accounts on one of these plans: pro, team. Yours is allowed."
    )
    assert (found["plan"], found["charged"]) == ("allowed", 0)
    assert not gateway.backend.served
    export = problem(await gateway.get("/export", customer), 403, "plan-required")
    assert export["detail"].startswith("/export is for accounts on the plan team.")


async def test_a_plan_opens_its_routes_with_the_next_call(gateway: Charging) -> None:
    """Also where the worker remembers the plan that keeps it closed; and closes them again."""
    customer = await gateway.customer(credits=100)
    problem(await gateway.get("/closed", customer), 403, "plan-required")

    await put_on(gateway, customer, "team")
    assert (await gateway.get("/closed", customer)).status_code == 404  # the backend's own
    assert (await gateway.get("/export", customer)).headers["farebox-cost"] == "0.0"
    await put_on(gateway, customer, "pro")

    problem(await gateway.get("/export", customer), 403, "plan-required")


async def test_a_revoked_key_is_told_so_on_a_closed_route(gateway: Charging) -> None:
    """The plan is nobody's business who has no key."""
    customer = await gateway.customer(credits=100)
    problem(await gateway.get("/closed", customer), 403, "plan-required")
    await gateway.revoke(customer)

    problem(await gateway.get("/closed", customer), 401, "key-invalid")


async def test_a_subscriptions_plan_goes_before_the_accounts_own(gateway: Charging) -> None:
    """Its features open routes beside the plan; when it ends, the account's own counts again."""
    customer = await gateway.customer(credits=1_000)
    await put_on(gateway, customer, "team")
    await subscribed(gateway, customer, OnPlan("pro", ("export",)))
    assert await cost(gateway, customer) == "0.4"
    assert (await gateway.get("/export", customer)).status_code != 403

    await subscribed(gateway, customer, OnPlan("", ("export",)))
    assert await cost(gateway, customer) == "1.0"
    await subscribed(gateway, customer, None)

    async with gateway.ledger.database.connection() as connection:
        standing = await plans.standing(connection, customer.account)
    assert (standing.on, standing.own, standing.subscribed) == (OnPlan("team"), "team", None)


async def test_a_plan_has_limits_and_allowances_of_its_own(gateway: Charging) -> None:
    """They stand in place of the file's of the same name, or beside them."""
    customer, allowed = await gateway.customer(credits=1_000), await gateway.customer(credits=100)
    answers = [(await gateway.get("/ok", customer)).status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    await put_on(gateway, customer, "pro")
    await put_on(gateway, allowed, "allowed")

    passed = await gateway.get("/ok", customer)
    costs = [await cost(gateway, allowed) for _ in range(3)]

    assert passed.status_code == 200
    assert passed.headers["ratelimit-policy"] == '"account-quota-day";q=1000;w=86400'
    assert passed.headers["ratelimit"].startswith(
        '"account-quota-day";r=996;'
    )  # what was used stays
    assert costs == ["0.0", "0.0", "1.0"]


async def test_a_charge_says_by_which_plan_it_was_priced(gateway: Charging) -> None:
    """The plan is kept with it, and its arithmetic is that plan's."""
    customer = await gateway.customer(credits=1_000)
    await put_on(gateway, customer, "pro")
    charge = await gateway.charge(await gateway.get("/echo?n=10", customer))
    await put_on(gateway, customer, "team")

    answer = await shown.show(
        gateway.ledger.database, PriceBook({}), charge.text_id, account=customer.account
    )

    assert (answer.plan, charge.plan) == ("pro", "pro")
    assert answer.explanation.arithmetic == "10 x 1.0 x 0.33 = 3.3"
    assert "Priced by the plan pro." in answer.explanation.text


async def test_a_watched_request_is_priced_by_its_accounts_plan(gateway: Charging) -> None:
    """And says that it would have met a closed route."""
    customer, other = await gateway.customer(), await gateway.customer()
    await put_on(gateway, customer, "pro")

    priced = await gateway.charge(await gateway.get("/watched", customer))
    refused = await gateway.charge(await gateway.get("/watched", other))

    assert (priced.state, priced.held, priced.plan) == (ChargeState.OBSERVED, 4, "pro")
    assert (refused.held, refused.note) == (10, "refused:plan-required")


async def test_public_routes_ask_for_no_plan(gateway: Charging) -> None:
    """Nobody's key, nobody's plan."""
    assert (await gateway.get("/open")).status_code == 200


async def test_a_plan_survives_the_loss_of_redis(gateway: Charging, stores: Stores) -> None:
    """Posted or on its way: the control log has it."""
    posted, under_way = await gateway.customer(credits=100), await gateway.customer(credits=100)
    await put_on(gateway, posted, "pro")
    await gateway.settled()
    async with gateway.ledger.database.connection() as connection:
        await accounts.set_plan(connection, under_way.account, "pro", actor="test")

    await wipe(stores)

    assert await cost_after_loss(gateway, posted) == "0.4"
    assert await gateway.ledger.pusher.push(under_way.account) == "applied"
    assert await cost(gateway, under_way) == "0.4"


async def cost_after_loss(gateway: Charging, customer: Customer) -> str:
    """Ask until the next epoch has begun."""
    async with asyncio.timeout(30):
        while (answer := await gateway.get("/ok", customer)).status_code == 503:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["farebox-cost"])


async def plans_at_holds(gateway: Charging, account: int) -> dict[bytes, int]:
    """The number of the plan that was in force at each hold, as the journal has them in one order."""
    ledger = gateway.ledger
    keys = Keys(ledger.options.namespace, ledger.options.shard)
    link = await Link.connect(ledger.options.redis_url, clock=SystemClock())
    try:
        entries = await read_tail(link, keys, ledger.shard.epoch, 0, 100_000)
    finally:
        link.close()
    found: dict[bytes, int] = {}
    now = 0
    for fact in (fact for entry in entries for fact in entry.facts):
        match fact:
            case ControlFact() if (fact.account, fact.control.kind) == (account, "p"):
                now = fact.control.object_id
            case HoldFact() if fact.account == account:
                found[fact.hold_id] = now
    return found


async def test_every_charge_has_the_price_of_the_plan_at_its_hold(stores: Stores) -> None:
    """Two gateways called all the time, while the plan changes under them."""
    chance = random.Random(7)
    async with charging(stores, PRICES) as one, charging(stores, PRICES) as two:
        customer = await one.customer(credits=1_000_000)
        await put_on(one, customer, "team")
        answers: list[httpx.Response] = []
        going = True

        async def calling(gateway: Charging) -> None:
            while going:
                answers.append(await gateway.get("/ok", customer))

        callers = [
            asyncio.create_task(calling(gateway)) for gateway in (one, two) for _ in range(3)
        ]
        for change in range(12):
            enough = len(answers) + chance.randint(1, 12)
            await until(lambda enough=enough: len(answers) >= enough)
            await put_on(one, customer, "team" if change % 2 else "pro")
        going = False
        await asyncio.gather(*callers)
        assert {answer.status_code for answer in answers} == {200}
        await one.settled()
        await two.settled()
        at_hold = await plans_at_holds(one, customer.account)
        found = [await one.charge(answer) for answer in answers]
        async with one.ledger.database.connection() as connection:
            rows = await connection.fetch("SELECT number, name FROM plans")
        available = await one.available(customer)
    names = {row["number"]: row["name"] for row in rows}
    assert len(at_hold) == len(found) == len({charge.id for charge in found})
    for charge in found:
        plan = names[at_hold[charge.id]]
        assert (charge.plan, charge.captured) == (plan, {"pro": 4, "team": 10}[plan])
    assert {charge.plan for charge in found} == {"pro", "team"}
    assert available == 1_000_000 - sum(charge.captured for charge in found)
    tell(Proof("T6", "plans changing under calls: each at its hold's price", operations=len(found)))


async def test_a_body_under_way_counts_once_though_it_is_priced_twice(gateway: Charging) -> None:
    """The first guess at the plan is wrong; a place among uploads is taken and given back once."""
    customer = await gateway.customer(credits=1_000)
    await put_on(gateway, customer, "pro")

    async def body() -> AsyncIterator[bytes]:
        yield b'{"usage": '
        await asyncio.sleep(0.05)
        yield b'{"total_tokens": 7}}'

    headers = {"content-type": "application/json"}
    answer = await gateway.ask("POST", "/chat", customer, content=body(), headers=headers)

    assert (answer.status_code, answer.json()["usage"]["total_tokens"]) == (200, 7)
    await gateway.quiet()
    assert not gateway.app._proxy._uploads._under_way
