"""What the ledger answers instead of a plain hold: told by the main flow, and nothing is charged."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from config import load_price_list
from ledger import accounts, grants, key_caps
from ledger.controls import Grant
from ledger.key_caps import Cap
from ledger.keys import Keys
from ledger.lines import session_args
from ledger.link import Link, LinkLost, Replied
from ledger.ports import SystemClock
from tests.charging import Customer
from tests.gateway.fast_path.rig import Answer, Warm, client_of, get, ledger_waits
from tests.gateway.serving import until
from tests.ledger.command_words import words_in
from tests.upstreams import Connection, answer

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
credit_types: { credits: { window: 1000000 } }
upstreams: { api: { url: "{api}", timeout: 20s } }
routes:
  - { path: /ok, upstream: api, price: 1, name: ok }
  - { path: /ten, upstream: api, price: 10, name: ten }
  - { path: /few, upstream: api, price: 1, limits: { per_key: { requests: 2, per: hour } } }
  - { path: /counted, upstream: api, price: 1, limits: { per_account: { quota: { requests: 2, per: month } } } }
  - { path: /one, upstream: api, price: 1, limits: { per_key: { in_flight: 1 } } }
  - { path: /gift, upstream: api, price: 10, limits: { per_account: { free: { requests: 2, per: day } } } }
  - { path: /closable, upstream: api, price: 1, plans: [pro] }
plans:
  pro: { routes: { ten: { price: 4 } } }
  team: { factor: 2 }
"""


def problem(got: Answer, status: int, name: str) -> dict[str, Any]:
    """It is refused so, and says that it cost nothing."""
    said: dict[str, Any] = json.loads(got.body)
    assert (got.status, said["type"].rpartition("/")[2]) == (status, name)
    assert (said["charged"], got.value("farebox-cost")) == (0, "0")
    assert said["instance"] == got.value("farebox-request-id")
    return said


async def put_on(warm: Warm, customer: Customer, plan: str) -> None:
    ledger = warm.gateway.ledger
    async with ledger.database.connection() as connection:
        await accounts.set_plan(connection, customer.account, plan, actor="test")
    assert await ledger.pusher.push(customer.account) == "applied"


async def test_credits_that_do_not_suffice(warm: Warm) -> None:
    """The numbers are those of this request; what is cheaper is served on."""
    customer = await warm.customer(25)
    async with client_of(warm.gateway) as client:
        for _ in range(2):
            assert (await client.ask(get(customer, "/ten"))).status == 200
        refused = problem(await client.ask(get(customer, "/ten")), 402, "insufficient-credits")
        assert (refused["price"], refused["balance"]) == (10, 5)
        assert (await client.ask(get(customer, "/ok"))).value("farebox-balance") == "4"
    assert warm.passages.counts == (3, 1, 0)
    await warm.spent(customer, 21, of=25)


@pytest.mark.parametrize(
    ("path", "limit"), [("/few", "key-hour /few"), ("/counted", "account-quota-month /counted")]
)
async def test_a_limit_that_is_reached(warm: Warm, path: str, limit: str) -> None:
    customer = await warm.customer()
    async with client_of(warm.gateway) as client:
        for left in "10":
            got = await client.ask(get(customer, path))
            assert got.status == 200
            assert f'"{limit}";r={left};t=' in got.value("ratelimit")
        refused = problem(await client.ask(get(customer, path)), 429, "rate-limited")
        assert refused["limit"] == limit
        assert (await client.ask(get(customer, "/ok"))).status == 200
    assert warm.passages.counts == (3, 1, 0)
    await warm.spent(customer, 3)


async def test_too_many_at_once(warm: Warm) -> None:
    customer = await warm.customer(at_once=2)
    gate = asyncio.Event()

    async def wait(connection: Connection) -> None:
        await gate.wait()
        await connection.send(answer(200, b"at last"))

    warm.backend.plays["/one"] = wait
    async with client_of(warm.gateway) as first, client_of(warm.gateway) as second:
        await first.raw.send(get(customer, "/one"))
        await warm.backend.upstream.saw(1)
        problem(await second.ask(get(customer, "/one")), 429, "rate-limited")
        gate.set()
        assert (await first.answer()).body == b"at last"
        assert (await second.ask(get(customer, "/one"))).status == 200
    assert warm.passages.counts == (2, 1, 0)
    await warm.spent(customer, 2)


