"""What a price depends on has one reading, and that is what the backend gets, byte for byte."""

import pytest

from tests.attacks.rig import Target

pytestmark = pytest.mark.anyio

QUERIES = {
    "twice": b"n=1&n=50",
    "as a list": b"n=1&n[]=50",
    "only as a list": b"n[]=1",
    "in another case": b"N=50&n=1",
    "with a NUL behind": b"n=1&n%00=50",
    "escaped": b"n=1&%6e=50",
    "behind a semicolon": b"n=1;n=50",
    "with a space before": b"n=1&+n=50",
    "with a value behind a semicolon": b"n;x=1",
}


@pytest.mark.parametrize("name", QUERIES)
async def test_a_priced_query_with_two_readings_is_refused(target: Target, name: str) -> None:
    async with target.unharmed():
        reply = await target.say(target.request(b"/models?" + QUERIES[name]))
        await target.refused(reply, 400, "ambiguous-query", closed=False)


@pytest.mark.parametrize(
    "lines",
    [
        [b"x-pages: 1", b"x-pages: 50"],
        [b"x-pages: 1", b"X-Pages: 50"],
        [b"x-pages: 1", b"x_pages: 50"],
        [b"x_pages: 1"],
        # Connection would take it away on its way to the backend.
        [b"x-pages: 1", b"connection: x-pages"],
        [b"connection: keep-alive, X_Pages", b"x-pages: 1"],
    ],
)
async def test_a_priced_header_with_two_readings_is_refused(
    target: Target, lines: list[bytes]
) -> None:
    async with target.unharmed():
        reply = await target.say(target.request(b"/pages", *lines))
        await target.refused(reply, 400, "ambiguous-header", closed=False)


@pytest.mark.parametrize(
    "value", [b"-1", b"1.5", b"1e1", b"", b"0x10", b"1, 2", b"\xb2", b"9" * 20]
)
async def test_a_priced_header_that_is_no_count_is_refused(target: Target, value: bytes) -> None:
    async with target.unharmed():
        reply = await target.say(target.request(b"/pages", b"x-pages: " + value))
        await target.refused(reply, 422, "price-value-invalid", closed=False)


JSON = b"content-type: application/json"
LIES = {
    "a form": (b"content-type: application/x-www-form-urlencoded", b"limit=1"),
    "a form that looks like JSON": (b"content-type: text/plain", b'{"limit": 1}'),
    "no type": (b"x: y", b'{"limit": 1}'),
    "two types": (b"content-type: application/json\r\ncontent-type: text/x", b'{"limit": 1}'),
    "another charset": (b"content-type: application/json; charset=utf-16", b'{"limit": 1}'),
    "compressed": (b"content-type: application/json\r\ncontent-encoding: gzip", b"\x1f\x8b\x08"),
}


@pytest.mark.parametrize("name", LIES)
async def test_a_priced_body_of_another_type_is_415(target: Target, name: str) -> None:
    line, body = LIES[name]
    length = b"content-length: %d" % len(body)
    async with target.unharmed():
        reply = await target.say(
            target.request(b"/search", line, length, method=b"POST", body=body)
        )
        await target.refused(reply, 415, closed=False)


BODIES = {
    "a key twice": b'{"limit": 1, "limit": 50}',
    "a key twice, once escaped": b'{"limit": 1, "lim\\u0069t": 50}',
    "a string": b'{"limit": "1"}',
    "a fraction": b'{"limit": 1.0}',
    "an exponent": b'{"limit": 1e0}',
    "true": b'{"limit": true}',
    "null": b'{"limit": null}',
    "negative": b'{"limit": -1}',
    "beyond 2^53": b'{"limit": 9007199254740993}',
    "5,000 digits": b'{"limit": ' + b"9" * 900 + b"}",
    "no value": b"{}",
    "NaN": b'{"limit": NaN}',
    "not UTF-8": b'{"limit": 1, "x": "\xff"}',
    "UTF-16": '{"limit": 1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"limit": 1}',
    "two documents": b'{"limit": 1}{"limit": 50}',
    "a comment": b'{"limit": 1 /* 50 */}',
    "a comma behind": b'{"limit": 1,}',
    "very deep": b'{"limit": 1, "x": ' + b"[" * 9_000 + b"]" * 9_000 + b"}",
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_priced_body_with_two_readings_is_422(target: Target, name: str) -> None:
    body = BODIES[name]
    length = b"content-length: %d" % len(body)
    async with target.unharmed():
        reply = await target.say(
            target.request(b"/search", JSON, length, method=b"POST", body=body)
        )
        await target.refused(reply, 422, closed=False)


async def test_a_priced_body_is_forwarded_byte_for_byte(target: Target) -> None:
    body = b'{ "limit" :7,\t"other": ["\\u00e9", 1e400, "limit"] }\r\n'
    chunks = b"".join(b"1\r\n%b\r\n" % bytes((byte,)) for byte in body) + b"0\r\n\r\n"
    async with target.charged(8) as seen:
        reply = await target.say(
            target.request(
                b"/search", JSON, b"transfer-encoding: chunked", method=b"POST", body=chunks
            )
        )
        assert (reply.status, reply.value("farebox-cost")) == (200, "8")
    assert seen[0].body == body


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_price_by_size_is_the_size_the_backend_saw(target: Target, chunked: bool) -> None:
    body = b"x" * 123
    framed = b"7b\r\n%b\r\n0\r\n\r\n" % body if chunked else body
    line = b"transfer-encoding: chunked" if chunked else b"content-length: 123"
    async with target.charged(123) as seen:
        reply = await target.say(target.request(b"/upload", line, method=b"POST", body=framed))
        assert reply.status == 200
    assert len(seen[0].body) == 123
