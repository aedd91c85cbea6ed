"""One charged request after the other: what each is answered, and what its charge says."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.buy_link import verify
from gateway.stores import EmbeddedRedis
from ledger import accounts, api_keys
from ledger.books import ChargeState
from tests.charging import SECRET, WINDOW, Charging, Customer, Stores, charging, fresh_stores
from tests.gateway.serving import raw_client, until
from tests.upstreams import misbehaving_upstream

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
credit_types: { credits: { scale: 0 }, calling: { scale: 2 } }
upstreams:
  api: { url: "{api}", timeout: 2s, headers: { x-upstream-token: secret } }
routes:
  - { path: /ok, methods: [GET, POST], upstream: api, price: 2, name: plain, max_body: 100 }
  - { path: "/echo/{word}", methods: [GET], upstream: api, price: 1 }
  - { path: /echo, methods: [GET, POST], upstream: api, price: 2, record: { q: query/q } }
  - { path: /calls, methods: [GET], upstream: api, price: { flat: "0.25", credit_type: calling } }
  - { path: /fail, methods: [GET], upstream: api, price: 5 }
  - { path: /reset, methods: [GET], upstream: api, price: 5 }
  - { path: /cut, methods: [GET], upstream: api, price: 5 }
  - { path: /half, methods: [GET], upstream: api, price: 5 }
  - { path: /hang, methods: [GET], upstream: api, price: 5, timeout: 500ms }
  - { path: /slow, methods: [GET], upstream: api, price: 5 }
  - path: /search
    methods: [POST]
    upstream: api
    price: { flat: 1, per: [{ body: /limit, unit: 100, cost: 1, default: 1 }], max: 50 }
    max_body: 1000
  - path: /unbounded
    methods: [POST]
    upstream: api
    price: { per: [{ body: /limit, unit: 100, cost: 1 }] }
  - path: /chat
    methods: [POST]
    upstream: api
    price: { hold: 50, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 20 }
  - path: /sse
    methods: [GET]
    upstream: api
    price: { hold: 50, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 20 }
  - path: /gated
    methods: [GET]
    upstream: api
    price: { hold: 50, settle: { response: /usage/total_tokens, unit: 1, cost: 1 }, missing: 20 }
  - { path: /free, methods: [GET], upstream: api, price: 0 }
  - { path: /open, methods: [GET], upstream: api, price: 0, public: true }
  - { path: /live, upstream: api, websocket: true, price: { per: [{ seconds: true, unit: 60, cost: 2 }] } }
  - path: /watched
    methods: [POST]
    upstream: api
    observe: true
    price: { per: [{ body: /limit, unit: 1, cost: 1 }] }
"""


@pytest.fixture
def stores(database_url: str, redis_url: str, namespace: str) -> Stores:
    return Stores(database_url, redis_url, namespace)


@pytest.fixture(scope="module")
async def shared(
    postgres_server: str, template_database: str, redis_url: str
) -> AsyncIterator[Charging]:
    """One gateway for all tests that do not break it; each has customers of its own."""
    async with (
        fresh_stores(postgres_server, template_database, redis_url) as stores,
        charging(stores, PRICES, public_url="https://api.example") as gateway,
    ):
        yield gateway


@pytest.fixture
async def gateway(shared: Charging) -> Charging:
    await shared.app.flush_log()
    shared.forget()
    return shared


@pytest.fixture
async def customer(gateway: Charging) -> Customer:
    return await gateway.customer(credits=100)


