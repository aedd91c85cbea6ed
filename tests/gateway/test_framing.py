"""What the framing lets in, and what each malformed request is told."""

import json

import pytest

from gateway.framing import Framing, FramingLimits
from gateway.framing.framing import Phase
from tests.gateway.framed import Reader, plain

LIMITS = FramingLimits()
HOST = b"Host: api.example\r\n"


def framing_after(data: bytes, limits: FramingLimits = LIMITS) -> tuple[Framing, bytes]:
    reader = Reader(Framing(limits))
    reader.feed(data)
    return reader.framing, reader.written()


def request(*lines: bytes, first: bytes = b"POST /a HTTP/1.1", host: bytes = HOST) -> bytes:
    return first + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


REFUSED = {
    "length and chunked": (request(b"Content-Length: 4", b"Transfer-Encoding: chunked"), 400),
    "chunked and length": (request(b"Transfer-Encoding: chunked", b"Content-Length: 4"), 400),
    "two lengths, different": (request(b"Content-Length: 4", b"Content-Length: 5"), 400),
    "two lengths, equal": (request(b"Content-Length: 4", b"content-length: 4"), 400),
    "a list of lengths": (request(b"Content-Length: 4, 4"), 400),
    "a signed length": (request(b"Content-Length: +4"), 400),
    "a hexadecimal length": (request(b"Content-Length: 0x4"), 400),
    "a negative length": (request(b"Content-Length: -1"), 400),
    "a length of 20 digits": (request(b"Content-Length: 10000000000000000000"), 400),
    "a length with a leading zero": (request(b"Content-Length: 04"), 400),
    "an empty length": (request(b"Content-Length:"), 400),
    "a length with a space in it": (request(b"Content-Length: 4 4"), 400),
    "xchunked": (request(b"Transfer-Encoding: xchunked"), 400),
    "chunked, identity": (request(b"Transfer-Encoding: chunked, identity"), 400),
    "gzip, chunked": (request(b"Transfer-Encoding: gzip, chunked"), 400),
    "identity": (request(b"Transfer-Encoding: identity"), 400),
    "chunked twice": (request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "chunked twice in one": (request(b"Transfer-Encoding: chunked, chunked"), 400),
    "a tab before chunked": (request(b"Transfer-Encoding:\tchunked"), 400),
    "a vertical tab before chunked": (request(b"Transfer-Encoding: \x0bchunked"), 400),
    "a space before the colon": (request(b"Transfer-Encoding : chunked"), 400),
    "a tab before the colon": (request(b"Content-Length\t: 4"), 400),
    "HTTP/1.0 and chunked": (
        request(b"Transfer-Encoding: chunked", first=b"POST /a HTTP/1.0"),
        400,
    ),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "one bare line feed": (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    "a bare carriage return": (request(b"X: a\rb"), 400),
    "a continued header": (request(b"X: a", b" b"), 400),
    "a header continued with a tab": (request(b"X: a", b"\tb"), 400),
    "a continued first header": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "a NUL in a value": (request(b"X: a\0b"), 400),
    "a NUL in a name": (request(b"X\0: a"), 400),
    "a control character in a value": (request(b"X: a\x01"), 400),
    "a DEL in a value": (request(b"X: a\x7f"), 400),
    "a header without a colon": (request(b"X"), 400),
    "a header without a name": (request(b": a"), 400),
    "a name with a space": (request(b"X Y: a"), 400),
    "a name beyond ASCII": (request("Ä: a".encode()), 400),
    "two hosts": (request(b"Host: b.example"), 400),
    "two equal hosts": (request(HOST.strip()), 400),
    "no host": (request(host=b""), 400),
    "a host with a user": (request(host=b"Host: a@b\r\n"), 400),
    "a host with a path": (request(host=b"Host: a/b\r\n"), 400),
    "a host with port 0": (request(host=b"Host: a:0\r\n"), 400),
    "a host with port 65536": (request(host=b"Host: a:65536\r\n"), 400),
    "a host with an empty port": (request(host=b"Host: a:\r\n"), 400),
    "an empty host": (request(host=b"Host:\r\n"), 400),
    "a list of hosts": (request(host=b"Host: a, b\r\n"), 400),
    "a host with a space": (request(host=b"Host: a b\r\n"), 400),
    "absolute form": (request(first=b"GET http://169.254.169.254/ HTTP/1.1"), 400),
    "absolute form without a scheme we know": (request(first=b"GET a:b HTTP/1.1"), 400),
    "asterisk form": (request(first=b"OPTIONS * HTTP/1.1"), 400),
    "a path without its slash": (request(first=b"GET a HTTP/1.1"), 400),
    "a fragment": (request(first=b"GET /a#b HTTP/1.1"), 400),
    "a raw byte beyond ASCII in the path": (request(first=b"GET /\xc3\xa4 HTTP/1.1"), 400),
    "a NUL in the path": (request(first=b"GET /\0 HTTP/1.1"), 400),
    "two spaces": (request(first=b"GET  /a HTTP/1.1"), 400),
    "a space at the end of the line": (request(first=b"GET /a HTTP/1.1 "), 400),
    "a tab for a space": (request(first=b"GET\t/a HTTP/1.1"), 400),
    "a space in the path": (request(first=b"GET /a b HTTP/1.1"), 400),
    "no version": (request(first=b"GET /a"), 400),
    "a space before the method": (request(first=b" GET /a HTTP/1.1"), 400),
    "a version in lower case": (request(first=b"GET /a http/1.1"), 400),
    "TLS on the plain port": (b"\x16\x03\x01\x02\x00\x01", 400),
    "many empty lines": (b"\r\n" * 3 + request(), 400),
    "an empty line of a line feed": (b"\n" + request(), 400),
    "CONNECT": (request(first=b"CONNECT a:443 HTTP/1.1"), 405),
    "TRACE": (request(first=b"TRACE /a HTTP/1.1"), 405),
    "an unknown method": (request(first=b"BREW /a HTTP/1.1"), 501),
    "a method in lower case": (request(first=b"get /a HTTP/1.1"), 501),
    "HTTP/2 spoken outright": (b"GET / HTTP/2.0\r\n\r\n", 505),
    "HTTP/1.2": (request(first=b"GET /a HTTP/1.2"), 505),
    "HTTP/0.9": (request(first=b"GET /a HTTP/0.9"), 505),
    "an unknown expectation": (request(b"Expect: 200-ok"), 417),
    "two expectations": (request(b"Expect: 100-continue", b"Expect: 100-continue"), 417),
    "a path of 16 KiB": (request(first=b"GET /" + b"a" * 16_384 + b" HTTP/1.1"), 414),
    "an endless request line": (b"GET /" + b"a" * 8_187, 414),
    "a header of 64 KiB": (request(b"X: " + b"a" * 65_536), 431),
    "an endless head": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 6_000, 431),
    "200 headers": (request(*[b"X: y"] * 200), 431),
    "a WebSocket handshake with a body": (
        request(b"Upgrade: websocket", b"Connection: upgrade", b"Content-Length: 1"),
        400,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_nothing_is_passed_on(name: str) -> None:
    data, status = REFUSED[name]

    framing, passed = framing_after(data)

    assert framing.refusal is not None
    assert (framing.refusal.status, passed) == (status, b"")


CHUNKED = request(b"Transfer-Encoding: chunked")
BAD_CHUNKS = {
    "0x": b"0x1\r\na\r\n0\r\n\r\n",
    "17 digits": b"F" * 17 + b"\r\n",
    "16 digits, beyond 2^53": b"F" * 16 + b"\r\n",
    "negative": b"-1\r\n",
    "signed": b"+1\r\na\r\n",
    "empty size": b"\r\na\r\n",
    "a space before the size": b" 1\r\na\r\n",
    "a space after the size": b"1 \r\na\r\n",
    "not a number": b"g\r\n",
    "a line feed in an extension": b"1;a=\nb\r\na\r\n",
    "a carriage return in an extension": b"1;a=\rb\r\na\r\n",
    "a NUL in an extension": b"1;a=\0\r\na\r\n",
    "an endless extension": b"1;" + b"a" * 300,
    "a bare line feed after the size": b"1\na\r\n",
    "a bare line feed after the data": b"1\r\na\n",
    "data beyond the size": b"1\r\nab\r\n",
    "a bare line feed at the end": b"0\r\n\n",
    "a trailer without a colon": b"0\r\nX\r\n\r\n",
    "a continued trailer": b"0\r\nX: a\r\n b\r\n\r\n",
    "endless trailers": b"0\r\n" + b"X: y\r\n" * 2_000,
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_malformed_chunk_ends_the_body_before_its_end(name: str) -> None:
    framing, passed = framing_after(CHUNKED + BAD_CHUNKS[name])

    assert framing.refusal is not None
    assert framing.refusal.status == 400
    assert not passed.endswith(b"0\r\n\r\n")


ACCEPTED = {
    "a plain request": request(first=b"GET /a?b=c HTTP/1.1"),
    "any printable byte in the path": request(first=b'GET /\\"<>^`{|}%zz//../. HTTP/1.1'),
    "an address and port as host": request(host=b"Host: 127.0.0.1:8000\r\n"),
    "an IPv6 address as host": request(host=b"HOST:\t[::1]:80 \r\n"),
    "HTTP/1.0 without a host": request(host=b"", first=b"GET / HTTP/1.0"),
    "a length of zero": request(b"Content-Length: 0"),
    "a body by length": request(b"Content-Length: 4") + b"abcd",
    "a body by chunks": CHUNKED + b"4\r\nabcd\r\n0\r\n\r\n",
    "an empty value": request(b"X:"),
    "bytes beyond ASCII in a value": request("X: Ä".encode()),
    "a handshake": request(b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket"),
    "a 100 first": request(b"Expect: 100-Continue", b"Content-Length: 1") + b"a",
    "100 headers": request(*[b"X: y"] * 99),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_it_is_read_as_it_was_written(name: str) -> None:
    framing, passed = framing_after(ACCEPTED[name])

    assert (framing.refusal, framing.phase, passed) == (
        None,
        Phase.COMPLETE,
        plain(ACCEPTED[name]),
    )


def test_http_1_0_knows_no_upgrade() -> None:
    head = request(b"Connection: upgrade", b"Upgrade: websocket", first=b"GET /a HTTP/1.0")
    framing, passed = framing_after(head)
    assert framing.refusal is None
    assert framing.head is not None
    assert not framing.head.block.upgrade
    assert b"upgrade: websocket" not in passed


def test_what_follows_a_websocket_handshake_is_kept_and_never_read_as_a_request() -> None:
    head = request(b"Connection: upgrade", b"Upgrade: websocket")
    framing, passed = framing_after(head + b"\x81\x85abcd")
    assert framing.head is not None
    assert (framing.head.block.upgrade, passed) == (True, plain(head))
    assert framing.feed(request()) == b""
    assert framing.next() == b""
    assert framing.give_up() == b"\x81\x85abcd" + request()


def test_trailers_are_dropped() -> None:
    body = b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\nContent-Length: 4\r\n\r\n"

    framing, passed = framing_after(CHUNKED + body)

    assert (framing.refusal, passed) == (None, plain(CHUNKED) + b"1\r\na\r\n0\r\n\r\n")


def test_chunk_extensions_are_dropped() -> None:
    framing, passed = framing_after(CHUNKED + b'001;a="b";c\r\na\r\n0;d\r\n\r\n')

    assert (framing.refusal, passed) == (None, plain(CHUNKED) + b"1\r\na\r\n0\r\n\r\n")


def test_an_upgrade_to_h2c_is_dropped_and_the_request_stays() -> None:
    framing, passed = framing_after(
        request(
            b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"
        )
    )

    assert framing.refusal is None
    assert passed == plain(
        request(b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk")
    )


def test_an_http_1_0_client_is_not_sent_a_100() -> None:
    first = b"POST /a HTTP/1.0"

    _, passed = framing_after(request(b"Expect: 100-continue", b"Content-Length: 0", first=first))

    assert passed == plain(request(b"Content-Length: 0", first=first))


def test_an_empty_line_before_a_request_is_skipped() -> None:
    framing, passed = framing_after(b"\r\n" + request())

    assert (framing.refusal, passed) == (None, plain(request()))


def test_what_is_sent_ahead_waits_for_the_answer_before_it() -> None:
    framing = Framing(LIMITS)
    first, second = ACCEPTED["a body by length"], ACCEPTED["a body by chunks"]

    body = framing.feed(first + second)

    assert (body, framing.phase, framing.kept_bytes) == (b"abcd", Phase.COMPLETE, len(second))
    assert (framing.next(), framing.phase, framing.kept_bytes) == (b"abcd", Phase.COMPLETE, 0)


def test_a_refusal_sent_ahead_comes_only_when_it_is_its_turn() -> None:
    framing = Framing(LIMITS)

    framing.feed(request() + REFUSED["two hosts"][0])

    assert framing.refusal is None
    assert framing.next() == b""
    assert framing.refusal is not None


@pytest.mark.parametrize(
    "last",
    [
        request(b"Connection: close"),
        request(b"Connection: keep-alive, Close"),
        request(first=b"GET / HTTP/1.0"),
        ACCEPTED["a handshake"],
    ],
)
def test_nothing_is_looked_at_after_the_last_request(last: bytes) -> None:
    framing, passed = framing_after(last + request())

    assert framing.head is not None
    kept_for_the_websocket = len(request()) if framing.head.block.upgrade else 0
    assert (passed, framing.kept_bytes) == (plain(last), kept_for_the_websocket)
    assert framing.feed(request()) == framing.next() == b""


def test_a_refusal_is_final() -> None:
    framing, _ = framing_after(b"\x16")

    assert framing.feed(request()) == b""


def test_a_405_names_the_methods_there_are() -> None:
    framing, _ = framing_after(REFUSED["TRACE"][0])

    assert framing.refusal is not None
    assert (
        b"\r\nallow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" in framing.refusal.answer()
    )


@pytest.mark.parametrize("name", REFUSED)
def test_every_answer_is_a_problem_that_says_nothing_was_charged(name: str) -> None:
    framing, _ = framing_after(REFUSED[name][0])
    assert framing.refusal is not None

    head, _, body = framing.refusal.answer().partition(b"\r\n\r\n")

    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-type: application/problem+json" in head
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head
    problem = json.loads(body)
    assert (problem["charged"], problem["status"]) == (0, REFUSED[name][1])
    assert problem["type"] == f"/farebox/problems/{framing.refusal.name}"


def test_resting_counts_the_empty_lines_of_the_next_request_anew() -> None:
    framing = Framing(LIMITS)
    for _ in range(3):
        framing.feed(b"\r\n" * LIMITS.blank_lines + request())
        assert (framing.phase, framing.rest(), framing.phase) == (Phase.COMPLETE, True, Phase.IDLE)


def test_only_what_has_its_whole_request_and_nothing_more_rests() -> None:
    last = request(b"Connection: close")
    for data in (b"", b"GET", request(b"Content-Length: 2") + b"a", request() + b"G", last):
        framing, _ = framing_after(data)
        phase = framing.phase
        assert (framing.rest(), framing.phase) == (False, phase)
