"""Keys: which are let in, what a guess learns and costs, and where secrets never show."""

import asyncio
import json
import secrets
from pathlib import Path

import httpx
import pytest

from gateway.throttle import Throttle
from ledger import api_keys
from tests.attacks.rig import Target, attacked, read_reply
from tests.charging import Stores
from tests.served import funded, serving

pytestmark = pytest.mark.anyio


async def revoked(target: Target) -> str:
    customer = await target.gateway.customer(credits=10)
    async with target.gateway.ledger.database.connection() as connection:
        await api_keys.revoke(connection, customer.key, actor="test")
    assert await target.gateway.ledger.pusher.push(customer.account) == "applied"
    return customer.secret


async def test_all_bad_keys_get_the_same_answer_but_for_its_id(target: Target) -> None:
    good = target.customer.secret
    other = api_keys.new_secret(secrets.token_bytes)
    bad = {
        "unknown": other,
        "revoked": await revoked(target),
        "a bad checksum": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "a right beginning": good[:20] + other[20:],
        "short": "fbx_short",
        "long": good + "x",
    }
    said = set()
    for secret in bad.values():
        async with target.unharmed():
            line = b"authorization: Bearer " + secret.encode()
            request = target.request().replace(target.key, line + b"\r\n")
            reply = await target.say(request)
            await target.refused(reply, 401, "key-invalid", closed=False)
            assert reply.value("www-authenticate").startswith("Bearer")
        problem = json.loads(reply.body)
        said.add(json.dumps({**problem, "instance": ""}))
    assert len(said) == 1


async def test_two_keys_in_one_request_are_refused(target: Target) -> None:
    other = await target.gateway.customer(credits=10)
    for line in (
        b"authorization: Bearer " + other.secret.encode(),
        b"x-api-key: " + other.secret.encode(),
        b"X-Api-Key: " + target.customer.secret.encode(),
    ):
        async with target.unharmed():
            reply = await target.say(target.request(b"/costly", line))
            await target.refused(reply, 400, "two-keys", closed=False)


async def test_a_key_in_the_query_is_not_read_and_not_passed_on(target: Target) -> None:
    query = b"?key=" + target.customer.secret.encode()
    async with target.unharmed():
        reply = await target.say(target.request(b"/costly" + query).replace(target.key, b""))
        await target.refused(reply, 401, "key-missing", closed=False)
        reply = await target.say(target.request(b"/costly" + query))
        await target.refused(reply, 400, "two-keys", closed=False)


@pytest.mark.parametrize(
    "path", [b"/admin/v1/accounts", b"/farebox/admin/v1/accounts", b"/farebox/v1/../admin/v1"]
)
async def test_the_admins_routes_are_not_on_this_listener(target: Target, path: bytes) -> None:
    async with target.unharmed():
        reply = await target.say(target.request(path))
        assert reply.status in (400, 404)


