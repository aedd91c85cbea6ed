"""What the door promises, asked of both clients over real sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.upstream import (
    UpstreamClient,
    UpstreamCut,
    UpstreamInvalid,
    UpstreamLimits,
    UpstreamRefused,
    UpstreamRequest,
    UpstreamReset,
    UpstreamTimeout,
)
from tests.upstreams import (
    Connection,
    Step,
    Upstream,
    answer,
    cut,
    forever,
    misbehaving_upstream,
    pause,
    read_head,
    read_request,
    reset,
    silence,
    swallow,
    trickle,
)

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


def get(target: bytes = b"/", method: bytes = b"GET") -> UpstreamRequest:
    return UpstreamRequest(method, target, [])


async def body_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def fetch(
    client: UpstreamClient, upstream: Upstream, request: UpstreamRequest | None = None
) -> tuple[int, bytes]:
    async with client.send(request or get(), upstream) as response:
        return response.status, b"".join([piece async for piece in response.chunks()])


# What goes up


@pytest.mark.parametrize(
    "target",
    [
        b"/cheap/../costly",
        b"/%2e%2e/a",
        b"//evil/x",
        b"/a?b=c&b=c%20+d",
        b"/\\x",
        b"/a;b//",
        b"/%zz",
    ],
)
async def test_the_target_goes_up_byte_for_byte(client: UpstreamClient, target: bytes) -> None:
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        await fetch(client, upstream, get(target))

    assert upstream.heads[0].startswith(b"GET " + target + b" HTTP/1.1\r\n")


async def test_headers_go_up_in_order_with_duplicates(client: UpstreamClient) -> None:
    headers = [(b"host", b"api.example"), (b"x-b", b"2"), (b"x-a", b"1"), (b"x-b", b"\xff 3")]
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        await fetch(client, upstream, UpstreamRequest(b"GET", b"/", headers))

    lines = upstream.heads[0].split(b"\r\n")[1:-2]
    assert lines == [b"host: api.example", b"x-b: 2", b"x-a: 1", b"x-b: \xff 3"]


async def test_a_host_is_added_where_there_is_none(client: UpstreamClient) -> None:
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        await fetch(client, upstream)

    assert b"\r\nhost: " + upstream.authority + b"\r\n" in upstream.heads[0].lower()


async def test_the_callers_framing_headers_have_no_effect(client: UpstreamClient) -> None:
    headers = [
        (b"Content-Length", b"99"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Expect", b"100-continue"),
        (b"Connection", b"close"),
    ]
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        await fetch(client, upstream, UpstreamRequest(b"POST", b"/", headers, b"abcd"))

    head = upstream.heads[0].lower()
    assert head.count(b"content-length: 4") == head.count(b"content-length") == 1
    assert not any(name in head for name in (b"transfer-encoding", b"expect", b"connection"))


@pytest.mark.parametrize(
    "header",
    [(b"x", b"a\r\nhost: b"), (b"x", b"a\nb"), (b"x", b"a\rb"), (b"x\r\ny", b"a"), (b"x", b"\0")],
)
async def test_a_header_cannot_bring_a_line_of_its_own(
    client: UpstreamClient, header: tuple[bytes, bytes]
) -> None:
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        with pytest.raises(ValueError, match="line end or NUL"):
            await fetch(client, upstream, UpstreamRequest(b"GET", b"/", [header]))

    assert upstream.heads == []


@pytest.mark.parametrize("target", [b"/a b", b"", b"/ HTTP/1.1\r\nx: y"])
async def test_a_target_cannot_break_the_request_line(
    client: UpstreamClient, target: bytes
) -> None:
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        with pytest.raises(ValueError, match="upstream request"):
            await fetch(client, upstream, get(target))

    assert upstream.heads == []


async def test_a_body_of_bytes_goes_up_with_its_length(client: UpstreamClient) -> None:
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        await fetch(client, upstream, UpstreamRequest(b"POST", b"/", [], b"a" * 200_000))

    assert upstream.bodies == [b"a" * 200_000]
    assert b"\r\ncontent-length: 200000\r\n" in upstream.heads[0].lower()


async def test_a_streamed_body_of_known_length_is_not_chunked(client: UpstreamClient) -> None:
    request = UpstreamRequest(b"PUT", b"/", [], body_of(b"ab", b"", b"cd"), 4)
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        await fetch(client, upstream, request)

    assert upstream.bodies == [b"abcd"]
    assert b"\r\ncontent-length: 4\r\n" in upstream.heads[0].lower()


async def test_a_streamed_body_of_unknown_length_is_chunked(client: UpstreamClient) -> None:
    request = UpstreamRequest(b"POST", b"/", [], body_of(b"ab", b"", b"cd"))
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        await fetch(client, upstream, request)

    assert upstream.bodies == [b"abcd"]


@pytest.mark.parametrize("method", [b"POST", b"GET", b"DELETE"])
@pytest.mark.parametrize("body", [None, b""], ids=["none", "empty"])
async def test_no_body_and_an_empty_one_stay_what_they_are(
    client: UpstreamClient, method: bytes, body: bytes | None
) -> None:
    request = UpstreamRequest(method, b"/", [], body)
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        await fetch(client, upstream, request)

    says_length = b"\r\ncontent-length: 0\r\n" in upstream.heads[0].lower()
    assert says_length is (body is not None)


async def test_what_the_body_raises_comes_out_and_the_upstream_sees_no_end(
    client: UpstreamClient,
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"a"
        raise LookupError("the client has gone")

    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        with pytest.raises(LookupError, match="the client has gone"):
            await fetch(client, upstream, UpstreamRequest(b"POST", b"/", [], body()))
        await upstream.ended.wait()

    assert upstream.bodies == []


# What comes down


async def test_the_response_comes_down_as_it_is(client: UpstreamClient) -> None:
    step = answer(404, b"none", b"X-B: 2", b"x-a:  1 ", b"X-B: 3", b"X-Empty:", b"X-High: \xe4")
    async with (
        misbehaving_upstream([read_request(), step]) as upstream,
        client.send(get(), upstream) as response,
    ):
        assert response.status == 404
        assert response.headers == [
            (b"content-length", b"4"),
            (b"x-b", b"2"),
            (b"x-a", b"1"),
            (b"x-b", b"3"),
            (b"x-empty", b""),
            (b"x-high", b"\xe4"),
        ]
        assert [piece async for piece in response.chunks()] == [b"none"]


async def test_a_redirect_is_not_followed(client: UpstreamClient) -> None:
    step = answer(302, b"", b"location: http://169.254.169.254/")
    async with misbehaving_upstream([read_request(), step]) as upstream:
        status, _ = await fetch(client, upstream)

    assert (status, len(upstream.heads)) == (302, 1)


async def test_a_compressed_body_stays_compressed(client: UpstreamClient) -> None:
    step = answer(200, b"\x1f\x8bnot even gzip", b"content-encoding: gzip")
    async with misbehaving_upstream([read_request(), step]) as upstream:
        assert await fetch(client, upstream) == (200, b"\x1f\x8bnot even gzip")


async def test_a_set_cookie_does_not_come_back_up(client: UpstreamClient) -> None:
    step = answer(200, b"", b"set-cookie: a=b; path=/")
    async with misbehaving_upstream([forever(read_request(), step)]) as upstream:
        await fetch(client, upstream)
        await fetch(client, upstream)

    assert b"cookie" not in upstream.heads[1].lower()


WHOLE: dict[str, tuple[list[Step], bytes, bytes]] = {
    "chunks": ([CHUNKED + b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"], b"GET", b"abcd"),
    "chunks with trailers": ([CHUNKED + b"1\r\na\r\n0\r\nx: y\r\n\r\n"], b"GET", b"a"),
    "chunks, byte by byte": ([trickle(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n")], b"GET", b"abc"),
    "a length, byte by byte": ([trickle(answer(200, b"abc"))], b"GET", b"abc"),
    "until the end of the connection": ([OK + b"\r\nabc", cut()], b"GET", b"abc"),
    "HTTP/1.0 until the end": ([b"HTTP/1.0 200 OK\r\n\r\nabc", cut()], b"GET", b"abc"),
    "an interim response first": (
        [b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + answer(200, b"abc")],
        b"GET",
        b"abc",
    ),
    "a 100 nobody asked for": ([b"HTTP/1.1 100 Continue\r\n\r\n", answer()], b"POST", b""),
    "no body for HEAD": ([OK + b"content-length: 9\r\n\r\n"], b"HEAD", b""),
    "no body for HEAD, chunked": ([CHUNKED], b"HEAD", b""),
    "no reason": ([b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n"], b"GET", b""),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_a_whole_response_is_taken_to_its_end(client: UpstreamClient, name: str) -> None:
    steps, method, expected = WHOLE[name]
    async with misbehaving_upstream([read_request(), *steps]) as upstream:
        assert await fetch(client, upstream, get(method=method)) == (200, expected)


@pytest.mark.parametrize("status", [204, 304])
async def test_some_statuses_have_no_body(client: UpstreamClient, status: int) -> None:
    head = b"HTTP/1.1 %d X\r\ncontent-length: 5\r\n\r\n" % status
    if status == 204:
        head = b"HTTP/1.1 204 X\r\n\r\n"
    async with misbehaving_upstream([read_request(), head]) as upstream:
        assert await fetch(client, upstream) == (status, b"")


async def test_pieces_come_down_as_they_come(client: UpstreamClient) -> None:
    go_on = asyncio.Event()

    async def play(connection: Connection) -> None:
        await connection.read_head()
        await connection.send(CHUNKED + b"1\r\na\r\n")
        await go_on.wait()
        await connection.send(b"1\r\nb\r\n0\r\n\r\n")

    async with (
        misbehaving_upstream(play) as upstream,
        client.send(get(), upstream) as response,
    ):
        pieces = response.chunks()
        assert await anext(pieces) == b"a"
        go_on.set()
        assert [piece async for piece in pieces] == [b"b"]


CUT: dict[str, list[Step]] = {
    "short of the length": [OK + b"content-length: 9\r\n\r\nabc", cut()],
    "after the head": [OK + b"content-length: 9\r\n\r\n", cut()],
    "amid a chunk": [CHUNKED + b"9\r\nabc", cut()],
    "between chunks": [CHUNKED + b"3\r\nabc\r\n", cut()],
    "before the last line": [CHUNKED + b"0\r\n", cut()],
    "by a reset": [OK + b"content-length: 9\r\n\r\nabc", pause(0.05), reset()],
}


@pytest.mark.parametrize("name", CUT)
async def test_a_cut_body_is_told_from_a_whole_one(client: UpstreamClient, name: str) -> None:
    async with (
        misbehaving_upstream([read_request(), *CUT[name]]) as upstream,
        client.send(get(), upstream) as response,
    ):
        with pytest.raises(UpstreamCut):
            [piece async for piece in response.chunks()]


INVALID: dict[str, bytes] = {
    "two lengths": OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\na",
    "a list of lengths, different": OK + b"content-length: 1, 2\r\n\r\na",
    "a length beside chunks": OK
    + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is no number": OK + b"content-length: a\r\n\r\na",
    "a negative length": OK + b"content-length: -1\r\n\r\n",
    "a coding other than chunked": OK + b"transfer-encoding: gzip\r\n\r\na",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a NUL in a header": OK + b"x: a\0b\r\ncontent-length: 0\r\n\r\n",
    "a space before a colon": OK + b"content-length : 0\r\n\r\n",
    "a 101 nobody asked for": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "a bare 101": b"HTTP/1.1 101 Switching\r\n\r\n",
    "a huge head": OK + b"x: " + b"a" * 400_000 + b"\r\n\r\n",
    "an endless head": OK + b"x: y\r\n" * 60_000,
}


@pytest.mark.parametrize("name", INVALID)
async def test_an_invalid_head_is_told(client: UpstreamClient, name: str) -> None:
    async with misbehaving_upstream([read_request(), INVALID[name]]) as upstream:
        with pytest.raises(UpstreamInvalid):
            await fetch(client, upstream)


@pytest.mark.parametrize("chunks", [b"x\r\na\r\n", b"-1\r\n", b"1\r\nab\r\n", b"F" * 400_000])
async def test_an_invalid_chunk_is_told(client: UpstreamClient, chunks: bytes) -> None:
    async with misbehaving_upstream([read_request(), CHUNKED + chunks]) as upstream:
        with pytest.raises(UpstreamInvalid):
            await fetch(client, upstream)


# Time and connections


async def test_a_connection_is_used_again(client: UpstreamClient) -> None:
    async with misbehaving_upstream([forever(read_request(), answer(200, b"a"))]) as upstream:
        for _ in range(3):
            assert await fetch(client, upstream) == (200, b"a")

        assert (upstream.connections, len(upstream.heads)) == (1, 3)


async def test_a_connection_is_used_again_after_head(client: UpstreamClient) -> None:
    step = OK + b"content-length: 9\r\n\r\n"
    async with misbehaving_upstream([read_request(), step, read_request(), answer()]) as upstream:
        await fetch(client, upstream, get(method=b"HEAD"))

        assert await fetch(client, upstream) == (200, b"")
        assert upstream.connections == 1


@pytest.mark.parametrize("header", [b"connection: close", b"connection: Close, x"])
async def test_a_connection_that_is_to_close_is_not_used_again(
    client: UpstreamClient, header: bytes
) -> None:
    script = [forever(read_request(), answer(200, b"a", header))]
    async with misbehaving_upstream(script) as upstream:
        await fetch(client, upstream)
        await fetch(client, upstream)

        assert upstream.connections == 2


async def test_a_block_left_early_closes_the_connection(client: UpstreamClient) -> None:
    step = OK + b"content-length: 9\r\n\r\nabc"
    async with misbehaving_upstream([read_request(), step, swallow()]) as upstream:
        async with client.send(get(), upstream):
            pass

        await upstream.ended.wait()


async def test_a_cancelled_block_closes_the_connection(client: UpstreamClient) -> None:
    async with misbehaving_upstream([read_head(), swallow()]) as upstream:
        task = asyncio.create_task(fetch(client, upstream))
        await upstream.saw()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await upstream.ended.wait()


async def test_no_one_listening_is_told_and_nothing_was_sent(client: UpstreamClient) -> None:
    async with misbehaving_upstream() as upstream:
        pass

    request = get()
    with pytest.raises(UpstreamRefused):
        await fetch(client, upstream, request)

    assert not request.head_sent


@pytest.mark.parametrize("step", [cut(), reset()])
async def test_a_connection_closed_without_an_answer_is_told(
    client: UpstreamClient, step: Step
) -> None:
    request = UpstreamRequest(b"POST", b"/", [], b"abc")
    async with misbehaving_upstream([read_request(), step]) as upstream:
        with pytest.raises(UpstreamReset) as told:
            await fetch(client, upstream, request)

    assert (told.value.sent, told.value.head_sent, request.head_sent) == (True, True, True)
    assert len(upstream.heads) == 1


async def test_no_answer_in_time_is_told(client: UpstreamClient) -> None:
    async with misbehaving_upstream([read_request(), silence()], timeout_ms=60) as upstream:
        with pytest.raises(UpstreamTimeout) as told:
            await fetch(client, upstream)

    assert told.value.phase == "first_byte"


async def test_a_body_that_stops_is_told(client: UpstreamClient) -> None:
    step = OK + b"content-length: 9\r\n\r\nabc"
    async with (
        misbehaving_upstream([read_request(), step, silence()], timeout_ms=400) as upstream,
        client.send(get(), upstream) as response,
    ):
        pieces = response.chunks()
        assert await anext(pieces) == b"abc"
        with pytest.raises(UpstreamTimeout) as told:
            await anext(pieces)

    assert told.value.phase == "idle"


async def test_an_upstream_that_takes_no_body_is_told(client: UpstreamClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65_536)

    request = UpstreamRequest(b"POST", b"/", [], endless())
    async with misbehaving_upstream([read_head(), silence()], timeout_ms=300) as upstream:
        with pytest.raises(UpstreamTimeout) as told:
            await fetch(client, upstream, request)

    assert told.value.phase == "idle"


async def test_a_connection_is_waited_for(client: UpstreamClient) -> None:
    script = [forever(read_request(), pause(0.01), answer(200, b"a"))]
    async with misbehaving_upstream(script) as upstream:
        upstream.max_connections = 2
        answers = await asyncio.gather(*(fetch(client, upstream) for _ in range(8)))

        assert answers == [(200, b"a")] * 8
        assert upstream.connections <= 2


@pytest.mark.parametrize("limits", [UpstreamLimits(wait_ms=50, sweep_ms=20)])
async def test_a_wait_for_a_connection_ends(client: UpstreamClient) -> None:
    async with misbehaving_upstream(
        [read_request(), OK + b"content-length: 1\r\n\r\n"]
    ) as upstream:
        upstream.max_connections = 1
        async with client.send(get(), upstream):
            with pytest.raises(UpstreamRefused):
                await fetch(client, upstream)


async def test_a_closed_client_takes_no_request(client: UpstreamClient) -> None:
    async with misbehaving_upstream([read_request(), answer()]) as upstream:
        await client.aclose()
        await client.aclose()

        with pytest.raises(UpstreamRefused):
            await fetch(client, upstream)
