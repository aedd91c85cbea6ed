"""The operator's signed webhook, posted to a real server."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from billing.telling.delivery import Delivery, NotTaken, Refused
from billing.telling.operator_webhook import OperatorWebhook, key_of, signature
from ledger.database import Database
from ledger.ids import account_text
from tests.billing.told import account_of, deliveries, make_due, open_database, tell, told
from tests.ledger.quick_clock import QuickClock
from tests.upstreams import Connection, misbehaving_upstream, read_request

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(b"a secret of the operator").decode()


def answer(status: str, headers: str = "") -> list[object]:
    return [read_request(), f"HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n".encode()]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with open_database(database_url) as database:
        yield database


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def headers_of(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:]
    return dict(line.lower().split(": ", 1) for line in lines if ": " in line)


async def test_a_notice_is_posted_signed(database: Database, client: httpx.AsyncClient) -> None:
    account = await account_of(database, external_id="acme")
    await tell(database, account)
    clock = QuickClock()
    async with misbehaving_upstream(answer("204 No Content")) as server:
        hook = OperatorWebhook(f"http://127.0.0.1:{server.port}/hook", SECRET, client, clock)
        assert await Delivery(database, {"webhook": hook}).webhooks() == 1

    [head], [body] = server.heads, server.bodies
    sent = json.loads(body)
    assert sent["type"] == "purchase"
    assert sent["data"]["account"] == account_text(account.id)
    assert sent["data"]["external_id"] == "acme"
    assert (sent["data"]["paid_minor"], sent["data"]["currency"]) == (1000, "usd")
    headers = headers_of(head)
    name, stamp = headers["webhook-id"], headers["webhook-timestamp"]
    assert int(stamp) == clock.now_ms() // 1000
    signed = f"{name}.{stamp}.".encode() + body
    digest = hmac.new(b"a secret of the operator", signed, hashlib.sha256).digest()
    raw = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"webhook-sig"))
    assert raw.split(b": ")[1] == b"v1," + base64.b64encode(digest)


async def test_a_receiver_that_fails_is_told_again_under_the_same_name(
    database: Database, client: httpx.AsyncClient
) -> None:
    await tell(database, await account_of(database))
    scripts = [answer("503 Busy", "connection: close\r\n"), answer("200 OK")]
    async with misbehaving_upstream(scripts=scripts) as server:
        hook = OperatorWebhook(f"http://127.0.0.1:{server.port}", SECRET, client, QuickClock())
        delivery = Delivery(database, {"webhook": hook})
        assert await delivery.webhooks() == 0
        assert [row["error"] for row in await deliveries(database, "webhook")] == [
            "the receiver answers 503"
        ]
        await client.aclose()

        async with httpx.AsyncClient(trust_env=False) as fresh:
            hook = OperatorWebhook(f"http://127.0.0.1:{server.port}", SECRET, fresh, QuickClock())
            await make_due(database)
            assert await Delivery(database, {"webhook": hook}).webhooks() == 1

    first, second = (headers_of(head)["webhook-id"] for head in server.heads)
    assert first == second


@pytest.mark.parametrize(
    ("status", "fate"),
    [("410 Gone", Refused), ("302 Found", NotTaken), ("400 Bad Request", NotTaken)],
)
async def test_what_an_answer_means(
    database: Database, client: httpx.AsyncClient, status: str, fate: type[Exception]
) -> None:
    account = await account_of(database)
    await tell(database, account)
    script = answer(status, "location: http://127.0.0.1:1/elsewhere\r\n")
    async with misbehaving_upstream(script) as server:
        hook = OperatorWebhook(f"http://127.0.0.1:{server.port}", SECRET, client, QuickClock())
        with pytest.raises(fate, match=status[:3]):
            await hook.send(await told(database, account))


async def test_a_receiver_that_hangs_up_is_tried_again(
    database: Database, client: httpx.AsyncClient
) -> None:
    account = await account_of(database)
    await tell(database, account)
    async with misbehaving_upstream([read_request(), b"HTTP/1.1 200"]) as server:
        port = server.port
    hook = OperatorWebhook(f"http://127.0.0.1:{port}", SECRET, client, QuickClock())
    with pytest.raises(NotTaken, match="no answer"):
        await hook.send(await told(database, account))


async def test_a_receiver_that_drips_its_answer_is_left(
    database: Database, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time; the whole answer never does."""
    monkeypatch.setattr("billing.telling.operator_webhook.LIMIT_S", 0.2)
    account = await account_of(database)
    await tell(database, account)

    async def drip(connection: Connection) -> None:
        connection.writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            connection.writer.write(b"x")
            await connection.writer.drain()
            await asyncio.sleep(0.02)

    async with misbehaving_upstream(drip) as server:
        hook = OperatorWebhook(f"http://127.0.0.1:{server.port}", SECRET, client, QuickClock())
        with pytest.raises(NotTaken, match="no answer"):
            await asyncio.wait_for(hook.send(await told(database, account)), 5)


def test_the_signature_is_the_one_of_the_specification() -> None:
    """The example that the Standard Webhooks libraries are tested with."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_secret_that_is_no_base64_is_taken_as_it_is() -> None:
    assert key_of("just a long password") == b"just a long password"
    assert key_of("whsec_not base64!") == b"whsec_not base64!"
