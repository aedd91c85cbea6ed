"""Where a request ends must be certain: all else is refused, closed, and free."""

import pytest

from ledger.books import ChargeState
from tests.attacks.rig import Target, read_reply
from tests.gateway.serving import until

pytestmark = pytest.mark.anyio

CHUNKED = b"transfer-encoding: chunked"

LENGTHS = {
    "a length and chunks": ([b"content-length: 4", CHUNKED], "bad-length"),
    "chunks and a length": ([CHUNKED, b"content-length: 4"], "bad-length"),
    "two lengths, different": ([b"content-length: 4", b"content-length: 5"], "bad-length"),
    "two lengths, the same": ([b"content-length: 4", b"content-length: 4"], "bad-length"),
    "a list of lengths": ([b"content-length: 4, 4"], "bad-length"),
    "a length with a plus": ([b"content-length: +4"], "bad-length"),
    "a length in hexadecimal": ([b"content-length: 0x4"], "bad-length"),
    "a negative length": ([b"content-length: -1"], "bad-length"),
    "a length of 20 digits": ([b"content-length: 10000000000000000004"], "bad-length"),
    "xchunked": ([b"transfer-encoding: xchunked"], "bad-length"),
    "chunked, identity": ([b"transfer-encoding: chunked, identity"], "bad-length"),
    "chunked twice": ([CHUNKED, CHUNKED], "bad-length"),
    "a tab before chunked": ([b"transfer-encoding:\tchunked"], "bad-length"),
    "a space before the colon": ([b"transfer-encoding : chunked"], "bad-request"),
    "a tab before the colon": ([b"transfer-encoding\t: chunked"], "bad-request"),
}


@pytest.mark.parametrize("name", LENGTHS)
async def test_a_body_whose_end_is_ambiguous_is_refused_and_closed(
    target: Target, name: str
) -> None:
    lines, problem = LENGTHS[name]
    hidden = b"0\r\n\r\n" + target.request(b"/cheap")
    async with target.unharmed():
        reply = await target.say(target.request(b"/costly", *lines, method=b"POST", body=hidden))
        await target.refused(reply, 400, problem, closed=True)


LINES = {
    "bare line feeds": lambda good: good.replace(b"\r\n", b"\n"),
    "one bare line feed": lambda good: good.replace(b"api.example\r\n", b"api.example\n"),
    "a bare carriage return in a value": lambda good: good.replace(b"api.", b"api\r."),
    "a continued line": lambda good: good.replace(b"\r\n\r\n", b"\r\n folded\r\n\r\n"),
    "a NUL": lambda good: good.replace(b"\r\n\r\n", b"\r\nx: a\0b\r\n\r\n"),
    "a NUL in the path": lambda good: good.replace(b"/costly", b"/cos\0tly"),
}


@pytest.mark.parametrize("name", LINES)
async def test_lines_that_parsers_disagree_on_are_refused(target: Target, name: str) -> None:
    async with target.unharmed():
        reply = await target.say(LINES[name](target.request()))
        await target.refused(reply, 400, "bad-request", closed=True)