async def test_a_key_at_its_cap(warm: Warm) -> None:
    customer = await warm.customer()
    ledger = warm.gateway.ledger
    async with ledger.database.connection() as connection:
        type_number = warm.gateway.type_numbers["credits"]
        await key_caps.put(connection, customer.key, [Cap(type_number, "total", 11)], actor="test")
    assert await ledger.pusher.push(customer.account) == "applied"
    async with client_of(warm.gateway) as client:
        assert (await client.ask(get(customer, "/ten"))).status == 200
        problem(await client.ask(get(customer, "/ten")), 403, "key-cap")
        assert (await client.ask(get(customer, "/ok"))).status == 200
        problem(await client.ask(get(customer, "/ok")), 403, "key-cap")
    assert warm.passages.counts == (2, 2, 0)
    await warm.spent(customer, 11)


async def test_an_allowance_pays_first(warm: Warm) -> None:
    customer = await warm.customer()
    async with client_of(warm.gateway) as client:
        got = [await client.ask(get(customer, "/gift")) for _ in range(4)]
    assert [one.value("farebox-cost") for one in got] == ["0", "0", "10", "10"]
    assert [one.value("farebox-balance") for one in got] == ["1000", "1000", "990", "980"]
    assert warm.passages.counts == (2, 2, 0)
    await warm.spent(customer, 20)


async def test_a_plan_that_changed_meanwhile(warm: Warm) -> None:
    """Priced anew once, and served by the fast path at the new price from then on."""
    customer = await warm.customer()
    async with client_of(warm.gateway) as client:

        async def costs(count: int) -> list[str]:
            return [
                (await client.ask(get(customer, "/ten"))).value("farebox-cost")
                for _ in range(count)
            ]

        assert await costs(2) == ["10", "10"]
        await put_on(warm, customer, "pro")
        assert await costs(3) == ["4", "4", "4"]
        assert warm.passages.counts == (4, 1, 0)
        await put_on(warm, customer, "team")
        assert await costs(2) == ["20", "20"]
        await put_on(warm, customer, "")
        assert await costs(1) == ["10"]
    assert warm.passages.counts == (5, 3, 0)
    await warm.spent(customer, 20 + 12 + 40 + 10)


async def test_a_plan_that_closes_a_route(warm: Warm) -> None:
    customer = await warm.customer()
    await put_on(warm, customer, "pro")
    async with client_of(warm.gateway) as client:
        got = [(await client.ask(get(customer, "/closable"))).status for _ in range(3)]
        assert got == [200] * 3
        await put_on(warm, customer, "team")
        problem(await client.ask(get(customer, "/closable")), 403, "plan-required")
        assert (await client.ask(get(customer, "/ok"))).value("farebox-cost") == "2"
    assert warm.passages.served >= 3
    await warm.spent(customer, 5)


async def test_credits_that_are_for_one_route(warm: Warm) -> None:
    """Of a kind nobody here knew yet: learned in the main flow, and paid with from then on."""
    customer = await warm.customer(20)
    async with client_of(warm.gateway) as client:
        assert (await client.ask(get(customer, "/ok"))).value("farebox-balance") == "19"
        ledger = warm.gateway.ledger
        async with ledger.database.connection() as connection:
            limited = Grant(warm.gateway.type_numbers["credits"], 30, routes=("ten",))
            await grants.give(connection, customer.account, limited, actor="test")
        assert await ledger.pusher.push(customer.account) == "applied"
        got = [await client.ask(get(customer, "/ten")) for _ in range(3)]
        assert [one.value("farebox-balance") for one in got] == ["39", "29", "19"]
        assert (await client.ask(get(customer, "/ok"))).value("farebox-balance") == "18"
    assert warm.passages.counts in ((4, 1, 0), (5, 0, 0))  # on the other loop it is known
    await warm.spent(customer, 32, of=50)