def problem(answer: Any, status: int, name: str) -> dict[str, Any]:
    """Check what every problem says and give the rest."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"/farebox/problems/{name}"
    assert document["charged"] == 0
    assert document["instance"] == answer.headers["farebox-request-id"]
    assert answer.headers["farebox-cost"] == "0"
    return document


# What is charged


async def test_a_flat_price_is_captured_and_shown(gateway: Charging, customer: Customer) -> None:
    answer = await gateway.get("/ok", customer)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert (answer.headers["farebox-cost"], answer.headers["farebox-balance"]) == ("2", "98")
    charge = await gateway.charge(answer)
    assert (charge.state, charge.captured, charge.reason) == (ChargeState.CAPTURED, 2, "delivered")
    assert (charge.route, charge.status, charge.balance_after) == ("plain", 200, 98)


async def test_a_type_with_decimals_is_shown_in_decimals(gateway: Charging) -> None:
    caller = await gateway.customer(credits=100, credit_type="calling")
    answer = await gateway.get("/calls", caller)
    assert (answer.headers["farebox-cost"], answer.headers["farebox-balance"]) == ("0.25", "0.75")


async def test_units_and_record_explain_a_charge(gateway: Charging, customer: Customer) -> None:
    answer = await gateway.ask("POST", "/search", customer, json={"limit": 250})
    assert answer.headers["farebox-cost"] == "4"
    charge = await gateway.charge(answer)
    assert (charge.captured, charge.units) == (4, [250])
    charge = await gateway.charge(await gateway.get("/echo?q=shoes", customer))
    assert charge.record == {"q": "shoes"}


async def test_a_response_price_is_known_with_a_small_answer(
    gateway: Charging, customer: Customer
) -> None:
    answer = await gateway.ask("POST", "/chat", customer, json={"usage": {"total_tokens": 12}})
    assert (answer.headers["farebox-cost"], answer.headers["farebox-balance"]) == ("12", "88")
    charge = await gateway.charge(answer)
    assert (charge.held, charge.captured, charge.measured) == (50, 12, [12])


async def test_a_cost_above_the_hold_is_recorded(gateway: Charging, customer: Customer) -> None:
    answer = await gateway.ask("POST", "/chat", customer, json={"usage": {"total_tokens": 61}})
    charge = await gateway.charge(answer)
    assert (charge.captured, charge.uncollected, charge.reason) == (50, 11, "uncollected")


@pytest.mark.parametrize("usage", [None, -5, "many", 1.5])
async def test_an_unreadable_usage_costs_what_missing_says(
    gateway: Charging, customer: Customer, usage: object
) -> None:
    answer = await gateway.ask("POST", "/chat", customer, json={"usage": {"total_tokens": usage}})
    charge = await gateway.charge(answer)
    assert (charge.captured, charge.reason) == (20, "usage-missing")


async def test_a_stream_is_charged_by_its_last_event(gateway: Charging, customer: Customer) -> None:
    answer = await gateway.get("/sse", customer)
    assert answer.text.count("data:") == 10
    assert "farebox-cost" not in answer.headers
    assert (await gateway.charge(answer)).captured == 7


async def test_an_upstreams_own_error_passes_untouched_and_costs_nothing(
    gateway: Charging, customer: Customer
) -> None:
    answer = await gateway.get("/fail", customer)
    assert (answer.status_code, answer.text) == (500, "broken")
    assert (answer.headers["farebox-cost"], answer.headers["farebox-balance"]) == ("0", "100")
    charge = await gateway.charge(answer)
    assert (charge.state, charge.captured, charge.reason) == (ChargeState.VOID, 0, "status")
    assert await gateway.available(customer) == 100


@pytest.mark.parametrize(
    ("path", "status", "name", "reason"),
    [
        ("/reset", 502, "upstream-reset", "upstream-reset"),
        ("/cut", 502, "upstream-reset", "upstream-reset"),
        ("/hang", 504, "upstream-timeout", "upstream-timeout"),
    ],
)
async def test_an_upstream_that_fails_costs_nothing_and_the_charge_says_why(  # noqa: PLR0917
    gateway: Charging, customer: Customer, path: str, status: int, name: str, reason: str
) -> None:
    answer = await gateway.get(path, customer)
    problem(answer, status, name)
    charge = await gateway.charge(answer)
    assert (charge.state, charge.captured, charge.reason) == (ChargeState.VOID, 0, reason)
    assert await gateway.available(customer) == 100


async def test_a_backend_that_is_gone_costs_nothing(stores: Stores) -> None:
    async with charging(stores, PRICES, upstream="http://127.0.0.1:1") as gateway:
        customer = await gateway.customer(credits=10)
        answer = await gateway.get("/ok", customer)
        problem(answer, 502, "upstream-refused")
        assert (await gateway.charge(answer)).reason == "upstream-refused"


async def test_a_body_the_upstream_cuts_is_cut_for_the_client_too(
    gateway: Charging, customer: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_client(gateway.url) as client:
        await client.send(get("/half", customer))
        head = await client.head()
        assert await client.rest() == b"half"
    charge = await gateway.charge(request_id(head))
    assert (charge.state, charge.reason, charge.status) == (ChargeState.VOID, "upstream-cut", 200)
    assert "ASGI" not in caplog.text  # meant so: no fault of ours


async def test_a_client_that_leaves_early_pays_a_price_known_before(
    gateway: Charging, customer: Customer
) -> None:
    async with raw_client(gateway.url) as client:
        await client.send(get("/slow", customer))
        await until(lambda: gateway.backend.heads)
        await client.leave()
    charge = await gateway.charge(gateway.backend.headers()["farebox-request-id"])
    assert charge.captured == 5
    assert charge.reason in ("client-gone", "delivered")


async def test_a_stream_is_read_to_its_usage_for_a_client_that_left(
    gateway: Charging, customer: Customer
) -> None:
    async with raw_client(gateway.url) as client:
        await client.send(get("/gated", customer))
        await client.head()
        await client.leave()
        await until(lambda: gateway.app.clients_gone == 1)
        gateway.backend.gate.set()
    charge = await gateway.charge(gateway.backend.headers()["farebox-request-id"])
    assert (charge.captured, charge.reason, charge.measured) == (7, "client-gone", [7])


async def test_a_head_costs_what_the_get_costs(gateway: Charging, customer: Customer) -> None:
    answer = await gateway.ask("HEAD", "/ok", customer)
    assert (answer.status_code, answer.text, answer.headers["farebox-cost"]) == (200, "", "2")
    assert gateway.backend.heads[-1][0] == "HEAD"


# What is refused


async def test_a_balance_too_small_says_what_is_missing_and_where_to_buy(
    gateway: Charging,
) -> None:
    poor = await gateway.customer(credits=1)
    document = problem(await gateway.get("/ok", poor), 402, "insufficient-credits")
    assert (document["price"], document["balance"], document["shortfall"]) == (2, 1, 1)
    assert document["credit_type"] == "credits"
    base, _, token = document["buy"].partition("?token=")
    assert base == "https://api.example/farebox/buy"
    now_s = int(datetime.now(UTC).timestamp())
    assert verify(token, secret=SECRET, now_s=now_s) == poor.account
    assert gateway.backend.heads == []


async def test_a_price_that_never_fits_is_not_called_busy(gateway: Charging) -> None:
    rich = await gateway.customer(credits=2 * WINDOW)
    body = {"limit": WINDOW * 3 // 2 * 100}
    document = problem(
        await gateway.ask("POST", "/unbounded", rich, json=body), 422, "price-too-high"
    )
    assert (document["price"], document["limit"]) == (WINDOW * 3 // 2, WINDOW)
    assert document["credit_type"] == "credits"


async def test_a_key_is_asked_for(gateway: Charging) -> None:
    answer = await gateway.get("/ok")
    problem(answer, 401, "key-missing")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_in_the_query_is_not_read(gateway: Charging, customer: Customer) -> None:
    problem(await gateway.get(f"/ok?api_key={customer.secret}"), 401, "key-missing")


async def test_all_bad_keys_get_the_same_answer(gateway: Charging, customer: Customer) -> None:
    async with gateway.ledger.database.connection() as connection:
        await api_keys.revoke(connection, customer.key, actor="test")
    await gateway.ledger.pusher.push(customer.account)
    never_made = api_keys.new_secret(lambda size: b"\x07" * size)
    mistyped = customer.secret[:-1] + ("a" if customer.secret[-1] != "a" else "b")
    bodies = []
    for secret in (customer.secret, never_made, mistyped, "fbx_", "fbx_" + "x" * 500):
        answer = await gateway.get("/ok", headers={"authorization": f"Bearer {secret}"})
        document = problem(answer, 401, "key-invalid")
        del document["instance"]
        bodies.append(document)
    assert all(body == bodies[0] for body in bodies)
    assert gateway.backend.heads == []


async def test_a_key_in_the_query_beside_another_is_not_passed_on(
    gateway: Charging, customer: Customer
) -> None:
    answer = await gateway.get(f"/ok?a=1&key={customer.secret}", customer)
    problem(answer, 400, "two-keys")
    assert gateway.backend.heads == []


async def test_our_own_refusals_are_dated(gateway: Charging) -> None:
    answer = await gateway.get("/ok")
    assert answer.status_code == 401
    assert answer.headers["date"].endswith(" GMT")


async def test_two_keys_are_refused(gateway: Charging, customer: Customer) -> None:
    answer = await gateway.get("/ok", customer, headers={"x-api-key": customer.secret})
    problem(answer, 400, "two-keys")


async def test_a_frozen_account_is_refused(gateway: Charging, customer: Customer) -> None:
    async with gateway.ledger.database.connection() as connection:
        await accounts.freeze(
            connection, customer.account, frozen=True, actor="test", reason="dispute"
        )
    await gateway.ledger.pusher.push(customer.account)
    problem(await gateway.get("/ok", customer), 403, "account-frozen")


async def test_a_key_that_may_only_manage_may_not_call(gateway: Charging) -> None:
    caller = await gateway.customer(credits=10)
    async with gateway.ledger.database.connection() as connection:
        made = await api_keys.create(
            connection,
            caller.account,
            actor="test",
            random_bytes=lambda size: b"\x05" * size,
            scopes=api_keys.MANAGE,
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
    await gateway.ledger.pusher.push(caller.account)
    answer = await gateway.get("/ok", headers={"authorization": f"Bearer {made.secret}"})
    problem(answer, 403, "scope-missing")


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        ("/none", 404, "no-route"),
        ("/ok/", 404, "no-route"),
        ("/OK", 404, "no-route"),
        ("/%66arebox/v1/account", 404, "no-route"),
        ("/live", 426, "upgrade-required"),
        ("/ok?_method=DELETE", 400, "method-override"),
    ],
)
async def test_what_is_not_served_is_neither_forwarded_nor_charged(
    gateway: Charging, customer: Customer, path: str, status: int, name: str
) -> None:
    problem(await gateway.get(path, customer), status, name)
    assert gateway.backend.heads == []
    assert await gateway.available(customer) == 100


@pytest.mark.parametrize("path", ["/ok/../free", "/ok/%2e%2e/free", "//ok", "/ok%00", "/%zz"])
async def test_an_ambiguous_path_is_refused(
    gateway: Charging, customer: Customer, path: str
) -> None:
    async with raw_client(gateway.url) as client:
        await client.send(get(path, customer))
        assert (await client.head()).startswith(b"HTTP/1.1 400")
    assert gateway.backend.heads == []


async def test_another_method_is_405_with_the_right_ones(
    gateway: Charging, customer: Customer
) -> None:
    answer = await gateway.ask("DELETE", "/ok", customer)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"


async def test_a_body_larger_than_the_route_takes_is_413(
    gateway: Charging, customer: Customer
) -> None:
    problem(await gateway.ask("POST", "/ok", customer, content=b"x" * 101), 413, "body-too-large")
    assert gateway.backend.heads == []


async def test_a_body_that_grows_too_large_is_413_and_void(
    gateway: Charging, customer: Customer
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 10

    answer = await gateway.ask("POST", "/ok", customer, content=body())
    problem(answer, 413, "body-too-large")
    charge = await gateway.charge(answer)
    assert (charge.state, charge.reason) == (ChargeState.VOID, "body-rejected")


async def test_a_priced_body_that_is_no_json_is_not_forwarded(
    gateway: Charging, customer: Customer
) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await gateway.ask("POST", "/search", customer, content=b"limit=1", headers=form)
    assert answer.status_code == 415
    assert answer.json()["charged"] == 0
    answer = await gateway.ask("POST", "/search", customer, json={"limit": "many"})
    assert answer.status_code == 422
    assert gateway.backend.heads == []


async def test_a_limit_of_requests_is_kept_and_says_when_to_come_back(stores: Stores) -> None:
    limited = PRICES + "limits: { per_key: { requests: 3, per: minute } }\n"
    async with charging(stores, limited) as gateway:
        customer = await gateway.customer(credits=100)
        answers = [await gateway.get("/ok", customer) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        problem(answers[3], 429, "rate-limited")
        assert 1 <= int(answers[3].headers["retry-after"]) <= 60
        assert gateway.backend.served.total() == 3


async def test_a_handshake_for_another_protocol_is_refused(
    gateway: Charging, customer: Customer
) -> None:
    async with raw_client(gateway.url) as client:
        extra = b"connection: upgrade\r\nupgrade: websocket\r\n"
        await client.send(get("/ok", customer, extra))
        assert (await client.head()).startswith(b"HTTP/1.1 400")


async def test_a_refused_client_is_not_told_to_send_its_body(gateway: Charging) -> None:
    poor = await gateway.customer()
    async with raw_client(gateway.url) as client:
        await client.send(
            b"POST /ok HTTP/1.1\r\nhost: a\r\nx-api-key: %b\r\n"
            b"expect: 100-continue\r\ncontent-length: 5\r\n\r\n" % poor.secret.encode()
        )
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 402")
        assert b"connection: close" in head
        await client.rest()


# What passes


async def test_the_backend_sees_who_calls_and_not_the_key(
    gateway: Charging, customer: Customer
) -> None:
    answer = await gateway.get(
        "/echo?a=1&b=%20",
        headers={
            "x-api-key": customer.secret,
            "authorization": "Basic theirs",
            "farebox-account": "acc_999",
            "x-forwarded-for": "1.2.3.4",
            "x-http-method-override": "DELETE",
            "cookie": "farebox_session=s; theirs=1",
        },
    )
    seen = answer.json()
    headers = dict(seen["headers"])
    assert seen["target"] == "/echo?a=1&b=%20"
    assert headers["host"] == f"127.0.0.1:{gateway.backend.port}"
    assert headers["farebox-account"] == f"acc_{customer.account}"
    assert headers["farebox-key"] == f"key_{customer.key}"
    assert headers["farebox-request-id"] == answer.headers["farebox-request-id"]
    assert headers["authorization"] == "Basic theirs"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-host"] == gateway.url.removeprefix("http://")
    assert headers["x-upstream-token"] == "secret"
    assert headers["cookie"] == "theirs=1"
    assert "x-http-method-override" not in headers
    assert customer.secret not in answer.text


async def test_a_priced_body_is_forwarded_byte_for_byte(
    gateway: Charging, customer: Customer
) -> None:
    body = b'{ "limit" :1,\t"other": "\\u00e9" }'
    content = {"content-type": "application/json"}
    await gateway.ask("POST", "/search", customer, content=body, headers=content)
    assert gateway.backend.heads[-1][0] == "POST"
    answer = await gateway.ask("POST", "/echo", customer, content=body)
    assert answer.json()["body"].encode() == body


async def test_a_free_route_asks_for_the_key_and_leaves_no_charge(
    gateway: Charging, customer: Customer
) -> None:
    problem(await gateway.get("/free"), 401, "key-missing")
    answer = await gateway.get("/free", customer)
    assert (answer.headers["farebox-cost"], answer.headers["farebox-balance"]) == ("0", "100")


async def test_a_public_route_asks_for_nothing_and_keeps_the_key(
    gateway: Charging, customer: Customer
) -> None:
    assert (await gateway.get("/open")).status_code == 200
    assert (await gateway.get("/open", customer)).status_code == 200
    assert "authorization" not in gateway.backend.headers()


async def test_a_preflight_passes_unpriced_and_without_key(gateway: Charging) -> None:
    asks = {"origin": "https://shop.example", "access-control-request-method": "GET"}
    answer = await gateway.ask("OPTIONS", "/ok", headers=asks)
    assert answer.status_code == 200
    assert gateway.backend.heads[-1][0] == "OPTIONS"
    problem(await gateway.ask("OPTIONS", "/none", headers=asks), 404, "no-route")


async def test_a_page_can_read_our_errors(gateway: Charging) -> None:
    answer = await gateway.get("/ok", headers={"origin": "https://shop.example"})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "Farebox-Request-Id" in answer.headers["access-control-expose-headers"]


async def test_what_is_watched_is_recorded_and_never_refused(
    gateway: Charging, customer: Customer
) -> None:
    answers = [
        await gateway.ask("POST", "/watched", customer, json={"limit": 7}),
        await gateway.ask("POST", "/watched", json={"limit": 7}),
        await gateway.ask("POST", "/watched", json={"limit": "many"}),
        await gateway.ask("POST", "/watched", headers={"authorization": "Bearer fbx_unknown"}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {answer.headers["farebox-cost"] for answer in answers} == {"0"}
    assert await gateway.available(customer) == 100
    charge = await gateway.charge(answers[0])  # recorded under the id that the answer told
    assert (charge.state, charge.held, charge.captured) == (ChargeState.OBSERVED, 7, 0)
    assert charge.account_id == customer.account


# When something is wrong with us


async def test_without_the_ledger_nothing_is_forwarded(
    database_url: str, namespace: str, folder: Path
) -> None:
    redis = EmbeddedRedis(folder)
    redis.start()
    try:
        async with charging(Stores(database_url, redis.url, namespace), PRICES) as gateway:
            customer = await gateway.customer(credits=10)
            await gateway.get("/free", customer)
            redis.stop()
            answer = await gateway.get("/ok", customer)
            problem(answer, 503, "ledger-unavailable")
            assert "retry-after" in answer.headers
            assert gateway.backend.served.total() == 1
    finally:
        redis.stop()


async def test_a_fault_of_our_own_is_a_500_that_charges_nothing(
    gateway: Charging, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("gateway.proxy.outcome", broken)
    async with raw_client(gateway.url) as client:
        await client.send(get("/reset", customer))
        head = await client.head()
    assert head.startswith(b"HTTP/1.1 500")
    monkeypatch.undo()
    charge = await gateway.charge(request_id(head))
    assert (charge.state, charge.reason) == (ChargeState.VOID, "gateway-error")


async def test_the_log_has_a_line_for_each_request_and_no_secret(
    gateway: Charging, customer: Customer
) -> None:
    answer = await gateway.get("/echo?token=confidential", customer)
    await gateway.get(f"/none/{customer.secret}", customer)
    lines = await gateway.logged()
    assert [line["status"] for line in lines] == [200, 404]
    assert lines[0]["id"] == answer.headers["farebox-request-id"]
    assert (lines[0]["account"], lines[0]["captured"]) == (f"acc_{customer.account}", 2)
    text = json.dumps(lines)
    assert customer.secret not in text
    assert "confidential" not in text


async def test_an_answer_does_not_wait_for_the_rest_of_the_body(stores: Stores) -> None:
    early = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly"

    async def play(connection: Any) -> None:
        await connection.read_head()
        await connection.send(early)
        await asyncio.Event().wait()

    async with (
        misbehaving_upstream(play) as upstream,
        charging(stores, PRICES, upstream=upstream.url) as gateway,
        raw_client(gateway.url) as client,
    ):
        customer = await gateway.customer(credits=10)
        await client.send(
            b"POST /ok HTTP/1.1\r\nhost: a\r\nx-api-key: %b\r\ncontent-length: 50\r\n\r\nx"
            % customer.secret.encode()
        )
        assert (await client.head()).startswith(b"HTTP/1.1 200")
        assert await client.reader.readexactly(5) == b"early"


def get(path: str, customer: Customer, extra: bytes = b"") -> bytes:
    head = f"GET {path} HTTP/1.1\r\nhost: api\r\nx-api-key: {customer.secret}\r\n"
    return head.encode() + extra + b"\r\n"


def request_id(head: bytes) -> str:
    return head.split(b"farebox-request-id: ")[1].split(b"\r\n")[0].decode()
