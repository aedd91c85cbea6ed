"""The head of a request as it goes to an upstream: the caller's headers, and framing of our own."""

import re

from gateway.upstream.door import Headers, SharedLines, UpstreamRequest

# What the client decides by itself for each connection (RFC 9112 section 6, RFC 9110 7.6.1 and
# 10.1.1). A caller's version of any of these could contradict the bytes that are really sent.
_OWN_HEADERS = frozenset(
    {b"connection", b"content-length", b"expect", b"keep-alive", b"transfer-encoding", b"upgrade"}
)

_LOOKED_AT = _OWN_HEADERS | {b"host"}
_WEBSOCKET = b"connection: Upgrade\r\nupgrade: websocket\r\n"
_BREAKS_OUT = re.compile(rb"[\r\n\0]")


_NONE_SHARED = SharedLines(b"", has_host=False)


def request_head(request: UpstreamRequest, authority: bytes) -> bytes:
    """
    Write the head of a request.

    Raises:
        ValueError: A name, value, method or target would break out of its place in the head.
    """
    own = shared_lines(request.headers)
    before, after = around_own_lines(request, authority, has_host=own.has_host)
    return b"%b%b%b" % (before, own.written, after)


def around_own_lines(
    request: UpstreamRequest, authority: bytes, *, has_host: bool = False
) -> tuple[bytes, bytes]:
    """
    Write what stands before and behind the lines of `headers`, which may have a Host.

    Raises:
        ValueError: As `request_head`.
    """
    shared = request.shared or _NONE_SHARED
    line = request.method + b" " + request.target
    # No white space but the one between them, and no NUL.
    if not request.target or line.count(b" ") != 1 or _BREAKS_OUT.search(line):
        raise ValueError("the upstream request's method or target holds a space or is empty")
    host = b"" if shared.has_host or has_host else b"host: " + authority + b"\r\n"
    upgrade = _WEBSOCKET if request.websocket else b""
    before = b"%b HTTP/1.1\r\n%b" % (line, shared.written)
    return before, b"%b%b%b\r\n" % (host, upgrade, _framing_line(request))


def shared_lines(headers: Headers) -> SharedLines:
    """
    Write header lines, without those that a client decides on by itself.

    Raises:
        ValueError: A name or value would break out of its line.
    """
    parts: list[bytes] = []
    has_host = False
    for name, value in headers:
        lower = name.lower()
        if lower in _LOOKED_AT:
            if lower != b"host":
                continue
            has_host = True
        parts += (name, b": ", value, b"\r\n")
    written = b"".join(parts)
    # One look at the whole instead of one at each part: nothing may have brought its own line end.
    lines = len(parts) // 4
    if written.count(b"\n") != lines or written.count(b"\r") != lines or b"\0" in written:
        raise ValueError("a header of the upstream request holds a line end or NUL")
    return SharedLines(written, has_host)


def _framing_line(request: UpstreamRequest) -> bytes:
    body = request.body
    if isinstance(body, bytes):
        return b"content-length: %d\r\n" % len(body)
    if body is not None:
        if request.body_bytes is None:
            return b"transfer-encoding: chunked\r\n"
        return b"content-length: %d\r\n" % request.body_bytes
    # No body and no word of it: a client that should have said so (RFC 9110 8.6) is not corrected.
    return b""
