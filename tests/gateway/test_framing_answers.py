"""How answers end for the client: whole, cut, and to clients of HTTP/1.0, over real sockets."""

import pytest

from gateway.framing import TURN
from tests.gateway.test_framing_protocol import GET, Receive, Scope, Send, anyio_backend, serving

__all__ = ["anyio_backend"]
pytestmark = pytest.mark.anyio

OLD = b"%s /a HTTP/1.0\r\nHost: a\r\n\r\n"
HEAD = {"type": "http.response.start", "status": 200, "headers": []}
WITH_LENGTH = HEAD | {"headers": [(b"content-length", b"6")]}


def body(piece: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": piece, "more_body": more}


async def two_pieces(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer without saying how long it will be."""
    await send(HEAD)
    await send(body(b"abc"))
    await send(body(b"def", more=False))


async def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    async with serving(two_pieces) as served:
        head, _, content = (await served.exchange(OLD % b"GET")).partition(b"\r\n\r\n")

    assert content == b"abcdef"
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head


async def test_a_length_that_is_known_is_told_to_http_1_0_too() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(WITH_LENGTH)
        await send(body(b"abc"))
        await send(body(b"def", more=False))

    async with serving(app) as served:
        answer = await served.exchange(OLD % b"GET")

    assert b"content-length: 6\r\n" in answer
    assert answer.endswith(b"\r\n\r\nabcdef")


async def test_a_head_request_of_http_1_0_has_no_body() -> None:
    async with serving(two_pieces) as served:
        assert (await served.exchange(OLD % b"HEAD")).endswith(b"\r\n\r\n")


@pytest.mark.parametrize("head", [HEAD, WITH_LENGTH])
async def test_a_cut_is_seen_by_the_client_and_is_no_error_of_ours(
    head: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send(head)
        await send(body(b"abc"))
        scope[TURN].cut()

    async with serving(app) as served:
        answer = await served.exchange(GET % b"a")

    assert b"abc" in answer
    assert not answer.endswith((b"abcdef", b"0\r\n\r\n"))
    assert "ASGI" not in caplog.text


async def test_where_only_the_end_tells_a_cut_is_no_orderly_end() -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send(HEAD)
        await send(body(b"abc"))
        scope[TURN].cut()

    async with serving(app) as served:
        with pytest.raises(ConnectionResetError):
            await served.exchange(OLD % b"GET")


async def test_an_application_that_just_stops_is_complained_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(WITH_LENGTH)

    async with serving(app) as served:
        await served.exchange(GET % b"a")

    assert "without completing its answer" in caplog.text


async def test_a_whole_answer_is_not_cut_any_more() -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await send(WITH_LENGTH)
        await send(body(b"abcdef", more=False))
        scope[TURN].cut()

    async with serving(app) as served:
        twice = GET % b"a" + (GET % b"b").replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        assert (await served.exchange(twice)).count(b"abcdef") == 2


async def test_a_header_that_would_bring_its_own_line_is_never_written() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(HEAD | {"headers": [(b"x", b"a\r\nset-cookie: b=c")]})
        await send(body(b"", more=False))

    async with serving(app) as served:
        assert b"set-cookie" not in await served.exchange(GET % b"a")


@pytest.mark.parametrize(("sent", "what"), [(b"abcd", "shorter"), (b"abcdefgh", "longer")])
async def test_an_answer_that_is_not_as_long_as_it_says_is_cut(
    sent: bytes, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(WITH_LENGTH)
        await send(body(b"a"))
        await send(body(sent[1:], more=False))

    async with serving(app) as served:
        answer = await served.exchange(GET % b"a" + GET % b"b")

    assert answer.endswith(b"\r\n\r\na")
    assert f"{what} than its Content-Length" in caplog.text


async def test_an_application_that_fails_is_a_500_and_ends_the_connection() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("a secret")

    async with serving(app) as served:
        answer = await served.exchange(GET % b"a" + GET % b"b")

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"secret" not in answer
