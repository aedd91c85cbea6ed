"""
The same request under the same Idempotency-Key is charged once, whoever serves it and whatever fails.

FAREBOX_REPEATS says how many repeats are made at once (default 40).
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from gateway.idempotency.key import fingerprint, key_hash
from ledger.books import ChargeState
from ledger.replies import Reply
from tests.charging import Charging, Customer, Stores, charging
from tests.flows.test_limits import wipe
from tests.gateway.serving import until
from tests.proof import Proof, tell

pytestmark = pytest.mark.anyio

REPEATS = int(os.environ.get("FAREBOX_REPEATS", "40"))
PRICE, CREDITS = 3, 1_000
PRICES = """
version: 1
upstreams: { api: { url: "{api}", timeout: 20s, max_connections: 512 } }
routes:
  - { path: /ok, upstream: api, price: 3 }
  - { path: /fail, upstream: api, price: 3 }
  - { path: /reset, upstream: api, price: 3 }
  - { path: /half, upstream: api, price: 3, idempotency: replay }
  - { path: /gone, upstream: api, price: 3, idempotency: replay }
  - { path: /hang, upstream: api, price: 3, idempotency: replay }
  - { path: /echo, upstream: api, price: 3, idempotency: replay }
  - { path: /sse, upstream: api, price: 3, idempotency: replay }
  - { path: /gated, upstream: api, price: 3, idempotency: replay }
  - { path: /free, upstream: api, price: 0 }
  - { path: /watched, upstream: api, price: 3, observe: true }
  - { path: /open, upstream: api, price: 0, public: true }
"""
KEY = "5f0c7a52-8d7e-4b43-9f57-9c8f7dd0b4c5"
KEYED = {"idempotency-key": f'"{KEY}"'}


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


@asynccontextmanager
async def two_gateways(stores: Stores) -> AsyncIterator[tuple[Charging, Charging]]:
    """Two gateways with one pair of stores, each with a backend of its own."""
    async with charging(stores, PRICES) as one, charging(stores, PRICES) as two:
        yield one, two


def reached(*gateways: Charging) -> int:
    """How many requests came to a backend."""
    return sum(gateway.backend.served.total() for gateway in gateways)


async def captured(gateway: Charging) -> int:
    async with gateway.ledger.database.connection() as connection:
        taken: int = await connection.fetchval("SELECT coalesce(sum(captured), 0) FROM charges")
    return taken


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Its status and name; nothing was charged for it."""
    told = answer.json()
    assert told["charged"] == 0
    assert answer.headers["farebox-cost"] == "0"
    return answer.status_code, told["type"].rpartition("/")[2]


async def test_of_many_repeats_at_once_one_is_served_and_charged(stores: Stores) -> None:
    async with two_gateways(stores) as gateways:
        customer = await gateways[0].customer(credits=CREDITS)
        answers = await asyncio.gather(
            *(
                gateways[n % 2].ask("POST", "/ok", customer, headers=KEYED, content=b"{}")
                for n in range(REPEATS)
            )
        )
        served = [answer for answer in answers if answer.status_code == 200]
        assert len(served) == 1
        assert reached(*gateways) == 1
        [head] = gateways[0].backend.heads + gateways[1].backend.heads
        assert dict(head[2])["idempotency-key"] == KEYED["idempotency-key"]
        for answer in answers:
            if answer is not served[0]:
                status, name = problem(answer)
                assert (status, name) in {(409, "still-running"), (409, "already-done")}
                assert answer.json()["charge"] == served[0].headers["farebox-request-id"]
                assert ("retry-after" in answer.headers) == (name == "still-running")
        for gateway in gateways:
            await gateway.settled()
        assert await captured(gateways[0]) == PRICE
        assert await gateways[0].available(customer) == CREDITS - PRICE
        again = await gateways[1].ask("POST", "/ok", customer, headers=KEYED, content=b"{}")
        assert problem(again) == (409, "already-done")
        tell(Proof("T6", "repeats at once under one key: one charge", operations=REPEATS))


async def test_a_key_may_be_sent_bare_and_is_the_same(stores: Stores) -> None:
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        assert (await gateway.get("/ok", customer, headers=KEYED)).status_code == 200
        bare = await gateway.get("/ok", customer, headers={"Idempotency-Key": KEY})
        assert problem(bare) == (409, "already-done")


