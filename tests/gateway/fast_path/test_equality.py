"""
The fast path does what the main flow does: two gateways, one without it, are asked the same.

What they answer (byte for byte, but for ids and times), what their backend gets, what they log,
count and charge has to be the same.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest

from tests.charging import fresh_stores
from tests.gateway.fast_path.pair import KEY, Both, ask, pair
from tests.gateway.fast_path.rig import client_of, get
from tests.upstreams import answer

pytestmark = pytest.mark.anyio

PRICES = """
version: 1
credit_types: { credits: { scale: 2, window: 100000 }, calls: { scale: 0, window: 100000 } }
upstreams: { api: { url: "{api}/base", timeout: 20s, headers: { authorization: Bearer ours } } }
limits: { per_account: { quota: { requests: 500, per: month } } }
routes:
  - { path: /ok, upstream: api, price: 1.25, name: ok }
  - { path: /twice, upstream: api, price: 1, weight: 2, charge_on: [2xx, 404] }
  - { path: /moved, upstream: api, price: 1, charge_on: [3xx] }
  - { path: /any, upstream: api, price: 1, charge_on: [2xx, 5xx] }
  - { path: /few, upstream: api, price: 0.01, limits: { per_key: { requests: 3, per: hour } } }
  - { path: /one, upstream: api, price: 0.05, limits: { per_key: { in_flight: 1 } } }
  - { path: /some, upstream: api, price: 0.1, limits: { per_key: { quota: { requests: 2, per: day } } } }
  - { path: /dear, upstream: api, price: 2000 }
  - { path: /calls, upstream: api, price: { flat: 3, credit_type: calls } }
  - { path: /free, upstream: api, price: 0 }
  - { path: /open, upstream: api, price: 0, public: true }
  - { path: /watched, upstream: api, price: 1, observe: true }
  - { path: /strict, upstream: api, price: 1, strict: true }
  - { path: "/items/{id}", upstream: api, price: 0.5, name: items, record: { id: path/id, n: query/n, a: header/x-a } }
  - { path: "/files/*", upstream: api, price: 0.75, methods: [GET, POST, PUT, DELETE], max_body: 70000 }
  - { path: /n, upstream: api, price: { per: [{ query: n, cost: 0.2 }], max: 50 } }
  - { path: /pages, upstream: api, price: { per: [{ header: x-pages, cost: 0.2 }], max: 20 } }
  - path: /search
    methods: [POST]
    upstream: api
    record: { q: body/q }
    price: { flat: 1, per: [{ body: /limit, cost: 0.1 }], max: 50 }
  - { path: /upload, methods: [POST, PUT], upstream: api, price: { per: [{ request_bytes: true, cost: 0.01 }], max: 20 } }
  - path: /chat
    methods: [GET, POST]
    upstream: api
    price: { hold: 5, settle: { response: /total, cost: 0.01 } }
plans:
  pro: { factor: 0.5, routes: { ok: { price: 0.33 } } }
  none: { routes: { ok: { price: 0 } } }