async def test_an_account_that_is_frozen(warm: Warm) -> None:
    customer = await warm.customer()
    ledger = warm.gateway.ledger

    async def freeze(*, frozen: bool) -> None:
        async with ledger.database.connection() as connection:
            await accounts.freeze(
                connection, customer.account, frozen=frozen, actor="test", reason="a test"
            )
        assert await ledger.pusher.push(customer.account) == "applied"

    async with client_of(warm.gateway) as client:
        assert (await client.ask(get(customer, "/ok"))).status == 200
        await freeze(frozen=True)
        problem(await client.ask(get(customer, "/ok")), 403, "account-frozen")
        await freeze(frozen=False)
        assert (await client.ask(get(customer, "/ok"))).status == 200
    assert warm.passages.counts == (2, 1, 0)
    await warm.spent(customer, 2)


async def test_a_key_that_is_revoked(warm: Warm) -> None:
    customer = await warm.customer()
    async with client_of(warm.gateway) as client:
        assert (await client.ask(get(customer, "/ok"))).status == 200
        await warm.gateway.revoke(customer)
        for _ in range(2):
            problem(await client.ask(get(customer, "/ok")), 401, "key-invalid")
    assert warm.passages.counts == (1, 2, 0)
    await warm.gateway.settled()
    assert not warm.fast.under_way


def swap(warm: Warm, old: str, new: str) -> None:
    """Put a price file in force as a worker does it, under the number of the one before."""
    live = warm.gateway.app.prices
    text = PRICES.replace("{api}", warm.backend.url).replace(old, new)
    live.swap(load_price_list(text, environ={}), live.version, live.now.type_numbers)


async def test_prices_that_change_while_a_request_is_under_way(warm: Warm) -> None:
    """It keeps its own, whoever ends it; the next has the new one."""
    customer = await warm.customer(at_once=2)
    gate = asyncio.Event()

    async def wait(connection: Connection) -> None:
        await gate.wait()
        await connection.send(answer(200, b"at last"))

    warm.backend.plays["/ten"] = wait
    async with client_of(warm.gateway) as client, client_of(warm.gateway) as other:
        await client.raw.send(get(customer, "/ten"))
        await other.raw.send(get(customer, "/ten"))
        await warm.backend.upstream.saw(2)
        swap(warm, "price: 10, name: ten", "price: 7, name: ten")
        next(iter(warm.fast.under_way)).leave()
        gate.set()
        assert (await client.answer()).value("farebox-cost") == "10"
        assert (await other.answer()).value("farebox-cost") == "10"
        assert (await client.ask(get(customer, "/ten"))).value("farebox-cost") == "7"
        swap(warm, "", "")
        assert (await client.ask(get(customer, "/ten"))).value("farebox-cost") == "10"
    assert warm.passages.counts == (3, 1, 0)
    await warm.spent(customer, 37)


async def test_prices_that_change_while_the_hold_is_asked(warm: Warm) -> None:
    customer = await warm.customer(at_once=2)
    async with client_of(warm.gateway) as client, client_of(warm.gateway) as other:
        with ledger_waits(warm.gateway):
            await client.raw.send(get(customer, "/ten"))
            await other.raw.send(get(customer, "/ten"))
            await until(lambda: len(warm.fast.under_way) == 2)
            swap(warm, "price: 10, name: ten", "price: 7, name: ten")
            next(iter(warm.fast.under_way)).leave()
        assert (await client.answer()).value("farebox-cost") == "10"
        assert (await other.answer()).value("farebox-cost") == "10"
        swap(warm, "", "")
    assert warm.passages.counts == (1, 1, 0)
    await warm.spent(customer, 20)


