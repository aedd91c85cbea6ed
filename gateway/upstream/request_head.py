"""The head of a request as it goes to an upstream: the caller's headers, and framing of our own."""

from gateway.upstream.door import UpstreamRequest

# What the client decides by itself for each connection (RFC 9112 section 6, RFC 9110 7.6.1 and
# 10.1.1). A caller's version of any of these could contradict the bytes that are really sent.
_OWN_HEADERS = frozenset(
    {b"connection", b"content-length", b"expect", b"keep-alive", b"transfer-encoding", b"upgrade"}
)

_LOOKED_AT = _OWN_HEADERS | {b"host"}


def request_head(request: UpstreamRequest, authority: bytes) -> bytes:
    """
    Write the head of a request.

    Raises:
        ValueError: A name, value, method or target would break out of its place in the head.
    """
    parts = [request.method, b" ", request.target, b" HTTP/1.1\r\n"]
    lines = 2
    has_host = False
    for name, value in request.headers:
        lower = name.lower()
        if lower in _LOOKED_AT:
            if lower != b"host":
                continue
            has_host = True
        parts += (name, b": ", value, b"\r\n")
        lines += 1
    if not has_host:
        parts += (b"host: ", authority, b"\r\n")
        lines += 1
    if request.websocket:
        parts.append(b"connection: Upgrade\r\nupgrade: websocket\r\n")
        lines += 2
    length = _framing_line(request)
    if length:
        parts.append(length)
        lines += 1
    parts.append(b"\r\n")
    head = b"".join(parts)
    # One look at the whole instead of one at each part: nothing may have brought its own line end.
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise ValueError("a header of the upstream request holds a line end or NUL")
    if not request.target or b" " in request.target or b" " in request.method:
        raise ValueError("the upstream request's method or target holds a space or is empty")
    return head


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