"""
LARGE = b"x" * 65_536
COOKIES = (b"set-cookie: a=1", b"Set-Cookie: b=2; Path=/", b"set-cookie: farebox_session=x")
DROPPED = (
    b"x-mine: 1",
    b"Farebox-Cost: 99",
    b"farebox_balance: 9",
    b"Server:  nginx ",
    b"x-empty:",
    b"x-latin: \xe9",
    b"date: Sat, 21 Nov 2026 20:00:00 GMT",
)
PLAYS = {
    "/base/few": answer(200, b"few", b"x: y"),
    "/base/moved": answer(301, b"", b"location: /elsewhere"),
    "/base/any": answer(500, b"broken"),
    "/base/files/created": answer(201, b"made", b"location: /files/made"),
    "/base/files/404": answer(404, b"nothing"),
    "/base/files/500": answer(500, b"broken"),
    "/base/files/599": answer(599, b"odd"),
    "/base/files/204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/base/files/cookies": answer(200, b"cookies", *COOKIES),
    "/base/files/dropped": answer(200, b"dropped", *DROPPED),
    "/base/files/named": answer(200, b"dropped", b"connection: x-mine, close", *DROPPED),
    "/base/files/empty": answer(200, b""),
    "/base/files/large": answer(200, LARGE),
    "/base/files/larger": answer(200, LARGE + b"x"),
    "/base/files/phrase": b"HTTP/1.1 200 Quite All Right\r\nContent-Length: 2\r\nX:  a\t\r\n\r\nok",
    "/base/files/kept": answer(200, b"kept", b"keep-alive: timeout=100", b"connection: keep-alive"),
    "/base/twice": answer(404, b"not there"),
    "/base/chat": answer(200, b'{"total": 7}', b"content-type: application/json"),
}
STANDARD = ("x-forwarded-for: 9.9.9.9", "X-Forwarded-Proto: https", "forwarded: for=9.9.9.9")
ODD = (
    "cookie: a=1; farebox_session=z; b=2",
    "connection: x-gone, keep-alive",
    "x-gone: 1",
    "Farebox-Account: acc_1",
    "x_original_url: /dear",
    "te: trailers",
    "accept: */*",
    "authorization: Basic abc",
    "x-note: farebox-request-id: 000000000000000000000000",
    "user-agent:  two  spaces\t",
)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The workers' loop: nothing here depends on which it is."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def shared(
    postgres_server: str, template_database: str, redis_url: str
) -> AsyncIterator[Both]:
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(
                fresh_stores(postgres_server, template_database, redis_url)
            )
            for _ in range(2)
        ]
        yield await stack.enter_async_context(pair(stores, PRICES, ["", "pro", ""]))


@pytest.fixture
async def both(shared: Both) -> AsyncIterator[Both]:
    shared.backend.plays.clear()
    shared.backend.plays |= PLAYS
    for who in range(3):
        await shared.same(*[ask("/ok")] * 2, who=who)
    shared.passages.clear()
    yield shared
    await shared.books()


FAST = [
    "/ok",
    "/ok?a=1&b=%20",
    "/files/a%20c",
    "/files/%C3%A9?q=%C3%A9",
    "/twice",
    "/moved",
    "/any",
    "/one",
    "/items/7?n=5",
    "/items/%41b",
    "/n?n=7",
    "/files/created",
    "/files/404",
    "/files/500",
    "/files/599",
    "/files/cookies",
    "/files/dropped",
    "/files/empty",
    "/files/kept",
    "/files/phrase",
]
MAIN = [
    "/files/a%2Fb",
    "/files/named",
    "/files/204",
    "/files/larger",
    "/chat",
    "/free",
    "/open",
    "/watched",
    "/strict",
    "/dear",
    "/calls",
    "/nowhere",
    "/ok/../dear",
    "/n",
    "/n?n=x",
    "/pages",
    "/farebox/livez",
    "/farebox/v1/me",
]


@pytest.mark.parametrize("target", FAST)
async def test_what_the_fast_path_serves(both: Both, target: str) -> None:
    for who in range(2):
        await both.same(*[ask(target)] * 3, who=who)
    assert both.passages.counts == (6, 0, 0)


@pytest.mark.parametrize("target", MAIN)
async def test_what_the_main_flow_serves(both: Both, target: str) -> None:
    for who in range(2):
        await both.same(*[ask(target)] * 3, who=who)
    assert both.passages.served == 0


async def test_a_large_answer(both: Both) -> None:
    """In as many pieces as the network makes of it."""
    await both.same(*[ask("/files/large"), ask("/files/larger")] * 3)


@pytest.mark.parametrize("lines", [STANDARD, ODD, ("accept: a", "accept: b"), ("x-pages: 3",)])
async def test_header_lines(both: Both, lines: Sequence[str]) -> None:
    """Dropped, rewritten and passed on alike; and never those of the request before."""
    for target in ("/files/a", "/items/5", "/pages"):
        await both.same(
            ask(target, *lines), ask(target), ask(target, *lines), ask(target, *lines, "x-a: 7")
        )
    assert both.passages.served >= 8


@pytest.mark.parametrize("line", ["connection: close", "expect: 100-continue", "upgrade: h2c"])
async def test_lines_that_ask_for_something(both: Both, line: str) -> None:
    """On connections of their own, for one may be the last."""
    told = []
    for side in both.sides:
        async with client_of(side.gateway) as client:
            request = ask("/ok", line).replace(KEY, both.secret(side, 0))
            answers = [(await client.ask(request)).raw]
        told.append(both.shown(answers))
    assert told[0] == told[1]


async def test_limits_are_told_and_kept(both: Both) -> None:
    for target in ("/few", "/some", "/few", "/one"):
        answers = await both.same(*[ask(target)] * 4)
        assert all(one.value("ratelimit") for one in answers)
    assert both.passages.served == 3 + 2 + 4


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_methods(both: Both, method: str) -> None:
    await both.same(*[ask("/files/a", method=method)] * 3)
    await both.same(*[ask("/files/large", method=method)] * 2)
    assert (both.passages.served > 0) == (method in ("POST", "PUT", "DELETE"))


async def test_methods_by_turns(both: Both) -> None:
    """With the same lines and target: each is served as its own."""
    methods = ["GET", "POST", "DELETE", "GET", "PUT", "HEAD", "OPTIONS", "GET"]
    await both.same(*[ask("/files/a", method=method) for method in methods * 2])
    assert both.passages.served >= 10


async def test_bodies(both: Both) -> None:
    await both.same(*[ask("/files/a", method="POST", body=b"a body")] * 3)
    await both.same(*[ask("/files/a", method="PUT", body=b"")] * 3)
    await both.same(*[ask("/files/a", method="POST", body=b"x" * 66_000)] * 2)
    await both.same(*[ask("/files/a", method="POST", body=b"x" * 71_000)] * 1)


@pytest.mark.parametrize(
    "body",
    [b'{"limit": 13, "q": "x"}', b'{"q": "y"}', b'{"limit": "x"}', b"no json", b"", b"[]", b"{}"],
)
async def test_bodies_that_are_priced(both: Both, body: bytes) -> None:
    json = "content-type: application/json"
    more = b'{"limit": 2, "q": "after"}'
    await both.same(
        *[ask("/search", json, method="POST", body=each) for each in (body, more, body, body)]
    )
    await both.same(*[ask("/upload", method="POST", body=each) for each in (body, more, b"")])


async def test_a_body_in_a_piece_of_its_own(both: Both) -> None:
    await both.same(
        ask("/files/a", "transfer-encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\n\r\n",
        ask("/files/a", method="POST", body=b"after it"),
    )


async def test_bodies_with_a_metered_price(both: Both) -> None:
    await both.same(*[ask("/chat", method="POST", body=b'{"a": 1}')] * 3)
    both.backend.plays["/base/chat"] = answer(200, b"no json")
    await both.same(*[ask("/chat")] * 2)
    both.backend.plays["/base/chat"] = answer(500, b'{"total": 9}')
    await both.same(*[ask("/chat")] * 2)


async def test_keys_that_are_none(both: Both) -> None:
    nobody = get(None, "/ok")
    two = ask("/ok", "authorization: Bearer <key>")
    unknown = get(None, "/ok", "x-api-key: fbx_" + "0" * 49)
    await both.same(*[nobody] * 2, *[two] * 2, *[unknown] * 2, ask("/ok"))
    await both.same(ask("/ok?k=fbx_" + "0" * 49), ask("/ok"))


async def test_requests_with_a_key_of_their_own(both: Both) -> None:
    """The main flow has them; the same without it is served beside."""
    for target in ("/ok", "/files/500"):
        named = ask(target, f'idempotency-key: "one for {target}"')
        await both.same(named, ask(target), named, ask(target), method_of(named), named)


def method_of(request: bytes) -> bytes:
    """The same request, with another method."""
    return request.replace(b"GET ", b"POST ", 1)


async def test_customers_by_turns(both: Both) -> None:
    """Each pays for its own, also where all else is the same."""
    for who in (0, 2, 1, 2, 0):
        await both.same(*[ask("/ok"), ask("/items/7"), ask("/files/404")] * 2, who=who)
    assert both.passages.counts == (30, 0, 0)


async def test_everything_by_turns(both: Both) -> None:
    """No request is taken for the one before it."""
    requests = [ask(target) for target in (*FAST, *MAIN)]
    await both.same(*(each for one in requests for each in (one, ask("/ok"), one)))
    assert both.passages.served > len(FAST)