async def test_another_request_under_the_key_is_refused_and_says_which_charge_has_it(
    stores: Stores,
) -> None:
    """Row 41: another body, query, method or path; by Redis at once, by Postgres later."""
    async with two_gateways(stores) as gateways:
        gateway = gateways[0]
        customer = await gateway.customer(credits=CREDITS)
        first = await gateway.ask("POST", "/ok", customer, headers=KEYED, content=b"one")
        for settled in (False, True):
            for method, path, body in (
                ("POST", "/ok", b"two"),
                ("POST", "/ok", b""),
                ("POST", "/ok?a=1", b"one"),
                ("PUT", "/ok", b"one"),
                ("POST", "/echo", b"one"),
            ):
                other = await gateways[1].ask(method, path, customer, headers=KEYED, content=body)
                assert problem(other) == (422, "idempotency-mismatch")
                assert other.json()["charge"] == first.headers["farebox-request-id"]
            if not settled:
                await gateway.settled()
        assert reached(*gateways) == 1


async def test_another_accounts_key_is_another_key(stores: Stores) -> None:
    async with charging(stores, PRICES) as gateway:
        one, two = await gateway.customer(CREDITS), await gateway.customer(CREDITS)
        assert (await gateway.get("/ok", one, headers=KEYED)).status_code == 200
        assert (await gateway.get("/ok?x", two, headers=KEYED)).status_code == 200
        assert reached(gateway) == 2


@pytest.mark.parametrize("path", ["/fail", "/reset", "/half", "/gone"])
async def test_after_a_failure_the_same_key_runs_again(stores: Stores, path: str) -> None:
    """Row 41: nothing was charged, so nothing is done."""
    async with two_gateways(stores) as gateways:
        customer = await gateways[0].customer(credits=CREDITS)
        for n in range(4):
            try:
                answer = await gateways[n % 2].ask("POST", path, customer, headers=KEYED)
            except httpx.RemoteProtocolError:
                assert path == "/half"  # which the upstream cut behind its head
            else:
                assert answer.status_code == {"/fail": 500, "/gone": 404}.get(path, 502)
                assert answer.headers["farebox-cost"] == "0"
            if n == 1:
                await gateways[0].settled()
                await gateways[1].settled()
            await released(gateways[n % 2])
        assert reached(*gateways) == 4
        other = await gateways[0].ask("POST", "/ok", customer, headers=KEYED)
        assert other.status_code == 200
        assert other.headers["farebox-balance"] == str(CREDITS - PRICE)


async def released(gateway: Charging) -> None:
    """Wait until this gateway has settled all that it served, so that keys are free again."""
    await gateway.quiet()
    await until(lambda: gateway.ledger.settler.unsettled == 0)


async def test_a_kept_answer_is_given_again_byte_by_byte_and_costs_nothing(stores: Stores) -> None:
    async with two_gateways(stores) as gateways:
        customer = await gateways[0].customer(credits=CREDITS)
        first = await gateways[0].ask("POST", "/echo", customer, headers=KEYED, content=b"x")
        assert first.status_code == 200
        for n in range(3):
            again = await gateways[n % 2].ask(
                "POST", "/echo", customer, headers=KEYED, content=b"x"
            )
            assert (again.status_code, again.content) == (200, first.content)
            assert again.headers["content-type"] == first.headers["content-type"]
            assert again.headers["farebox-replayed"] == "true"
            assert again.headers["farebox-charge"] == first.headers["farebox-request-id"]
            assert again.headers["farebox-cost"] == "0"
            assert again.headers["farebox-request-id"] != first.headers["farebox-request-id"]
            assert again.headers["farebox-balance"] == str(CREDITS - PRICE)
        assert "farebox-replayed" not in first.headers
        assert reached(*gateways) == 1
        lines = await gateways[1].logged()
        assert [line["reason"] for line in lines] == ["replayed"]


async def test_a_stream_is_kept_and_given_again_whole(stores: Stores) -> None:
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        first = await gateway.get("/sse", customer, headers=KEYED)
        again = await gateway.get("/sse", customer, headers=KEYED)
        assert again.content == first.content
        assert again.headers["content-type"] == "text/event-stream"
        assert reached(gateway) == 1