CHUNKS = {
    "0x before the size": b"0x1\r\na\r\n0\r\n\r\n",
    "17 digits": b"F" * 17 + b"\r\n",
    "a negative size": b"-1\r\n",
    "a line feed in an extension": b"1;a=\n\r\na\r\n0\r\n\r\n",
    "no line end after the data": b"1\r\naX\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
@pytest.mark.parametrize("path", [b"/costly", b"/search"])
async def test_a_malformed_chunk_is_refused_closed_and_free(
    target: Target, name: str, path: bytes
) -> None:
    lines = [CHUNKED, b"content-type: application/json"]
    async with target.unharmed():
        reply = await target.say(
            target.request(path, *lines, method=b"POST", body=b"1\r\n{\r\n" + CHUNKS[name])
        )
        await target.refused(reply, 400, "bad-chunk", closed=True)


async def test_a_body_that_is_malformed_later_is_void_and_broken_off_for_the_backend(
    target: Target,
) -> None:
    async with target.charged(0) as seen:
        reader, writer = await target.connect()
        writer.write(target.request(b"/costly", CHUNKED, method=b"POST", body=b"1\r\na\r\n"))
        await until(lambda: target.echo.seen)
        writer.write(b"0x1\r\nb\r\n0\r\n\r\n")
        reply = await read_reply(reader)
        await target.refused(reply, 400, "bad-chunk")
        assert await reader.read() == b""
        writer.transport.abort()
    assert (seen[0].body, reply.value("farebox-request-id")) == (b"a", seen[0].request_id)
    charge = await target.gateway.charge(seen[0].request_id)
    assert (charge.state, charge.reason) == (ChargeState.VOID, "body-rejected")


@pytest.mark.parametrize(
    "trailer", [b"authorization: Bearer theirs", b"content-length: 9", b"farebox-account: acc_1"]
)
async def test_a_trailer_is_dropped_and_not_merged(target: Target, trailer: bytes) -> None:
    body = b"3\r\nabc\r\n0\r\n" + trailer + b"\r\n\r\n"
    async with target.charged(50) as seen:
        reply = await target.say(target.request(b"/costly", CHUNKED, method=b"POST", body=body))
        assert (reply.status, reply.kept) == (200, True)
    assert seen[0].body == b"abc"
    assert "theirs" not in str(seen[0].headers)
    assert seen[0].values("content-length") == []
    assert seen[0].values("farebox-account") == [f"acc_{target.customer.account}"]


HOSTS = {
    "two hosts": b"host: a\r\nhost: b\r\n",
    "no host": b"",
    "a host with a user": b"host: a@b\r\n",
    "a host with a path": b"host: a/b\r\n",
    "a host with port 0": b"host: a:0\r\n",
}


@pytest.mark.parametrize("name", HOSTS)
async def test_a_host_that_is_none_or_two_is_refused(target: Target, name: str) -> None:
    async with target.unharmed():
        reply = await target.say(target.request().replace(b"host: api.example\r\n", HOSTS[name]))
        await target.refused(reply, 400, "bad-host", closed=True)


@pytest.mark.parametrize(
    "form", [b"http://169.254.169.254/", b"https://api.example/costly", b"*", b"api.example:443"]
)
async def test_a_target_in_absolute_form_is_refused(target: Target, form: bytes) -> None:
    async with target.unharmed():
        await target.refused(await target.say(target.request(form)), 400, "bad-path", closed=True)


@pytest.mark.parametrize(
    ("method", "status"), [(b"CONNECT", 405), (b"TRACE", 405), (b"BREW", 501), (b"get", 501)]
)
async def test_a_method_that_is_never_passed_on(target: Target, method: bytes, status: int) -> None:
    async with target.unharmed():
        reply = await target.say(target.request(method=method))
        await target.refused(reply, status, closed=True)


async def test_a_request_hidden_in_a_body_stays_a_body(target: Target) -> None:
    """What looks like a second request is data, and what follows it is charged by itself."""
    hidden = target.request(b"/costly")
    first = target.request(
        b"/upload", b"content-length: %d" % len(hidden), method=b"POST", body=hidden
    )
    async with target.charged(len(hidden) + 1, forwarded=2) as seen:
        reader, writer = await target.connect()
        writer.write(first + target.request(b"/cheap", b"connection: close"))
        said = await reader.read()
        writer.transport.abort()
    assert said.count(b"HTTP/1.1 200") == 2
    assert [(one.method, one.target, len(one.body)) for one in seen] == [
        ("POST", "/upload", len(hidden)),
        ("GET", "/cheap", 0),
    ]


async def test_a_refusal_sent_ahead_leaves_the_answer_before_it(target: Target) -> None:
    async with target.charged(1) as seen:
        reader, writer = await target.connect()
        writer.write(target.request(b"/cheap") + target.request(b"/costly", CHUNKED, CHUNKED))
        said = await reader.read()
        writer.transport.abort()
    assert said.count(b"HTTP/1.1 ") == 2
    assert said.index(b"HTTP/1.1 200") < said.index(b"HTTP/1.1 400")
    assert [one.target for one in seen] == ["/cheap"]