async def test_guesses_at_once_are_looked_up_only_so_often(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many well-formed guesses side by side: each counts before anybody is asked for it."""
    asked = 0
    find = api_keys.find

    async def counted(*given: object) -> object:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return await find(*given)  # type: ignore[arg-type]

    async with attacked(stores) as target:
        assert (await target.say(target.request(b"/cheap"))).status == 200
        identification = target.gateway.app._proxy._identification
        identification._bad_keys = Throttle(10, clock=target.gateway.app._clock)
        monkeypatch.setattr(api_keys, "find", counted)

        async def guess() -> int:
            key = api_keys.new_secret(secrets.token_bytes).encode()
            reader, writer = await target.connect()
            writer.write(target.request(b"/cheap").replace(target.customer.secret.encode(), key))
            status = (await read_reply(reader)).status
            writer.transport.abort()
            return status

        async with target.unharmed():
            statuses = await asyncio.gather(*(guess() for _ in range(60)))
        assert (asked, statuses.count(401), statuses.count(429)) == (10, 10, 50)
        # Whoever has a good key is served from the same address all the same.
        assert (await target.say(target.request(b"/cheap"))).status == 200


SECRETS = {
    "UPSTREAM_TOKEN": "the-upstream-token-0123456789",
    "FAREBOX_ADMIN_TOKEN": "the-admin-token-0123456789",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdefghijk",
    "STRIPE_SECRET_KEY": "sk_test_0123456789abcdefghijk",
    "FAREBOX_NOTICE_SECRET": "the-notice-secret-0123456789",
    "FAREBOX_NOTICE_URL": "http://127.0.0.1:9/notices",
    "STRIPE_API_BASE": "http://127.0.0.1:9",
}
SERVED = """
version: 1
upstreams:
  api: { url: "http://127.0.0.1:9", headers: { authorization: "Bearer ${UPSTREAM_TOKEN}" } }
routes:
  - { path: /down, methods: [GET, POST], upstream: api, price: 2, max_body: 10 }
  - { path: /dear, methods: [GET], upstream: api, price: 1000 }
  - { path: /search, methods: [POST], upstream: api, price: { per: [{ body: /limit, cost: 1 }] } }
"""


async def test_no_secret_is_in_any_output_of_any_error(folder: Path) -> None:
    """Every secret goes through every error path; logs, answers and metrics show none."""
    async with serving(folder, SERVED, variables=SECRETS) as served:
        key = (await funded(served, 10))["X-Api-Key"]
        hidden = [*SECRETS.values(), key, served.running.postgres_url.partition("@")[0]]
        hidden = [each for each in hidden if not each.startswith(("http://", "postgres"))]
        said: list[str] = []
        host, port = served.url.removeprefix("http://").split(":")
        for secret in hidden:
            for data in attempts(secret.encode(), key.encode()):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(data)
                async with asyncio.timeout(30):
                    said.append((await reader.read()).decode("latin-1"))
                writer.transport.abort()
        admin = {"Authorization": f"Bearer {SECRETS['FAREBOX_ADMIN_TOKEN']}"}
        async with httpx.AsyncClient(base_url=served.running.admin_url) as http:
            for secret in hidden:
                wrong = {"Authorization": f"Bearer {secret}x"}
                said.append((await http.get("/admin/v1/accounts", headers=wrong)).text)
                said.append(
                    (await http.post("/admin/v1/accounts", headers=wrong, content="{")).text
                )
            said.append((await http.post("/admin/v1/accounts", headers=admin, content="{")).text)
            said.append((await http.get("/metrics", headers=admin)).text)
    said.append((folder / "serve.log").read_text())
    assert "upstream-refused" in said[-1]
    assert "bad-request" in said[-1]
    for secret in hidden:
        for text in said:
            assert secret not in text


def attempts(secret: bytes, key: bytes) -> list[bytes]:
    """Requests that end in an error, each carrying the secret somewhere."""

    def ask(first: bytes, *lines: bytes, body: bytes = b"") -> bytes:
        head = [first + b" HTTP/1.1", b"host: a", b"connection: close", *lines]
        return b"\r\n".join(head) + b"\r\n\r\n" + body

    paid = b"x-api-key: " + key
    length = b"content-length: %d" % len(secret)
    return [
        ask(b"GET /down", paid, b"x: " + secret),
        ask(b"GET /dear", paid, b"x: " + secret),
        ask(b"GET /none/" + secret, paid),
        ask(b"GET /down/../" + secret, paid),
        ask(b"GET /down?_method=" + secret, paid),
        ask(b"GET /down", b"x-api-key: " + secret),
        ask(b"GET /down", b"authorization: Bearer " + secret),
        ask(b"GET /down", b"authorization: Bearer fbx_" + secret),
        ask(b"GET /down", paid, b"x-api-key: " + key + b"x"),
        ask(b"BREW /" + secret, paid),
        ask(b"GET /down", paid, secret),
        ask(b"GET /down", b"host: " + secret, paid),
        ask(b"GET /down", b"content-length: " + secret, paid),
        ask(b"POST /down", b"transfer-encoding: chunked", paid, body=secret + b"\r\n"),
        ask(b"POST /down", length, paid, body=secret),
        ask(b"POST /search", length, b"content-type: application/json", paid, body=secret),
        ask(b"GET /farebox/v1/account", b"authorization: Bearer " + secret),
        ask(b"GET /farebox/v1/charges/" + secret, paid),
        ask(b"GET /farebox/v1/charges?from=" + secret, paid),
        ask(
            b"POST /farebox/v1/checkout",
            length,
            b"content-type: application/json",
            paid,
            body=secret,
        ),
        ask(
            b"POST /farebox/stripe/webhook",
            length,
            b"stripe-signature: t=1,v1=" + secret,
            body=secret,
        ),
        secret + b"\r\n\r\n",
    ]