async def test_an_answer_to_head_is_given_again(stores: Stores) -> None:
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        first = await gateway.ask("HEAD", "/echo", customer, headers=KEYED)
        again = await gateway.ask("HEAD", "/echo", customer, headers=KEYED)
        assert (again.status_code, again.content) == (200, b"")
        assert again.headers["content-length"] == first.headers["content-length"]
        assert again.headers["farebox-replayed"] == "true"


async def test_an_answer_too_large_to_keep_is_given_once_and_is_done_then(stores: Stores) -> None:
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        body = b"x" * 70_000
        first = await gateway.ask("POST", "/echo", customer, headers=KEYED, content=body)
        assert json.loads(first.content)["body"] == body.decode()
        again = await gateway.ask("POST", "/echo", customer, headers=KEYED, content=body)
        assert problem(again) == (409, "already-done")
        assert again.json()["charge"] == first.headers["farebox-request-id"]


async def test_a_client_that_left_gets_its_answer_when_it_asks_again(stores: Stores) -> None:
    """The answer is read on for, and kept; it was charged, as it is without the header."""
    async with two_gateways(stores) as gateways:
        customer = await gateways[0].customer(credits=CREDITS)
        asking = asyncio.create_task(gateways[0].get("/hang", customer, headers=KEYED))
        await until(lambda: reached(gateways[0]) == 1)
        running = await gateways[1].get("/hang", customer, headers=KEYED)
        assert problem(running) == (409, "still-running")
        asking.cancel()
        await until(lambda: gateways[0].app.clients_gone == 1)
        gateways[0].backend.gate.set()
        await released(gateways[0])

        again = await gateways[1].get("/hang", customer, headers=KEYED)
        assert (again.status_code, again.content) == (200, b"late")
        assert again.headers["farebox-replayed"] == "true"
        charge = await gateways[0].charge(again.headers["farebox-charge"])
        assert (charge.state, charge.captured) == (ChargeState.CAPTURED, PRICE)
        assert reached(*gateways) == 1


@pytest.mark.parametrize("path", ["/hang", "/gated"])
async def test_who_comes_second_gives_the_answer_that_was_kept_first_and_charges_nothing(
    stores: Stores, path: str
) -> None:
    """As after a pause in which its hold expired; a stream that began another one is cut."""
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        asking = asyncio.create_task(gateway.get(path, customer, headers=KEYED))
        await until(lambda: reached(gateway) == 1)
        asked = fingerprint(method=b"GET", route=path, path=path.encode(), query=b"", body=b"")
        first = Reply(b"another hold", asked, 200, [(b"x-first", b"1")], b"the first answer")
        hashed = key_hash(KEY.encode())
        assert await gateway.ledger.replies.keep(customer.account, hashed, first)
        gateway.backend.gate.set()

        if path == "/hang":
            answer = await asking
            assert (answer.status_code, answer.content) == (200, b"the first answer")
            assert answer.headers["farebox-replayed"] == "true"
            assert answer.headers["x-first"] == "1"
            assert answer.headers["farebox-charge"] == b"another hold".hex()
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                await asking
        [request_id] = gateway.backend.served
        charge = await gateway.charge(request_id)
        assert (charge.state, charge.reason) == (ChargeState.VOID, "overtaken")
        again = await gateway.get(path, customer, headers=KEYED)
        assert again.content == b"the first answer"
        assert await gateway.available(customer) == CREDITS


async def test_a_revoked_key_gets_no_kept_answer(stores: Stores) -> None:
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        await gateway.get("/echo", customer, headers=KEYED)
        await gateway.get("/ok", customer, headers={"idempotency-key": "other"})
        await gateway.revoke(customer)
        for path, headers in (("/echo", KEYED), ("/ok", {"idempotency-key": "other"})):
            assert (await gateway.get(path, customer, headers=headers)).status_code == 401


@pytest.mark.parametrize("path", ["/free", "/watched", "/open"])
async def test_where_nothing_is_charged_the_header_is_only_passed_on(
    stores: Stores, path: str
) -> None:
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        strange = {"idempotency-key": '"never closed'}
        for n in range(2):
            answer = await gateway.get(path, customer, headers=strange)
            assert answer.status_code == 200
            assert gateway.backend.headers()["idempotency-key"] == strange["idempotency-key"]
            assert reached(gateway) == n + 1


