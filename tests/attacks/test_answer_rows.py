"""What a backend may answer: no second reading for the client, nothing in our name, no way inside."""

import gzip
import zlib

import pytest

from ledger.books import ChargeState
from tests.attacks.rig import Target

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"

INVALID = {
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
    "two equal lengths": OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    "a length and chunks": OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a signed length": OK + b"content-length: +2\r\n\r\n{}",
    "chunked twice": OK
    + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}",
    "a continued header": OK + b"x: a\r\n b\r\ncontent-length: 2\r\n\r\n{}",
    "101 unasked": b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    "an endless head": OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("name", INVALID)
@pytest.mark.parametrize("path", ["/cheap", "/chat"])
async def test_an_answer_with_two_readings_is_502_and_free(
    target: Target, name: str, path: str
) -> None:
    target.echo.plays[path] = INVALID[name]
    async with target.charged(0) as seen:
        reply = await target.say(target.request(path.encode()))
        await target.refused(reply, 502, "upstream-invalid", closed=False)
    charge = await target.gateway.charge(seen[0].request_id)
    assert (charge.state, charge.reason) == (ChargeState.VOID, "upstream-invalid")


async def test_what_a_backend_says_in_our_name_is_dropped(target: Target) -> None:
    target.echo.plays["/cheap"] = (
        OK + b"farebox-cost: 0\r\nFarebox_Balance: 9\r\nfarebox-request-id: x\r\n"
        b"set-cookie: farebox_session=ours\r\nset-cookie: theirs=1\r\ncontent-length: 2\r\n\r\n{}"
    )
    async with target.charged(1):
        reply = await target.say(target.request(b"/cheap"))
        assert (reply.status, reply.kept) == (200, True)
    told = [value for name, value in reply.headers if name == "farebox-cost"]
    assert (told, reply.value("farebox-balance")) == (["1"], "999")
    assert [value for name, value in reply.headers if name == "set-cookie"] == ["theirs=1"]
    assert b"farebox_" not in reply.raw.lower()


@pytest.mark.parametrize("where", [b"http://169.254.169.254/", b"/farebox/v1/keys", b"//x"])
async def test_a_redirect_is_passed_back_and_never_followed(target: Target, where: bytes) -> None:
    target.echo.plays["/cheap"] = (
        b"HTTP/1.1 302 Found\r\nlocation: " + where + b"\r\ncontent-length: 0\r\n\r\n"
    )
    async with target.charged(0):
        reply = await target.say(target.request(b"/cheap"))
        assert (reply.status, reply.value("location")) == (302, where.decode())


async def test_bytes_behind_an_answer_are_nobodys_answer(target: Target) -> None:
    """An answer sent ahead by the backend is not given to the next client."""
    poison = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"
    target.echo.plays["/cheap"] = OK + b"content-length: 2\r\n\r\n{}" + poison
    async with target.charged(51, forwarded=2):
        assert (await target.say(target.request(b"/cheap"))).body == b"{}"
        assert b"poison" not in (await target.say(target.request(b"/costly"))).raw


# Compressed, though the gateway asks for the plain answer where it needs to read it.


def compressed(body: bytes, coding: bytes) -> bytes:
    return OK + b"content-encoding: %b\r\ncontent-length: %d\r\n\r\n%b" % (coding, len(body), body)


USAGE = b'{"usage": {"total_tokens": 11}}'


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(USAGE), b"gzip"),
        (gzip.compress(USAGE[:5]) + gzip.compress(USAGE[5:]), b"GZIP"),
        (zlib.compress(USAGE), b"deflate"),
    ],
    ids=["gzip", "gzip in two parts", "deflate"],
)
async def test_a_compressed_answer_is_read_for_its_usage_and_passed_on_as_it_is(
    target: Target, body: bytes, coding: bytes
) -> None:
    target.echo.plays["/chat"] = compressed(body, coding)
    async with target.charged(11) as seen:
        reply = await target.say(target.request(b"/chat", b"accept-encoding: gzip"))
        assert (reply.body, reply.value("content-encoding")) == (body, coding.decode())
        assert reply.value("farebox-cost") == "11"
    assert seen[0].values("accept-encoding") == ["identity"]


UNREADABLE = {
    "a bomb": (
        gzip.compress(b'{"usage": {"total_tokens": 1}, "x": "' + b"0" * 50_000_000),
        b"gzip",
    ),
    "half": (gzip.compress(USAGE)[:20], b"gzip"),
    "garbage": (b"\x1f\x8bgarbage", b"gzip"),
    "a coding nobody knows": (b"???", b"br"),
    "two codings": (gzip.compress(gzip.compress(USAGE)), b"gzip, gzip"),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_compressed_answer_that_cannot_be_read_costs_what_missing_says(
    target: Target, name: str
) -> None:
    body, coding = UNREADABLE[name]
    target.echo.plays["/chat"] = compressed(body, coding)
    async with target.charged(30):
        reply = await target.say(target.request(b"/chat"))
        assert (reply.status, reply.body) == (200, body)


async def test_a_bomb_that_is_not_priced_just_passes(target: Target) -> None:
    bomb = UNREADABLE["a bomb"][0]
    target.echo.plays["/cheap"] = compressed(bomb, b"gzip")
    async with target.charged(1):
        assert (await target.say(target.request(b"/cheap"))).body == bomb


async def test_a_compressed_request_is_passed_on_as_it_is(target: Target) -> None:
    body = gzip.compress(b"0" * 10_000)
    lines = (b"content-encoding: gzip", b"content-length: %d" % len(body))
    async with target.charged(len(body)) as seen:
        reply = await target.say(target.request(b"/upload", *lines, method=b"POST", body=body))
        assert reply.status == 200
    assert seen[0].body == body


FAILURES = {
    "500": (b"HTTP/1.1 500 Broken\r\ncontent-length: 6\r\n\r\nbroken", 500, "status"),
    "closed at once": (b"", 502, "upstream-reset"),
    "closed amid the head": (OK, 502, "upstream-reset"),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("path", ["/costly", "/chat"])
async def test_a_backend_that_fails_costs_nothing(target: Target, name: str, path: str) -> None:
    said, status, reason = FAILURES[name]
    target.echo.plays[path] = said
    async with target.charged(0) as seen:
        reply = await target.say(target.request(path.encode(), method=b"GET"))
        assert (reply.status, reply.value("farebox-cost")) == (status, "0")
    charge = await target.gateway.charge(seen[0].request_id)
    assert (charge.state, charge.reason) == (ChargeState.VOID, reason)


@pytest.mark.parametrize(
    "half",
    [
        OK + b"content-length: 100\r\n\r\nhalf",
        OK + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        OK.replace(b"application/json", b"text/event-stream")
        + b'transfer-encoding: chunked\r\n\r\n1e\r\ndata: {"usage": {"total": 1}}\n\r\n',
    ],
    ids=["a length", "chunks", "events"],
)
@pytest.mark.parametrize("path", ["/costly", "/chat"])
async def test_half_an_answer_is_broken_off_for_the_client_and_free(
    target: Target, half: bytes, path: str
) -> None:
    target.echo.plays[path] = half
    async with target.charged(0) as seen:
        reader, writer = await target.connect()
        writer.write(target.request(path.encode(), b"connection: close"))
        said = await reader.read()
        writer.transport.abort()
    assert b"0\r\n\r\n" not in said
    assert b"content-length: 4\r\n" not in said
    charge = await target.gateway.charge(seen[0].request_id)
    assert (charge.state, charge.reason) == (ChargeState.VOID, "upstream-cut")
