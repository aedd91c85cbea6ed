"""What a client's headers may not do: choose another method, path, price, caller or protocol."""

import pytest

from tests.attacks.rig import PRICES as ROUTES
from tests.attacks.rig import TOKEN, Target, attacked
from tests.charging import Stores

pytestmark = pytest.mark.anyio

REMOVED = [
    b"x-http-method-override: DELETE",
    b"X-HTTP-Method-Override: DELETE",
    b"x-method-override: DELETE",
    b"x_http_method_override: DELETE",
    b"x-original-url: /costly",
    b"x-rewrite-url: /costly",
    b"x-forwarded-prefix: /costly",
    b"x-forwarded-path: /costly",
    b"farebox-account: acc_1",
    b"Farebox_Account: acc_1",
    b"farebox-cost: 0",
    b"farebox-request-id: 000000000000000000000000",
    b"authorization: Bearer theirs",
    b"upgrade: h2c",
    b"http2-settings: AAMAAABkAAQAAP__",
    b"te: trailers",
    b"proxy-authorization: Basic theirs",
    b"cookie: farebox_session=stolen",
    b"Forwarded: for=1.2.3.4",
    b"x-real-ip: 1.2.3.4",
]


@pytest.mark.parametrize("line", REMOVED)
async def test_a_header_that_would_change_what_was_priced_is_removed(
    target: Target, line: bytes
) -> None:
    async with target.charged(2) as seen:
        reply = await target.say(target.request(b"/deleted", line, method=b"POST"))
        assert reply.status == 200
    name, _, value = line.decode().partition(": ")
    assert seen[0].method == "POST"
    assert (name.lower(), value) not in seen[0].headers
    assert seen[0].values("authorization") == [TOKEN]
    assert seen[0].values("farebox-account") == [f"acc_{target.customer.account}"]
    assert seen[0].values("farebox-request-id") == [reply.value("farebox-request-id")]
    assert not any("_" in each for each, _ in seen[0].headers)


@pytest.mark.parametrize(
    "named",
    [b"farebox-account", b"authorization", b"host", b"x-forwarded-for", b"content-length, close"],
)
async def test_connection_cannot_take_away_what_we_say(target: Target, named: bytes) -> None:
    async with target.charged(2) as seen:
        request = target.request(
            b"/deleted",
            b"connection: " + named,
            b"content-length: 3",
            method=b"POST",
            body=b"abc",
        )
        assert (await target.say(request)).status == 200
    assert seen[0].body == b"abc"
    assert seen[0].values("farebox-account") == [f"acc_{target.customer.account}"]
    assert seen[0].values("authorization") == [TOKEN]
    assert seen[0].values("host") == [target.echo.host]
    assert seen[0].values("x-forwarded-for") == ["127.0.0.1"]


@pytest.mark.parametrize(
    "query", [b"_method=DELETE", b"%5fmethod=DELETE", b"a=1&_METHOD=x", b"a;_method=DELETE"]
)
async def test_a_method_in_the_query_is_refused(target: Target, query: bytes) -> None:
    async with target.unharmed():
        reply = await target.say(target.request(b"/deleted?" + query, method=b"POST"))
        await target.refused(reply, 400, "method-override", closed=False)


async def test_a_hundred_forwarded_addresses_are_replaced_by_the_peers(target: Target) -> None:
    claimed = b"x-forwarded-for: " + b", ".join(b"1.2.3.%d" % n for n in range(100))
    async with target.charged(50) as seen:
        reply = await target.say(target.request(b"/costly", claimed, b"x-forwarded-proto: https"))
        assert reply.status == 200
    assert seen[0].values("x-forwarded-for") == ["127.0.0.1"]
    assert seen[0].values("x-forwarded-proto") == ["http"]


async def test_a_trusted_proxys_forwarded_addresses_are_continued(stores: Stores) -> None:
    prices = ROUTES + "trusted_proxies: [127.0.0.1]\n"
    async with attacked(stores, prices) as target, target.charged(50) as seen:
        reply = await target.say(target.request(b"/costly", b"x-forwarded-for: 1.2.3.4"))
        assert reply.status == 200
    assert seen[0].values("x-forwarded-for") == ["1.2.3.4, 127.0.0.1"]


async def test_a_websocket_where_there_is_none_is_refused(target: Target) -> None:
    async with target.unharmed():
        reply = await target.say(
            target.request(b"/costly", b"connection: upgrade", b"upgrade: websocket")
        )
        await target.refused(reply, 400, "upgrade-refused", closed=True)


async def test_h2c_is_answered_as_1_1_and_charged_once(target: Target) -> None:
    settings = b"http2-settings: AAMAAABkAAQAAP__"
    lines = (b"connection: upgrade, http2-settings", b"upgrade: h2c", settings)
    async with target.charged(50) as seen:
        reply = await target.say(target.request(b"/costly", *lines))
        assert (reply.status, reply.kept) == (200, True)
    assert not {"upgrade", "http2-settings"} & {name for name, _ in seen[0].headers}


async def test_http_2_spoken_outright_is_refused(target: Target) -> None:
    async with target.unharmed():
        reply = await target.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        await target.refused(reply, 501, closed=True)