@pytest.mark.parametrize(
    "value",
    [b"", b'""', b"x" * 256, b"y" * 1000, "schlüssel".encode(), b"a b", b'"open', b"tab\tx"],
)
async def test_what_is_no_key_is_refused_and_nothing_is_held(stores: Stores, value: bytes) -> None:
    """Row 41: 1,000 characters, and what is not ASCII."""
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        headers = {"idempotency-key": value, **customer.headers}
        answer = await gateway.http.get(f"{gateway.url}/ok", headers=headers)
        assert problem(answer) == (400, "idempotency-key-invalid")
        assert reached(gateway) == 0
        assert await gateway.available(customer) == CREDITS


async def test_two_keys_in_one_request_are_refused(stores: Stores) -> None:
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        headers = [*customer.headers.items(), ("idempotency-key", "a"), ("idempotency-key", "b")]
        answer = await gateway.http.get(f"{gateway.url}/ok", headers=headers)
        assert problem(answer) == (400, "idempotency-key-invalid")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_1_mib_is_refused_with_the_header_and_passes_without(
    stores: Stores, chunked: bool
) -> None:
    async with charging(stores, PRICES) as gateway:
        customer = await gateway.customer(credits=CREDITS)
        large = b"x" * (1024 * 1024 + 1)

        async def pieces() -> AsyncIterator[bytes]:
            yield large[:600_000]
            yield large[600_000:]

        def content() -> object:
            return pieces() if chunked else large

        answer = await gateway.ask("POST", "/ok", customer, headers=KEYED, content=content())
        assert problem(answer) == (413, "body-too-large")
        assert reached(gateway) == 0
        passed = await gateway.ask("POST", "/ok", customer, content=content())
        assert passed.status_code == 200
        most = await gateway.ask("POST", "/ok", customer, headers=KEYED, content=large[:-1])
        assert most.status_code == 200


# After Redis was lost.


async def again_when_ready(gateway: Charging, path: str, customer: Customer) -> httpx.Response:
    """Ask until the next epoch has begun."""
    async with asyncio.timeout(30):
        while True:
            answer = await gateway.get(path, customer, headers=KEYED)
            if answer.status_code != 503:
                return answer
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("path", "status"), [("/ok", 409), ("/echo", 200)])
async def test_what_was_done_is_done_after_redis_lost_everything(
    stores: Stores, path: str, status: int
) -> None:
    async with two_gateways(stores) as gateways:
        customer = await gateways[0].customer(credits=CREDITS)
        first = await gateways[0].get(path, customer, headers=KEYED)
        await gateways[0].settled()
        await wipe(stores)

        again = await again_when_ready(gateways[1], path, customer)
        assert again.status_code == status
        if status == 409:
            assert problem(again) == (409, "already-done")
        else:
            assert again.content == first.content
        assert reached(*gateways) == 1
        assert await gateways[0].available(customer) == CREDITS - PRICE


async def test_what_was_under_way_when_redis_was_lost_is_charged_once(stores: Stores) -> None:
    """
    Posted before: it still has the key. Its repeat is told so until it has ended, and then has
    the answer.
    """
    async with two_gateways(stores) as gateways:
        customer = await gateways[0].customer(credits=CREDITS)
        asking = asyncio.create_task(gateways[0].get("/hang", customer, headers=KEYED))
        await until(lambda: reached(gateways[0]) == 1)
        await gateways[1].ledger.post_all()
        await wipe(stores)

        running = await again_when_ready(gateways[1], "/hang", customer)
        assert problem(running) == (409, "still-running")
        other = await gateways[1].get("/hang?other", customer, headers=KEYED)
        assert problem(other) == (422, "idempotency-mismatch")
        gateways[0].backend.gate.set()
        first = await asking
        assert first.status_code == 200
        again = await again_when_ready(gateways[1], "/hang", customer)
        assert again.content == first.content
        await gateways[0].settled()
        assert await captured(gateways[0]) == PRICE
        assert reached(*gateways) == 1