async def test_a_session_that_was_dropped(warm: Warm) -> None:
    """Asked again under another id, and charged once."""
    customer = await warm.customer(at_once=2)
    ledger = warm.gateway.ledger
    keys = Keys(ledger.options.namespace, ledger.options.shard)
    link = await Link.connect(ledger.options.redis_url, clock=SystemClock())
    session = ledger.shard.session
    await link.call("HDEL", keys.balances(ledger.shard.epoch), b"s" + session_args(session)[0])
    link.close()
    async with client_of(warm.gateway) as client:
        got = await client.ask(get(customer, "/ten"))
        assert (got.status, got.value("farebox-cost")) == (200, "10")
        assert (await client.ask(get(customer, "/ten"))).status == 200
    assert ledger.shard.session != session
    assert warm.passages.counts == (1, 1, 0)
    await warm.spent(customer, 20)


@contextmanager
def lost_reply(warm: Warm) -> Iterator[asyncio.Event]:
    """Redis does the next tick and is not heard; it is reached again once the event is set."""
    connection = warm.gateway.ledger.shard._connection
    assert connection.now is not None
    link, connect = connection.now.link, connection._connect
    back = asyncio.Event()

    def lose(taker: Replied, command: bytes) -> None:
        done = link.send(*words_in(command))
        done.add_done_callback(lambda _: taker.set_exception(LinkLost("played by the test")))

    async def wait() -> Link:
        await back.wait()
        return await connect()

    link.ask = lose  # type: ignore[method-assign]
    connection._connect = wait
    try:
        yield back
    finally:
        back.set()
        connection._connect = connect


async def test_redis_that_is_lost_while_the_hold_is_asked(warm: Warm) -> None:
    """503 after a while; the hold was granted, and comes back."""
    customer = await warm.customer()
    async with client_of(warm.gateway) as client:
        with lost_reply(warm):
            problem(await client.ask(get(customer, "/ten")), 503, "ledger-unavailable")
            assert not warm.backend.heads
        await until(lambda: warm.gateway.ledger.shard.verified)
        assert (await client.ask(get(customer, "/ok"))).status == 200
    assert warm.passages.counts == (1, 1, 0)
    await warm.spent(customer, 1)


async def test_redis_that_comes_back_in_time(warm: Warm) -> None:
    """The same hold is asked for again: served, and charged once."""
    customer = await warm.customer()
    async with client_of(warm.gateway) as client:
        with lost_reply(warm) as back:
            await client.raw.send(get(customer, "/ten"))
            await warm.held()
            back.set()
            assert (await client.answer()).status == 200
    assert warm.passages.counts == (1, 0, 0)
    await warm.spent(customer, 10)


async def test_a_ledger_that_is_not_verified_is_waited_for_by_the_main_flow(warm: Warm) -> None:
    customer = await warm.customer()
    connection = warm.gateway.ledger.shard._connection
    assert connection.now is not None
    async with client_of(warm.gateway) as client:
        connection.drop(connection.now.link)
        assert (await client.ask(get(customer, "/ten"))).status == 200
    assert warm.passages.served + warm.passages.left <= 1
    await warm.spent(customer, 10)


async def test_a_request_that_takes_long_is_left_and_its_hold_renewed(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if it were half of the lifetime old: the main flow's sweep sees to it."""
    monkeypatch.setattr("gateway.fast_path.fast_path.SWEEP_EVERY_S", 0.01)
    customer = await warm.customer()
    gate = asyncio.Event()

    async def wait(connection: Connection) -> None:
        await gate.wait()
        await connection.send(answer(200, b"at last"))

    warm.backend.plays["/ten"] = wait
    holds = warm.gateway.ledger.holds
    async with client_of(warm.gateway) as client:
        await client.raw.send(get(customer, "/ten"))
        await warm.backend.upstream.saw(1)
        await until(lambda: warm.passages.left)
        await until(lambda: len(holds._open) == 1)
        ((held, order),) = holds._open.values()
        held.deadline_ms -= order.lifetime_ms * 3 // 4
        short = held.deadline_ms
        await until(lambda: held.deadline_ms > short)
        gate.set()
        assert (await client.answer()).body == b"at last"
    assert warm.passages.counts == (0, 1, 0)
    await warm.spent(customer, 10)
